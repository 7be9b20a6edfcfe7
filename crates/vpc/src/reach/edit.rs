//! Edits carried out, and written as lines of the AWS CLI.

use super::fix::{Edit, Fix};
use crate::network::{
    Description, Direction, EndpointKind, GroupRule, Origin, Peer, PeeringStatus, Record, RecordId,
    Route, RouteDestination, Target,
};
use crate::traffic::{Traffic, Transport};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The record with an id, to be changed. A record that is not there is left so.
fn edit<K: Ord, V: Clone>(map: &mut BTreeMap<K, Arc<V>>, id: &K, change: impl FnOnce(&mut V)) {
    if let Some(record) = map.get_mut(id) {
        change(Arc::make_mut(record));
    }
}

impl Edit {
    /// Carries it out. What it names and is not there is left so.
    pub fn apply(&self, d: &mut Description) {
        match self {
            Self::AddGroupRule(group, id, rule) => edit(&mut d.groups, group, |g| {
                g.rules.insert(id.clone(), rule.clone());
            }),
            Self::SetAclEntry(acl, direction, number, entry) => edit(&mut d.acls, acl, |a| {
                let entries = match direction {
                    Direction::Ingress => &mut a.ingress,
                    Direction::Egress => &mut a.egress,
                };
                entries.insert(*number, entry.clone());
            }),
            Self::SetRoute(table, route) => edit(&mut d.route_tables, table, |t| {
                set_route(&mut t.routes, route);
            }),
            Self::RemoveRoute(table, destination) => edit(&mut d.route_tables, table, |t| {
                t.routes.retain(|r| r.destination != *destination);
            }),
            Self::JoinEndpoint(endpoint, table, list) => {
                edit(&mut d.endpoints, endpoint, |e| {
                    if let EndpointKind::Gateway { route_tables } = &mut e.kind {
                        route_tables.insert(table.clone());
                    }
                });
                edit(&mut d.route_tables, table, |t| {
                    let route = Route {
                        destination: RouteDestination::PrefixList(list.clone()),
                        target: Target::Endpoint(endpoint.clone()),
                        origin: Origin::CreateRoute,
                    };
                    set_route(&mut t.routes, &route);
                });
            }
            Self::AttachGateway(gateway, vpc) => {
                edit(&mut d.internet_gateways, gateway, |g| g.vpc = Some(vpc.clone()));
            }
            Self::AssociateAddress(allocation, association, interface, private) => {
                let to = (association.clone(), interface.clone(), *private);
                edit(&mut d.addresses, allocation, |a| a.association = Some(to));
            }
            Self::AcceptPeering(id) => {
                edit(&mut d.peerings, id, |p| p.status = PeeringStatus::Active);
            }
            Self::Forward(id) => edit(&mut d.interfaces, id, |i| i.source_dest_check = false),
            Self::EnableDns(id) => edit(&mut d.vpcs, id, |v| {
                v.dns_support = true;
                v.dns_hostnames = true;
            }),
            Self::EnablePrivateDns(id) => edit(&mut d.endpoints, id, |e| {
                if let EndpointKind::Interface { private_dns, .. } = &mut e.kind {
                    *private_dns = true;
                }
            }),
            Self::SetPolicy(id, text) => {
                edit(&mut d.endpoints, id, |e| e.policy = Some(text.clone()));
            }
            Self::Create(record) => {
                d.apply(crate::network::Change::Put(record.clone()));
            }
        }
    }
}

fn set_route(routes: &mut Vec<Route>, route: &Route) {
    let same = |r: &&mut Route| r.destination == route.destination && r.origin == route.origin;
    match routes.iter_mut().find(same) {
        Some(old) => *old = route.clone(),
        None => routes.push(route.clone()),
    }
}

/// Variables of a shell for the ids of new records: what AWS will call them is known only when they
/// are made.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(RecordId, String)>);

impl Names {
    /// A variable for a new record, which no other one has.
    fn give(&mut self, id: RecordId, name: &str) -> String {
        let taken = |variable: &str| self.0.iter().any(|(_, other)| other == variable);
        let mut variable = name.to_owned();
        let mut number = 2;
        while taken(&variable) {
            variable = format!("{name}{number}");
            number += 1;
        }
        self.0.push((id, variable.clone()));
        variable
    }

