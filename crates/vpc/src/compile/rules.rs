//! The instructions of a compiled router: few enough to be run by a page of code, near enough to
//! nftables that `linux` only spells them.

use super::router::Name;
use super::shared::Key;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// That of an address.
    #[must_use]
    pub const fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// `v4` or `v6`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }
}

/// Something of a packet that a rule looks at. Where a packet has no such thing, a rule that looks
/// at it does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The link that it came by.
    From,
    /// The link that it goes out by.
    To,
    /// Its source, if it is of this family.
    Source(Family),
    /// Its destination, if it is of this family.
    Destination(Family),
    /// Its protocol's number.
    Protocol,
    /// Its destination port: the second two bytes behind the IP header. Only looked at together
    /// with a protocol that has ports.
    Port,
    /// Its ICMP type and code, as one number: the first two bytes behind the IP header. Only
    /// looked at together with ICMP's number.
    TypeCode,
}

/// What a value of a field is, in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A link's name.
    Link,
    /// An address.
    Address(Family),
    /// A protocol's number.
    Protocol,
    /// A port.
    Port,
    /// An ICMP type and code.
    TypeCode,
}

impl Field {
    /// What its values are.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::From | Self::To => Kind::Link,
            Self::Source(family) | Self::Destination(family) => Kind::Address(family),
            Self::Protocol => Kind::Protocol,
            Self::Port => Kind::Port,
            Self::TypeCode => Kind::TypeCode,
        }
    }
}

/// A part of a key: one value, or all between two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// One link.
    Link(Name),
    /// One address.
    Address(IpAddr),
    /// The addresses from one to another, both included, of one family.
    Addresses(IpAddr, IpAddr),
    /// The numbers from one to another, both included.
    Numbers(u16, u16),
}

/// What a map holds for a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Nothing: the key is a member of a set.
    Member,
    /// The packet passes the chain's hook.
    Accept,
    /// A chain decides.
    Goto(Name),
    /// A mark.
    Mark(u32),
    /// An address.
    Address(Ipv4Addr),
}

/// What sort of values a set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// None: it is a set.
    Members,
    /// [`Value::Accept`] and [`Value::Goto`].
    Verdicts,
    /// [`Value::Mark`].
    Marks,
    /// [`Value::Address`].
    Addresses,
}

/// A set or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The kinds of its keys' parts.
    pub key: Vec<Kind>,
    /// Whether parts may be ranges. No two elements overlap: the kernel would refuse them.
    pub ranges: bool,
    /// What it holds.
    pub holds: Holds,
    /// Its elements.
    pub elements: BTreeMap<Key, Value>,
}

/// A state of a connection that a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It belongs to a connection that was answered, or is an error about one.
    Established,
    /// It belongs to none and can begin none.
    Invalid,
}

/// What a packet must be for a rule to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It came by this link.
    From(Name),
    /// It goes out by this link.
    To(Name),
    /// It is of this family.
    Family(Family),
    /// Its source (or with `false` its destination) lies in the block.
    Block {
        /// Whether the source is meant.
        source: bool,
        /// The block.
        block: IpNet,
    },
    /// Its protocol has this number.
    Protocol(u8),
    /// A number of it lies between two, both included.
    Between(Field, u16, u16),
    /// Its fields are in a set.
    In(Vec<Field>, Name),
    /// Its connection's state.
    State(State),
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The packet passes this hook; the next one goes on.
    Accept,
    /// It is dropped, and nobody is told.
    Drop,
    /// It is dropped, and whoever listens is told at which layer.
    Deny(Layer),
    /// Another chain is asked; if that decides nothing, this one goes on.
    Jump(Name),
    /// Another chain is asked instead.
    Goto(Name),
    /// What the map holds for the field; if nothing, the next rule goes on.
    Decide(Field, Name),
    /// Marks the packet with what the map holds for the field.
    Mark(Field, Name),
    /// Rewrites the destination to what the map holds for it.
    ToPrivate(Name),
    /// Rewrites the source to what the map holds for it.
    ToPublic(Name),
    /// Of an ICMP error: rewrites the source of the packet that it quotes, as [`Self::ToPrivate`]
    /// does of the answer to that.
    QuotedToPrivate(Name),
    /// Of an ICMP error: rewrites the destination of the packet that it quotes.
    QuotedToPublic(Name),
}

