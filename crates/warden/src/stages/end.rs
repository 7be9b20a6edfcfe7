//! The end of a container that did not end by itself.

use crate::run::Context;
use belljar_linux::container::{Ended, Running};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How often it is looked whether a process that could not hear TERM can do so now.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// TERM, then KILL after the grace, or when told to hurry. A program that has only just begun has
/// no handler yet, and the kernel drops what the first process of a container does not handle: it
/// is told again once it can hear, so that it is not waited for in vain.
pub(super) async fn end(cx: &Context, running: &mut Running) -> belljar_linux::Result<Ended> {
    let deadline = Instant::now() + Duration::from_secs(cx.assignment.stop.grace_seconds);
    let mut heard = running.process().hears_term();
    running.process().terminate();
    loop {
        tokio::select! {
            ended = running.wait() => return ended,
            () = sleep_until(deadline) => break,
            () = cx.orders.at_once() => break,
            () = sleep(LOOK_EVERY), if !heard => {
                heard = running.process().hears_term();
                if heard {
                    running.process().terminate();
                }
            }
        }
    }
    running.process().kill();
    running.wait().await
}
