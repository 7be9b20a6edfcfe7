//! What `reach` answers.

use super::{Code, DetailCode, Fix};
use crate::id::{GroupRuleId, VpcId};
use crate::network::{Direction, RecordId, RouteDestination};
use crate::traffic::Header;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The way of a flow and of its answer, and all that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Reach {
    /// Every place that the first packet passes and what let it pass, as far as it comes.
    pub forward: Vec<Hop>,
    /// The same of the answer. Empty if nothing answers such a packet.
    pub backward: Vec<Hop>,
    /// All that must be mended for the flow to pass; with nothing here it passes.
    pub blockers: Vec<Blocker>,
    /// What is worth knowing besides.
    pub details: Vec<DetailCode>,
}

/// A place on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Hop {
    /// What decided.
    pub component: Component,
    /// Why it went on: by which of its rules.
    pub reason: Reason,
    /// The packet as it was there.
    pub header: Header,
}

/// Something that packets pass, or stop at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Component {
    /// What has a record.
    Record(RecordId),
    /// A VPC's router: base+1 of its subnets, the resolver, 169.254.169.253.
    Router(VpcId),
    /// The internet.
    Internet,
}

/// Why a component let a packet go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// It was sent here, by an interface or the internet.
    Sends,
    /// It arrived here.
    Receives,
    /// The interface forwards it: its source/destination check is off.
    Forwards,
    /// A rule of a security group.
    GroupRule(GroupRuleId),
    /// No security group at all, so that nothing is filtered.
    NoGroup,
    /// An entry of a network ACL.
    AclEntry(Direction, u16),
    /// The local route of a block of the VPC.
    Local(IpNet),
    /// A route.
    Route(RouteDestination),
    /// A gateway put in another address.
    Translates,
    /// Part of a conversation that was let through before.
    Established,
    /// The one that a fix makes.
    Mended,
}

/// Something that must be mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Blocker {
    /// Of which kind.
    pub code: Code,
    /// What stops the packet.
    pub component: Component,
    /// Which packet.
    pub direction: Leg,
    /// A sentence for a person.
    pub text: String,
    /// The least that mends it; `None` if no change of the network does.
    pub fix: Option<Fix>,
}

/// The packet or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Leg {
    /// The first packet.
    Request,
    /// What answers it.
    Reply,
}

impl Reach {
    /// Whether the flow and its answer pass.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.blockers.is_empty()
    }

    /// The codes of what is in the way.
    pub fn codes(&self) -> impl Iterator<Item = Code> + '_ {
        self.blockers.iter().map(|b| b.code)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(id) => f.write_str(id.as_str()),
            Self::Router(vpc) => write!(f, "the router of {vpc}"),
            Self::Internet => f.write_str("the internet"),
        }
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Reply => "reply",
        })
    }
}

impl fmt::Display for Blocker {
    /// `CODE: sentence`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}
