//! Regions made up at random, and flows through them: most rules let most things pass, so that what
//! stops a packet is one rule among many.

use belljar_vpc::sample::{self, Dice};
use belljar_vpc::{Flow, Network, Payload, Source, Transport};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

const TRAFFIC: &[&str] = &[
    "tcp 443",
    "tcp 80-443",
    "tcp 442",
    "tcp 444-1024",
    "tcp 1024-65535",
    "tcp 32768-60999",
    "tcp",
    "udp",
    "udp 53",
    "udp 1024-65535",
    "icmp",
    "icmp 8",
    "icmp 8/0",
    "icmpv6",
    "icmpv6 128",
    "protocol 50",
    "protocol 6",
    "protocol 17",
    "all",
];
const NETS: &[&str] = &[
    "0.0.0.0/0",
    "0.0.0.0/0",
    "10.0.0.0/16",
    "10.0.1.0/24",
    "10.0.2.0/24",
    "10.1.0.0/16",
    "10.0.1.10/32",
    "10.0.1.10/31",
    "100.64.0.0/16",
    "52.216.0.0/15",
    "203.0.113.0/24",
    "8.8.0.0/16",
    "::/0",
    "::/0",
    "2600:1::/56",
    "2600:1::10/128",
    "2600:2::/64",
];
const GROUPS: &[(&str, &str)] = &[
    ("sg-a", "vpc-a"),
    ("sg-b", "vpc-a"),
    ("sg-d", "vpc-a"),
    ("sg-c", "vpc-b"),
    ("sg-e", "vpc-b"),
    ("sg-f", "vpc-c"),
];

/// A region of which what there is depends on `seed`, and what is allowed on `rules`.
pub(crate) fn network(seed: u64, rules: u64) -> Arc<Network> {
    let (things, rules) = (&mut Dice::new(seed), &mut Dice::new(rules ^ 0x5a5a));
    let mut text = String::from(
        "vpc vpc-a 10.0.0.0/16 100.64.0.0/16 2600:1::/56\n\
         vpc vpc-b 10.1.0.0/16 2600:2::/56\n\
         vpc vpc-c 10.2.0.0/16\n\
         subnet subnet-a1 vpc-a us-east-1a 10.0.1.0/24 2600:1::/64\n\
         subnet subnet-a2 vpc-a us-east-1b 10.0.2.0/24 2600:1:0:1::/64\n\
         subnet subnet-a3 vpc-a us-east-1a 10.0.3.0/24 2600:1:0:2::/64\n\
         subnet subnet-a4 vpc-a us-east-1a 100.64.1.0/24\n\
         subnet subnet-b1 vpc-b us-east-1a 10.1.1.0/24 2600:2::/64\n\
         subnet subnet-c1 vpc-c us-east-1a 10.2.1.0/24\n\
         list pl-s3 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15 54.231.0.0/16\n\
         list pl-x ours 111122223333 10.0.2.0/25 10.0.2.0/24 203.0.113.0/28\n\
         list pl-6 ours 111122223333 2600:1::/64 2001:db8::/32\n",
    );
    // Writing to a text cannot fail.
    let _ = groups(rules, &mut text);
    let _ = acls(rules, &mut text);
    let _ = gateways(things, &mut text);
    let gateway = things.one_in(2);
    let _ = tables(rules, &mut text, gateway);
    let _ = interfaces(things, rules, &mut text);
    Arc::new(Network::new(sample::read(&text).unwrap()).unwrap())
}

fn groups(dice: &mut Dice, text: &mut String) -> std::fmt::Result {
    for (group, vpc) in GROUPS {
        writeln!(text, "group {group} {vpc}")?;
        for way in ["ingress", "egress"] {
            if !dice.one_in(3) {
                writeln!(text, "  {way} all 0.0.0.0/0")?;
            }
            if dice.one_in(2) {
                writeln!(text, "  {way} {} ::/0", dice.pick(&["all", "tcp", "tcp 443"]))?;
            }
            for _ in 0..dice.below(5) {
                let peer = match dice.below(4) {
                    0 => *dice.pick(&["sg-a", "sg-b", "sg-c", "sg-d", "sg-e", "sg-gone"]),
                    1 => *dice.pick(&["pl-s3", "pl-x", "pl-6", "pl-gone"]),
                    _ => *dice.pick(NETS),
                };
                writeln!(text, "  {way} {} {peer}", dice.pick(TRAFFIC))?;
            }
        }
    }
    Ok(())
}

