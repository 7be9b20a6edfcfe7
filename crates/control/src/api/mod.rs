//! The operations, one folder or file for each of AWS's services. A handler takes an input that is
//! valid by the model and says in AWS's words what is wrong beyond that; what is wanted is written
//! to the state, and the reconciler does the rest.

pub(crate) mod sagemaker;
