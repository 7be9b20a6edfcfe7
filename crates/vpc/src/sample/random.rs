//! Small networks made up at random, with most of what a network can have, and flows through them.

use super::read;
use crate::flow::{Flow, Source};
use crate::network::{Description, Network};
use crate::text::TextError;
use crate::traffic::Payload;
use std::fmt::Write;
use std::net::IpAddr;

/// Numbers that look random and are the same for one seed: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Begins anew.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below another one, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// Whether one of so many cases is there.
    pub const fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    /// One of several, which are not none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let place = usize::try_from(self.below(of.len().max(1) as u64)).unwrap_or_default();
        &of[place]
    }
}

const TRAFFIC: &[&str] =
    &["all", "all", "tcp", "tcp 80-443", "tcp 443", "tcp 1024-65535", "udp", "icmp", "protocol 50"];
const NETS: &[&str] = &[
    "0.0.0.0/0",
    "0.0.0.0/0",
    "0.0.0.0/0",
    "10.0.0.0/16",
    "10.0.1.0/24",
    "10.0.2.0/24",
    "10.1.0.0/16",
    "10.0.1.10/32",
    "52.216.0.0/15",
    "203.0.113.0/24",
    "::/0",
    "2600:1::/56",
];

/// A network of two or three VPCs with up to nine interfaces.
///
/// # Errors
/// Never, for a line that it writes; it reads them as text.
pub fn network(seed: u64) -> Result<Description, TextError> {
    let dice = &mut Dice::new(seed);
    let mut text = String::from(
        "vpc vpc-a 10.0.0.0/16 2600:1::/56\n\
         vpc vpc-b 10.1.0.0/16 2600:2::/56\n\
         vpc vpc-c 10.2.0.0/16\n\
         subnet subnet-a1 vpc-a us-east-1a 10.0.1.0/24 2600:1::/64\n\
         subnet subnet-a2 vpc-a us-east-1b 10.0.2.0/24 2600:1:0:1::/64\n\
         subnet subnet-a3 vpc-a us-east-1a 10.0.3.0/24\n\
         subnet subnet-b1 vpc-b us-east-1a 10.1.1.0/24 2600:2::/64\n\
         subnet subnet-c1 vpc-c us-east-1a 10.2.1.0/24\n\
         list pl-s3 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15 54.231.0.0/16\n\
         list pl-x ours 111122223333 10.0.2.0/25 203.0.113.0/28\n",
    );
    // Writing to a text cannot fail.
    let _ = groups(dice, &mut text);
    let _ = acls(dice, &mut text);
    let _ = gateways(dice, &mut text);
    let _ = tables(dice, &mut text);
    let _ = interfaces(dice, &mut text);
    read(&text)
}

fn groups(dice: &mut Dice, text: &mut String) -> std::fmt::Result {
    for (group, vpc) in [("sg-a", "vpc-a"), ("sg-b", "vpc-a"), ("sg-c", "vpc-b"), ("sg-d", "vpc-c")]
    {
        writeln!(text, "group {group} {vpc}")?;
        // Open ones, too, so that something passes.
        for (way, cases) in [("egress", 2), ("ingress", 3)] {
            if dice.one_in(cases) {
                writeln!(text, "  {way} all 0.0.0.0/0\n  {way} all ::/0")?;
            }
        }
        for _ in 0..dice.below(6) {
            let way = dice.pick(&["ingress", "egress"]);
            let peer = match dice.below(4) {
                0 => *dice.pick(&["sg-a", "sg-b", "sg-c", "sg-gone"]),
                1 => *dice.pick(&["pl-s3", "pl-x", "pl-gone"]),
                _ => *dice.pick(NETS),
            };
            writeln!(text, "  {way} {} {peer}", dice.pick(TRAFFIC))?;
        }
    }
    Ok(())
}

