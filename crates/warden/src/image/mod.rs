//! Images: named, fetched, checked, unpacked and kept.
//!
//! A [`Reference`] says where an image is; an [`ImageStore`] keeps images by content, so that
//! they share layers; an [`Image`] is one of them, its layers ready for overlayfs. **Invariant**:
//! what is under a final name in the store is whole and has the digest it is named by, whatever
//! was killed, and nothing that an archive holds reaches outside its layer's folder.

mod config;
mod digest;
mod error;
mod import;
pub mod limits;
mod pull;
mod reference;
mod registry_name;
mod store;
mod transport;
pub mod unpack;
mod user;

pub use config::{ImageConfig, architecture};
pub use digest::{Digest, DigestError};
pub use error::ImageError;
pub use import::ImportConfig;
pub use reference::{Pick, Reference};
pub use registry_name::RegistryName;
pub use store::{Image, ImageDetails, ImageStore, ImageSummary, Layer, LayerDetails};
pub use user::user_of;
