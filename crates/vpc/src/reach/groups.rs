//! Security groups: what an interface lets out and in.

use super::Code;
use super::answer::{Component, Reason};
use super::fix::Edit;
use super::mended::Mended;
use super::walk::{Check, Failure};
use crate::id::{GroupId, GroupRuleId, InterfaceId, VpcId};
use crate::network::{Direction, GroupRule, Peer, RecordId};
use crate::traffic::{Header, Payload, Traffic};
use ipnet::IpNet;
use std::net::IpAddr;

/// What is asked of an interface's groups.
pub(super) struct Question<'a> {
    pub(super) interface: &'a InterfaceId,
    pub(super) direction: Direction,
    pub(super) header: Header,
    /// Whether the packet passes straight between the owners of its addresses: only then do rules
    /// that name groups apply.
    pub(super) direct: bool,
}

impl Question<'_> {
    /// The address at the other side.
    const fn peer(&self) -> IpAddr {
        match self.direction {
            Direction::Ingress => self.header.source,
            Direction::Egress => self.header.destination,
        }
    }
}

/// The rule of an interface's groups that lets a packet pass. An interface without groups lets
/// all pass.
pub(super) fn check(net: &Mended<'_>, ask: &Question<'_>) -> Check {
    let here = || Component::Record(RecordId::Interface(ask.interface.clone()));
    let Some(interface) = net.interface(ask.interface) else {
        return Check::Passes(here(), Reason::NoGroup);
    };
    let Some(first) = interface.groups.first() else {
        return Check::Passes(here(), Reason::NoGroup);
    };
    let vpc = net.network.vpc_of(ask.interface);
    let (mut some, mut by_reference) = (false, false);
    for id in &interface.groups {
        for (rule_id, rule) in net.group(id).into_iter().flat_map(|g| &g.rules) {
            if rule.direction != ask.direction {
                continue;
            }
            some = true;
            if !rule.traffic.matches(&ask.header.payload) || !is_peer(net, vpc, rule, ask.peer()) {
                continue;
            }
            if ask.direct || !matches!(rule.peer, Peer::Group(_)) {
                let group = Component::Record(RecordId::Group(id.clone()));
                return Check::Passes(group, Reason::GroupRule(rule_id.clone()));
            }
            by_reference = true;
        }
    }
    let code = match (some, by_reference) {
        (false, _) => Code::SgHasNoRules,
        (_, true) => Code::SgReferencesNotPreserved,
        _ => Code::EniSgRulesMismatch,
    };
    Check::Fails(Box::new(failure(net, ask, first, &interface.groups, code)))
}

/// Whether a rule is about an address. `vpc` is that of the interface that has the rule's group.
pub(super) fn is_peer(
    net: &Mended<'_>,
    vpc: Option<&VpcId>,
    rule: &GroupRule,
    address: IpAddr,
) -> bool {
    match &rule.peer {
        Peer::Cidr(block) => block.contains(&address),
        Peer::PrefixList(id) => net.list(id).is_some_and(|l| l.longest(address).is_some()),
        // The private addresses of its interfaces, in this VPC or in one that is peered.
        Peer::Group(id) => net.group(id).is_some_and(|group| {
            let near = vpc.is_some_and(|v| *v == group.vpc || net.peered(v, &group.vpc));
            let member = || net.network.interface_at(&group.vpc, address);
            let of = |i: &InterfaceId| net.interface(i).is_some_and(|i| i.groups.contains(id));
            near && member().is_some_and(of)
        }),
    }
}

fn failure(
    net: &Mended<'_>,
    ask: &Question<'_>,
    first: &GroupId,
    groups: &[GroupId],
    code: Code,
) -> Failure {
    let (way, verb) = match ask.direction {
        Direction::Ingress => ("inbound", "from"),
        Direction::Egress => ("outbound", "to"),
    };
    let all: Vec<&str> = groups.iter().map(GroupId::as_str).collect();
    let tail = match code {
        Code::SgHasNoRules => "they have no rule in that direction".to_owned(),
        Code::SgReferencesNotPreserved => {
            "a rule that names a group would, but the packet is forwarded on its way, and a group \
             is then not recognised"
                .to_owned()
        }
        _ => "none of their rules does".to_owned(),
    };
    let text = format!(
        "no security group of {} ({}) allows {way} {} {verb} {}: {tail}",
        ask.interface,
        all.join(", "),
        ask.header.payload,
        ask.peer()
    );
    let component = Component::Record(RecordId::Group(first.clone()));
    let rule = GroupRule {
        direction: ask.direction,
        traffic: narrowest(&ask.header.payload),
        peer: narrowest_peer(net, ask),
        description: None,
    };
    let group = first.clone();
    Failure::mended(code, component, text, move |net| {
        let taken = |net: &Mended<'_>, id: &GroupRuleId| {
            net.group(&group).is_some_and(|g| g.rules.contains_key(id))
        };
        let id = net.unused(GroupRuleId::PREFIX, taken)?;
        Some(vec![Edit::AddGroupRule(group, id, rule)])
    })
}

/// The rule's traffic that has no more than a payload.
pub(super) const fn narrowest(payload: &Payload) -> Traffic {
    match *payload {
        Payload::Ports { transport, destination, .. } => {
            Traffic::Ports { transport, from: destination, to: destination }
        }
        Payload::Icmp { v6, kind, code } => {
            Traffic::Icmp { v6, kind: Some(kind), code: Some(code) }
        }
        Payload::Other { number } => Traffic::Protocol { number },
    }
}

/// One address, or what stands for addresses that do not stay: the group of an interface that a
/// service made and takes away again, the prefix list of an AWS service.
fn narrowest_peer(net: &Mended<'_>, ask: &Question<'_>) -> Peer {
    let address = ask.peer();
    let vpc = net.network.vpc_of(ask.interface);
    let local = vpc.and_then(|v| net.network.interface_at(v, address));
    if let Some(interface) = local.and_then(|i| net.interface(i)) {
        let passing = interface.requester_managed && ask.direct;
        if let (true, Some(group)) = (passing, interface.groups.first()) {
            return Peer::Group(group.clone());
        }
    } else if ask.direction == Direction::Egress {
        let mut managed = net.network.prefix_lists.iter().filter(|(_, l)| l.owner == "AWS");
        if let Some((id, _)) = managed.find(|(_, l)| l.longest(address).is_some()) {
            return Peer::PrefixList(id.clone());
        }
    }
    Peer::Cidr(IpNet::from(address))
}
