//! Durable state: records, transactions and watch in SQLite, and object bytes beside it.
//!
//! **Invariant**: what was answered survives a power failure, and what is half done is never seen.

pub mod db;
pub mod jobs;
pub mod schema;

pub use db::{Db, StoreError};
