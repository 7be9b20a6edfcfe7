//! What crosses a router, counted by the kernel: for flow logs.
//!
//! What passes is counted by a [`Meter`]: a table of its own, whose one chain comes behind all that
//! decide, counts by link, addresses and ports in a set. So every count is of packets that did
//! pass, and at the interfaces at which they did: connection tracking has counted a packet before
//! anything has dropped it, knows no links, and counts twice what crosses the router twice, by way
//! of a middlebox. What is for the router itself (its resolver) is not forwarded and not counted,
//! as in AWS. What is refused is heard of by [`Refusals`], packet by packet.

mod meter;
mod ports;
mod refusals;
mod sets;
mod tally;

pub use meter::{Meter, Reading, Turn};
pub use ports::Ports;
pub use refusals::{Heard, Refusals};
pub use tally::{Count, Tally};
