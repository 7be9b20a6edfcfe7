//! The fabric: the process that holds the router namespaces of a service's VPCs, and what is said
//! to it.
//!
//! It has a lock and a unix socket (0600) in its folder, and keeps nothing else on disk: one that
//! was killed is started again and told everything. A connection to its socket asks once, with one
//! line (JSON) that is an [`Ask`], and is answered with one, an [`Answer`]. A descriptor, where one
//! comes along (`SCM_RIGHTS`), is in the same message as the line's beginning.

use belljar_vpc::flow_log::Batch;
use belljar_vpc::id::InterfaceId;
use belljar_vpc::network::{Change, Description};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Its folder, in the state folder.
pub const FOLDER: &str = "network";
/// The file that the living fabric has locked.
pub const LOCK: &str = "lock";
/// Its unix socket.
pub const SOCKET: &str = "socket";
/// The service's own socket, in the state folder: where endpoints lead to.
pub const SERVICE_SOCKET: &str = "service/socket";
/// The certificate, in the state folder, of who vouches for AWS's names.
pub const AUTHORITY: &str = "service/ca/ca.pem";
/// What it last said before it ended by itself.
pub const DIAGNOSTICS: &str = "diagnostics";
/// Bytes of a question: a region's whole network.
pub const MAX_ASK: usize = 64 << 20;
/// Bytes of an answer.
pub const MAX_ANSWER: usize = 1 << 20;
/// Milliseconds after which a connection that nobody answers is given up.
pub const CONNECT_MILLIS: u64 = 5_000;

/// How long a question for records may wait for them.
pub const MAX_WAIT_MILLIS: u64 = 20_000;

/// A place in the records that one fabric has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Mark {
    /// Which fabric: one that was started anew counts anew.
    pub fabric: u64,
    /// How many batches are before this place.
    pub number: u64,
}

/// A question. (Not tagged inside: the numbers of ACL entries are keys, which a tagged enum cannot
/// read back.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Ask {
    /// The network is this, whatever it was.
    Replace {
        /// Its number.
        generation: u64,
        /// The region, of which the names are.
        region: String,
        /// All of it.
        description: Box<Description>,
    },
    /// The network is another. A fabric that has not applied `from` says [`Answer::Behind`].
    Change {
        /// The generation that the changes are for.
        from: u64,
        /// The one that they make.
        generation: u64,
        /// In order.
        changes: Vec<Change>,
    },
    /// A TCP connection from an interface that no container has. The host is resolved as the
    /// interface's instance would; the descriptor comes along with [`Answer::Connected`]: a socket
    /// that was made in the interface's namespace.
    Connect {
        /// From where.
        interface: InterfaceId,
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// The interface's inner end is put into the network namespace whose descriptor comes along,
    /// with its addresses and its routes. It is there for as long as this connection is open: whoever loses
    /// the connection has lost the interface.
    Attach {
        /// Which.
        interface: InterfaceId,
    },
    /// Records of flow logs that nobody has kept yet. Waits until there are some, or so long.
    Flows {
        /// Up to here whoever asks has kept all: it is let go of. What is not, comes again.
        after: Option<Mark>,
        /// Whether intervals that have begun are closed now, and go on from now. It is for whoever
        /// cannot wait for a record.
        flush: bool,
        /// How long to wait; [`MAX_WAIT_MILLIS`] at most.
        wait_millis: u64,
    },
    /// What was applied.
    Status,
    /// End, with all that is held.
    End,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Answer {
    /// The kernel has the rules of this generation, and was read back.
    Applied {
        /// It.
        generation: u64,
    },
    /// The changes are for a generation that is not the one applied: it must be told everything.
    Behind {
        /// The one applied, if there is one.
        generation: Option<u64>,
    },
    /// There is a connection; its descriptor comes along.
    Connected {
        /// Its end in the VPC.
        from: SocketAddr,
        /// The other.
        to: SocketAddr,
    },
    /// The interface is in its namespace.
    Attached,
    /// The oldest records, or none.
    Flows {
        /// They; an answer holds one batch at least, if there is one.
        batches: Vec<Batch>,
        /// Behind them.
        mark: Mark,
    },
    /// What was asked.
    Status(Status),
    /// The network does not let it through.
    Refused(Refusal),
    /// It cannot be done; what was before is still there.
    Failed {
        /// Why, a sentence.
        why: String,
    },
    /// It ends.
    Ending,
}

/// What a fabric has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// The generation applied, if any.
    pub generation: Option<u64>,
    /// The interfaces that there are in the kernel.
    pub interfaces: Vec<InterfaceId>,
    /// Of these, the ones that are in a container.
    pub attached: Vec<InterfaceId>,
    /// What it cannot do on this host, or as this user, a sentence each.
    pub lacks: Vec<String>,
}

/// Why packets do not get there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Refusal {
    /// A sentence.
    pub why: String,
    /// All that must change, as `vpc::reach` found it; empty if it found nothing, and the other
    /// side did not accept.
    pub blockers: Vec<Blocker>,
}

/// One thing that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Blocker {
    /// AWS's explanation code, or one of our own, `BELLJAR_…`.
    pub code: String,
    /// A sentence.
    pub text: String,
    /// What would remove it, a line for the AWS CLI.
    pub fix: Option<String>,
}

impl Refusal {
    /// Lines for the AWS CLI that would let it through.
    #[must_use]
    pub fn fixes(&self) -> Option<String> {
        let fixes: Vec<&str> = self.blockers.iter().filter_map(|b| b.fix.as_deref()).collect();
        (!fixes.is_empty()).then(|| fixes.join("; "))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)?;
        for (place, blocker) in self.blockers.iter().enumerate() {
            let before = if place == 0 { " [" } else { "; " };
            write!(f, "{before}{}: {}", blocker.code, blocker.text)?;
        }
        if self.blockers.is_empty() { Ok(()) } else { f.write_str("]") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_vpc::network::{AclEntry, NetworkAcl};
    use belljar_vpc::traffic::Traffic;
    use std::sync::Arc;

    #[test]
    fn a_network_comes_through_as_it_was() {
        let mut description = Description::default();
        let entry =
            AclEntry { traffic: Traffic::All, block: "0.0.0.0/0".parse().unwrap(), allow: true };
        let acl = NetworkAcl {
            vpc: "vpc-1".parse().unwrap(),
            is_default: true,
            ingress: [(100, entry)].into(),
            egress: [].into(),
            associations: [].into(),
        };
        description.acls.insert("acl-1".parse().unwrap(), Arc::new(acl));
        let ask = Ask::Replace {
            generation: 7,
            region: "us-east-1".into(),
            description: Box::new(description),
        };
        let line = serde_json::to_string(&ask).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Ask>(&line).unwrap(), ask);
    }

    #[test]
    fn a_refusal_names_all_that_is_in_the_way() {
        let blocker = |code: &str| Blocker { code: code.into(), text: "no".into(), fix: None };
        let mut refusal = Refusal { why: "not there".into(), blockers: vec![] };
        assert_eq!(refusal.to_string(), "not there");
        refusal.blockers = vec![blocker("A"), blocker("B")];
        assert_eq!(refusal.to_string(), "not there [A: no; B: no]");
    }
}
