//! Names of AWS: services, endpoints, instances.

use super::{Answer, SERVICES, addresses};
use crate::id::{EndpointId, InterfaceId, VpcId};
use crate::network::{Endpoint, EndpointKind, Network, RecordType};
use crate::public::is_public;
use crate::services;
use std::net::{IpAddr, Ipv4Addr};

/// Seconds that an address of an endpoint may be kept.
const ENDPOINT_TTL: u32 = 60;
/// Seconds that an address of a service may be kept.
const SERVICE_TTL: u32 = 5;

/// The host of a service in a region: `api.sagemaker.us-east-1.amazonaws.com` of `sagemaker.api`,
/// `s3.us-east-1.amazonaws.com` of `s3`. The parts of the service's name are turned around; that
/// of ECR's registry is below an account: `ACCOUNT.dkr.ecr.…`.
#[must_use]
pub fn host_of(region: &str, service: &str) -> String {
    let mut parts: Vec<&str> = service.split('.').collect();
    parts.reverse();
    format!("{}.{region}.amazonaws.com", parts.join("."))
}

/// Services whose hosts have names below them: buckets, registries.
const WITH_NAMES_BELOW: [&str; 2] = ["s3", "ecr.dkr"];

/// The region and service that a name is a host of: `us-east-1` and `sagemaker.api`. Of S3 also
/// `s3.amazonaws.com` and `s3.dualstack.…`, and names below them. `None` of other names.
#[must_use]
pub fn service_of(name: &str) -> Option<(String, String)> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let host = name.strip_suffix(".amazonaws.com")?;
    if host == "s3" || host.ends_with(".s3") {
        return Some(("us-east-1".to_owned(), "s3".to_owned()));
    }
    let mut parts: Vec<&str> = host.split('.').rev().collect();
    let region = parts.remove(0);
    if !region.contains('-') || parts.is_empty() || parts.iter().any(|p| p.is_empty()) {
        return None;
    }
    if parts.get(..2) == Some(&["dualstack", "s3"]) {
        parts.remove(0);
    }
    let whole = parts.join(".");
    let below = |s: &&&str| whole.strip_prefix(**s).is_some_and(|rest| rest.starts_with('.'));
    let service = WITH_NAMES_BELOW.iter().find(below).map_or(whole.as_str(), |s| s);
    Some((region.to_owned(), service.to_owned()))
}

/// Whether a service's name is the one that its region's host has, or one below it, as private DNS of
/// interface endpoints knows it: not S3's without a region, or of both families (Amazon S3 User
/// Guide, "AWS PrivateLink for Amazon S3").
#[must_use]
pub fn is_regional(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    service_of(&name)
        .is_some_and(|(region, service)| fits(&format!("*.{}", host_of(&region, &service)), &name))
}

/// What private names of instances stand below.
const INTERNAL: [&str; 2] = [".ec2.internal", ".compute.internal"];

/// Whether nobody outside is to be asked of a name, because the resolver has a rule of its own for
/// it: what is below the domains of instances, and the names of addresses that are no public ones
/// or are the VPC's or a peered one's (Route 53 Developer Guide, "autodefined system rules").
fn is_inner(network: &Network, vpc: &VpcId, name: &str) -> bool {
    let near = |id: &VpcId| id == vpc || network.peering(vpc, id).is_some();
    let ours = |a: IpAddr| network.vpcs.iter().any(|(id, v)| near(id) && v.has(a));
    let inside = |a: IpAddr| !is_public(a) || ours(a);
    INTERNAL.iter().any(|domain| name.ends_with(domain)) || reverse(name).is_some_and(inside)
}

/// The address in `10.1.0.10.in-addr.arpa` and its like (RFC 1035, 3.5; RFC 3596, 2.5).
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(rest) = name.strip_suffix(".in-addr.arpa") {
        let octets: Vec<&str> = rest.split('.').rev().collect();
        return octets.join(".").parse().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
    let whole = digits.len() == 32 && digits.iter().all(|d| d.len() == 1);
    let bits = u128::from_str_radix(&digits.concat(), 16).ok().filter(|_| whole)?;
    Some(IpAddr::V6(bits.into()))
}

