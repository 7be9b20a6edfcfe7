//! How far a long stage is, told to whoever shows it.

/// Receives progress. Calls may come from several threads.
pub trait Progress: Send + Sync {
    /// `done` of `total` bytes of `item` (a layer's digest, a channel's name) are through.
    fn update(&self, item: &str, done: u64, total: Option<u64>);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn update(&self, _item: &str, _done: u64, _total: Option<u64>) {}
}
