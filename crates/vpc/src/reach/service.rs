//! Whether an interface reaches an AWS service by its name: the name, the way, the policy.

use super::answer::{Blocker, Component, Leg, Reach, Reason};
use super::fix::{Edit, Fix};
use super::{Code, reach};
use crate::dns::{self, SERVICES, Servers};
use crate::flow::Flow;
use crate::id::{EndpointId, InterfaceId, SubnetId, VpcId};
use crate::network::{
    Endpoint, EndpointKind, Interface, Network, PrivateAddress, Record, RecordId, RecordType,
    Subnet, reserved,
};
use crate::policy::{self, Request};
use crate::text::EPHEMERAL;
use crate::traffic::{Payload, Transport};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// A call of an AWS service from an interface.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Who calls.
    pub from: &'a InterfaceId,
    /// The region: `us-east-1`.
    pub region: &'a str,
    /// The last part of the service's name: `s3`, `sagemaker.api`.
    pub service: &'a str,
    /// The TCP port: 443.
    pub port: u16,
    /// What it asks, to be held against the endpoint's policy.
    pub request: Option<&'a Request>,
}

/// Explains a call of an AWS service: whether its name leads anywhere, whether packets come there
/// and back, and whether the endpoint on the way lets the request pass.
#[must_use]
pub fn reach_service(network: &Network, call: &Call<'_>) -> Reach {
    let mut blockers = Vec::new();
    let mut network = Cow::Borrowed(network);
    let Some(vpc) = network.vpc_of(call.from).cloned() else {
        let destination = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let payload = payload(call);
        return reach(&network, &Flow::from_interface(call.from.clone(), destination, payload));
    };
    let mut found = address(&network, &vpc, call).filter(|a| has_way(&network, call, *a));
    // The name may need two things: the VPC's attributes, and the endpoint's.
    while found.is_none() && blockers.len() < 3 {
        let blocker = unresolved(&network, &vpc, call);
        let fix = blocker.fix.clone();
        blockers.push(blocker);
        let mended = fix.and_then(|fix| network.amended(fix.changes(network.description())).ok());
        let Some(mended) = mended else {
            return Reach { blockers, ..Reach::default() };
        };
        network = Cow::Owned(mended);
        found = address(&network, &vpc, call).filter(|a| has_way(&network, call, *a));
    }
    let Some(destination) = found else { return Reach { blockers, ..Reach::default() } };
    let flow = Flow::from_interface(call.from.clone(), destination, payload(call));
    let mut answer = reach(&network, &flow);
    blockers.append(&mut answer.blockers);
    answer.blockers = blockers;
    if let (Some(request), Some(id)) =
        (call.request, endpoint_of(&network, &vpc, &answer, destination))
    {
        answer.blockers.extend(denied(&network, &vpc, call.from, &id, request));
    }
    answer
}

/// Whether there is a way to an address that a name leads to. To the internet there is none where no
/// route leads there; an endpoint is one then.
fn has_way(network: &Network, call: &Call<'_>, address: IpAddr) -> bool {
    let flow = || Flow::from_interface(call.from.clone(), address, payload(call));
    let no_route = |b: &Blocker| b.code == Code::NoRouteToDestination;
    address != IpAddr::V4(SERVICES) || !reach(network, &flow()).blockers.iter().any(no_route)
}

const fn payload(call: &Call<'_>) -> Payload {
    Payload::Ports { transport: Transport::Tcp, source: EPHEMERAL, destination: call.port }
}

/// The address that the service's name leads to, of those in the caller's zone if there are any.
fn address(network: &Network, vpc: &VpcId, call: &Call<'_>) -> Option<IpAddr> {
    let name = dns::host_of(call.region, call.service);
    let public = || {
        let full = format!("com.amazonaws.{}.{}", call.region, call.service);
        network.list_named(&full)?.1.entries.keys().next()?.hosts().next()
    };
    match dns::servers(network, vpc) {
        Servers::Provided(_) => {}
        // What they answer is not known; a public name has public addresses wherever it is asked.
        Servers::Others(_) => return public(),
        Servers::None => return None,
    }
    let all = dns::resolve(network, vpc, &name, RecordType::A).addresses();
    let zone =
        |id: &InterfaceId| Some(&network.subnets.get(&network.interfaces.get(id)?.subnet)?.zone);
    let near =
        |a: &&IpAddr| network.interface_at(vpc, **a).is_some_and(|id| zone(id) == zone(call.from));
    all.iter().find(near).or(all.first()).copied()
}

