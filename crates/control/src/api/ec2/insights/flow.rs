//! From a path to the packet that is asked about.

use super::super::places;
use crate::network::error::{self, invalid, refused};
use crate::service::Service;
use belljar_aws::AwsError;
use belljar_vpc::flow::{Flow, Source};
use belljar_vpc::id::{EndpointId, InterfaceId, PrefixListId};
use belljar_vpc::network::{Endpoint, EndpointKind, Interface};
use belljar_vpc::reach::{Blocker, Reach};
use belljar_vpc::traffic::{Payload, Transport};
use belljar_vpc::{Description, Network};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// A host on the internet, where a path leads to an internet gateway and says no more (RFC 5737).
const ANYBODY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Where a client's port is taken from if the path says nothing (RFC 6335).
const EPHEMERAL: u16 = 49_152;

/// What a path asks. Shown as it was asked.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Question {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_ip: Option<String>,
    protocol: Transport,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_at_source: Option<Filter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_at_destination: Option<Filter>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    source_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_port_range: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_port_range: Option<Range>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Range {
    #[serde(skip_serializing_if = "Option::is_none")]
    from_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_port: Option<u16>,
}

/// The id in an ARN, or alone.
fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// The ARN of an end of a path.
pub(super) fn arn(service: &Service, id: &str) -> Option<String> {
    let id = bare(id);
    let kind = match id.split('-').next()? {
        "eni" => "network-interface",
        "igw" => "internet-gateway",
        "vpce" => "vpc-endpoint",
        _ => return None,
    };
    Some(places::arn(service, kind, id))
}

impl Question {
    /// Whether it says what is needed, before the network is looked at.
    pub(super) fn check(&self) -> Result<(), AwsError> {
        self.ports()?;
        self.source_address()?;
        if self.destination_address()?.is_none() && self.destination.is_none() {
            return Err(super::super::request::missing_parameter("Destination"));
        }
        Ok(())
    }

    /// Whether there are its ends.
    pub(super) fn check_ends(&self, d: &Description) -> Result<(), AwsError> {
        let ends = std::iter::once(&self.source).chain(&self.destination);
        for (place, end) in ends.enumerate() {
            let id = bare(end);
            match id.split('-').next() {
                Some("eni") => drop(error::named(&d.interfaces, id)?),
                Some("igw") => drop(error::named(&d.internet_gateways, id)?),
                Some("vpce") if place == 1 => drop(error::named(&d.endpoints, id)?),
                _ => {
                    let shown: String = end.chars().take(64).collect();
                    let text = format!("Belljar does not serve paths from or to '{shown}'.");
                    return Err(refused("UnsupportedOperation", text));
                }
            }
        }
        Ok(())
    }

    /// The packet.
    pub(super) fn flow(&self, d: &Description) -> Result<Flow, AwsError> {
        self.check_ends(d)?;
        let (source, destination) = self.ports()?;
        let payload = Payload::Ports { transport: self.protocol, source, destination };
        let address = self.source_address()?;
        let id = bare(&self.source);
        let from = match error::id::<InterfaceId>(id) {
            Ok(id) => Source::Interface { id, address: address.map(IpAddr::V4) },
            Err(_) => Source::Internet { address: address.unwrap_or(ANYBODY).into() },
        };
        let to = match self.destination_address()? {
            Some(address) => address,
            None => self.end(d)?,
        };
        Ok(Flow { source: from, destination: to.into(), payload })
    }

    /// What it names and a way does not have.
    pub(super) fn missed(&self, network: &Network, reach: &Reach) -> Vec<Blocker> {
        let destination = self.destination.as_deref().map(bare);
        super::missed::missed(network, bare(&self.source), destination, reach)
    }

    /// The address of the destination, where it is named by its id alone.
    fn end(&self, d: &Description) -> Result<Ipv4Addr, AwsError> {
        let id = bare(self.destination.as_deref().unwrap_or_default());
        if id.starts_with("igw-") {
            return Ok(ANYBODY);
        }
        if id.starts_with("vpce-") {
            let (_, endpoint) = error::named::<EndpointId, _>(&d.endpoints, id)?;
            let none = || invalid(format!("The VPC endpoint {id} has no address."));
            return self.of_endpoint(d, endpoint).ok_or_else(none);
        }
        let (id, interface) = error::named(&d.interfaces, id)?;
        let from_outside = bare(&self.source).starts_with("igw-");
        let public = from_outside.then(|| public(d, &id, interface)).flatten();
        let none = || invalid(format!("The network interface {id} has no IPv4 address."));
        public.or_else(|| interface.primary()).ok_or_else(none)
    }

