//! `belljar-warden exec`: a command of the user's own, where all of AWS is one unix socket.

#![expect(clippy::unwrap_used, reason = "a test ends at what goes wrong")]

mod ending;
mod jar;
mod same;
mod ways;