/// Why the name leads nowhere.
fn unresolved(network: &Network, vpc: &VpcId, call: &Call<'_>) -> Blocker {
    let name = dns::host_of(call.region, call.service);
    let full = format!("com.amazonaws.{}.{}", call.region, call.service);
    let component = Component::Record(RecordId::Vpc(vpc.clone()));
    let blocker = |code, component, text, edits: Option<Vec<Edit>>| Blocker {
        code,
        component,
        direction: Leg::Request,
        text,
        fix: edits.map(|edits| Fix::new(edits, |_| false)),
    };
    if !matches!(dns::servers(network, vpc), Servers::Provided(_)) {
        let text = format!(
            "{name} has no address: the DHCP options of {vpc} do not name its own resolver \
             (domain-name-servers=AmazonProvidedDNS)"
        );
        return blocker(Code::DnsNameUnresolved, component, text, None);
    }
    let record = network.vpc(vpc);
    let enable = Some(vec![Edit::EnableDns(vpc.clone())]);
    if !record.is_some_and(|v| v.dns_support) {
        let text = format!("{name} has no address: enableDnsSupport of {vpc} is off");
        return blocker(Code::DnsNameUnresolved, component, text, enable);
    }
    let mut endpoints = network.endpoints.iter();
    let there = endpoints.find(|(_, e)| {
        let by_interface = matches!(e.kind, EndpointKind::Interface { .. });
        e.vpc == *vpc && e.service == full && by_interface
    });
    // Before an endpoint is made: without it AWS makes none with private DNS.
    if !record.is_some_and(|v| v.dns_hostnames) {
        let to = there.map_or("an endpoint", |(id, _)| id.as_str());
        let text = format!("{name} does not lead to {to}: enableDnsHostnames of {vpc} is off");
        return blocker(Code::PrivateDnsDisabled, component, text, enable);
    }
    let Some((id, endpoint)) = there else {
        let edits = create(network, call.from, &full);
        if network.internet_gateway(vpc).is_some() {
            let text = format!(
                "{name} is on the internet, to which {} has no route, and {vpc} has no endpoint of {full}",
                call.from
            );
            return blocker(Code::NoRouteToDestination, component, text, edits);
        }
        let text = format!("{name} has no address: {vpc} has no endpoint of {full}");
        return blocker(Code::DnsNameUnresolved, component, text, edits);
    };
    let component = Component::Record(RecordId::Endpoint(id.clone()));
    if matches!(endpoint.kind, EndpointKind::Interface { private_dns: false, .. }) {
        let text = format!("{name} does not lead to {id}: its private DNS is off");
        let edits = Some(vec![Edit::EnablePrivateDns(id.clone())]);
        return blocker(Code::PrivateDnsDisabled, component, text, edits);
    }
    // A customer's zone has the name, or the endpoint has no interface.
    let text = format!("{name} does not lead to {id}: a private zone of {vpc} says otherwise");
    blocker(Code::DnsNameUnresolved, component, text, None)
}

/// A new interface endpoint in the caller's subnet, with the caller's first group.
fn create(network: &Network, from: &InterfaceId, service: &str) -> Option<Vec<Edit>> {
    let caller = network.interfaces.get(from)?;
    let subnet = network.subnets.get(&caller.subnet)?;
    let ids = (1..).map_while(|n: usize| format!("{}fix{n}", EndpointId::PREFIX).parse().ok());
    let id: EndpointId = ids.into_iter().find(|id| !network.endpoints.contains_key(id))?;
    let ids = (1..).map_while(|n: usize| format!("{}fix{n}", InterfaceId::PREFIX).parse().ok());
    let interface: InterfaceId = ids.into_iter().find(|i| !network.interfaces.contains_key(i))?;
    let groups: Vec<_> = caller.groups.first().cloned().into_iter().collect();
    let record = Interface {
        subnet: caller.subnet.clone(),
        addresses: vec![PrivateAddress { address: free(network, subnet)?, public: None }],
        addresses_v6: vec![],
        groups: groups.clone(),
        source_dest_check: true,
        mac: "02:00:00:00:00:00".to_owned(),
        description: format!("VPC Endpoint Interface {id}"),
        kind: "vpc_endpoint".to_owned(),
        requester_managed: true,
        attachment: None,
    };
    let interfaces: BTreeMap<SubnetId, InterfaceId> =
        BTreeMap::from([(caller.subnet.clone(), interface.clone())]);
    let kind = EndpointKind::Interface { interfaces, groups, private_dns: true };
    let endpoint =
        Endpoint { vpc: subnet.vpc.clone(), service: service.to_owned(), kind, policy: None };
    Some(vec![
        Edit::Create(Record::Interface(interface, record)),
        Edit::Create(Record::Endpoint(id, endpoint)),
    ])
}