/// What an interface endpoint of the VPC with private DNS answers, and how long the name of its
/// zone is. It needs both DNS attributes, and is asked by the service's regional names.
pub(super) fn endpoint(
    network: &Network,
    vpc: &VpcId,
    name: &str,
    kind: RecordType,
) -> Option<(usize, Answer)> {
    let (region, service) = service_of(name).filter(|_| is_regional(name))?;
    let full = format!("com.amazonaws.{region}.{service}");
    let is = |e: &Endpoint| {
        let private = matches!(e.kind, EndpointKind::Interface { private_dns: true, .. });
        e.vpc == *vpc && e.service == full && private
    };
    let endpoint = network.endpoints.values().find(|e| is(e))?;
    let all = of_endpoint(network, endpoint);
    let apex = host_of(&region, &service).len() + 1;
    Some((apex, addresses(name, kind, ENDPOINT_TTL, all)))
}

fn of_endpoint<'a>(
    network: &'a Network,
    endpoint: &'a Endpoint,
) -> impl Iterator<Item = IpAddr> + 'a {
    let interfaces = match &endpoint.kind {
        EndpointKind::Interface { interfaces, .. } => Some(interfaces.values()),
        EndpointKind::Gateway { .. } => None,
    };
    let interfaces = interfaces.into_iter().flatten();
    interfaces.filter_map(|id| network.interfaces.get(id)).flat_map(|i| {
        let v4 = i.primary().map(IpAddr::V4);
        v4.into_iter().chain(i.addresses_v6.iter().copied().map(IpAddr::V6))
    })
}

/// What AWS's public names, and those that only it knows, answer inside of a VPC. `None` of a name
/// that is none of them.
pub(super) fn answer(
    network: &Network,
    vpc: &VpcId,
    name: &str,
    kind: RecordType,
) -> Option<Answer> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if let Some(found) = by_endpoint_id(network, bare) {
        return Some(match found {
            Some(all) => addresses(name, kind, ENDPOINT_TTL, all.into_iter()),
            None => Answer::NoName(vec![]),
        });
    }
    if let Some(address) = dashed(bare, "ip-", &INTERNAL) {
        let there = is_named(network, vpc, address);
        return Some(if there {
            addresses(name, kind, ENDPOINT_TTL, std::iter::once(address.into()))
        } else {
            Answer::NoName(vec![])
        });
    }
    if is_inner(network, vpc, bare) {
        return Some(Answer::NoName(vec![]));
    }
    let public = [".compute-1.amazonaws.com", ".compute.amazonaws.com"];
    if let Some(address) = dashed(bare, "ec2-", &public) {
        let address = inside(network, vpc, address)?;
        return Some(addresses(name, kind, ENDPOINT_TTL, std::iter::once(address)));
    }
    let (region, service) = service_of(bare)?;
    let address = match network.list_named(&format!("com.amazonaws.{region}.{service}")) {
        // The first address that is no network's own.
        Some((_, list)) => list.entries.keys().next()?.hosts().next()?,
        // Names are no way out of a VPC that has no other.
        None => network.internet_gateway(vpc).map(|_| IpAddr::V4(SERVICES))?,
    };
    Some(addresses(name, kind, SERVICE_TTL, std::iter::once(address)))
}

/// Addresses of a name below `vpce.amazonaws.com`, which is public: it leads to private addresses
/// wherever it is asked. The outer `None` is any other name, the inner one a name of no endpoint.
#[expect(clippy::option_option, reason = "no such name, and no name of this kind, differ")]
fn by_endpoint_id(network: &Network, name: &str) -> Option<Option<Vec<IpAddr>>> {
    name.ends_with(".vpce.amazonaws.com").then(|| {
        network.endpoints.iter().find_map(|(id, endpoint)| of_id(network, name, id, endpoint))
    })
}

