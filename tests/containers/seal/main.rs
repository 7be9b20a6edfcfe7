//! The seal, tried from inside by the probe, with the same probe outside as the control: a way
//! out that is closed inside proves something only if it is open outside.

#![expect(clippy::unwrap_used, reason = "a test ends at what goes wrong")]

mod attempts;
mod facts;
mod inside;
mod neighbours;
mod peers;
mod secrets;
mod table;
mod targets;
mod ways;
mod world;