/// The first free address of a subnet.
fn free(network: &Network, subnet: &Subnet) -> Option<Ipv4Addr> {
    let free = |a: &Ipv4Addr| {
        !reserved(subnet.block, *a) && network.interface_at(&subnet.vpc, (*a).into()).is_none()
    };
    subnet.block.hosts().find(free)
}

/// The endpoint that a way leads to.
fn endpoint_of(
    network: &Network,
    vpc: &VpcId,
    answer: &Reach,
    destination: IpAddr,
) -> Option<EndpointId> {
    let gateway = answer.forward.iter().find_map(|h| match (&h.component, &h.reason) {
        (Component::Record(RecordId::Endpoint(id)), Reason::Receives) => Some(id.clone()),
        _ => None,
    });
    let by_interface = || network.endpoint_at(network.interface_at(vpc, destination)?).cloned();
    gateway.or_else(by_interface)
}

/// Whether an endpoint's policy refuses a request.
fn denied(
    network: &Network,
    vpc: &VpcId,
    from: &InterfaceId,
    id: &EndpointId,
    request: &Request,
) -> Option<Blocker> {
    let endpoint = network.endpoints.get(id)?;
    let policy = endpoint.policy.as_deref()?;
    let mut request = request.clone();
    request.gateway = matches!(endpoint.kind, EndpointKind::Gateway { .. });
    let address = network.interfaces.get(from).and_then(|i| i.primary());
    let known = [
        ("aws:SourceVpce", Some(id.to_string())),
        ("aws:SourceVpc", Some(vpc.to_string())),
        ("aws:VpcSourceIp", address.map(|a| a.to_string())),
    ];
    for (key, value) in known {
        let there = request.context.keys().any(|k| k.eq_ignore_ascii_case(key));
        if let (false, Some(value)) = (there, value) {
            request.context.insert(key.to_owned(), vec![value]);
        }
    }
    let why = match policy::allows(Some(policy), &request) {
        Ok(true) => return None,
        Ok(false) => "does not allow it".to_owned(),
        Err(e) => format!("cannot be decided: {e}"),
    };
    let Request { action, resource, principal, .. } = &request;
    let who = if principal.is_empty() { "anybody" } else { principal.as_str() };
    let text = format!("the policy of {id} {why}: {action} on {resource} by {who}");
    let fix = allowing(policy, &request)
        .map(|text| Fix::new(vec![Edit::SetPolicy(id.clone(), text)], |_| false));
    let component = Component::Record(RecordId::Endpoint(id.clone()));
    let code = Code::EndpointPolicyDeny;
    Some(Blocker { code, component, direction: Leg::Request, text, fix })
}

/// The policy with one more statement, which allows just this; `None` if something denies it. To a
/// gateway endpoint a condition says who (VPC Guide, "Principals for gateway endpoints").
fn allowing(policy: &str, request: &Request) -> Option<String> {
    let mut document: Value = serde_json::from_str(policy).ok()?;
    let arn = request.context.get("aws:PrincipalArn").filter(|_| request.gateway);
    let principal = if request.principal.is_empty() || arn.is_some() {
        json!("*")
    } else {
        json!({ "AWS": request.principal })
    };
    let mut more = json!({
        "Effect": "Allow",
        "Principal": principal,
        "Action": request.action,
        "Resource": request.resource,
    });
    if let Some(arn) = arn {
        more["Condition"] = json!({ "ArnEquals": { "aws:PrincipalArn": arn } });
    }
    let statements = document.get_mut("Statement")?;
    match statements {
        Value::Array(all) => all.push(more),
        one => *one = json!([one.take(), more]),
    }
    let text = document.to_string();
    policy::allows(Some(&text), request).is_ok_and(|yes| yes).then_some(text)
}