    /// A line with the variables in the place of ids, which are words of it.
    fn put_into(&self, line: &str) -> String {
        let word = |word: &str| match self.0.iter().find(|(id, _)| id.as_str() == word) {
            Some((_, variable)) => format!("${variable}"),
            None => word.to_owned(),
        };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    /// A sentence with words in the place of ids.
    pub(super) fn told(&self, mut sentence: String) -> String {
        // The last one's number may begin with that of an earlier one.
        for (id, _) in self.0.iter().rev() {
            let what = match id {
                RecordId::InternetGateway(_) => "the new internet gateway",
                RecordId::Peering(_) => "the new peering connection",
                _ => continue,
            };
            sentence = sentence.replace(id.as_str(), what);
        }
        sentence
    }
}

impl Fix {
    /// A fix of these edits; `replaces` says whether a number of an ACL or a destination of a
    /// table is taken, so that it must be replaced.
    pub(crate) fn new(edits: Vec<Edit>, replaces: impl Fn(&Edit) -> bool) -> Self {
        Self::spelled(edits, replaces, &mut Names::default())
    }

    /// As [`Self::new`], behind other fixes, whose new records it may name.
    pub(super) fn spelled(
        edits: Vec<Edit>,
        replaces: impl Fn(&Edit) -> bool,
        names: &mut Names,
    ) -> Self {
        let mut cli = Vec::new();
        for (place, edit) in edits.iter().enumerate() {
            // `create-vpc-endpoint` makes the routes, too.
            let made_here = |id: &crate::id::EndpointId| {
                let is = |e: &Edit| matches!(e, Edit::Create(r) if r.id().as_str() == id.as_str());
                edits[..place].iter().any(is)
            };
            let done = match edit {
                Edit::JoinEndpoint(id, ..) => made_here(id),
                // An endpoint's interfaces are made with it.
                Edit::Create(Record::Interface(..)) => true,
                _ => false,
            };
            if done {
                continue;
            }
            let mut text = names.put_into(&line(edit, replaces(edit)));
            if let (Edit::Create(record), Some((name, query))) = (edit, answered(edit)) {
                let variable = names.give(record.id(), name);
                text = format!("{variable}=$({text} --query {query} --output text)");
            }
            cli.push(text);
        }
        Self { edits, cli }
    }
}

/// The variable for the id of a new record, and where the answer has it; `None` if no later line
/// needs it.
const fn answered(edit: &Edit) -> Option<(&'static str, &'static str)> {
    match edit {
        Edit::Create(Record::InternetGateway(..)) => {
            Some(("IGW", "InternetGateway.InternetGatewayId"))
        }
        Edit::Create(Record::Address(..)) => Some(("EIP", "AllocationId")),
        Edit::Create(Record::Peering(..)) => {
            Some(("PCX", "VpcPeeringConnection.VpcPeeringConnectionId"))
        }
        _ => None,
    }
}

fn line(edit: &Edit, replaces: bool) -> String {
    let verb = if replaces { "replace" } else { "create" };
    let tail = match edit {
        Edit::AddGroupRule(group, _, rule) => group_line(group.as_str(), rule),
        Edit::SetAclEntry(acl, direction, number, entry) => {
            let way = if *direction == Direction::Ingress { "--ingress" } else { "--egress" };
            let block = match entry.block {
                IpNet::V4(net) => format!("--cidr-block {net}"),
                IpNet::V6(net) => format!("--ipv6-cidr-block {net}"),
            };
            let action = if entry.allow { "allow" } else { "deny" };
            format!(
                "{verb}-network-acl-entry --network-acl-id {acl} {way} --rule-number {number} \
                 {} {block} --rule-action {action}",
                acl_protocol(entry.traffic)
            )
        }
        Edit::SetRoute(table, route) => format!(
            "{verb}-route --route-table-id {table} {} {}",
            destination(&route.destination),
            target(&route.target)
        ),
        Edit::RemoveRoute(table, to) => {
            format!("delete-route --route-table-id {table} {}", destination(to))
        }
        Edit::JoinEndpoint(endpoint, table, _) => format!(
            "modify-vpc-endpoint --vpc-endpoint-id {endpoint} --add-route-table-ids {table}"
        ),
        Edit::AttachGateway(gateway, vpc) => {
            format!("attach-internet-gateway --internet-gateway-id {gateway} --vpc-id {vpc}")
        }
        Edit::AssociateAddress(allocation, _, interface, private) => format!(
            "associate-address --allocation-id {allocation} --network-interface-id {interface} \
             --private-ip-address {private}"
        ),
        Edit::AcceptPeering(id) => {
            format!("accept-vpc-peering-connection --vpc-peering-connection-id {id}")
        }
        Edit::Forward(id) => format!(
            "modify-network-interface-attribute --network-interface-id {id} \
             --no-source-dest-check"
        ),
        // Each call takes one attribute only.
        Edit::EnableDns(id) => format!(
            "modify-vpc-attribute --vpc-id {id} --enable-dns-support && \
             aws ec2 modify-vpc-attribute --vpc-id {id} --enable-dns-hostnames"
        ),
        Edit::EnablePrivateDns(id) => {
            format!("modify-vpc-endpoint --vpc-endpoint-id {id} --private-dns-enabled")
        }
        Edit::SetPolicy(id, text) => {
            let quoted = text.replace('\'', r"'\''");
            format!("modify-vpc-endpoint --vpc-endpoint-id {id} --policy-document '{quoted}'")
        }
        Edit::Create(record) => created(record),
    };
    format!("aws ec2 {tail}")
}

fn group_line(group: &str, rule: &GroupRule) -> String {
    let way = match rule.direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    let protocol = match rule.traffic {
        Traffic::All => "IpProtocol=-1".to_owned(),
        Traffic::Ports { transport, from, to } => {
            format!("IpProtocol={},FromPort={from},ToPort={to}", name(transport))
        }
        Traffic::Icmp { v6, kind, code } => {
            let number = |n: Option<u8>| n.map_or(-1, i16::from);
            let protocol = if v6 { "icmpv6" } else { "icmp" };
            format!("IpProtocol={protocol},FromPort={},ToPort={}", number(kind), number(code))
        }
        Traffic::Protocol { number } => format!("IpProtocol={number}"),
    };
    let peer = match &rule.peer {
        Peer::Cidr(IpNet::V4(net)) => format!("IpRanges=[{{CidrIp={net}}}]"),
        Peer::Cidr(IpNet::V6(net)) => format!("Ipv6Ranges=[{{CidrIpv6={net}}}]"),
        Peer::Group(of) => format!("UserIdGroupPairs=[{{GroupId={of}}}]"),
        Peer::PrefixList(list) => format!("PrefixListIds=[{{PrefixListId={list}}}]"),
    };
    format!(
        "authorize-security-group-{way} --group-id {group} --ip-permissions '{protocol},{peer}'"
    )
}

fn acl_protocol(traffic: Traffic) -> String {
    match traffic {
        Traffic::All => "--protocol -1".to_owned(),
        Traffic::Ports { transport, from, to } => {
            format!("--protocol {} --port-range From={from},To={to}", name(transport))
        }
        Traffic::Icmp { v6, kind, code } => {
            let number = |n: Option<u8>| n.map_or(-1, i16::from);
            let protocol = if v6 { 58 } else { 1 };
            format!(
                "--protocol {protocol} --icmp-type-code Type={},Code={}",
                number(kind),
                number(code)
            )
        }
        Traffic::Protocol { number } => format!("--protocol {number}"),
    }
}

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

fn destination(to: &RouteDestination) -> String {
    match to {
        RouteDestination::Cidr(IpNet::V4(net)) => format!("--destination-cidr-block {net}"),
        RouteDestination::Cidr(IpNet::V6(net)) => format!("--destination-ipv6-cidr-block {net}"),
        RouteDestination::PrefixList(id) => format!("--destination-prefix-list-id {id}"),
    }
}

fn target(by: &Target) -> String {
    match by {
        Target::Internet(id) => format!("--gateway-id {id}"),
        Target::Nat(id) => format!("--nat-gateway-id {id}"),
        Target::Endpoint(id) => format!("--vpc-endpoint-id {id}"),
        Target::Peering(id) => format!("--vpc-peering-connection-id {id}"),
        Target::Interface(id) => format!("--network-interface-id {id}"),
    }
}

/// Lines for new records; the id that the next lines name is the one that AWS answers.
fn created(record: &Record) -> String {
    match record {
        Record::InternetGateway(..) => "create-internet-gateway".to_owned(),
        Record::Address(..) => "allocate-address --domain vpc".to_owned(),
        Record::Peering(_, peering) => format!(
            "create-vpc-peering-connection --vpc-id {} --peer-vpc-id {}",
            peering.requester, peering.accepter
        ),
        Record::Endpoint(_, endpoint) => {
            let of = format!("--vpc-id {} --service-name {}", endpoint.vpc, endpoint.service);
            let kind = match &endpoint.kind {
                EndpointKind::Gateway { route_tables } => {
                    let tables: Vec<_> = route_tables.iter().map(|t| t.as_str()).collect();
                    format!("Gateway --route-table-ids {}", tables.join(" "))
                }
                EndpointKind::Interface { interfaces, groups, .. } => {
                    let subnets: Vec<_> = interfaces.keys().map(|s| s.as_str()).collect();
                    let groups: Vec<_> = groups.iter().map(|g| g.as_str()).collect();
                    format!(
                        "Interface --private-dns-enabled --subnet-ids {} --security-group-ids {}",
                        subnets.join(" "),
                        groups.join(" ")
                    )
                }
            };
            format!("create-vpc-endpoint {of} --vpc-endpoint-type {kind}")
        }
        other => format!("create {}", other.id().as_str()),
    }
}