/// The addresses behind one of an endpoint's own names: of all its interfaces, or of that in a
/// zone.
fn of_id(
    network: &Network,
    name: &str,
    id: &EndpointId,
    endpoint: &Endpoint,
) -> Option<Vec<IpAddr>> {
    if !name.contains(id.as_str()) {
        return None;
    }
    let EndpointKind::Interface { interfaces, .. } = &endpoint.kind else { return None };
    let (region, _) = crate::network::service(&endpoint.service)?;
    let service = services::find(&endpoint.service, region)?;
    let placed = interfaces.iter().filter_map(|(subnet, interface)| {
        Some((network.subnets.get(subnet)?.zone.as_str(), interface))
    });
    let (zones, interfaces): (Vec<&str>, Vec<&InterfaceId>) = placed.unzip();
    let names = service.endpoint_names(id, region, &zones);
    let place = names.iter().position(|pattern| fits(pattern, name))?;
    let chosen = match place.checked_sub(1) {
        None => interfaces.as_slice(),
        Some(zone) => std::slice::from_ref(interfaces.get(zone)?),
    };
    let all: Vec<IpAddr> = chosen.iter().flat_map(|id| own(network, id)).collect();
    (!all.is_empty()).then_some(all)
}

/// Whether a name is one, or with `*.` before it, it or one below it.
fn fits(pattern: &str, name: &str) -> bool {
    let Some(host) = pattern.strip_prefix("*.") else { return pattern == name };
    name.strip_suffix(host).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn own(network: &Network, id: &InterfaceId) -> Vec<IpAddr> {
    let interface = network.interfaces.get(id);
    let v4 = interface.and_then(|i| i.primary()).map(IpAddr::V4);
    let v6 = interface.into_iter().flat_map(|i| &i.addresses_v6).copied().map(IpAddr::V6);
    v4.into_iter().chain(v6).collect()
}

/// The address in `ip-10-0-1-5.ec2.internal` and its like.
fn dashed(name: &str, prefix: &str, suffixes: &[&str]) -> Option<Ipv4Addr> {
    suffixes.iter().find(|s| name.ends_with(**s))?;
    let (label, _) = name.strip_prefix(prefix)?.split_once('.')?;
    label.replace('-', ".").parse().ok()
}

/// Whether a private address has a name in a VPC: an interface of it or of a peered one has the
/// address, and both DNS attributes are on ("Understanding Amazon DNS"). Of a peered one outside of
/// RFC 1918 the connection must resolve names (VPC Peering Guide, "limitations").
fn is_named(network: &Network, vpc: &VpcId, address: Ipv4Addr) -> bool {
    let joined = |v: &VpcId| network.peering(vpc, v).and_then(|id| network.peerings.get(id));
    let resolves = |v: &VpcId| joined(v).is_some_and(|p| p.dns_resolution || address.is_private());
    let near = |v: &&VpcId| *v == vpc || resolves(v);
    let address = IpAddr::V4(address);
    network.vpc(vpc).is_some_and(|v| v.dns_hostnames)
        && network.vpcs.keys().filter(near).any(|v| network.interface_at(v, address).is_some())
}

/// What the public name of an address means: the private address for whom it is in the VPC, or in
/// a peered one that resolves it; else the public one. Names of instances need
/// `enableDnsHostnames` of their VPC.
fn inside(network: &Network, vpc: &VpcId, public: Ipv4Addr) -> Option<IpAddr> {
    let (interface, private) = network.at_public(public)?;
    let home = network.vpc_of(interface)?;
    network.vpc(home).filter(|v| v.dns_hostnames)?;
    let peering = network.peering(vpc, home).and_then(|id| network.peerings.get(id));
    let near = home == vpc || peering.is_some_and(|p| p.dns_resolution);
    Some(IpAddr::V4(if near { private } else { public }))
}
