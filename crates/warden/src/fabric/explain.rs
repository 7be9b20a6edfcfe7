//! What `vpc` says about a connection before it is tried.

use super::view::View;
use belljar_domain::fabric::Blocker;
use belljar_vpc::dns::{self, Servers};
use belljar_vpc::id::{InterfaceId, VpcId};
use belljar_vpc::network::RecordType;
use belljar_vpc::reach::{self, Call, Code, reach, reach_service};
use belljar_vpc::text::EPHEMERAL;
use belljar_vpc::{Flow, Payload, Transport};
use std::net::IpAddr;

/// The addresses of a host, as the interface's instance would find them, or why it finds none.
pub(super) fn resolve(
    view: &View,
    interface: &InterfaceId,
    (host, port): (&str, u16),
) -> Result<Vec<IpAddr>, Vec<Blocker>> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    let network = &view.network;
    let addresses = network.vpc_of(interface).map(|vpc| addresses(view, vpc, host));
    match addresses {
        Some(all) if !all.is_empty() => Ok(all),
        _ => Err(unresolved(view, interface, (host, port))),
    }
}

fn addresses(view: &View, vpc: &VpcId, host: &str) -> Vec<IpAddr> {
    let network = &view.network;
    match dns::servers(network, vpc) {
        Servers::Provided(_) => [RecordType::A, RecordType::Aaaa]
            .into_iter()
            .flat_map(|kind| dns::resolve(network, vpc, host, kind).addresses())
            .collect(),
        // What they answer is not known; a public name has public addresses wherever it is asked.
        Servers::Others(_) => dns::service_of(host)
            .and_then(|(region, service)| {
                network.list_named(&format!("com.amazonaws.{region}.{service}"))
            })
            .and_then(|(_, list)| list.entries.keys().next()?.hosts().next())
            .into_iter()
            .collect(),
        Servers::None => Vec::new(),
    }
}

fn unresolved(view: &View, interface: &InterfaceId, (host, port): (&str, u16)) -> Vec<Blocker> {
    if let Some((region, service)) = dns::service_of(host)
        && region == view.region
    {
        let call =
            Call { from: interface, region: &region, service: &service, port, request: None };
        return reach_service(&view.network, &call).blockers.iter().map(blocker).collect();
    }
    let text = format!("{host} has no address where {interface} is");
    vec![Blocker { code: Code::DnsNameUnresolved.to_string(), text, fix: None }]
}

/// All that keeps a connection from there. From which port the kernel will connect is not known
/// before: where an ACL lets only some of them in again, an answer may yet not come.
pub(super) fn blockers(
    view: &View,
    interface: &InterfaceId,
    to: IpAddr,
    port: u16,
) -> Vec<Blocker> {
    let payload =
        Payload::Ports { transport: Transport::Tcp, source: EPHEMERAL, destination: port };
    let flow = Flow::from_interface(interface.clone(), to, payload);
    reach(&view.network, &flow).blockers.iter().map(blocker).collect()
}

fn blocker(of: &reach::Blocker) -> Blocker {
    let fix = of.fix.as_ref().map(|fix| fix.cli.join(" && "));
    Blocker { code: of.code.to_string(), text: of.text.clone(), fix }
}
