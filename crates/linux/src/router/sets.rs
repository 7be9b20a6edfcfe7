//! Compiled sets and maps as nftables'.

use super::spell::{NAME_LENGTH, link_name, octets};
use super::{FAMILY, TABLE};
use belljar_vpc::compile::{Family, Holds, Key, Kind, Part, Set, Value};
use nlink::netlink::nftables::{
    self as nft, ChainName, SetDataType, SetElement, SetKeyType, Verdict,
};

/// nft's number of the datatype of interfaces' names (`TYPE_IFNAME`), so that its own program
/// lists the set as it is meant.
const TYPE_NAME: u32 = 41;
/// As above, of ICMP's type and code together, for which nft has none: `TYPE_INTEGER`.
const TYPE_INTEGER: u32 = 4;

fn key_type(kind: Kind) -> SetKeyType {
    match kind {
        Kind::Link => SetKeyType::Other { type_id: TYPE_NAME, len: NAME_LENGTH as u32 },
        Kind::Address(Family::V4) => SetKeyType::Ipv4Addr,
        Kind::Address(Family::V6) => SetKeyType::Ipv6Addr,
        Kind::Protocol => SetKeyType::InetProto,
        Kind::Port => SetKeyType::InetService,
        Kind::TypeCode => SetKeyType::Other { type_id: TYPE_INTEGER, len: 2 },
    }
}

/// A set, without its elements.
pub(super) fn set(name: &str, set: &Set) -> nft::Set {
    let key = match set.key.as_slice() {
        [one] => key_type(*one),
        several => SetKeyType::Concat(several.iter().map(|k| key_type(*k)).collect()),
    };
    let made = nft::Set::new(TABLE, name).family(FAMILY).key_type(key);
    let made = if set.ranges { made.interval() } else { made };
    match set.holds {
        Holds::Members => made,
        Holds::Verdicts => made.vmap(),
        Holds::Marks => made.map(SetDataType::Value(SetKeyType::Mark)),
        Holds::Addresses => made.map(SetDataType::Value(SetKeyType::Ipv4Addr)),
    }
}

fn part(part: &Part, kind: Kind) -> SetElement {
    let number = |n: u16| match kind {
        Kind::Protocol => vec![n.to_be_bytes()[1]],
        _ => n.to_be_bytes().to_vec(),
    };
    match part {
        Part::Link(name) => SetElement::new(link_name(name)),
        Part::Address(address) => SetElement::new(octets(*address)),
        Part::Addresses(first, last) => SetElement::range(octets(*first), octets(*last)),
        Part::Numbers(first, last) if first == last => SetElement::new(number(*first)),
        Part::Numbers(first, last) => SetElement::range(number(*first), number(*last)),
    }
}

/// An element.
pub(super) fn element(set: &Set, key: &Key, value: &Value) -> nlink::Result<SetElement> {
    let mut parts = key.iter().zip(&set.key).map(|(p, kind)| part(p, *kind));
    let element = match (parts.next(), key.len()) {
        (Some(one), 1) => one,
        (Some(one), _) => SetElement::concat(std::iter::once(one).chain(parts)),
        (None, _) => SetElement::new(Vec::new()),
    };
    Ok(match value {
        Value::Member => element,
        Value::Accept => element.verdict(Verdict::Accept),
        Value::Goto(chain) => element.verdict(Verdict::GotoTo(ChainName::new(&**chain)?)),
        Value::Mark(mark) => element.value(SetElement::mark(*mark)),
        Value::Address(address) => element.value(SetElement::ipv4(*address)),
    })
}
