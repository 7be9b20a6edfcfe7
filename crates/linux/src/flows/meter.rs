//! Counts what passes.

use super::tally::{Count, Tally};
use crate::error::{During, Result};
use crate::router::RouterNet;
use belljar_vpc::flow_log::{Flags, Tuple};
use belljar_vpc::rules::{TCP, UDP};
use nlink::netlink::nftables::expr::DynsetExpr;
use nlink::netlink::nftables::{
    BaseChain, Chain, CmpOp, DynsetOp, Expr, Family, FilterHook, MetaKey, PayloadBase, Policy,
    Priority, Register, Rule, Set, SetElement, SetKeyType, Transaction, Verdict,
};
use nlink::netlink::{Connection, Nftables};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

const TABLE: &str = "belljar-flows";
const CHAIN: &str = "passed";
/// Behind every chain that decides.
const PRIORITY: i32 = 300;
/// Elements of a set. A TCP connection is six: two directions, with SYN, FIN and neither. Each has
/// a counter a CPU. The kernel makes room for all of them at once, so that a set never grows while
/// it is read.
const SIZE: u32 = 32_768;
/// Pairs of links of which something was not counted.
const LOST_SIZE: u32 = 4_096;
/// `integer` of nft; its length is the set's.
const INTEGER: u32 = 4;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    /// `NFPROTO_*`.
    protocol: u8,
    /// Where the addresses are in the IP head.
    offset: u32,
    /// Words of an address.
    words: usize,
}

const V4: Kind = Kind { name: "v4", protocol: 2, offset: 12, words: 1 };
const V6: Kind = Kind { name: "v6", protocol: 10, offset: 8, words: 4 };

impl Kind {
    /// Words of a key: two links, two addresses, protocol, ports, TCP flags.
    const fn key_words(self) -> usize {
        5 + 2 * self.words
    }

    fn set(self, epoch: u64) -> Set {
        let len = 4 * self.key_words() as u32;
        counting(&format!("{}-{epoch}", self.name), len, SIZE)
    }
}

/// What passed since the last reading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// What was counted.
    pub counts: Vec<Count>,
    /// The links between which more passed, for which there was no room.
    pub lost: Vec<(u32, u32)>,
    /// Whether the sets were more than a quarter full: whoever waits as long again may lose some.
    pub crowded: bool,
}

/// That the kernel counts elsewhere now: what [`Meter::read`] is told.
#[derive(Debug)]
pub struct Turn(Option<u64>);

/// The meter of one router. Its table is gone with the namespace, or by [`Meter::stop`].
pub struct Meter {
    nft: Connection<Nftables>,
    /// Number of the sets that are counted in now.
    epoch: u64,
    /// Whether the sets before these are still there.
    has_old: bool,
    /// Whether something had passed when it was last read.
    busy: bool,
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Meter {
    /// Counts from now on what this router lets pass.
    ///
    /// # Errors
    /// If the kernel refuses the table.
    pub async fn start(router: &mut RouterNet) -> Result<Self> {
        let nft = Connection::<Nftables>::new_in(router.as_fd());
        let nft = nft.during("open an nftables socket")?;
        let base = BaseChain::filter(FilterHook::Forward, Priority::Custom(PRIORITY));
        let chain = Chain::new(TABLE, CHAIN).during("name the chain")?;
        let chain = chain.base(base.policy(Policy::Accept)).family(Family::Inet);
        // One may have been left by a meter that was dropped.
        let batch = nft.transaction().add_table(TABLE, Family::Inet);
        let batch = batch.del_table(TABLE, Family::Inet).add_table(TABLE, Family::Inet);
        router.beside(counted(batch.add_chain(chain), 0)).await?;
        Ok(Self { nft, epoch: 0, has_old: false, busy: false })
    }

    /// Counts no more, and forgets what was counted.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn stop(self, router: &mut RouterNet) -> Result<()> {
        router.beside(self.nft.transaction().del_table(TABLE, Family::Inet)).await
    }

    /// Has the kernel count in other sets from now on, so that those that were can be read:
    /// nothing is counted twice, and nothing falls between. The router is needed for this moment
    /// only. Where nothing has passed nothing is changed.
    ///
    /// # Errors
    /// If the kernel does not answer. What was counted stays for the next time.
    pub async fn turn(&mut self, router: &mut RouterNet) -> Result<Turn> {
        if !self.busy && self.sets(self.epoch).await?.is_empty() {
            return Ok(Turn(None));
        }
        let (old, new) = (self.epoch, self.epoch + 1);
        let mut batch = self.nft.transaction().flush_chain(TABLE, CHAIN, Family::Inet);
        if self.has_old {
            batch = without(batch, old - 1);
        }
        router.beside(counted(batch, new)).await?;
        (self.epoch, self.has_old) = (new, true);
        Ok(Turn(Some(old)))
    }

    /// What passed between the last two turns.
    ///
    /// # Errors
    /// If the kernel does not answer. What was counted is then lost.
    pub async fn read(&mut self, turn: Turn) -> Result<Reading> {
        let Some(epoch) = turn.0 else { return Ok(Reading::default()) };
        let reading = self.sets(epoch).await?;
        self.busy = !reading.is_empty();
        Ok(reading)
    }

