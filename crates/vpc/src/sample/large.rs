//! A network as large as AWS's quotas let one be.

use super::random::Dice;
use crate::network::{
    Change, Description, Direction, GroupRule, Interface, Peer, PrivateAddress, Record,
    SecurityGroup,
};
use crate::text::TextError;
use crate::traffic::{Traffic, Transport};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// A VPC with that many interfaces in subnets of 250 at most, and that many groups with that many
/// rules each, half of them ingress; each interface has two groups. Rules are blocks, groups and a
/// prefix list, for one of a hundred ports.
///
/// # Errors
/// With more interfaces than a /16 holds (60,000), or as [`super::read`].
pub fn large(interfaces: u32, groups: u32, rules: u32) -> Result<Description, TextError> {
    let mut text = String::from("vpc vpc-a 10.0.0.0/16\nlist pl-a ours 111122223333");
    for n in 0..20 {
        let _ = write!(text, " 10.0.{n}.0/26");
    }
    text.push('\n');
    for n in 0..interfaces.div_ceil(PER_SUBNET) {
        let zone = ["a", "b", "c"][n as usize % 3];
        let _ = writeln!(text, "subnet subnet-{n} vpc-a us-east-1{zone} 10.0.{n}.0/24");
    }
    let mut d = super::read(&text)?;
    let dice = &mut Dice::new(6);
    for n in 0..groups {
        let mut all = BTreeMap::new();
        for rule in 0..rules {
            all.insert(id(&format!("sgr-{n}x{rule}"))?, one_rule(dice, groups, rule)?);
        }
        let name = format!("group {n}");
        let (vpc, description) = (id("vpc-a")?, String::new());
        let group = SecurityGroup { vpc, name, description, rules: all };
        d.apply(Change::Put(Record::Group(id(&format!("sg-{n}"))?, group)));
    }
    for n in 0..interfaces {
        let subnet = n / PER_SUBNET;
        let address = Ipv4Addr::from_bits(0x0a00_0004 + (subnet << 8) + n % PER_SUBNET);
        let of = |k: u32| id(&format!("sg-{}", k % groups.max(1)));
        let record = Interface {
            subnet: id(&format!("subnet-{subnet}"))?,
            addresses: vec![PrivateAddress { address, public: None }],
            addresses_v6: vec![],
            groups: if groups == 0 { vec![] } else { vec![of(n)?, of(n / 2 + 1)?] },
            source_dest_check: true,
            mac: format!("02:00:00:00:{:02x}:{:02x}", n >> 8 & 0xff, n & 0xff),
            description: String::new(),
            kind: "interface".to_owned(),
            requester_managed: false,
            attachment: None,
        };
        d.apply(Change::Put(Record::Interface(id(&format!("eni-{n}"))?, record)));
    }
    Ok(d)
}

const PER_SUBNET: u32 = 250;

fn id<T: std::str::FromStr>(value: &str) -> Result<T, TextError> {
    value.parse().map_err(|_| TextError { value: value.to_owned(), what: "an id" })
}

fn one_rule(dice: &mut Dice, groups: u32, number: u32) -> Result<GroupRule, TextError> {
    let direction = if number.is_multiple_of(2) { Direction::Ingress } else { Direction::Egress };
    let port = u16::try_from(dice.below(100)).unwrap_or_default();
    let peer = match dice.below(4) {
        0 => Peer::Group(id(&format!("sg-{}", dice.below(u64::from(groups.max(1)))))?),
        1 => Peer::PrefixList(id("pl-a")?),
        _ => {
            let bits = u32::try_from(dice.below(1 << 16)).unwrap_or_default();
            let length = u8::try_from(18 + dice.below(14)).unwrap_or(32);
            let net = IpNet::new(Ipv4Addr::from_bits(0x0a00_0000 + bits).into(), length);
            Peer::Cidr(
                net.map_err(|_| TextError { value: length.to_string(), what: "a length" })?.trunc(),
            )
        }
    };
    let traffic = Traffic::Ports { transport: Transport::Tcp, from: port, to: port + 20 };
    Ok(GroupRule { direction, traffic, peer, description: None })
}
