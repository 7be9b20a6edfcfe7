//! The sets in which the kernel counts, and the rules that count in them.
//!
//! A flow has one element with its counters in one set; which SYN, FIN and RST came by is in a
//! second one, without counters: a counter is an allocation for every CPU, which costs more than all
//! the rest of an element.

use super::tally::Count;
use crate::nftables::Element;
use belljar_vpc::flow_log::{Flags, Tuple};
use belljar_vpc::rules::{TCP, UDP};
use nlink::netlink::nftables::expr::DynsetExpr;
use nlink::netlink::nftables::{
    CmpOp, DynsetOp, Expr, Family, MetaKey, PayloadBase, Register, Rule, Set, SetKeyType,
    Transaction, Verdict,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const TABLE: &str = "belljar-flows";
pub(super) const CHAIN: &str = "passed";
/// Flows that are counted at once; a TCP connection is two. The kernel makes room for all of them,
/// so that a set never grows while it is read.
pub(super) const SIZE: u32 = 32_768;
/// Elements of flags: as many as those flows can have.
const FLAGS_SIZE: u32 = 3 * SIZE;
/// Pairs of links of which something was not counted.
const LOST_SIZE: u32 = 4_096;
/// `integer` of nft; its length is the set's.
const INTEGER: u32 = 4;
/// FIN, SYN, RST.
const TELLING: u8 = 0b111;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    name: &'static str,
    /// `NFPROTO_*`.
    protocol: u8,
    /// Where the addresses are in the IP head.
    offset: u32,
    /// Words of an address.
    words: usize,
}

pub(super) const KINDS: [Kind; 2] = [
    Kind { name: "v4", protocol: 2, offset: 12, words: 1 },
    Kind { name: "v6", protocol: 10, offset: 8, words: 4 },
];

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Counts packets of TCP or UDP.
    Ports(u8),
    /// Counts packets without ports.
    Other,
    /// Notes the flags of TCP.
    Flags,
}

/// The set of this number in which links are noted between which something was not counted.
pub(super) fn lost(epoch: u64) -> String {
    format!("lost-{epoch}")
}

impl Kind {
    /// The set of this number in which packets are counted. A key is two links, two addresses, the
    /// protocol and the ports.
    pub(super) fn counts(self, epoch: u64) -> String {
        format!("{}-{epoch}", self.name)
    }

    /// The set of flags: a key has them behind all that.
    pub(super) fn flags(self, epoch: u64) -> String {
        format!("{}-flags-{epoch}", self.name)
    }

    const fn words(self) -> usize {
        4 + 2 * self.words
    }

    /// What an element says; one of flags is of no packets.
    pub(super) fn parse(self, element: &Element) -> Option<Count> {
        let key = &element.key;
        let (packets, bytes) = element.counted.unwrap_or_default();
        let address = |place: usize| -> Option<IpAddr> {
            let start = 4 * (2 + place * self.words);
            let bytes = key.get(start..start + 4 * self.words)?;
            Some(match <[u8; 4]>::try_from(bytes) {
                Ok(four) => Ipv4Addr::from(four).into(),
                Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
            })
        };
        let rest = key.get(4 * (2 + 2 * self.words)..)?;
        let port = |start| Some(u16::from_be_bytes(rest.get(start..start + 2)?.try_into().ok()?));
        let tuple = Tuple {
            source: address(0)?,
            destination: address(1)?,
            protocol: *rest.first()?,
            source_port: port(4)?,
            destination_port: port(6)?,
        };
        let flags = rest.get(8).map_or_else(Flags::default, |octet| Flags::of(*octet));
        let (from, to) = (Some(word(key, 0)?), Some(word(key, 1)?));
        Some(Count { from, to, tuple, refused: None, packets, bytes, flags })
    }
}

/// A word of a key, in the machine's order.
pub(super) fn word(key: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(key.get(4 * place..4 * place + 4)?.try_into().ok()?))
}

/// Removes the sets of this number.
pub(super) fn without(mut batch: Transaction, epoch: u64) -> Transaction {
    for kind in KINDS {
        batch = batch.del_set(TABLE, &kind.counts(epoch), Family::Inet);
        batch = batch.del_set(TABLE, &kind.flags(epoch), Family::Inet);
    }
    batch.del_set(TABLE, &lost(epoch), Family::Inet)
}