fn acls(dice: &mut Dice, text: &mut String) -> std::fmt::Result {
    // One ACL guards two subnets at times, so that its fixes must hold together.
    let of = if dice.one_in(2) { "subnet-a1 subnet-a2" } else { "subnet-a1" };
    for (acl, vpc, subnets) in
        [("acl-a", "vpc-a", of), ("acl-b", "vpc-b", "subnet-b1"), ("acl-c", "vpc-a", "subnet-a3")]
    {
        if dice.one_in(3) {
            continue;
        }
        writeln!(text, "acl {acl} {vpc} {subnets}")?;
        for way in ["ingress", "egress"] {
            // Without a gap at times, so that a fix must make room.
            let step = *dice.pick(&[1, 100]);
            for place in 1..=dice.below(4) {
                let action = dice.pick(&["allow", "allow", "deny"]);
                writeln!(
                    text,
                    "  {way} {} {action} {} {}",
                    place * step,
                    dice.pick(TRAFFIC),
                    dice.pick(NETS)
                )?;
            }
            if dice.one_in(2) {
                writeln!(text, "  {way} 1000 allow all 0.0.0.0/0")?;
            }
        }
    }
    Ok(())
}

fn gateways(dice: &mut Dice, text: &mut String) -> std::fmt::Result {
    if !dice.one_in(4) {
        text.push_str("igw igw-a vpc-a\n");
    } else if dice.one_in(2) {
        text.push_str("igw igw-a\n");
    }
    if dice.one_in(2) {
        text.push_str("igw igw-b vpc-b\n");
    }
    for (pcx, one, other) in [("pcx-ab", "vpc-a", "vpc-b"), ("pcx-bc", "vpc-b", "vpc-c")] {
        if !dice.one_in(3) {
            let status = dice.pick(&["active", "active", "pending"]);
            writeln!(text, "peering {pcx} {one} {other} {status}")?;
        }
    }
    Ok(())
}

fn tables(dice: &mut Dice, text: &mut String) -> std::fmt::Result {
    let gateway = dice.one_in(2);
    if gateway {
        text.push_str("gateway vpce-s3 vpc-a com.amazonaws.us-east-1.s3 rtb-a1\n");
    }
    for (table, vpc, subnet) in [
        ("rtb-a1", "vpc-a", "subnet-a1"),
        ("rtb-a2", "vpc-a", "subnet-a2"),
        ("rtb-a3", "vpc-a", "subnet-a3"),
        ("rtb-b1", "vpc-b", "subnet-b1"),
        ("rtb-c1", "vpc-c", "subnet-c1"),
    ] {
        writeln!(text, "table {table} {vpc} {subnet}")?;
        let (to, ways): (&[&str], &[&str]) = match vpc {
            "vpc-a" => (
                &[
                    "0.0.0.0/0",
                    "10.1.0.0/16",
                    "10.1.1.0/24",
                    "10.0.2.0/24",
                    "10.0.1.0/24",
                    "pl-x",
                    "203.0.113.0/24",
                    "10.2.0.0/16",
                    // Of what is never forwarded, whatever routes say.
                    "127.0.0.0/9",
                    "169.254.128.0/17",
                    "fe80::/16",
                ],
                &["igw-a", "igw-a", "nat-a", "pcx-ab", "pcx-ab", "eni-m", "pcx-gone"],
            ),
            "vpc-b" => (
                &["0.0.0.0/0", "10.0.0.0/16", "10.0.1.0/24", "10.2.0.0/16"],
                &["igw-b", "pcx-ab", "pcx-ab", "pcx-bc"],
            ),
            _ => (&["10.1.0.0/16", "0.0.0.0/0", "10.0.0.0/16"], &["pcx-bc"]),
        };
        for to in to {
            if dice.one_in(2) {
                let late = if dice.one_in(8) { " propagated" } else { "" };
                writeln!(text, "  {to} {}{late}", dice.pick(ways))?;
            }
        }
        if vpc != "vpc-c" && dice.one_in(2) {
            let way = if vpc == "vpc-a" { "igw-a" } else { "igw-b" };
            writeln!(text, "  ::/0 {way}")?;
        }
        if table == "rtb-a1" && gateway {
            writeln!(text, "  pl-s3 vpce-s3")?;
        }
    }
    Ok(())
}