/// A rule: all of what it asks for, and what it then does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All must apply.
    pub matches: Vec<Match>,
    /// What it does.
    pub action: Action,
}

/// A chain. That of a hook has the hook's name. What its rules do not decide passes, if it is a hook's that translates or marks, and is
/// dropped if it is another hook's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The hook that runs it; `None` is run by other chains.
    pub hook: Option<Hook>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// The places at which a packet meets rules, in the order in which it comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// As it comes in, before anything is known of it.
    Source,
    /// As it comes in: translation of its destination, before connections are looked at.
    Arrive,
    /// As it comes in: which table it goes by.
    Mark,
    /// Routed to the router itself.
    Local,
    /// Routed: is it the interface's?
    Destination,
    /// Routed: network ACL of the subnet that it leaves.
    AclOut,
    /// Routed: network ACL of the subnet that it enters.
    AclIn,
    /// Routed: to and from the internet only with a public address.
    Public,
    /// Routed: the sender's security groups.
    Egress,
    /// Routed: the receiver's security groups.
    Ingress,
    /// As it goes out: translation of its source, behind all else.
    Leave,
}

impl Hook {
    /// All, in order.
    pub const ALL: [Self; 11] = [
        Self::Source,
        Self::Arrive,
        Self::Mark,
        Self::Local,
        Self::Destination,
        Self::AclOut,
        Self::AclIn,
        Self::Public,
        Self::Egress,
        Self::Ingress,
        Self::Leave,
    ];

    /// The name of its chain.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Mark => "mark",
            Self::Arrive => "arrive",
            Self::Local => "local",
            Self::Destination => "destination",
            Self::AclOut => "acl-out",
            Self::AclIn => "acl-in",
            Self::Public => "public",
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Leave => "leave",
        }
    }

    /// The layer that it is.
    #[must_use]
    pub const fn layer(self) -> Layer {
        match self {
            Self::Source => Layer::Source,
            Self::Mark | Self::Arrive | Self::Local | Self::Leave => Layer::Route,
            Self::Destination => Layer::Destination,
            Self::AclOut => Layer::AclOut,
            Self::AclIn => Layer::AclIn,
            Self::Public => Layer::Public,
            Self::Egress => Layer::Egress,
            Self::Ingress => Layer::Ingress,
        }
    }

    /// Whether what no rule decides passes.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Mark | Self::Arrive | Self::Leave)
    }
}

/// What denied a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The source/destination check of the interface that it came from.
    Source,
    /// No route, or one that leads nowhere. Of this there is no record.
    Route,
    /// The source/destination check of the interface that it was for, or a gateway that it is not
    /// for.
    Destination,
    /// The network ACL of the subnet that it left.
    AclOut,
    /// The network ACL of the subnet that it was to enter.
    AclIn,
    /// No public address.
    Public,
    /// The sender's security groups.
    Egress,
    /// The receiver's security groups.
    Ingress,
    /// It belongs to no connection and can begin none.
    Invalid,
}

impl Layer {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::Source,
        Self::Route,
        Self::Destination,
        Self::AclOut,
        Self::AclIn,
        Self::Public,
        Self::Egress,
        Self::Ingress,
        Self::Invalid,
    ];

    /// Its name, which is the prefix of its records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Route => "route",
            Self::Destination => "destination",
            Self::AclOut => "acl-out",
            Self::AclIn => "acl-in",
            Self::Public => "public",
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Invalid => "invalid",
        }
    }

    /// The layer of a record, by its prefix.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.name() == name)
    }
}

impl Set {
    /// An empty one.
    #[must_use]
    pub fn new(key: &[Kind], ranges: bool, holds: Holds) -> Self {
        Self { key: key.to_vec(), ranges, holds, elements: BTreeMap::new() }
    }

    /// With a further member.
    pub fn insert(&mut self, key: impl Into<Key>) {
        self.elements.insert(key.into(), Value::Member);
    }
}

impl Rule {
    /// A rule.
    #[must_use]
    pub fn new(matches: Vec<Match>, action: Action) -> Self {
        Self { matches, action }
    }
}
