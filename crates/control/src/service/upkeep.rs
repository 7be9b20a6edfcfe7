//! What a service removes as time goes by: log events past their retention, blocks of logs that
//! were deleted, keys that expired.

use super::Service;
use belljar_domain::Timestamp;
use belljar_store::{StoreError, identity, logs};
use std::convert::Infallible;
use std::time::Duration;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(60);
/// Blocks of logs that one write removes (each some 128 KiB): requests are written between.
const BLOCKS: usize = 64;
/// How long an expired key stays, so that who uses it is told that it has expired.
const KEPT_KEYS: i64 = 60 * 60 * 1000;

/// Removes what is to be removed, again and again. A round that fails is told and tried again.
pub(super) async fn keep(service: &Service) -> Infallible {
    loop {
        if let Err(e) = round(service).await {
            tracing::error!(error = %e, "what is old cannot be removed");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn round(service: &Service) -> Result<(), StoreError> {
    let now = service.now();
    let expired = Timestamp::from_millis(now.millis() - KEPT_KEYS);
    service.db().write(move |c| identity::expire_keys(c, expired)).await?;
    while service.db().write(move |c| logs::expire(c, now, BLOCKS)).await? == BLOCKS {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{NOW, Tested};
    use belljar_store::logs::{Direction, LogEvent, Range};

    #[tokio::test]
    async fn a_round_removes_what_is_past_its_time_and_nothing_else() {
        let t = Tested::new().await;
        let key = |expires: i64| {
            t.service.db().write(move |c| {
                let at = Timestamp::from_millis(NOW + expires);
                identity::create_key(c, identity::Owner::Root, at, Some(at))
            })
        };
        let (gone, kept) = (key(-KEPT_KEYS - 1).await.unwrap(), key(-1).await.unwrap());
        let put = t.service.db().write(|c| {
            let event = |days: i64, message: &str| LogEvent {
                at: Timestamp::from_millis(NOW - days * 24 * 60 * 60 * 1000),
                message: message.into(),
            };
            let events = [event(2, "old"), event(0, "young")];
            logs::append_creating(c, "g", "s", &events, Timestamp::from_millis(NOW))?;
            logs::set_retention(c, "g", Some(1))
        });
        put.await.unwrap();
        round(&t.service).await.unwrap();
        let read = |c: &_| {
            let page = logs::read(c, "g", "s", Range::ALL, Direction::Forward(None), 9)?;
            let keys = identity::list_keys(c)?;
            Ok::<_, logs::LogError>((page.events, keys))
        };
        let (events, keys) = t.service.db().read(read).unwrap();
        let lines: Vec<_> = events.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(lines, ["young"]);
        assert!(keys.contains(&kept) && !keys.contains(&gone) && keys.len() == 2);
    }
}
