//! The formats of the state. A list only grows: what was released is never changed.

/// `state.db`: step `i` turns format `i` into `i + 1`.
pub const STATE: &[&str] = &[crate::jobs::SCHEMA];
