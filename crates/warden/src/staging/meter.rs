//! Blocking work under an async caller: progress out, cancellation in.

use super::limits::PROGRESS_INTERVAL;
use crate::progress::Progress;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared between the caller and its worker threads.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl Meter {
    /// Counts bytes that are through.
    pub(crate) fn add(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Sets how many bytes there will be.
    pub(crate) fn set_total(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    /// Whether nobody waits for the work any more.
    pub(crate) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn tell(&self, item: &str, progress: &dyn Progress) {
        let total = self.total.load(Ordering::Relaxed);
        let total = (total > 0).then_some(total);
        progress.update(item, self.done.load(Ordering::Relaxed), total);
    }
}

/// Cancels the work when the future that waits for it is dropped.
struct Guard(Arc<Meter>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Awaits `work`, tells `progress` of it while it lasts, and cancels it when dropped.
pub(crate) async fn metered<T>(
    item: &str,
    progress: &dyn Progress,
    meter: &Arc<Meter>,
    work: impl Future<Output = T>,
) -> T {
    let _guard = Guard(Arc::clone(meter));
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                meter.tell(item, progress);
                return result;
            }
            _ = ticks.tick() => meter.tell(item, progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Seen(Mutex<Vec<(u64, Option<u64>)>>);
    impl Progress for Seen {
        fn update(&self, item: &str, done: u64, total: Option<u64>) {
            assert_eq!(item, "train");
            self.0.lock().unwrap().push((done, total));
        }
    }

    #[tokio::test]
    async fn the_last_word_is_what_was_done() {
        let seen = Seen(Mutex::default());
        let meter = Arc::new(Meter::default());
        metered("train", &seen, &meter, async {
            meter.set_total(7);
            meter.add(7);
        })
        .await;
        assert_eq!(seen.0.lock().unwrap().last(), Some(&(7, Some(7))));
        assert!(meter.cancelled());
    }
}
