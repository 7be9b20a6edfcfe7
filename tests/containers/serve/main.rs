//! Containers that serve: the way in, and that there is none out; health, ends, models, evidence.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../seal/inside.rs"]
#[expect(dead_code, reason = "the seal's own tests use the rest")]
mod inside;
#[path = "../seal/table.rs"]
mod table;
#[path = "../seal/world.rs"]
mod world;

mod archives;
mod ending;
mod evidence;
mod health;
mod idle;
mod many;
mod sealed;
mod way_in;
