//! `BELLJAR_SERVICE_PAUSE_AT=<step>:before|after` stops the service (SIGSTOP) at a step of the
//! reconciler, so that a test can kill it exactly there. A test aid: it can delay, nothing else.

use rustix::process::{Signal, getpid, kill_process};

/// The variable.
const VARIABLE: &str = "BELLJAR_SERVICE_PAUSE_AT";

/// The steps, in the order of a job's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// The attempt is recorded.
    Begin,
    /// The folder is made and the Assignment written.
    Folder,
    /// The warden is started.
    Spawn,
    /// Events and their position are committed.
    Commit,
    /// A segment that is taken in is deleted.
    Segment,
    /// An order is written.
    Tell,
    /// What a dead warden left is swept.
    Sweep,
    /// The next attempt is recorded.
    Retry,
    /// The end is recorded.
    Finish,
    /// What only a running job needs is removed.
    Tidy,
}

impl Point {
    fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Folder => "folder",
            Self::Spawn => "spawn",
            Self::Commit => "commit",
            Self::Segment => "segment",
            Self::Tell => "tell",
            Self::Sweep => "sweep",
            Self::Retry => "retry",
            Self::Finish => "finish",
            Self::Tidy => "tidy",
        }
    }
}

/// Before a step.
pub(super) fn before(point: Point) {
    at(point, "before");
}

/// After a step.
pub(super) fn after(point: Point) {
    at(point, "after");
}

fn at(point: Point, side: &str) {
    let here = std::env::var(VARIABLE)
        .is_ok_and(|v| v.split_once(':').is_some_and(|(p, s)| p == point.as_str() && s == side));
    if here {
        // A signal that cannot be sent makes a test fail, and nothing else.
        let _ = kill_process(getpid(), Signal::STOP);
    }
}
