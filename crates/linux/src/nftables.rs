//! Questions to nftables. nlink lists all sets of a table to list one's elements, and cannot ask for
//! some of them, or for the rules of one chain.

use crate::error::{Error, Result};
use nlink::netlink::nftables::expr::{RuleExpr, parse_expressions};
use nlink::netlink::nftables::{ChainName, Family, SetElement, SetElementData, Verdict};
use nlink::netlink::{Connection, MessageBuilder, Nftables};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// The subsystem's number, and its messages (linux/netfilter/nfnetlink.h, nf_tables.h).
const SUBSYSTEM: u16 = 10 << 8;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const GET_RULE: u16 = SUBSYSTEM | 7;
const GET_SET: u16 = SUBSYSTEM | 10;
const GET_ELEMENTS: u16 = SUBSYSTEM | 13;
/// Of netlink itself (linux/netlink.h).
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const INTERRUPTED: u16 = 0x10;
const HEAD: usize = 16;
/// What of an attribute's type is its type (`NLA_TYPE_MASK`).
const TYPE: u16 = 0x3fff;
/// Attributes of all messages that are used: the table, and the set's or a rule's chain's name in it.
const TABLE: u16 = 1;
const NAME: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const CHAIN_NAME: u16 = 3;
const ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const KEY: u16 = 1;
const DATA: u16 = 2;
const KEY_END: u16 = 10;
const STATEMENT: u16 = 7;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const STATEMENT_DATA: u16 = 2;
const COUNTED_BYTES: u16 = 1;
const COUNTED_PACKETS: u16 = 2;
/// `NF_ACCEPT` and `NFT_GOTO`.
const ACCEPT: i32 = 1;
const GOTO: i32 = -4;

/// How often a listing is begun again that was changed meanwhile.
const ATTEMPTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);
const WHAT: &str = "ask nftables";

/// An element, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) key: Vec<u8>,
    pub(crate) key_end: Option<Vec<u8>>,
    pub(crate) data: Option<SetElementData>,
    /// Packets and bytes, if it counts.
    pub(crate) counted: Option<(u64, u64)>,
}

impl From<&SetElement> for Element {
    /// As it is meant: nothing was counted.
    fn from(of: &SetElement) -> Self {
        let (key, key_end) = (of.key().to_vec(), of.key_end().map(<[u8]>::to_vec));
        Self { key, key_end, data: of.data().cloned(), counted: None }
    }
}

/// All elements of a set. Those of an interval set that is no concatenation are its ends, one by
/// one.
pub(crate) async fn elements(
    nft: &Connection<Nftables>,
    table: &str,
    set: &str,
) -> Result<Vec<Element>> {
    let answers = dump(nft, GET_ELEMENTS, |m| named(m, table, set)).await?;
    Ok(answers.iter().flat_map(|payload| read_elements(payload)).collect())
}

/// Those of a set that have these keys.
pub(crate) async fn some_elements(
    nft: &Connection<Nftables>,
    (table, set): (&str, &str),
    keys: impl Iterator<Item = &[u8]>,
) -> Result<Vec<Element>> {
    let mut message = begin(GET_ELEMENTS, REQUEST | ACK);
    named(&mut message, table, set);
    let list = message.nest_start(ELEMENTS);
    for key in keys {
        let one = message.nest_start(LIST_ELEMENT);
        let nest = message.nest_start(KEY);
        message.append_attr(VALUE, key);
        message.nest_end(nest);
        message.nest_end(one);
    }
    message.nest_end(list);
    let answers = once(nft, message).await.map_err(during)?;
    Ok(answers.iter().flat_map(|payload| read_elements(payload)).collect())
}

/// The rules of each chain of a table, in order; with a chain, of that.
pub(crate) async fn rules(
    nft: &Connection<Nftables>,
    table: &str,
    chain: Option<&str>,
) -> Result<BTreeMap<String, Vec<Vec<RuleExpr>>>> {
    let of_chain = |m: &mut MessageBuilder| {
        m.append_attr_str(TABLE, table);
        chain.into_iter().for_each(|chain| m.append_attr_str(NAME, chain));
    };
    let answers = dump(nft, GET_RULE, of_chain).await?;
    let mut rules = BTreeMap::new();
    for payload in &answers {
        let Some(name) = text(payload, NAME) else { continue };
        let list = attribute(payload, RULE_EXPRESSIONS).unwrap_or_default();
        let of_chain: &mut Vec<_> = rules.entry(name.to_owned()).or_default();
        of_chain.push(parse_expressions(list));
    }
    Ok(rules)
}

/// Whether there is a set, or a chain, of this name.
pub(crate) async fn is_there(
    nft: &Connection<Nftables>,
    table: &str,
    name: &str,
    is_set: bool,
) -> Result<bool> {
    let (kind, attr) = if is_set { (GET_SET, NAME) } else { (GET_CHAIN, CHAIN_NAME) };
    let mut message = begin(kind, REQUEST | ACK);
    message.append_attr_str(TABLE, table);
    message.append_attr_str(attr, name);
    found(once(nft, message).await)
}

/// Whether there is an element with this key.
pub(crate) async fn has_element(
    nft: &Connection<Nftables>,
    of: (&str, &str),
    key: &[u8],
) -> Result<bool> {
    match some_elements(nft, of, std::iter::once(key)).await {
        Err(e) if e.errno() == Some(libc::ENOENT) => Ok(false),
        answers => Ok(!answers?.is_empty()),
    }
}

fn found(answers: io::Result<Vec<Vec<u8>>>) -> Result<bool> {
    match answers {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        answers => Ok(!answers.map_err(during)?.is_empty()),
    }
}

