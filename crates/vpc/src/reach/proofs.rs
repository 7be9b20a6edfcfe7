//! What fixes promise, over random networks and flows.

use super::{Component, Leg, Reach, reach, reach_all};
use crate::flow::Flow;
use crate::network::{Description, Network, RecordId, RouteDestination};
use crate::sample::{self, Dice};
use crate::traffic::Payload;
use ipnet::IpNet;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn with_fixes(network: &Network, answer: &Reach, without: Option<usize>) -> Network {
    let mut d: Description = network.description().clone();
    for (place, blocker) in answer.blockers.iter().enumerate() {
        if Some(place) != without {
            blocker.fix.as_ref().unwrap().apply(&mut d);
        }
    }
    Network::new(d).unwrap()
}

/// An answer in few words.
fn words(answer: &Reach) -> String {
    let line = |b: &super::Blocker| {
        let fix = b.fix.as_ref().map(|f| f.cli.join("; "));
        format!("{} {b}\n    {}\n", b.direction, fix.unwrap_or_default())
    };
    answer.blockers.iter().map(line).collect()
}

/// Routes and entries that lines of the AWS CLI can make, replace and delete, by how these name them.
fn places(network: &Network) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (id, table) in &network.route_tables {
        for route in &table.routes {
            let to = match &route.destination {
                RouteDestination::Cidr(IpNet::V4(net)) => format!("cidr-block {net}"),
                RouteDestination::Cidr(IpNet::V6(net)) => format!("ipv6-cidr-block {net}"),
                RouteDestination::PrefixList(list) => format!("prefix-list-id {list}"),
            };
            all.insert(format!("route --route-table-id {id} --destination-{to}"));
        }
    }
    for (id, acl) in &network.acls {
        for (way, entries) in [("ingress", &acl.ingress), ("egress", &acl.egress)] {
            let entry =
                |n| format!("network-acl-entry --network-acl-id {id} --{way} --rule-number {n}");
            all.extend(entries.keys().map(entry));
        }
    }
    all
}

/// The lines are such that a shell can run one after the other: no id is made up, no variable is
/// set twice or used before it is set, what is made is not there, and what is replaced or deleted is.
fn runs(network: &Network, answer: &Reach) {
    let mut there = places(network);
    let fixes = answer.blockers.iter().filter_map(|b| b.fix.as_ref());
    let mut set = BTreeSet::new();
    assert!(answer.blockers.iter().all(|b| !b.text.contains("-fix")), "{}", words(answer));
    for line in fixes.flat_map(|f| &f.cli) {
        assert!(!line.contains("-fix"), "{line}");
        let begins = line.split_once("=$(").filter(|(variable, _)| !variable.contains(' '));
        for word in line.split(' ').filter_map(|w| w.strip_prefix('$')) {
            assert!(set.contains(word), "{word} is not known: {line}");
        }
        let words: Vec<&str> = line.split(' ').skip(2).collect();
        if let Some((verb, _)) = words[0].split_once('-')
            && (words[0].ends_with("-route") || words[0].ends_with("-network-acl-entry"))
        {
            let length = if words[0].ends_with("-route") { 5 } else { 6 };
            let place = words[..length].join(" ").replacen(&format!("{verb}-"), "", 1);
            let did = match verb {
                "create" => there.insert(place),
                "delete" => there.remove(&place),
                _ => there.contains(&place),
            };
            assert!(did, "{line}\n{}", self::words(answer));
        }
        if let Some((variable, _)) = begins {
            assert!(set.insert(variable.to_owned()), "{line}");
        }
    }
}

