//! The network as data: rules, and what they decide about a packet.
//!
//! Pure: nothing here touches the kernel. `linux` loads a [`Ruleset`] and reads it back; tests
//! hold [`Ruleset::interpret`] against real packets.
//!
//! **Invariant**: what is enforced and what is explained are the same value.

pub mod compile;
pub mod dns;
pub mod flow;
pub mod flow_log;
pub mod id;
pub mod interpret;
pub mod network;
pub mod open;
pub mod peers;
pub mod policy;
pub mod reach;
pub mod rules;
pub mod sample;
pub mod sealed;
pub mod services;
pub mod text;
pub mod traffic;

pub use compile::{Router, compile};
pub use flow::{Flow, Source};
pub use interpret::interpret;
pub use network::{Description, Network};
pub use reach::{Reach, reach};
pub use rules::{Action, Decision, Match, Packet, Rule, Ruleset, Verdict};
pub use traffic::{Header, Payload, Traffic, Transport};