fn acls(dice: &mut Dice, text: &mut String) -> std::fmt::Result {
    let of = if dice.one_in(2) { "subnet-a1 subnet-a2" } else { "subnet-a1" };
    let all = [
        ("acl-a", "vpc-a", of),
        ("acl-b", "vpc-b", "subnet-b1"),
        ("acl-c", "vpc-a", "subnet-a3"),
        ("acl-d", "vpc-c", "subnet-c1"),
    ];
    for (acl, vpc, subnets) in all {
        if dice.one_in(2) {
            continue;
        }
        writeln!(text, "acl {acl} {vpc} {subnets}")?;
        for way in ["ingress", "egress"] {
            for place in 1..=dice.below(4) {
                let action = dice.pick(&["allow", "deny"]);
                let (traffic, net) = (dice.pick(TRAFFIC), dice.pick(NETS));
                writeln!(text, "  {way} {} {action} {traffic} {net}", place * 10)?;
            }
            // Answers come to high ports, which a forgotten entry stops.
            let rest = dice.pick(&["all", "all", "all", "tcp 1024-65535", "tcp 32768-65535"]);
            writeln!(text, "  {way} 1000 allow {rest} 0.0.0.0/0")?;
            writeln!(text, "  {way} 1001 allow {} ::/0", dice.pick(&["all", "all", "tcp"]))?;
        }
    }
    Ok(())
}

fn gateways(dice: &mut Dice, text: &mut String) -> std::fmt::Result {
    if !dice.one_in(5) {
        text.push_str("igw igw-a vpc-a\n");
    }
    if !dice.one_in(3) {
        text.push_str("igw igw-b vpc-b\n");
    }
    for (pcx, one, other) in [("pcx-ab", "vpc-a", "vpc-b"), ("pcx-bc", "vpc-b", "vpc-c")] {
        let status = if dice.one_in(5) { "pending" } else { "active" };
        writeln!(text, "peering {pcx} {one} {other} {status}")?;
    }
    Ok(())
}

fn tables(dice: &mut Dice, text: &mut String, gateway: bool) -> std::fmt::Result {
    if gateway {
        text.push_str("gateway vpce-s3 vpc-a com.amazonaws.us-east-1.s3 rtb-a1 rtb-a2\n");
    }
    for (table, vpc, subnets) in [
        ("rtb-a1", "vpc-a", "subnet-a1"),
        ("rtb-a2", "vpc-a", "subnet-a2 subnet-a4"),
        ("rtb-a3", "vpc-a", "subnet-a3"),
        ("rtb-b1", "vpc-b", "subnet-b1"),
        ("rtb-c1", "vpc-c", "subnet-c1"),
    ] {
        writeln!(text, "table {table} {vpc} {subnets}")?;
        let mut route = |to: &str, ways: &[&str]| {
            if dice.one_in(7) {
                return Ok(());
            }
            let late = if dice.one_in(12) { " propagated" } else { "" };
            writeln!(text, "  {to} {}{late}", dice.pick(ways))
        };
        match table {
            "rtb-a3" => route("0.0.0.0/0", &["igw-a"])?,
            "rtb-a1" | "rtb-a2" => route("0.0.0.0/0", &["igw-a", "nat-a", "nat-a", "eni-m"])?,
            "rtb-b1" => route("0.0.0.0/0", &["igw-b"])?,
            _ => {}
        }
        match vpc {
            "vpc-a" => {
                route("10.1.0.0/16", &["pcx-ab"])?;
                route("::/0", &["igw-a", "igw-a", "eni-m"])?;
                if dice_rare(table, text.len()) {
                    writeln!(text, "  10.0.2.0/24 eni-m")?;
                    writeln!(text, "  pl-x pcx-gone")?;
                    writeln!(text, "  10.2.0.0/16 pcx-ab")?;
                    writeln!(text, "  10.1.1.0/24 eni-gone")?;
                }
            }
            "vpc-b" => {
                route("10.0.0.0/16", &["pcx-ab"])?;
                route("100.64.0.0/16", &["pcx-ab"])?;
                route("10.2.0.0/16", &["pcx-bc"])?;
                route("2600:1::/56", &["pcx-ab"])?;
                route("::/0", &["igw-b"])?;
            }
            _ => {
                route("10.1.0.0/16", &["pcx-bc"])?;
                route("10.0.0.0/16", &["pcx-bc"])?;
            }
        }
        if gateway && matches!(table, "rtb-a1" | "rtb-a2") {
            writeln!(text, "  pl-s3 vpce-s3")?;
        }
        never(dice, text, vpc)?;
    }
    Ok(())
}