/// Returns the number of blockers, all of which have fixes; `None` of a flow that nothing mends.
fn prove(network: &Network, flow: &Flow) -> Option<usize> {
    let answer = reach(network, flow);
    runs(network, &answer);
    if answer.blockers.iter().any(|b| b.fix.is_none()) {
        return None;
    }
    let show = || format!("{flow:?}\n{}", words(&answer));
    let all = with_fixes(network, &answer, None);
    let mended = reach(&all, flow);
    assert!(mended.passes(), "fixes do not do: {}\n{}", words(&mended), show());
    for place in 0..answer.blockers.len() {
        let fewer = with_fixes(network, &answer, Some(place));
        assert!(!reach(&fewer, flow).passes(), "{place} is needless: {}", show());
    }
    Some(answer.blockers.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn all_fixes_do_and_none_is_needless(seed: u64) {
        let network = Network::new(sample::random(seed).unwrap()).unwrap();
        let mut dice = Dice::new(seed ^ 1);
        for _ in 0..10 {
            if let Some(flow) = sample::flow(&network, &mut dice) {
                prove(&network, &flow);
            }
        }
    }
}

/// Random flows must be of all kinds, or the proof proves little.
#[test]
fn random_flows_are_of_all_kinds() {
    let mut counts = [0; 5];
    let (mut hopeless, mut replies, mut codes) = (0, 0, std::collections::BTreeMap::new());
    for seed in 0..500 {
        let network = Network::new(sample::random(seed).unwrap()).unwrap();
        let mut dice = Dice::new(seed);
        for flow in (0..5).filter_map(|_| sample::flow(&network, &mut dice)) {
            let answer = reach(&network, &flow);
            runs(&network, &answer);
            for code in answer.codes() {
                *codes.entry(code).or_insert(0) += 1;
            }
            replies += answer.blockers.iter().filter(|b| b.direction == Leg::Reply).count();
            if answer.blockers.iter().any(|b| b.fix.is_none()) {
                hopeless += 1;
            } else {
                counts[answer.blockers.len().min(4)] += 1;
            }
        }
    }
    assert!(counts.iter().all(|c| *c > 20), "{counts:?} {hopeless}");
    assert!(hopeless < 1000 && replies > 200, "{hopeless} {replies}");
    assert!(codes.len() >= 15, "{codes:#?}");
}

/// All pairs at once are what each pair is by itself.
fn compare(network: &Network, payload: &Payload) -> usize {
    let pairs = reach_all(network, payload);
    let v6 = matches!(payload, Payload::Icmp { v6: true, .. });
    for (x, from) in pairs.interfaces().iter().enumerate() {
        for (y, to) in pairs.interfaces().iter().enumerate() {
            let address = network.interfaces[to].first(v6).unwrap();
            let flow = Flow::from_interface(from.clone(), address, *payload);
            let answer = super::walked(network, &flow);
            // Another VPC's interface may have the address.
            let end = answer.forward.last().map(|h| h.component.clone());
            let there = end == Some(Component::Record(RecordId::Interface(to.clone())));
            let passes = answer.passes() && there;
            let words = words(&answer);
            assert_eq!(pairs.passes(x, y), passes, "{from} {to} {payload:?}\n{words}");
        }
    }
    pairs.count()
}

#[test]
fn all_pairs_are_what_each_is() {
    let mut passing = 0;
    for seed in 0..300 {
        let network = Network::new(sample::random(seed).unwrap()).unwrap();
        let text = ["tcp 443", "udp 53", "icmp 8", "icmpv6 128"][seed as usize % 4];
        let payload = text.parse().unwrap();
        passing += compare(&network, &payload) - reach_all(&network, &payload).interfaces().len();
    }
    assert!(passing > 300, "{passing}");
}

#[test]
fn a_large_network_is_the_same() {
    let network = Network::new(sample::large(600, 60, 60).unwrap()).unwrap();
    let payload: Payload = "tcp 40".parse().unwrap();
    let pairs = reach_all(&network, &payload);
    let mut dice = Dice::new(1);
    for _ in 0..2000 {
        let (x, y) = (dice.below(600) as usize, dice.below(600) as usize);
        let (from, to) = (&pairs.interfaces()[x], &pairs.interfaces()[y]);
        let address = network.interfaces[to].first(false).unwrap();
        let answer = super::walked(&network, &Flow::from_interface(from.clone(), address, payload));
        assert_eq!(pairs.passes(x, y), answer.passes(), "{from} {to}");
    }
    assert!((1000..300_000).contains(&pairs.count()), "{}", pairs.count());
}