fn named(message: &mut MessageBuilder, table: &str, name: &str) {
    message.append_attr_str(TABLE, table);
    message.append_attr_str(NAME, name);
}

/// A message about a table of the family that all tables here are of.
fn begin(kind: u16, flags: u16) -> MessageBuilder {
    let mut message = MessageBuilder::new(kind, flags);
    message.append_bytes(&[Family::Inet as u8, 0, 0, 0]);
    message
}

fn during(source: io::Error) -> Error {
    Error { operation: WHAT.to_owned(), source }
}

/// All that is listed; again, if it changed while it was.
async fn dump(
    nft: &Connection<Nftables>,
    kind: u16,
    attributes: impl Fn(&mut MessageBuilder),
) -> Result<Vec<Vec<u8>>> {
    for _ in 0..ATTEMPTS {
        let mut message = begin(kind, REQUEST | DUMP);
        attributes(&mut message);
        match once(nft, message).await {
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            answers => return answers.map_err(during),
        }
    }
    Err(Error::other(WHAT, "the rules change all the time"))
}

/// What the kernel answers, message by message, without their heads.
async fn once(nft: &Connection<Nftables>, mut message: MessageBuilder) -> io::Result<Vec<Vec<u8>>> {
    let socket = nft.socket();
    let number = socket.next_seq();
    message.set_seq(number);
    message.set_pid(socket.pid());
    let other = |e: nlink::Error| {
        e.errno().map_or_else(|| io::Error::other(e.to_string()), io::Error::from_raw_os_error)
    };
    socket.send(&message.finish()).await.map_err(other)?;
    let (mut all, mut is_torn) = (Vec::new(), false);
    loop {
        // The kernel has answered before it returns from the question.
        let datagram = match socket.try_recv_unicast().map_err(other)? {
            Some(datagram) => datagram,
            None => {
                let waited = tokio::time::timeout(PATIENCE, socket.recv_unicast()).await;
                waited.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(other)?
            }
        };
        let mut rest = datagram.as_slice();
        while let Some((kind, flags, seq, payload)) = next_message(&mut rest) {
            if seq != number {
                continue;
            }
            is_torn |= flags & INTERRUPTED != 0;
            let error = || payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
            match kind {
                ERROR | DONE if error() < 0 => {
                    return Err(io::Error::from_raw_os_error(-error()));
                }
                ERROR | DONE if is_torn => return Err(io::Error::from_raw_os_error(libc::EINTR)),
                ERROR | DONE => return Ok(all),
                // Behind the family's own head.
                _ => all.push(payload.get(4..).unwrap_or_default().to_vec()),
            }
        }
    }
}

/// The next message's type, flags, number and payload.
fn next_message<'a>(rest: &mut &'a [u8]) -> Option<(u16, u16, u32, &'a [u8])> {
    let whole = *rest;
    let length = u32::from_ne_bytes(whole.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(whole.get(4..6)?.try_into().ok()?);
    let flags = u16::from_ne_bytes(whole.get(6..8)?.try_into().ok()?);
    let number = u32::from_ne_bytes(whole.get(8..12)?.try_into().ok()?);
    let payload = whole.get(HEAD..length)?;
    *rest = whole.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, flags, number, payload))
}

/// Attributes, one after the other.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(self.0.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?) & TYPE;
        let payload = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    }
}

fn attribute(of: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes(of).find(|(kind, _)| *kind == wanted).map(|(_, payload)| payload)
}

fn text(of: &[u8], wanted: u16) -> Option<&str> {
    std::str::from_utf8(attribute(of, wanted)?.strip_suffix(&[0])?).ok()
}

fn read_elements(payload: &[u8]) -> impl Iterator<Item = Element> {
    let lists = Attributes(payload).filter(|(kind, _)| *kind == ELEMENTS);
    let all = lists.flat_map(|(_, list)| Attributes(list));
    all.filter(|(kind, _)| *kind == LIST_ELEMENT).filter_map(|(_, one)| read_element(one))
}

fn read_element(one: &[u8]) -> Option<Element> {
    let value = |of: &[u8]| attribute(of, VALUE).map(<[u8]>::to_vec);
    let mut element = Element { key: Vec::new(), key_end: None, data: None, counted: None };
    for (kind, payload) in Attributes(one) {
        match kind {
            KEY => element.key = value(payload)?,
            KEY_END => element.key_end = value(payload),
            DATA => element.data = Some(read_data(payload)?),
            STATEMENT => element.counted = read_counter(payload),
            _ => {}
        }
    }
    Some(element)
}

fn read_data(payload: &[u8]) -> Option<SetElementData> {
    if let Some(value) = attribute(payload, VALUE) {
        return Some(SetElementData::Value(value.to_vec()));
    }
    let verdict = attribute(payload, VERDICT)?;
    let code = i32::from_be_bytes(attribute(verdict, VERDICT_CODE)?.try_into().ok()?);
    Some(SetElementData::Verdict(match code {
        ACCEPT => Verdict::Accept,
        GOTO => Verdict::GotoTo(ChainName::new(text(verdict, VERDICT_CHAIN)?).ok()?),
        // What is never loaded here.
        _ => Verdict::Continue,
    }))
}

fn read_counter(statement: &[u8]) -> Option<(u64, u64)> {
    let data = attribute(statement, STATEMENT_DATA)?;
    let number = |kind| Some(u64::from_be_bytes(attribute(data, kind)?.try_into().ok()?));
    Some((number(COUNTED_PACKETS)?, number(COUNTED_BYTES)?))
}
