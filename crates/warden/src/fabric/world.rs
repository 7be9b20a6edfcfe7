//! The world that internet gateways lead to: the host's network, but for what is Belljar's there.

use super::view::View;
use crate::carry::{Carrier, Lead, PORTS, Target};
use belljar_domain::proxy::LOCAL;
use belljar_vpc::Network;
use belljar_vpc::dns::SERVICES;
use belljar_vpc::public::is_public;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// How what comes to the world is carried on.
pub(super) struct World {
    /// Its own: what goes out takes no place from what goes to endpoints.
    pub(super) carrier: Arc<Carrier>,
    pub(super) lead: Arc<Lead>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("carrier", &self.carrier).finish_non_exhaustive()
    }
}

impl World {
    pub(super) fn new(service: PathBuf, view: watch::Receiver<Arc<View>>) -> Self {
        let lead = move |_: SocketAddr, to: SocketAddr| {
            let network = Arc::clone(&view.borrow().network);
            target(&network, to)
        };
        Self { carrier: Carrier::shared(Some(service)), lead: Arc::new(lead) }
    }
}

/// Addresses of AWS are the service's, those of VPCs are theirs alone, and the rest is the
/// internet's.
fn target(network: &Network, to: SocketAddr) -> Target {
    let address = to.ip();
    if is_service(network, address) {
        let serves = PORTS.contains(&to.port());
        return if serves { Target::Service(LOCAL.to_vec()) } else { Target::Nowhere };
    }
    if is_public(address) && !is_of_vpc(network, address) {
        Target::Outside
    } else {
        Target::Nowhere
    }
}

fn is_service(network: &Network, address: IpAddr) -> bool {
    let mut lists = network.prefix_lists.values().filter(|l| l.owner == "AWS");
    address == IpAddr::V4(SERVICES)
        || lists.any(|list| list.entries.keys().any(|net| net.contains(&address)))
}

/// Whether it stands for somebody in a VPC that no internet gateway leads to now: else a link would
/// lead there.
fn is_of_vpc(network: &Network, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => network.at_public(a).is_some(),
        IpAddr::V6(_) => {
            let mut blocks = network.vpcs.values().flat_map(|v| &v.cidrs);
            blocks.any(|c| c.block.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_vpc::sample;

    #[test]
    fn aws_is_the_service_and_a_vpc_its_own() {
        let network = sample::read(
            "
vpc vpc-1 10.0.0.0/16 2600:1f00:1::/56
list pl-1 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15
list pl-2 mine 123456789012 198.51.100.0/24
subnet subnet-a vpc-1 us-east-1a 10.0.1.0/24
group sg-1 vpc-1
eni eni-1 subnet-a 10.0.1.10=203.0.113.7 sg-1
",
        );
        let network = Network::new(network.unwrap()).unwrap();
        let service = Target::Service(LOCAL.to_vec());
        for (to, meant) in [
            ("52.216.0.1:443", service.clone()),
            ("52.216.0.1:22", Target::Nowhere),
            ("192.0.2.1:80", service),
            ("198.51.100.1:443", Target::Outside),
            ("203.0.113.7:443", Target::Nowhere),
            ("203.0.113.10:53", Target::Outside),
            ("169.254.169.254:80", Target::Nowhere),
            ("[2600:1f00:1::9]:443", Target::Nowhere),
            ("[2606:4700::1111]:443", Target::Outside),
        ] {
            assert_eq!(target(&network, to.parse().unwrap()), meant, "{to}");
        }
    }
}
