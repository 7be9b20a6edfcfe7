//! The AWS wire: pruned service models, their protocols, `SigV4` and error shapes.
//!
//! **Invariant**: no noun of the product is known here; a service is what its model says.
