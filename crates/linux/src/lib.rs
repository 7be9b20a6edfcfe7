//! The kernel: namespaces, links, nftables, cgroups, mounts and processes. The only crate with
//! unsafe code; each block says why it is sound.
//!
//! **Invariant**: everything made here is held by a file descriptor or a process, never by a
//! name, so that it is gone when its holder is. The one exception is the cgroup, which has a
//! name by nature and is swept by it.

pub mod cgroup;
pub mod container;
mod error;
pub mod flows;
pub mod idmap;
pub mod jar;
pub mod memory;
pub mod mounts;
pub mod netns;
pub mod nflog;
mod nftables;
pub mod outlet;
pub mod peer_net;
pub mod privilege;
pub mod process;
pub mod reading;
pub mod root;
pub mod router;
pub mod seal_net;
pub mod seccomp;
pub mod tun;

pub use error::{Error, Result};