    async fn sets(&self, epoch: u64) -> Result<Reading> {
        let mut reading = Reading::default();
        for kind in [V4, V6] {
            let set = format!("{}-{epoch}", kind.name);
            let elements = self.list(&set).await?;
            reading.crowded |= elements.len() > SIZE as usize / 4;
            // A flow has an element for each kind of TCP packet.
            let mut tally = Tally::default();
            for count in elements.iter().filter_map(|e| kind.parse(e)) {
                tally.add(count, usize::MAX);
            }
            reading.counts.extend(tally.into_counts());
        }
        let lost = self.list(&format!("lost-{epoch}")).await?;
        let links = lost.iter().filter_map(|e| Some((word(e.key(), 0)?, word(e.key(), 1)?)));
        reading.lost = links.collect();
        Ok(reading)
    }

    async fn list(&self, set: &str) -> Result<Vec<SetElement>> {
        let elements = self.nft.list_set_elements(TABLE, set, Family::Inet).await;
        elements.during("read what was counted")
    }
}

impl Reading {
    fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.lost.is_empty()
    }
}

fn counting(name: &str, len: u32, size: u32) -> Set {
    let key = SetKeyType::Other { type_id: INTEGER, len };
    Set::new(TABLE, name).family(Family::Inet).key_type(key).dynamic().size(size)
}

fn lost(epoch: u64) -> Set {
    counting(&format!("lost-{epoch}"), 8, LOST_SIZE)
}

fn without(batch: Transaction, epoch: u64) -> Transaction {
    let names = [V4.name, V6.name, "lost"];
    names.iter().fold(batch, |b, name| b.del_set(TABLE, &format!("{name}-{epoch}"), Family::Inet))
}

/// The sets of this number, and the rules that count in them.
fn counted(batch: Transaction, epoch: u64) -> Transaction {
    let mut batch = batch.add_set(V4.set(epoch)).add_set(V6.set(epoch)).add_set(lost(epoch));
    for kind in [V4, V6] {
        for transport in [Some(TCP), Some(UDP), None] {
            batch = batch.add_rule(rule(kind, transport, epoch));
        }
    }
    let mut missed = links();
    let all = DynsetExpr::new(DynsetOp::Update, format!("lost-{epoch}"), Register::R0);
    missed.push(Expr::Dynset(all));
    batch.add_rule(Rule::new(TABLE, CHAIN).family(Family::Inet).expressions(missed))
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

/// Counts the packets of a kind and transport. One that it has no room for goes on to the next
/// rules, of which only the last applies to it.
fn rule(kind: Kind, transport: Option<u8>, epoch: u64) -> Rule {
    let equal = |op, value| Expr::Cmp { sreg: Register::R0, op, data: vec![value] };
    let meta = |word, key| Expr::Meta { dreg: at(word), key };
    let mut all = vec![meta(0, MetaKey::NfProto), equal(CmpOp::Eq, kind.protocol)];
    all.push(meta(0, MetaKey::L4Proto));
    match transport {
        Some(number) => all.push(equal(CmpOp::Eq, number)),
        None => all.extend([TCP, UDP].map(|number| equal(CmpOp::Neq, number))),
    }
    all.extend(links());
    let length = 4 * kind.words as u32;
    for place in 0..2 {
        let base = PayloadBase::Network;
        let offset = kind.offset + place * length;
        let dreg = at(2 + place as usize * kind.words);
        all.push(Expr::Payload { dreg, base, offset, len: length });
    }
    let next = 2 + 2 * kind.words;
    all.push(meta(next, MetaKey::L4Proto));
    let base = PayloadBase::Transport;
    let zero = |word| Expr::Immediate { dreg: at(word), data: vec![0; 4] };
    all.push(match transport {
        Some(_) => Expr::Payload { dreg: at(next + 1), base, offset: 0, len: 4 },
        None => zero(next + 1),
    });
    if transport == Some(TCP) {
        let dreg = at(next + 2);
        all.push(Expr::Payload { dreg, base, offset: 13, len: 1 });
        let mask = vec![Flags::MASK, 0, 0, 0];
        all.push(Expr::Bitwise { sreg: dreg, dreg, len: 4, mask, xor: vec![0; 4] });
    } else {
        all.push(zero(next + 2));
    }
    let set = format!("{}-{epoch}", kind.name);
    all.push(Expr::Dynset(DynsetExpr::new(DynsetOp::Update, set, Register::R0).counter()));
    all.push(Expr::Verdict(Verdict::Accept));
    Rule::new(TABLE, CHAIN).family(Family::Inet).expressions(all)
}

/// A word of a key, in the machine's order.
fn word(key: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(key.get(4 * place..4 * place + 4)?.try_into().ok()?))
}

impl Kind {
    fn parse(self, element: &SetElement) -> Option<Count> {
        let key = element.key();
        let (packets, bytes) = element.counter()?;
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
        let flags = Flags::of(*rest.get(8)?);
        let (from, to) = (Some(word(key, 0)?), Some(word(key, 1)?));
        Some(Count { from, to, tuple, refused: None, packets, bytes, flags })
    }
}
