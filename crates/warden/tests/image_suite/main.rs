//! The image room from outside: hostile archives, overlay semantics, transports, the store.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, in its helpers too")]

mod hostile;
mod overlay;
mod registry;
mod server;
mod store;
mod support;
mod transports;
