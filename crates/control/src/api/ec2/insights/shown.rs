//! What `reach` says, in the shapes of an analysis.

use super::super::places;
use crate::service::Service;
use belljar_vpc::network::{Direction, Network, RecordId, RouteDestination, Target};
use belljar_vpc::reach::{Blocker, Component, Edit, Hop, Reach, Reason};
use belljar_vpc::{Header, Payload, Traffic, Transport};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// An analysis that is done. What would mend it has no place of its own among AWS's shapes, and so
/// stands in the status message.
pub(super) fn analysis(service: &Service, network: &Network, reach: &Reach) -> Value {
    let mut forward = hops(service, network, &reach.forward);
    let details = reach.details.iter().map(|d| json!({"AdditionalDetailType": d.as_str()}));
    let details: Vec<Value> = details.collect();
    if let (Some(first), false) = (forward.first_mut(), details.is_empty()) {
        first["AdditionalDetails"] = details.into();
    }
    let explanations = reach.blockers.iter().map(|b| explanation(service, network, b));
    let explanations: Vec<Value> = explanations.collect();
    let mut shown = json!({
        "Status": "succeeded",
        "NetworkPathFound": reach.passes(),
        "ForwardPathComponents": forward,
        "ReturnPathComponents": hops(service, network, &reach.backward),
        "Explanations": explanations,
    });
    if !reach.passes() {
        shown["StatusMessage"] = message(reach).into();
    }
    shown
}

