//! What a person calls things: by the tag `Name` where there is one.

use crate::terminal::printable;
use belljar_vpc::Network;
use belljar_vpc::id::GroupId;
use belljar_vpc::network::{Interface, Peer, RouteDestination};
use std::collections::BTreeMap;

/// Tags by the id of what has them.
pub(crate) type Tags = BTreeMap<String, BTreeMap<String, String>>;

/// A network and what its parts are called. Whatever it answers is safe for a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) network: &'a Network,
    tags: &'a Tags,
}

impl<'a> Names<'a> {
    pub(crate) fn new(network: &'a Network, tags: &'a Tags) -> Self {
        Self { network, tags }
    }

    /// The name that somebody gave it: its tag `Name`; a group's `GroupName`, a prefix list's name
    /// or an endpoint's service if there is none.
    pub(crate) fn name(&self, id: &str) -> Option<String> {
        let tag = self.tags.get(id).and_then(|tags| tags.get("Name")).filter(|n| !n.is_empty());
        let own = || {
            let group = || Some(self.network.groups.get(&id.parse().ok()?)?.name.clone());
            let list = || Some(self.network.prefix_lists.get(&id.parse().ok()?)?.name.clone());
            let endpoint = || Some(self.network.endpoints.get(&id.parse().ok()?)?.service.clone());
            group().or_else(list).or_else(endpoint)
        };
        tag.cloned().or_else(own).map(|name| printable(&name))
    }

    /// Name and id, or the id alone.
    pub(crate) fn label(&self, id: &str) -> String {
        match self.name(id) {
            Some(name) => format!("{name} ({id})"),
            None => id.to_owned(),
        }
    }

    /// The name, or the id of what has none.
    pub(crate) fn short(&self, id: &str) -> String {
        self.name(id).unwrap_or_else(|| id.to_owned())
    }

    /// Several groups, by name.
    pub(crate) fn groups(&self, ids: &[GroupId]) -> String {
        match ids {
            [] => "no group".to_owned(),
            ids => {
                let all: Vec<String> = ids.iter().map(|id| self.label(id.as_str())).collect();
                all.join(", ")
            }
        }
    }

    /// Whose an interface is, and of which of its instances; a description if nobody's.
    pub(crate) fn whose(&self, interface: &Interface) -> String {
        match interface.attachment.as_ref().map(|a| owner(&a.owner)) {
            Some((of, Some(instance))) => format!("{of}, {instance}"),
            _ => self.of_whom(interface),
        }
    }

    /// Whose an interface is, whichever instance it is of.
    pub(crate) fn of_whom(&self, interface: &Interface) -> String {
        let owner = interface.attachment.as_ref().map(|a| owner(&a.owner).0);
        let described = || Some(printable(&interface.description)).filter(|d| !d.is_empty());
        owner.or_else(described).unwrap_or_else(|| "not attached".to_owned())
    }

    pub(crate) fn destination(&self, to: &RouteDestination) -> String {
        match to {
            RouteDestination::Cidr(block) => block.to_string(),
            RouteDestination::PrefixList(id) => self.label(id.as_str()),
        }
    }

    pub(crate) fn peer(&self, peer: &Peer) -> String {
        match peer {
            Peer::Cidr(block) => block.to_string(),
            Peer::Group(id) => self.label(id.as_str()),
            Peer::PrefixList(id) => self.label(id.as_str()),
        }
    }
}

/// An interface's owner, as its attachment has it: a job or endpoint by name, and its instance;
/// anything else as it is. After an ARN there are a job's attempt and the instance's host name, or
/// an endpoint's instance and the host name that all of them have (`control::network::instances`).
fn owner(text: &str) -> (String, Option<String>) {
    let parts = |kind: &str| {
        let (_, rest) = text.strip_prefix("arn:")?.split_once(kind)?;
        let mut parts = rest.split('/');
        Some((printable(parts.next()?), parts))
    };
    if let Some((name, mut instance)) = parts(":training-job/") {
        return (format!("training job {name}"), instance.next_back().map(printable));
    }
    if let Some((name, mut instance)) = parts(":endpoint/") {
        return (format!("endpoint {name}"), instance.next().map(printable));
    }
    (printable(text), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_called_by_name() {
        for (arn, said) in [
            ("arn:aws:sagemaker:us-east-1:1:training-job/j1", ("training job j1", None)),
            (
                "arn:aws:sagemaker:us-east-1:1:training-job/j1/2/algo-1",
                ("training job j1", Some("algo-1")),
            ),
            ("arn:aws:sagemaker:us-east-1:1:endpoint/e/i-1/eth0", ("endpoint e", Some("i-1"))),
            ("amazon-elb", ("amazon-elb", None)),
            ("arn:aws:x\u{1b}[2J", ("arn:aws:x\\u{1b}[2J", None)),
        ] {
            let (of, instance) = owner(arn);
            assert_eq!((of.as_str(), instance.as_deref()), said);
        }
    }
}
