//! Why a service does not start or ends.

use super::CaError;
use crate::state::StateError;
use belljar_domain::NodeName;
use belljar_store::StoreError;
use belljar_store::objects::ObjectError;
use belljar_store::schema::OpenError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a service does not start or ends.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The state folder.
    #[error(transparent)]
    Folder(#[from] StateError),
    /// The service's folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store of objects.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The certificate authority.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// It.
        address: SocketAddr,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The unix socket cannot be made.
    #[error("cannot listen on {}", .path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A thread or its event loop does not start.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// No service lives on this state folder.
    #[error("no service is running on {}", .0.display())]
    NotRunning(PathBuf),
    /// No service made a network in this state folder yet.
    #[error("there is no network in {} yet", .0.display())]
    NoNetwork(PathBuf),
    /// What is kept is not a network.
    #[error("the network that is kept cannot be used")]
    Network(#[from] belljar_vpc::network::Fault),
    /// The file that says where a service listens is not readable.
    #[error("cannot read {}", .path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// A key that is not there.
    #[error("there is no access key {0}")]
    NoKey(String),
    /// The last key of the account.
    #[error("{0} is the last access key of the account: nobody could call the service any more")]
    LastKey(String),
    /// The service listens where only its own machine can call it.
    #[error("other machines cannot reach {0}")]
    OwnMachine(String),
    /// A node of this name.
    #[error("there is a node '{0}' already")]
    NodeIsThere(NodeName),
    /// No node of this name.
    #[error("there is no node '{0}'")]
    NoNode(NodeName),
}

impl ServiceError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Folder(e) => return e.hint(),
            Self::Open(e) => return e.hint().map(str::to_owned),
            Self::Store(_) | Self::Objects(_) | Self::Address { .. } | Self::Network(_) => {
                return None;
            }
            Self::NoNetwork(_) => {
                "a service makes one when it first starts (`belljar up`); name its folder with --state DIR".into()
            }
            Self::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                format!("give another port, or a free one with --listen {}:0", address.ip())
            }
            Self::Listen { .. } => "give an address of this machine with --listen".into(),
            Self::Ca(CaError::File { .. }) | Self::Socket { .. } => {
                "give a folder that you may write with --state DIR".into()
            }
            Self::Ca(_) => return None,
            Self::Thread(_) => "check the limits on processes and memory (ulimit -a)".into(),
            Self::OwnMachine(_) => {
                "start the service with --listen ADDRESS:PORT, an address that the other machine reaches".into()
            }
            Self::NodeIsThere(_) => "remove it, or give another name".into(),
            Self::NoNode(_) => "`belljar node list` shows those that there are".into(),
            Self::NotRunning(_) => {
                "start one with `belljar up`, or name its folder with --state DIR".into()
            }
            Self::NoKey(_) => "`belljar keys list` shows those that there are".into(),
            Self::LastKey(_) => "make another first, with `belljar keys create`".into(),
        })
    }

    /// Whether the command was wrong, as against this machine.
    #[must_use]
    pub fn usage(&self) -> bool {
        matches!(
            self,
            Self::NoKey(_) | Self::LastKey(_) | Self::NoNode(_) | Self::Folder(StateError::NoPlace)
        )
    }
}
