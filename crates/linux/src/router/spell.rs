//! A compiled rule as nftables' expressions.

use belljar_vpc::compile::{
    Action, DENIED_GROUP, DENIED_SNAP_LENGTH, Family, Field, Layer, Match, Name, Rule, State,
};
use ipnet::IpNet;
use nlink::netlink::nftables::expr::{Expr, LogExpr, LookupExpr};
use nlink::netlink::nftables::{
    ChainName, CmpOp, CtKey, CtState, MetaKey, PayloadBase, PayloadCsum, RangeOp,
    Register, Verdict,
};

/// Length of an interface's name in the kernel (`IFNAMSIZ`).
pub(super) const NAME_LENGTH: usize = 16;
/// `NFPROTO_IPV4` and `NFPROTO_IPV6` (linux/netfilter.h).
const PROTOCOLS: [u8; 2] = [2, 10];
/// `NFT_REJECT_TCP_RST` (linux/netfilter/nf_tables.h).
const TCP_RESET: u32 = 1;

/// What is done with a packet that is denied, after it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Denial {
    /// It vanishes, as in AWS.
    #[default]
    Silent,
    /// TCP is answered with a reset, so that tests need not wait for silence.
    Reset,
}

/// The expressions of a rule. Each of what it asks for stands for itself: it loads, and compares.
pub(super) fn expressions(rule: &Rule, denial: Denial) -> nlink::Result<Vec<Expr>> {
    let mut all = Vec::new();
    for condition in &rule.matches {
        matching(condition, &mut all);
    }
    match &rule.action {
        Action::Accept => all.push(Expr::Verdict(Verdict::Accept)),
        Action::Drop => all.push(Expr::Verdict(Verdict::Drop)),
        Action::Deny(layer) => deny(*layer, denial, &mut all),
        Action::Jump(name) => all.push(Expr::Verdict(Verdict::JumpTo(ChainName::new(&**name)?))),
        Action::Goto(name) => all.push(Expr::Verdict(Verdict::GotoTo(ChainName::new(&**name)?))),
        Action::Decide(field, map) => {
            load(&[*field], &mut all);
            all.push(held(map, Register::Verdict));
        }
        Action::Mark(field, map) => {
            load(&[*field], &mut all);
            all.push(held(map, Register::R0));
            all.push(Expr::MetaSet { key: MetaKey::Mark, sreg: Register::R0 });
        }
        Action::ToPrivate(map) => translate(false, map, &mut all),
        Action::ToPublic(map) => translate(true, map, &mut all),
        Action::QuotedToPrivate(map) => translate_quoted(true, map, &mut all),
        Action::QuotedToPublic(map) => translate_quoted(false, map, &mut all),
    }
    Ok(all)
}

fn held(map: &Name, into: Register) -> Expr {
    LookupExpr::new(&**map, Register::R0).dreg(into).into()
}

fn deny(layer: Layer, denial: Denial, all: &mut Vec<Expr>) {
    // Without a threshold of 1 the kernel holds records back for up to a second.
    let log = LogExpr::new().prefix(layer.name()).group(DENIED_GROUP);
    all.push(log.snaplen(DENIED_SNAP_LENGTH).queue_threshold(1).into());
    match denial {
        Denial::Silent => all.push(Expr::Verdict(Verdict::Drop)),
        // Drops too; what is not TCP gets no answer.
        Denial::Reset => all.push(Expr::Reject { reject_type: TCP_RESET, icmp_code: 0 }),
    }
}

/// Puts what the map holds for an address in its place, and sets the checksums right.
fn translate(source: bool, map: &Name, all: &mut Vec<Expr>) {
    let field = if source { Field::Source(Family::V4) } else { Field::Destination(Family::V4) };
    load(&[field], all);
    all.push(held(map, Register::R0));
    let (offset, len) = place(source, Family::V4);
    all.push(Expr::PayloadSet {
        sreg: Register::R0,
        base: PayloadBase::Network,
        offset,
        len,
        csum: PayloadCsum::Inet,
        csum_offset: 10,
        l4_pseudo_header: true,
    });
}

/// The same of the head that an ICMP error quotes, behind eight bytes of its own. The quoted head's
/// checksum is left as it is: who reads the head does not look at it.
fn translate_quoted(source: bool, map: &Name, all: &mut Vec<Expr>) {
    let (offset, len) = place(source, Family::V4);
    let offset = offset + 8;
    let (base, r) = (PayloadBase::Transport, Register::R0);
    all.push(Expr::Payload { dreg: r, base, offset, len });
    all.push(held(map, r));
    all.push(Expr::PayloadSet {
        sreg: r,
        base,
        offset,
        len,
        csum: PayloadCsum::Inet,
        csum_offset: 2,
        l4_pseudo_header: false,
    });
}