fn message(reach: &Reach) -> String {
    let lines = reach.blockers.iter().map(|blocker| {
        let fix = blocker.fix.iter().flat_map(|fix| &fix.cli);
        let fix: String = fix.map(|line| format!("\n  {line}")).collect();
        format!("{blocker}{fix}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn hops(service: &Service, network: &Network, hops: &[Hop]) -> Vec<Value> {
    let shown = hops.iter().enumerate().map(|(place, hop)| {
        let mut shown = Map::new();
        shown.insert("SequenceNumber".into(), json!(place + 1));
        shown.insert("Component".into(), component(service, &hop.component));
        shown.insert("OutboundHeader".into(), header(&hop.header));
        around(service, network, &hop.component, &mut shown);
        rule(network, hop, &mut shown);
        Value::Object(shown)
    });
    shown.collect()
}

/// The subnet and VPC that something is in.
fn around(service: &Service, network: &Network, of: &Component, into: &mut Map<String, Value>) {
    let vpc = match of {
        Component::Record(RecordId::Interface(id)) => {
            if let Some(interface) = network.interfaces.get(id) {
                let subnet = Component::Record(RecordId::Subnet(interface.subnet.clone()));
                into.insert("Subnet".into(), component(service, &subnet));
            }
            network.vpc_of(id)
        }
        Component::Record(RecordId::Group(id)) => network.groups.get(id).map(|group| &group.vpc),
        Component::Record(RecordId::Acl(id)) => network.acls.get(id).map(|acl| &acl.vpc),
        Component::Record(RecordId::RouteTable(id)) => network.route_tables.get(id).map(|t| &t.vpc),
        _ => None,
    };
    if let Some(vpc) = vpc {
        let vpc = Component::Record(RecordId::Vpc(vpc.clone()));
        into.insert("Vpc".into(), component(service, &vpc));
    }
}

/// The rule that let the packet pass.
fn rule(network: &Network, hop: &Hop, into: &mut Map<String, Value>) {
    match (&hop.reason, &hop.component) {
        (Reason::AclEntry(direction, number), Component::Record(RecordId::Acl(id))) => {
            let acl = network.acls.get(id);
            let Some(entry) = acl.and_then(|acl| acl.entries(*direction).get(number)) else {
                return;
            };
            let rule = json!({
                "Cidr": entry.block,
                "Egress": *direction == Direction::Egress,
                "PortRange": ports(entry.traffic),
                "Protocol": protocol(entry.traffic),
                "RuleAction": if entry.allow { "allow" } else { "deny" },
                "RuleNumber": number,
            });
            into.insert("AclRule".into(), rule);
        }
        (Reason::GroupRule(id), _) => {
            let found = network.groups.iter().find_map(|(g, of)| Some((g, of.rules.get(id)?)));
            let Some((group, rule)) = found else { return };
            into.insert("SecurityGroupRule".into(), group_rule(group.as_str(), rule));
        }
        (Reason::Local(block), _) => {
            let route = json!({
                "DestinationCidr": block, "GatewayId": "local",
                "Origin": "createroutetable", "State": "active",
            });
            into.insert("RouteTableRoute".into(), route);
        }
        (Reason::Route(destination), Component::Record(RecordId::RouteTable(id))) => {
            into.insert("RouteTableRoute".into(), route(network, id, destination));
        }
        _ => {}
    }
}

fn group_rule(group: &str, rule: &belljar_vpc::network::GroupRule) -> Value {
    use belljar_vpc::network::Peer;
    let mut shown = json!({
        "Direction": direction(rule.direction),
        "PortRange": ports(rule.traffic),
        "Protocol": protocol(rule.traffic),
    });
    match &rule.peer {
        Peer::Cidr(block) => shown["Cidr"] = json!(block),
        Peer::Group(other) => shown["SecurityGroupId"] = other.as_str().into(),
        Peer::PrefixList(list) => shown["PrefixListId"] = list.as_str().into(),
    }
    if shown.get("SecurityGroupId").is_none() {
        // AWS names the rule's own group where no other is.
        shown["SecurityGroupId"] = group.into();
    }
    shown
}

fn route(
    network: &Network,
    table: &belljar_vpc::id::RouteTableId,
    destination: &RouteDestination,
) -> Value {
    let mut shown = match destination {
        RouteDestination::Cidr(block) => json!({"DestinationCidr": block}),
        RouteDestination::PrefixList(id) => json!({"DestinationPrefixListId": id.as_str()}),
    };
    let routes = network.route_tables.get(table).into_iter().flat_map(|t| &t.routes);
    if let Some(route) = routes.into_iter().find(|r| r.destination == *destination) {
        let (member, id) = match &route.target {
            Target::Internet(id) => ("GatewayId", id.as_str()),
            Target::Nat(id) => ("NatGatewayId", id.as_str()),
            Target::Endpoint(id) => ("GatewayId", id.as_str()),
            Target::Peering(id) => ("VpcPeeringConnectionId", id.as_str()),
            Target::Interface(id) => ("NetworkInterfaceId", id.as_str()),
        };
        shown[member] = id.into();
        shown["Origin"] = "createroute".into();
        shown["State"] = "active".into();
    }
    shown
}

fn explanation(service: &Service, network: &Network, blocker: &Blocker) -> Value {
    let mut shown = Map::new();
    shown.insert("ExplanationCode".into(), blocker.code.as_str().into());
    let of = component(service, &blocker.component);
    shown.insert("Component".into(), of.clone());
    let member = match &blocker.component {
        Component::Record(id) => member(id),
        Component::Router(_) => Some("Vpc"),
        Component::Internet => None,
    };
    if let Some(member) = member {
        shown.insert(member.into(), of);
    }
    around(service, network, &blocker.component, &mut shown);
    let edits = blocker.fix.iter().flat_map(|fix| &fix.edits);
    let way = edits.into_iter().find_map(|edit| match edit {
        Edit::AddGroupRule(_, _, rule) => Some(rule.direction),
        Edit::SetAclEntry(_, direction, ..) => Some(*direction),
        _ => None,
    });
    if let Some(way) = way {
        shown.insert("Direction".into(), direction(way).into());
    }
    Value::Object(shown)
}

/// The member of an explanation for a component of a kind.
fn member(id: &RecordId) -> Option<&'static str> {
    Some(match id {
        RecordId::Vpc(_) => "Vpc",
        RecordId::Subnet(_) => "Subnet",
        RecordId::Group(_) => "SecurityGroup",
        RecordId::Acl(_) => "Acl",
        RecordId::RouteTable(_) => "RouteTable",
        RecordId::InternetGateway(_) => "InternetGateway",
        RecordId::NatGateway(_) => "NatGateway",
        RecordId::Interface(_) => "NetworkInterface",
        RecordId::Endpoint(_) => "VpcEndpoint",
        RecordId::PrefixList(_) => "PrefixList",
        RecordId::Peering(_) => "VpcPeeringConnection",
        RecordId::Address(_)
        | RecordId::DhcpOptions(_)
        | RecordId::Zone(_)
        | RecordId::FlowLog(_) => {
            return None;
        }
    })
}

fn component(service: &Service, of: &Component) -> Value {
    let id = match of {
        Component::Record(id) => id.clone(),
        Component::Router(vpc) => RecordId::Vpc(vpc.clone()),
        Component::Internet => return json!({"Id": "internet"}),
    };
    let kind = match &id {
        RecordId::Vpc(_) => "vpc",
        RecordId::Subnet(_) => "subnet",
        RecordId::Group(_) => "security-group",
        RecordId::Acl(_) => "network-acl",
        RecordId::RouteTable(_) => "route-table",
        RecordId::InternetGateway(_) => "internet-gateway",
        RecordId::NatGateway(_) => "natgateway",
        RecordId::Address(_) => "elastic-ip",
        RecordId::Interface(_) => "network-interface",
        RecordId::Endpoint(_) => "vpc-endpoint",
        RecordId::PrefixList(_) => "prefix-list",
        RecordId::Peering(_) => "vpc-peering-connection",
        RecordId::DhcpOptions(_) => "dhcp-options",
        RecordId::FlowLog(_) => "vpc-flow-log",
        RecordId::Zone(id) => {
            return json!({"Id": id.as_str(), "Arn": format!("arn:aws:route53:::hostedzone/{id}")});
        }
    };
    json!({"Id": id.as_str(), "Arn": places::arn(service, kind, id.as_str())})
}

/// A packet's head; of IPv6 addresses these shapes know nothing.
fn header(header: &Header) -> Value {
    let mut shown = json!({});
    for (name, address) in
        [("SourceAddresses", header.source), ("DestinationAddresses", header.destination)]
    {
        if let IpAddr::V4(address) = address {
            shown[name] = json!([address]);
        }
    }
    let range = |port: u16| json!([{"From": port, "To": port}]);
    let number = header.payload.protocol();
    if let Payload::Ports { source, destination, .. } = header.payload {
        shown["SourcePortRanges"] = range(source);
        shown["DestinationPortRanges"] = range(destination);
    }
    shown["Protocol"] = number.to_string().into();
    shown
}

const fn direction(of: Direction) -> &'static str {
    match of {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

fn ports(traffic: Traffic) -> Value {
    match traffic {
        Traffic::Ports { from, to, .. } => json!({"From": from, "To": to}),
        _ => Value::Null,
    }
}

fn protocol(traffic: Traffic) -> String {
    match traffic {
        Traffic::All => "all".into(),
        Traffic::Ports { transport: Transport::Tcp, .. } => "tcp".into(),
        Traffic::Ports { transport: Transport::Udp, .. } => "udp".into(),
        Traffic::Icmp { v6: false, .. } => "icmp".into(),
        Traffic::Icmp { v6: true, .. } => "icmpv6".into(),
        Traffic::Protocol { number } => number.to_string(),
    }
}
