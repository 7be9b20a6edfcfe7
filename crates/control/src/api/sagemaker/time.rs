//! Timestamps as they stand in JSON: seconds since the epoch.

use belljar_domain::Timestamp;

/// A moment, or the last one before it.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    At,
    Before,
}

/// Seconds since the epoch, as timestamps stand in JSON.
#[expect(clippy::cast_precision_loss, reason = "a float holds milliseconds for 285,000 years")]
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.millis() as f64 / 1000.0
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float that is too large becomes the last moment"
)]
pub(super) fn time(seconds: f64, moment: Moment) -> Timestamp {
    let millis = (seconds * 1000.0).round() as i64;
    Timestamp::from_millis(match moment {
        Moment::At => millis,
        Moment::Before => millis.saturating_sub(1),
    })
}
