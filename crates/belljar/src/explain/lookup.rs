//! From what was written behind `--to` to an address, as the VPC's resolver does it.

use super::target::Place;
use belljar_vpc::Network;
use belljar_vpc::flow::Source;
use belljar_vpc::network::RecordId;
use belljar_vpc::reach::{Blocker, Code, Component, Fix, Leg};
use std::net::IpAddr;

/// The address of a place, for who begins; else what is wrong with its name.
pub(super) fn lookup(
    network: &Network,
    begins: &Source,
    place: &Place,
) -> Result<IpAddr, Box<Blocker>> {
    match place {
        Place::Address(address) => Ok(*address),
        Place::Interface(id) => {
            let address = network.interfaces.get(id).and_then(|i| i.primary());
            let missing = || {
                let component = Component::Record(RecordId::Interface(id.clone()));
                let text = format!("there is no network interface {id}, or it has no address");
                blocker(Code::NoSourceOrDestination, component, text, None)
            };
            address.map(IpAddr::V4).ok_or_else(missing)
        }
        Place::Service(service) => of_service(network, begins, service),
        Place::Host(host) => {
            let text = format!("the resolver knows no address for {host}");
            Err(blocker(Code::DnsNameUnresolved, Component::Internet, text, None))
        }
    }
}

fn of_service(network: &Network, _: &Source, service: &str) -> Result<IpAddr, Box<Blocker>> {
    let suffix = format!(".{service}");
    let list =
        network.prefix_lists.values().find(|l| l.owner == "AWS" && l.name.ends_with(&suffix));
    let address = list.and_then(|l| l.entries.keys().next()?.hosts().next());
    let missing = || {
        let text = format!("the resolver knows no address for {service}");
        blocker(Code::DnsNameUnresolved, Component::Internet, text, None)
    };
    address.ok_or_else(missing)
}

fn blocker(code: Code, component: Component, text: String, fix: Option<Fix>) -> Box<Blocker> {
    Box::new(Blocker { code, component, direction: Leg::Request, text, fix })
}
