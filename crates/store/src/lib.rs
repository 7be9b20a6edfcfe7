//! Durable state: records, transactions and watch in SQLite, and object bytes beside it.
//!
//! [`State`] is a service's folder: one database for jobs, logs, identity and the network, so that
//! one transaction can take in all of them. A module's functions take a `&Connection`: inside
//! [`Db::write`] they are part of the caller's transaction, inside [`Db::read`] of its snapshot.
//!
//! **Invariant**: what was answered survives a power failure, and what is half done is never seen.

pub mod db;
pub mod endpoints;
pub mod identity;
pub mod jobs;
pub mod list;
pub mod logs;
pub mod network;
pub mod nodes;
pub mod objects;
pub mod schema;

pub use db::{Db, StoreError};
pub use endpoints::{async_requests, records, servers};
pub use rusqlite::Connection;
pub use schema::{OpenError, State, service_is_alive};