/// Longer prefixes than those of what is never forwarded, which they do not open.
fn never(dice: &mut Dice, text: &mut String, vpc: &str) -> std::fmt::Result {
    let v4 = ["127.0.0.0/9", "169.254.128.0/17", "224.0.0.0/8", "240.0.0.0/5", "0.0.0.0/9"];
    let v6 = ["fe80::/16", "ff0e::/16", "::/128", "::1/128"];
    let ways: &[&str] = match vpc {
        "vpc-a" => &["igw-a", "nat-a", "eni-m", "pcx-ab"],
        "vpc-b" => &["igw-b", "pcx-ab"],
        _ => &["pcx-bc"],
    };
    writeln!(text, "  {} {}", dice.pick(&v4), dice.pick(ways))?;
    writeln!(text, "  {} {}", dice.pick(&v6), dice.pick(ways))
}

/// In one table of four, as its place in the text has it.
fn dice_rare(table: &str, place: usize) -> bool {
    (place + table.len()).is_multiple_of(4)
}

fn interfaces(things: &mut Dice, rules: &mut Dice, text: &mut String) -> std::fmt::Result {
    let mut number = 0;
    let mut one = |id: &str, subnet: &str, address: &str, groups: &[&str], v6: &str| {
        number += 1;
        let public = match things.below(3) {
            0 => String::new(),
            _ => format!("=203.0.113.{}", 100 + number),
        };
        let v6 = if v6.is_empty() || things.one_in(4) { String::new() } else { format!(",{v6}") };
        let groups = rules.pick(groups);
        writeln!(text, "eni {id} {subnet} {address}{public}{v6} {groups}")
    };
    let a = ["sg-a", "sg-b", "sg-d", "sg-a,sg-b", "sg-b,sg-d", "sg-a,sg-b,sg-d"];
    one("eni-a", "subnet-a1", "10.0.1.10", &a, "2600:1::10")?;
    one("eni-b", "subnet-a1", "10.0.1.11", &a, "2600:1::11")?;
    one("eni-c", "subnet-a2", "10.0.2.10", &a, "2600:1:0:1::10")?;
    one("eni-g", "subnet-a2", "10.0.2.200,10.0.2.201", &a, "")?;
    one("eni-d", "subnet-a3", "10.0.3.10", &a, "")?;
    one("eni-h", "subnet-a4", "100.64.1.10", &a, "")?;
    one("eni-e", "subnet-b1", "10.1.1.10", &["sg-c", "sg-e", "sg-c,sg-e"], "2600:2::10")?;
    one("eni-i", "subnet-b1", "10.1.1.11", &["sg-c", "sg-e"], "2600:2::11")?;
    one("eni-f", "subnet-c1", "10.2.1.10", &["sg-f"], "")?;
    let forwards = if things.one_in(3) { "" } else { " forwards" };
    writeln!(
        text,
        "eni eni-m subnet-a3 10.0.3.11=203.0.113.99,2600:1:0:2::11 sg-a,sg-b{forwards}"
    )?;
    writeln!(text, "eni eni-l subnet-a2 10.0.2.20 sg-d managed")?;
    text.push_str("interface vpce-l vpc-a com.amazonaws.us-east-1.logs eni-l private\n");
    text.push_str("eni eni-n subnet-a3 10.0.3.12 - forwards\n");
    text.push_str("eip eipalloc-e 203.0.113.2 eni-e 10.1.1.10\n");
    if things.one_in(5) {
        text.push_str("nat nat-a subnet-a3 eni-n\n");
    } else {
        text.push_str("eip eipalloc-n 203.0.113.1\nnat nat-a subnet-a3 eni-n eipalloc-n\n");
    }
    Ok(())
}

