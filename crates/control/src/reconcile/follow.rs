//! Follows the spool of one attempt: reads whole lines from where the state says, commits what
//! they change together with the new place, and deletes the segments that are done with.

use super::ingest::{self, Batch, Whose};
use super::pause::{self, Point};
use crate::service::Service;
use belljar_domain::spool::{FOLDER, segment_name};
use belljar_store::jobs::Position;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How soon it is looked again after something came, and how late if nothing comes.
const SOON: Duration = Duration::from_millis(5);
const LATE: Duration = Duration::from_millis(100);
/// Bytes that are read at once: a segment and its longest line.
const READ_BYTES: u64 = 8 << 20;

/// One who follows. Dropped, it ends between two commits; what is committed is not taken twice.
pub(super) struct Follower {
    task: JoinHandle<()>,
    dead: watch::Sender<bool>,
    over: Arc<AtomicBool>,
}

impl Follower {
    pub(super) fn start(service: Arc<Service>, whose: Whose, folder: &Path) -> Self {
        let folder = folder.join(FOLDER);
        let (dead, is_dead) = watch::channel(false);
        let over = Arc::new(AtomicBool::new(false));
        let done = over.clone();
        let task = tokio::spawn(async move {
            let spool = Spool { service, whose, folder };
            while let Err(e) = spool.follow(is_dead.clone()).await {
                tracing::error!(of = %spool.whose, error = %crate::chain(&e), "events cannot be taken in; trying again");
                tokio::time::sleep(super::TICK).await;
            }
            done.store(true, Ordering::Release);
            spool.service.wanted.notify_one();
        });
        Self { task, dead, over }
    }

    /// Tells it that nothing will be added. Answers whether everything is taken in.
    pub(super) fn drain(&self) -> bool {
        self.dead.send_replace(true);
        self.over.load(Ordering::Acquire)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Spool {
    service: Arc<Service>,
    whose: Whose,
    folder: PathBuf,
}

impl Spool {
    /// Until the warden is dead and all that it said is taken in.
    async fn follow(&self, mut dead: watch::Receiver<bool>) -> Result<(), ingest::IngestError> {
        let mut position = self.service.db().read(|c| self.whose.position(c))?;
        let mut pause = SOON;
        loop {
            // Looked at before the spool is: what is not there then will not come.
            let was_dead = *dead.borrow_and_update();
            let folder = self.folder.clone();
            let read = tokio::task::spawn_blocking(move || read(&folder, position)).await;
            let read = read.map_err(|_| ingest::IngestError::Gone)??;
            if read.next == position {
                if was_dead {
                    return Ok(());
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LATE),
                    // A sender that is gone took this task with it.
                    _ = dead.changed() => {}
                }
                continue;
            }
            pause = SOON;
            let batch = Batch {
                whose: self.whose.clone(),
                from: position,
                to: read.next,
                events: ingest::parse(&read.lines),
            };
            let now = self.service.now();
            pause::before(Point::Commit);
            let changed = self.service.db().write(move |c| batch.commit(c, now)).await?;
            pause::after(Point::Commit);
            if changed {
                self.service.wanted.notify_one();
            }
            if read.next.segment > position.segment {
                self.remove(position.segment)?;
            }
            position = read.next;
        }
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        pause::before(Point::Segment);
        match std::fs::remove_file(self.folder.join(segment_name(segment))) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        pause::after(Point::Segment);
        Ok(())
    }
}

/// What was read.
struct ReadLines {
    /// Whole lines.
    lines: Vec<u8>,
    /// Where to go on.
    next: Position,
}

/// Reads whole lines from a place to the end of its segment; or goes on to the next one.
fn read(folder: &Path, from: Position) -> io::Result<ReadLines> {
    // Looked at first: a segment that has a successor is at its end.
    let finished = folder.join(segment_name(from.segment + 1)).exists();
    let successor = Position { segment: from.segment + 1, offset: 0 };
    let nothing = |next| Ok(ReadLines { lines: Vec::new(), next });
    let mut file = match File::open(folder.join(segment_name(from.segment))) {
        Ok(file) => file,
        // Deleted, and then the service was killed.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return nothing(if finished { successor } else { from });
        }
        Err(e) => return Err(e),
    };
    file.seek(SeekFrom::Start(from.offset))?;
    let mut lines = Vec::new();
    file.take(READ_BYTES).read_to_end(&mut lines)?;
    // What has no newline is still being written, or its writer died.
    lines.truncate(lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1));
    if lines.is_empty() {
        return nothing(if finished { successor } else { from });
    }
    let next = Position { offset: from.offset + lines.len() as u64, ..from };
    Ok(ReadLines { lines, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u64, offset: u64) -> Position {
        Position { segment, offset }
    }

    #[test]
    fn lines_are_read_whole_and_segments_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let write = |n, text: &str| std::fs::write(dir.path().join(segment_name(n)), text).unwrap();
        let step = |from| {
            let read = read(dir.path(), from).unwrap();
            (String::from_utf8(read.lines).unwrap(), read.next)
        };
        assert_eq!(step(at(1, 0)), (String::new(), at(1, 0)), "nothing is there");
        write(1, "a\nb\nc");
        assert_eq!(step(at(1, 0)), ("a\nb\n".into(), at(1, 4)));
        assert_eq!(step(at(1, 4)), (String::new(), at(1, 4)), "half a line is none");
        write(1, "a\nb\nc\n");
        write(2, "d\n");
        assert_eq!(step(at(1, 4)), ("c\n".into(), at(1, 6)));
        assert_eq!(step(at(1, 6)), (String::new(), at(2, 0)));
        std::fs::remove_file(dir.path().join(segment_name(1))).unwrap();
        assert_eq!(step(at(1, 6)), (String::new(), at(2, 0)), "deleted before this was noted");
        assert_eq!(step(at(2, 0)), ("d\n".into(), at(2, 2)));
    }
}
