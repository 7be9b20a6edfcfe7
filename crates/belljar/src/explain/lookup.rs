//! From what was written behind `--to` to an address, as the VPC's resolver does it.

use super::target::Place;
use crate::network::facts::public;
use belljar_vpc::Network;
use belljar_vpc::dns::{Answer, Servers, host_of, resolve, servers};
use belljar_vpc::flow::Source;
use belljar_vpc::id::{InterfaceId, VpcId};
use belljar_vpc::network::{RecordId, RecordType};
use belljar_vpc::reach::{Blocker, Code, Component, Leg};
use std::net::IpAddr;

/// The address of a place, for who begins; else what is wrong with its name.
pub(super) fn lookup(
    network: &Network,
    begins: &Source,
    place: &Place,
) -> Result<IpAddr, Box<Blocker>> {
    match place {
        Place::Address(address) => Ok(*address),
        Place::Interface(id) => of_interface(network, begins, id),
        Place::Service(service) => of_host(network, begins, &service_host(network, service)),
        Place::Host(host) => of_host(network, begins, host),
    }
}

/// The address of an interface, for who begins: inside of a VPC a private one, on the internet a
/// public one; of the family that it begins with.
fn of_interface(
    network: &Network,
    begins: &Source,
    id: &InterfaceId,
) -> Result<IpAddr, Box<Blocker>> {
    let interface = network.interfaces.get(id);
    let v6 = interface.and_then(|i| i.addresses_v6.first().copied().map(IpAddr::V6));
    let (address, code, what) = match begins {
        Source::Interface { address: Some(IpAddr::V6(_)), .. } => {
            (v6, Code::NoSourceOrDestination, "IPv6")
        }
        Source::Interface { .. } => {
            let v4 = interface.and_then(|i| i.primary()).map(IpAddr::V4);
            (v4, Code::NoSourceOrDestination, "IPv4")
        }
        Source::Internet { address: IpAddr::V6(_) } => (v6, Code::NoSourceOrDestination, "IPv6"),
        Source::Internet { .. } => {
            let public = public(network, id).into_iter().next();
            (public, Code::IgwPrivateIpAssociationForIngress, "public IPv4")
        }
    };
    address.ok_or_else(|| {
        let component = Component::Record(RecordId::Interface(id.clone()));
        blocker(code, component, format!("{id} has no {what} address"))
    })
}

/// The region that a network is of, by the services that it knows.
pub(super) fn region(network: &Network) -> &str {
    let lists = network.prefix_lists.values().filter(|l| l.owner == "AWS").map(|l| &l.name);
    let names = lists.chain(network.endpoints.values().map(|e| &e.service));
    let mut regions =
        names.filter_map(|n| belljar_vpc::network::service(n)).map(|(region, _)| region);
    regions.next().unwrap_or(belljar_domain::arn::LOCAL_REGION)
}

fn service_host(network: &Network, service: &str) -> String {
    host_of(region(network), service)
}

/// The first address that a host's name has where it is looked up.
fn of_host(network: &Network, begins: &Source, host: &str) -> Result<IpAddr, Box<Blocker>> {
    let unknown = |component, text| blocker(Code::DnsNameUnresolved, component, text);
    let vpc = match begins {
        Source::Interface { id, .. } => network.vpc_of(id),
        Source::Internet { .. } => None,
    };
    let Some(vpc) = vpc else {
        let text = format!("what {host} means on the internet is not known here: give an address");
        return Err(unknown(Component::Internet, text));
    };
    if !matches!(servers(network, vpc), Servers::Provided(_)) {
        let text = format!(
            "what {host} means is not known: the DHCP options of {vpc} do not name its own resolver \
             (domain-name-servers=AmazonProvidedDNS)"
        );
        return Err(unknown(Component::Record(RecordId::Vpc(vpc.clone())), text));
    }
    let answer = resolve(network, vpc, host, RecordType::A);
    answer.addresses().first().copied().ok_or_else(|| {
        unknown(Component::Router(vpc.clone()), format!("{host} {}", why(&answer, network, vpc)))
    })
}

/// Why an answer has no address in it.
fn why(answer: &Answer, network: &Network, vpc: &VpcId) -> String {
    match answer {
        Answer::NoResolver => format!("has no address: enableDnsSupport of {vpc} is off"),
        Answer::Circle => "has no address: aliases lead in a circle".to_owned(),
        Answer::Records(_) | Answer::NoData(_) => "has no IPv4 address".to_owned(),
        Answer::NoName(_) => "does not exist".to_owned(),
        // Where there is an internet gateway, the host's name servers are asked.
        Answer::Forward(name, _) if network.internet_gateway(vpc).is_some() => format!(
            "is not looked up here: no private zone or endpoint of {vpc} has the name {}, and as \
             there is an internet gateway, this machine's name servers are asked; give an address",
            name.trim_end_matches('.')
        ),
        Answer::Forward(name, _) => format!(
            "has no address: no private zone or endpoint of {vpc} has the name {}",
            name.trim_end_matches('.')
        ),
    }
}

fn blocker(code: Code, component: Component, text: String) -> Box<Blocker> {
    Box::new(Blocker { code, component, direction: Leg::Request, text, fix: None })
}