    /// Of an interface endpoint the address in the sender's zone, if it has one there.
    fn of_endpoint(&self, d: &Description, endpoint: &Endpoint) -> Option<Ipv4Addr> {
        let EndpointKind::Interface { interfaces, .. } = &endpoint.kind else {
            let list = |(_, list): &(&PrefixListId, &std::sync::Arc<_>)| {
                let list: &belljar_vpc::network::PrefixList = list;
                list.owner == "AWS" && list.name == endpoint.service
            };
            let (_, list) = d.prefix_lists.iter().find(list)?;
            return list.entries.keys().find_map(|block| match block {
                ipnet::IpNet::V4(net) => net.hosts().next(),
                ipnet::IpNet::V6(_) => None,
            });
        };
        let zone = |id| d.subnets.get(id).map(|subnet| subnet.zone.as_str());
        let sender: Option<InterfaceId> = bare(&self.source).parse().ok();
        let sender = sender.and_then(|id| zone(&d.interfaces.get(&id)?.subnet));
        let near = interfaces.iter().find(|(subnet, _)| zone(subnet) == sender);
        let (_, id) = near.or_else(|| interfaces.iter().next())?;
        d.interfaces.get(id)?.primary()
    }

    fn source_address(&self) -> Result<Option<Ipv4Addr>, AwsError> {
        let filters = [&self.filter_at_source, &self.filter_at_destination];
        let filters = filters.map(|f| f.as_ref().and_then(|f| f.source_address.as_deref()));
        address("source", [self.source_ip.as_deref(), filters[0], filters[1]])
    }

    fn destination_address(&self) -> Result<Option<Ipv4Addr>, AwsError> {
        let filters = [&self.filter_at_destination, &self.filter_at_source];
        let filters = filters.map(|f| f.as_ref().and_then(|f| f.destination_address.as_deref()));
        address("destination", [self.destination_ip.as_deref(), filters[0], filters[1]])
    }

    /// Source and destination port.
    fn ports(&self) -> Result<(u16, u16), AwsError> {
        let of = |range: fn(&Filter) -> Option<Range>| {
            let filters = self.filter_at_source.iter().chain(&self.filter_at_destination);
            filters.filter_map(range).map(single).collect::<Result<Vec<_>, _>>()
        };
        let mut source = of(|filter| filter.source_port_range)?;
        let mut destination = of(|filter| filter.destination_port_range)?;
        destination.extend(self.destination_port);
        for ports in [&mut source, &mut destination] {
            ports.dedup();
            if ports.len() > 1 {
                return Err(invalid("The path names two ports of one end."));
            }
        }
        let port = destination.first().ok_or_else(|| {
            let text = "Belljar does not serve paths to any port: give DestinationPort.";
            refused("UnsupportedOperation", text)
        })?;
        Ok((source.first().copied().unwrap_or(EPHEMERAL), *port))
    }
}

fn single(range: Range) -> Result<u16, AwsError> {
    let (from, to) = (range.from_port, range.to_port);
    match (from.or(to), to.or(from)) {
        (Some(from), Some(to)) if from == to => Ok(from),
        _ => {
            let text = "Belljar does not serve ranges of several ports in a path.";
            Err(refused("UnsupportedOperation", text))
        }
    }
}

/// The one address of those that a path names for one end.
fn address(what: &str, named: [Option<&str>; 3]) -> Result<Option<Ipv4Addr>, AwsError> {
    let mut found = None;
    for text in named.into_iter().flatten() {
        let text = text.strip_suffix("/32").unwrap_or(text);
        let address: Ipv4Addr =
            text.parse().map_err(|_| invalid(format!("'{text}' is not an IPv4 address.")))?;
        if found.is_some_and(|other| other != address) {
            return Err(invalid(format!("The path names two {what} addresses.")));
        }
        found = Some(address);
    }
    Ok(found)
}

/// A public address of an interface.
fn public(d: &Description, id: &InterfaceId, interface: &Interface) -> Option<Ipv4Addr> {
    let of = |address: &std::sync::Arc<belljar_vpc::network::ElasticAddress>| {
        let (_, interface, _) = address.association.as_ref()?;
        (interface == id).then_some(address.public)
    };
    let elastic = d.addresses.values().find_map(of);
    elastic.or_else(|| interface.addresses.iter().find_map(|address| address.public))
}
