//! What a container that is not isolated (`EnableNetworkIsolation` is off) can reach.
//! Source: contract §3; SageMaker Developer Guide, "Run Training and Inference Containers in
//! Internet-Free Mode".

use crate::{Assignment, PeerLink, VpcLink};
use belljar_vpc::compile::NEXT_V6;
use serde::{Deserialize, Serialize};

/// The name of an interface of a VPC in a container, as on an instance.
pub const VPC_INTERFACE: &str = "eth0";

/// By what it reaches others than its peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Access {
    /// An interface in a VPC, and nothing else.
    Vpc(Box<VpcLink>),
    /// The internet, through the host. It has no interface for that.
    Internet,
}

/// What a container may have beside `lo`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed<'a> {
    /// Of an instance of several: the link to its peers.
    pub peers: Option<&'a PeerLink>,
    /// Of one that is not isolated.
    pub access: Option<&'a Access>,
}

impl Assignment {
    /// What it can reach; `None` if it is isolated.
    #[must_use]
    pub fn access(&self) -> Option<Access> {
        match &self.vpc {
            Some(link) if link.inside => Some(Access::Vpc(link.clone())),
            None if self.internet => Some(Access::Internet),
            _ => None,
        }
    }
}

impl Access {
    /// A sentence for people, without its end.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Vpc(link) => format!(
                "it had the network interface {} ({}) in {} of {}",
                link.interface, link.address, link.subnet, link.vpc
            ),
            Self::Internet => "it could reach the internet through the host".to_owned(),
        }
    }
}

impl<'a> Allowed<'a> {
    /// A sealed container's: its peers, if it has some.
    #[must_use]
    pub fn joined(peers: Option<&'a PeerLink>) -> Self {
        Self { peers, access: None }
    }

    /// The interfaces, sorted.
    #[must_use]
    pub fn interfaces(&self) -> Vec<&str> {
        let vpc = matches!(self.access, Some(Access::Vpc(_))).then_some(VPC_INTERFACE);
        let peers = self.peers.map(|link| link.interface.as_str());
        let mut all: Vec<&str> = ["lo"].into_iter().chain(vpc).chain(peers).collect();
        all.sort_unstable();
        all
    }

    /// The only routes that lead out of `lo`.
    #[must_use]
    pub fn routes(&self) -> Vec<String> {
        let mut all = self.peers.map(PeerLink::routes).unwrap_or_default();
        if let Some(Access::Vpc(link)) = self.access {
            all.push(format!("default via {} dev {VPC_INTERFACE}", link.gateway));
            if link.address_v6.is_some() {
                all.push(format!("default via {NEXT_V6} dev {VPC_INTERFACE}"));
            }
        }
        all
    }
}
