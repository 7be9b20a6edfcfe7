//! The service's side of the fabric (`belljar_domain::fabric`): starts it, finds again the one
//! that an earlier service started, and tells it the network whenever it changes.
//!
//! **Invariant**: what [`Fabric::applied`] says is in the kernel was said to be so by the fabric
//! that lives now.

mod client;
mod follow;
mod start;

pub(crate) use client::ask_within;
pub(crate) use follow::{has_instances, run};

use std::time::Duration;
use tokio::sync::watch;

/// How long a question may take that waits for nothing: whoever does not answer by then hangs, and
/// neither start nor stop of a service waits for it any longer.
const LOOK: Duration = Duration::from_secs(3);

/// How far the fabric has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The generation of the network that is in the kernel; `None` if there is none.
    pub(crate) generation: Option<u64>,
    /// Why a newer one is not, a sentence.
    pub(crate) failure: Option<String>,
}

/// How far the fabric has come, for those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Fabric {
    seen: watch::Sender<Seen>,
}

impl Fabric {
    /// What is known of it.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until a generation of the network, or a later one, is in the kernel.
    ///
    /// # Errors
    /// Why it is not, a sentence: the last failure, if it is not there within `limit`. If nothing
    /// failed the machine is busy, and may take four times as long.
    pub(crate) async fn applied(&self, generation: u64, limit: Duration) -> Result<(), String> {
        let mut seen = self.seen.subscribe();
        for limit in [limit, 3 * limit] {
            let there = seen.wait_for(|seen| seen.generation.is_some_and(|g| g >= generation));
            if let Ok(Ok(_)) = tokio::time::timeout(limit, there).await {
                return Ok(());
            }
            if let Some(failure) = self.seen().failure {
                return Err(failure);
            }
        }
        Err("the network is not yet there".to_owned())
    }

    fn tell(&self, generation: Option<u64>, failure: Option<String>) {
        let now = Seen { generation, failure };
        self.seen.send_if_modified(|seen| {
            let differs = *seen != now;
            *seen = now;
            differs
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_hears_of_it_or_of_the_reason() {
        let fabric = Fabric::default();
        let limit = Duration::from_millis(20);
        assert_eq!(fabric.applied(1, limit).await.unwrap_err(), "the network is not yet there");
        fabric.tell(None, Some("no".into()));
        assert_eq!(fabric.applied(1, limit).await.unwrap_err(), "no");
        fabric.tell(Some(2), None);
        fabric.applied(1, limit).await.unwrap();
        assert!(fabric.applied(3, limit).await.is_err());
    }

    #[tokio::test]
    async fn a_busy_machine_may_take_longer() {
        let fabric = Fabric::default();
        let late = async {
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            fabric.tell(Some(1), None);
        };
        let (found, ()) = tokio::join!(fabric.applied(1, Duration::from_secs(1)), late);
        found.unwrap();
    }
}
