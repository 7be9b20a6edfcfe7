//! Lines a second into and out of the logs of a state, in batches as a job's engine commits them:
//! `cargo run --release -p belljar-store --example log_rate [LINES] [BATCH] [BYTES]`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use belljar_domain::Timestamp;
use belljar_store::logs::{self, Direction, LogEvent, Range, Search, Which};
use belljar_store::{State, StoreError};
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = std::env::args().skip(1).map(|n| n.parse());
    let lines = given.next().transpose()?.unwrap_or(2_000_000);
    let batch = given.next().transpose()?.unwrap_or(1000);
    let bytes: usize = given.next().transpose()?.unwrap_or(60);
    let dir = tempfile::tempdir_in(".")?;
    let state = State::open(dir.path())?;
    let now = Timestamp::from_millis(1_795_439_700_000);

    let begun = Instant::now();
    for first in (0..lines).step_by(batch) {
        let events: Vec<_> = (first..lines.min(first + batch))
            .map(|i| LogEvent {
                at: Timestamp::from_millis(now.millis() + i as i64 / 100),
                message: format!("{i:0bytes$}"),
            })
            .collect();
        state
            .db()
            .write(move |c| logs::append_creating(c, "group", "stream", &events, now))
            .await
            .map_err(|e: StoreError| e)?;
    }
    report("appended, synced", lines, begun);

    let begun = Instant::now();
    let (mut seen, mut next) = (0, None);
    loop {
        let direction = Direction::Forward(next);
        let read = |c: &_| logs::read(c, "group", "stream", Range::ALL, direction, usize::MAX);
        let page = state.db().read(read)?;
        if page.events.is_empty() {
            break;
        }
        seen += page.events.len();
        next = Some(page.forward);
    }
    report("read in pages", seen, begun);

    let begun = Instant::now();
    let mut from = None;
    loop {
        let query = Search { which: Which::Prefix(""), range: Range::ALL, from, limit: 10_000 };
        let found = state
            .db()
            .read(|c| logs::search(c, "group", &query, |m| m.contains("no such words")))?;
        from = found.next;
        if from.is_none() {
            break;
        }
    }
    report("searched", lines, begun);
    let size = std::fs::metadata(state.folder().join("state.db"))?.len();
    println!("{:.1} bytes a line in the file", size as f64 / lines as f64);
    Ok(())
}

fn report(what: &str, lines: usize, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what}: {:.0} lines/s", lines as f64 / seconds);
}