fn matching(condition: &Match, all: &mut Vec<Expr>) {
    match condition {
        Match::From(name) => {
            load(&[Field::From], all);
            all.push(equal(link_name(name)));
        }
        Match::To(name) => {
            load(&[Field::To], all);
            all.push(equal(link_name(name)));
        }
        Match::Family(family) => guard(*family, all),
        Match::Block { source, block } => within(*source, block, all),
        Match::Protocol(number) => {
            load(&[Field::Protocol], all);
            all.push(equal(vec![*number]));
        }
        Match::Between(field, first, last) => {
            load(&[*field], all);
            let (from, to) = (number(*field, *first), number(*field, *last));
            all.push(if from == to {
                equal(from)
            } else {
                Expr::Range { sreg: Register::R0, op: RangeOp::Eq, from, to }
            });
        }
        Match::In(fields, set) => {
            load(fields, all);
            all.push(LookupExpr::new(&**set, Register::R0).into());
        }
        Match::State(state) => {
            let bits = match state {
                State::Established => CtState::ESTABLISHED | CtState::RELATED,
                State::Invalid => CtState::INVALID,
            };
            let r = Register::R0;
            all.push(Expr::Ct { dreg: r, key: CtKey::State });
            let (mask, xor) = (bits.bits().to_ne_bytes().to_vec(), vec![0; 4]);
            all.push(Expr::Bitwise { sreg: r, dreg: r, len: 4, mask, xor });
            all.push(Expr::Cmp { sreg: r, op: CmpOp::Neq, data: vec![0; 4] });
        }
    }
}

fn equal(data: Vec<u8>) -> Expr {
    Expr::Cmp { sreg: Register::R0, op: CmpOp::Eq, data }
}

/// A link's name as the kernel compares it.
pub(super) fn link_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME_LENGTH, 0);
    bytes
}

fn number(field: Field, value: u16) -> Vec<u8> {
    match field {
        Field::Protocol => vec![value.to_be_bytes()[1]],
        _ => value.to_be_bytes().to_vec(),
    }
}

/// That a packet is of a family, which is asked once: nlink would take a second time out again.
fn guard(family: Family, all: &mut Vec<Expr>) {
    let load = Expr::Meta { dreg: Register::R0, key: MetaKey::NfProto };
    let asked = [load, equal(vec![PROTOCOLS[family as usize]])];
    if !all.windows(2).any(|pair| pair == asked) {
        all.extend(asked);
    }
}

/// Where an address is in the head, and how long it is.
const fn place(source: bool, family: Family) -> (u32, u32) {
    match (family, source) {
        (Family::V4, true) => (12, 4),
        (Family::V4, false) => (16, 4),
        (Family::V6, true) => (8, 16),
        (Family::V6, false) => (24, 16),
    }
}

fn within(source: bool, block: &IpNet, all: &mut Vec<Expr>) {
    let family = Family::of(&block.addr());
    guard(family, all);
    let (offset, len) = place(source, family);
    let r = Register::R0;
    all.push(Expr::Payload { dreg: r, base: PayloadBase::Network, offset, len });
    if block.prefix_len() < block.max_prefix_len() {
        let (mask, xor) = (octets(block.netmask()), vec![0; len as usize]);
        all.push(Expr::Bitwise { sreg: r, dreg: r, len, mask, xor });
    }
    all.push(equal(octets(block.network())));
}

/// An address as it is on the wire.
pub(super) fn octets(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(a) => a.octets().to_vec(),
        std::net::IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// Loads fields one behind the other, each from a new word, as a set's keys have them. What guards
/// them comes first, because it needs a register.
fn load(fields: &[Field], all: &mut Vec<Expr>) {
    for field in fields {
        if let Field::Source(family) | Field::Destination(family) = field {
            guard(*family, all);
        }
    }
    let mut word = 0;
    for field in fields {
        let dreg = Register::word(word).unwrap_or(Register::R0);
        let address = |source, family| {
            let (offset, len) = place(source, family);
            (Expr::Payload { dreg, base: PayloadBase::Network, offset, len }, len as usize / 4)
        };
        let behind = |offset| Expr::Payload { dreg, base: PayloadBase::Transport, offset, len: 2 };
        let (expression, words) = match field {
            Field::From => (Expr::Meta { dreg, key: MetaKey::IifName }, NAME_LENGTH / 4),
            Field::To => (Expr::Meta { dreg, key: MetaKey::OifName }, NAME_LENGTH / 4),
            Field::Source(family) => address(true, *family),
            Field::Destination(family) => address(false, *family),
            Field::Protocol => (Expr::Meta { dreg, key: MetaKey::L4Proto }, 1),
            Field::Port => (behind(2), 1),
            Field::TypeCode => (behind(0), 1),
        };
        all.push(expression);
        word += words;
    }
}
