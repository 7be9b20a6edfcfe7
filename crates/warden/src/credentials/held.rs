//! The session that is handed out, and its renewal.

use crate::journal::now;
use async_trait::async_trait;
use belljar_domain::Timestamp;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long before a session's end another one is asked for. SDKs begin to ask as early.
const RENEWAL: Duration = Duration::from_secs(15 * 60);
/// For how long a service that gave none is not asked again.
const REST: Duration = Duration::from_secs(1);

/// Keys for a while.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) key_id: String,
    pub(super) secret: String,
    pub(super) token: String,
    /// When it was begun.
    pub(super) begun: Timestamp,
    /// When it ends.
    pub(super) ends: Timestamp,
}

impl Session {
    fn left(&self, now: Timestamp) -> Duration {
        Duration::from_millis(self.ends.since(now))
    }
}

/// Who begins sessions.
#[async_trait]
pub(super) trait Source: Send + Sync + 'static {
    /// A new one; or why there is none, a sentence for the container.
    async fn begin(&self) -> Result<Session, String>;
}

/// The newest session.
pub(super) struct Held {
    source: Box<dyn Source>,
    /// Whoever asks while another one is begun waits for it.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    session: Option<Session>,
    /// When none could be had, and why.
    failed: Option<(Instant, String)>,
}

impl Held {
    pub(super) fn new(source: impl Source) -> Self {
        Self { source: Box::new(source), kept: Mutex::default() }
    }

    /// A session that has a while to go. One that is near its end is still handed out if there is
    /// no other.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn get(&self) -> Result<Session, String> {
        let mut kept = self.kept.lock().await;
        let now = now();
        let left = kept.session.as_ref().map_or(Duration::ZERO, |s| s.left(now));
        let rests = kept.failed.as_ref().is_some_and(|(at, _)| at.elapsed() < REST);
        if left < RENEWAL && !rests {
            match self.source.begin().await {
                Ok(session) => *kept = Kept { session: Some(session), failed: None },
                Err(why) => kept.failed = Some((Instant::now(), why)),
            }
        }
        let valid = kept.session.clone().filter(|s| !s.left(now).is_zero());
        valid.ok_or_else(|| kept.failed.as_ref().map(|(_, why)| why.clone()).unwrap_or_default())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::Mutex as Plain;

    /// Gives what it was told to, from the last on.
    pub(in super::super) struct Script(pub(in super::super) Plain<Vec<Result<Session, String>>>);

    #[async_trait]
    impl Source for Script {
        async fn begin(&self) -> Result<Session, String> {
            self.0.lock().unwrap().pop().unwrap_or_else(|| Err("the script is at its end".into()))
        }
    }

    /// One that lasts for so long from now.
    pub(in super::super) fn lasting(name: &str, seconds: i64) -> Session {
        let begun = now();
        Session {
            key_id: name.into(),
            secret: "secret".into(),
            token: "token".into(),
            begun,
            ends: Timestamp::from_millis(begun.millis() + seconds * 1000),
        }
    }

    #[tokio::test]
    async fn a_session_is_renewed_before_it_ends_and_kept_while_there_is_no_other() {
        let script = vec![
            Ok(lasting("third", 3600)),
            Err("away".into()),
            Ok(lasting("second", 1)),
            Ok(lasting("first", 14 * 60)),
        ];
        let held = Held::new(Script(Plain::new(script)));
        let id = |s: Result<Session, String>| s.map(|s| s.key_id);
        assert_eq!(id(held.get().await), Ok("first".into()));
        assert_eq!(id(held.get().await), Ok("second".into()));
        // The service is away: what there is goes on, until it is over.
        assert_eq!(id(held.get().await), Ok("second".into()));
        tokio::time::sleep(Duration::from_millis(1010)).await;
        assert_eq!(id(held.get().await), Ok("third".into()));
        assert_eq!(id(held.get().await), Ok("third".into()));
    }

    #[tokio::test]
    async fn a_service_that_gives_none_is_not_asked_at_once_again() {
        let held = Held::new(Script(Plain::new(vec![Ok(lasting("x", 60)), Err("away".into())])));
        for _ in 0..3 {
            assert_eq!(held.get().await.err(), Some("away".into()));
        }
    }
}