fn interfaces(dice: &mut Dice, text: &mut String) -> std::fmt::Result {
    let mut one = |id: &str, subnet: &str, address: &str, groups: &[&str], v6: &str| {
        let public = if dice.one_in(3) {
            format!("=203.0.113.{}", 100 + id.len() + usize::from(id.as_bytes()[4]))
        } else {
            String::new()
        };
        let v6 = if v6.is_empty() || dice.one_in(3) { String::new() } else { format!(",{v6}") };
        let flags = match dice.below(6) {
            0 => " forwards",
            1 => " managed",
            _ => "",
        };
        let groups = dice.pick(groups);
        writeln!(text, "eni {id} {subnet} {address}{public}{v6} {groups}{flags}")
    };
    let a = ["sg-a", "sg-b", "sg-a,sg-b"];
    one("eni-a", "subnet-a1", "10.0.1.10", &a, "2600:1::10")?;
    one("eni-b", "subnet-a1", "10.0.1.11", &a, "2600:1::11")?;
    one("eni-c", "subnet-a2", "10.0.2.10", &a, "2600:1:0:1::10")?;
    one("eni-d", "subnet-a3", "10.0.3.10", &a, "")?;
    one("eni-m", "subnet-a3", "10.0.3.11", &a, "")?;
    one("eni-e", "subnet-b1", "10.1.1.10", &["sg-c"], "2600:2::10")?;
    one("eni-f", "subnet-c1", "10.2.1.10", &["sg-d"], "")?;
    text.push_str("eni eni-n subnet-a3 10.0.3.12 - forwards\n");
    if dice.one_in(4) {
        text.push_str("nat nat-a subnet-a3 eni-n\n");
    } else {
        text.push_str("eip eipalloc-n 203.0.113.1\nnat nat-a subnet-a3 eni-n eipalloc-n\n");
    }
    Ok(())
}

/// A flow that may mean something in a network of [`network`].
#[must_use]
pub fn flow(network: &Network, dice: &mut Dice) -> Option<Flow> {
    let ids: Vec<_> = network.interfaces.keys().filter(|i| network.nat_at(i).is_none()).collect();
    let (from, to) = ((*dice.pick(&ids)).clone(), *dice.pick(&ids));
    let far = [
        "52.217.1.1",
        "8.8.8.8",
        "203.0.113.5",
        "10.0.0.2",
        "10.0.1.1",
        "10.9.0.1",
        "10.0.2.77",
        *dice.pick(&["127.0.0.1", "169.254.169.254", "fe80::9"]),
    ];
    let target = network.interfaces.get(to)?;
    let public = target.primary().and_then(|p| network.public_of(to, p)).map(IpAddr::V4);
    let private = target.first(dice.one_in(4)).or(target.first(false))?;
    let destination = match dice.below(8) {
        0 | 1 => dice.pick(&far).parse().ok()?,
        2 => public.unwrap_or(private),
        _ => private,
    };
    let outside = dice.one_in(6) && (public == Some(destination) || destination.is_ipv6());
    let source = if outside {
        let address = if destination.is_ipv6() { "2001:db8::7" } else { "8.8.4.4" };
        Source::Internet { address: address.parse().ok()? }
    } else {
        Source::Interface { id: from, address: None }
    };
    let echo = if destination.is_ipv6() { "icmpv6 128" } else { "icmp 8" };
    let payloads = ["tcp 443", "tcp 443", "tcp 80", "tcp 9000", "udp 53", "protocol 50", echo];
    let payload = dice.pick(&payloads);
    Some(Flow { source, destination, payload: payload.parse::<Payload>().ok()? })
}