/// Ports at and beside the borders of rules.
const PORTS: &[u16] =
    &[443, 443, 443, 80, 79, 81, 442, 444, 53, 1023, 1024, 5432, 32767, 32768, 60999, 65535];

/// A flow that means something in a region of [`network`]; its source port is `port`.
pub(crate) fn flow(network: &Network, dice: &mut Dice, port: u16) -> Option<Flow> {
    let ids: Vec<_> = network.interfaces.keys().collect();
    let (from, to) = (*dice.pick(&ids), *dice.pick(&ids));
    if network.nat_at(from).is_some() {
        // It begins nothing by itself.
        return None;
    }
    let target = network.interfaces.get(to)?;
    let public = target.primary().and_then(|p| network.public_of(to, p)).map(IpAddr::V4);
    let private = target.first(dice.one_in(4)).or(target.first(false))?;
    let far = [
        "52.217.1.1",
        "54.231.9.9",
        "52.217.1.1",
        "8.8.8.8",
        "8.8.4.4",
        "203.0.113.5",
        "203.0.113.200",
        "10.0.0.2",
        "10.0.1.1",
        "169.254.169.253",
        "169.254.169.254",
        "10.9.0.1",
        "10.0.2.77",
        "10.0.2.201",
        "2001:db8::9",
        "2600:1::1",
        "2600:1::77",
        "192.168.1.1",
        "10.2.1.77",
        "224.0.0.9",
        "198.51.100.1",
        "127.0.0.1",
        "169.254.128.9",
        "240.0.0.9",
        "255.255.255.255",
        "0.0.0.9",
        "::1",
        "169.254.1.1",
        "fe80::9",
        "fe80::9",
        "fe80::1",
        "ff0e::9",
    ];
    let destination = match dice.below(10) {
        0..=2 => dice.pick(&far).parse().ok()?,
        3 => public.unwrap_or(private),
        _ => private,
    };
    let outside = dice.one_in(5) && (public == Some(destination) || destination.is_ipv6());
    let source = if outside {
        let v4 = *dice.pick(&["8.8.4.4", "8.8.4.4", "198.51.100.7", "10.0.1.10", "192.168.0.9"]);
        let address = if destination.is_ipv6() { "2001:db8::7" } else { v4 };
        Source::Internet { address: address.parse().ok()? }
    } else {
        let forged = if destination.is_ipv6() { "2600:1::10" } else { "10.0.1.10" };
        let address = dice.one_in(25).then(|| forged.parse()).transpose().ok()?;
        Source::Interface { id: from.clone(), address }
    };
    let mut payload = payload(dice, destination.is_ipv6(), port);
    if dice.one_in(30) && may_be_alike(network, &source, destination, &payload) {
        one_port(&mut payload);
    }
    Some(Flow { source, destination, payload })
}

/// Gives both ends one port: what comes back to its own sender looks like an answer then.
fn one_port(payload: &mut Payload) {
    if let Payload::Ports { source, destination, .. } = payload {
        *destination = *source;
    }
}

/// Whether both ends may have one port. Not to a NAT gateway's public address, where it would be an
/// answer to the gateway, too: what AWS does with that is written nowhere. And of TCP not from an
/// interface to itself: there it is one end, which has the numbers of no two.
fn may_be_alike(network: &Network, from: &Source, to: IpAddr, payload: &Payload) -> bool {
    let Some((at, _)) = network.on_internet(to) else { return true };
    let itself = matches!(from, Source::Interface { id, .. } if id == at);
    let tcp = matches!(payload, Payload::Ports { transport: Transport::Tcp, .. });
    network.nat_at(at).is_none() && !(itself && tcp)
}

fn payload(dice: &mut Dice, v6: bool, source: u16) -> Payload {
    let destination = *dice.pick(PORTS);
    match dice.below(12) {
        0 => Payload::Icmp { v6, kind: if v6 { 128 } else { 8 }, code: 0 },
        1 => {
            let kind = *dice.pick(if v6 { &[129, 135, 128] } else { &[0, 13, 8] });
            Payload::Icmp { v6, kind, code: dice.below(2) as u8 }
        }
        2 => Payload::Other { number: *dice.pick(&[50, 253]) },
        3..=5 => Payload::Ports { transport: Transport::Udp, source, destination },
        _ => Payload::Ports { transport: Transport::Tcp, source, destination },
    }
}
