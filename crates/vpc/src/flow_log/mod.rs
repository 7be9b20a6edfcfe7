//! Flow logs: what is recorded of packets, and how a record is written.
//!
//! The kernel counts what crosses a router ([`Crossing`]); each interface on its way saw it
//! ([`Observation`]); the [`Aggregator`] makes of that, interval by interval, the records of every
//! flow log, which [`Record::line`] writes in its [`Format`].
//!
//! Source: Amazon VPC User Guide, "Flow log records", "Flow log record examples", "Flow log
//! limitations".

mod aggregate;
mod crossing;
mod field;
mod format;
mod layer;
mod packet;
mod record;
mod silent;
#[cfg(test)]
mod tests;

pub use aggregate::Aggregator;
pub use crossing::{Crossing, Observation, Port, Tuple};
pub use field::Field;
pub use format::{DEFAULT, Format, FormatError};
pub use layer::{Layer, Side};
pub use packet::{Flags, Head};
pub use record::{Batch, Context, Flow, Interface, Place, Record, Status};
