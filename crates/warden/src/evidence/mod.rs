//! The evidence of a sealed run: a DSSE envelope around an in-toto Statement v1, signed with the
//! host's Ed25519 key.
//!
//! **Invariant**: an envelope is one canonical JSON text; any other spelling of it is refused, so
//! every changed byte is seen, whether or not it is covered by the signature.

pub mod account;
pub mod canonical;
pub mod dsse;
pub mod key;
pub mod show;
pub mod verdict;

pub use account::Account;
pub(crate) use account::IMAGE;
pub use dsse::{EnvelopeError, sign};
pub use key::{HostKey, KeyError, PublicKey};
pub use show::show;
pub use verdict::{ArtifactCheck, InstanceCheck, Verdict, VerifyError, verify};