/// Adds the sets of this number, and the rules that count in them.
pub(super) fn counted(mut batch: Transaction, epoch: u64) -> Transaction {
    batch = batch.add_set(set(lost(epoch), 2, LOST_SIZE));
    for kind in KINDS {
        batch = batch.add_set(set(kind.counts(epoch), kind.words(), SIZE));
        batch = batch.add_set(set(kind.flags(epoch), kind.words() + 1, FLAGS_SIZE));
        for what in [What::Flags, What::Ports(TCP), What::Ports(UDP), What::Other] {
            batch = batch.add_rule(rule(kind, what, epoch));
        }
    }
    // Who comes here was not counted: for those who are, it ends before.
    let mut missed = links();
    let note = DynsetExpr::new(DynsetOp::Update, lost(epoch), Register::R0);
    missed.push(Expr::Dynset(note));
    batch.add_rule(Rule::new(TABLE, CHAIN).family(Family::Inet).expressions(missed))
}

fn set(name: String, words: usize, size: u32) -> Set {
    let key = SetKeyType::Other { type_id: INTEGER, len: 4 * words as u32 };
    Set::new(TABLE, &name).family(Family::Inet).key_type(key).dynamic().size(size)
}

/// The register that begins at this word of the key.
fn at(word: usize) -> Register {
    Register::word(word).unwrap_or(Register::Reg32_15)
}

/// The links of a packet, as the first two words.
fn links() -> Vec<Expr> {
    let meta = |word, key| Expr::Meta { dreg: at(word), key };
    vec![meta(0, MetaKey::Iif), meta(1, MetaKey::Oif)]
}

/// Leaves the octet of a TCP head's flags, as far as this mask, in a word.
fn tcp_flags(word: usize, mask: u8) -> [Expr; 2] {
    let (dreg, base) = (at(word), PayloadBase::Transport);
    let (mask, xor) = (vec![mask, 0, 0, 0], vec![0; 4]);
    [
        Expr::Payload { dreg, base, offset: 13, len: 1 },
        Expr::Bitwise { sreg: dreg, dreg, len: 4, mask, xor },
    ]
}

fn rule(kind: Kind, what: What, epoch: u64) -> Rule {
    let compare = |op, data| Expr::Cmp { sreg: Register::R0, op, data };
    let meta = |word, key| Expr::Meta { dreg: at(word), key };
    let mut all = vec![meta(0, MetaKey::NfProto), compare(CmpOp::Eq, vec![kind.protocol])];
    all.push(meta(0, MetaKey::L4Proto));
    match what {
        What::Ports(number) => all.push(compare(CmpOp::Eq, vec![number])),
        What::Flags => {
            all.push(compare(CmpOp::Eq, vec![TCP]));
            all.extend(tcp_flags(0, TELLING));
            all.push(compare(CmpOp::Neq, vec![0; 4]));
        }
        What::Other => all.extend([TCP, UDP].map(|number| compare(CmpOp::Neq, vec![number]))),
    }
    all.extend(links());
    let length = 4 * kind.words as u32;
    for place in 0..2 {
        let (base, offset) = (PayloadBase::Network, kind.offset + place * length);
        let dreg = at(2 + place as usize * kind.words);
        all.push(Expr::Payload { dreg, base, offset, len: length });
    }
    let next = 2 + 2 * kind.words;
    all.push(meta(next, MetaKey::L4Proto));
    let base = PayloadBase::Transport;
    all.push(match what {
        What::Other => Expr::Immediate { dreg: at(next + 1), data: vec![0; 4] },
        _ => Expr::Payload { dreg: at(next + 1), base, offset: 0, len: 4 },
    });
    if what == What::Flags {
        all.extend(tcp_flags(next + 2, Flags::MASK));
        let note = DynsetExpr::new(DynsetOp::Update, kind.flags(epoch), Register::R0);
        all.push(Expr::Dynset(note));
    } else {
        let count = DynsetExpr::new(DynsetOp::Update, kind.counts(epoch), Register::R0);
        all.push(Expr::Dynset(count.counter()));
        all.push(Expr::Verdict(Verdict::Accept));
    }
    Rule::new(TABLE, CHAIN).family(Family::Inet).expressions(all)
}
