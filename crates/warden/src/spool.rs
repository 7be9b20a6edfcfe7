//! The segments in which a detached warden tells its events: `belljar_domain::spool` says what
//! they look like. Bounded on disk and in memory, and every line in them whole.

use crate::job::JobDir;
use belljar_domain::Event;
use belljar_domain::spool::{SEGMENT_BYTES, TOTAL_BYTES, WRITE_PATIENCE_SECONDS, segment_name};
use std::collections::VecDeque;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events that are written at once.
const BATCH: usize = 256;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 256 << 10;
/// How often a full spool looks whether the service has taken something, and a full disk is
/// tried again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The bounds, which a test makes smaller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    segment: u64,
    total: u64,
}

const BOUNDS: Bounds = Bounds { segment: SEGMENT_BYTES, total: TOTAL_BYTES };

/// A spool as its writer sees it.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    bounds: Bounds,
    file: File,
    number: u64,
    size: u64,
    /// Number and size of the finished segments that were there when last looked.
    finished: VecDeque<(u64, u64)>,
    finished_bytes: u64,
}

impl Spool {
    /// Makes the folder and its first segment.
    pub(crate) fn create(job: &JobDir) -> io::Result<Self> {
        Self::create_in(job.events(), BOUNDS)
    }

    fn create_in(folder: PathBuf, bounds: Bounds) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let file = segment(&folder, 1)?;
        let (number, size, finished_bytes) = (1, 0, 0);
        Ok(Self { folder, bounds, file, number, size, finished: VecDeque::new(), finished_bytes })
    }

    /// Whether more of the container's output may be written.
    fn has_room(&mut self) -> bool {
        if self.finished_bytes + self.size < self.bounds.total {
            return true;
        }
        while let Some(&(number, size)) = self.finished.front() {
            if self.folder.join(segment_name(number)).exists() {
                break;
            }
            self.finished.pop_front();
            self.finished_bytes -= size;
        }
        self.finished_bytes + self.size < self.bounds.total
    }

    /// Appends whole lines, all or none.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + lines.len() as u64 > self.bounds.segment {
            let next = segment(&self.folder, self.number + 1)?;
            self.finished.push_back((self.number, self.size));
            self.finished_bytes += self.size;
            (self.file, self.number, self.size) = (next, self.number + 1, 0);
        }
        match self.file.write_all(lines) {
            Ok(()) => {
                self.size += lines.len() as u64;
                Ok(())
            }
            Err(e) => {
                // Half a line would make the next one unreadable.
                self.file.set_len(self.size)?;
                Err(e)
            }
        }
    }

    /// Appends, and tries again for a while where it cannot.
    fn append_patiently(&mut self, lines: &[u8]) -> io::Result<()> {
        let began = Instant::now();
        loop {
            match self.append(lines) {
                Err(_) if began.elapsed() < Duration::from_secs(WRITE_PATIENCE_SECONDS) => {
                    std::thread::sleep(LOOK_EVERY);
                }
                result => return result,
            }
        }
    }
}

fn segment(folder: &std::path::Path, number: u64) -> io::Result<File> {
    // Left by a failed try of this very process at most: a folder is begun once.
    File::options().create(true).append(true).mode(0o600).open(folder.join(segment_name(number)))
}

/// What is to be written. The two queues differ in who may wait: the container's output does,
/// the warden's own events never, so that it can end a container whose output waits.
pub(crate) struct Queues {
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) output: mpsc::Receiver<Event>,
}

/// Lines that wait to be written.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    fn push(&mut self, event: &Event) -> io::Result<()> {
        let begin = self.bytes.len();
        serde_json::to_writer(&mut self.bytes, event)
            .inspect_err(|_| self.bytes.truncate(begin))?;
        self.bytes.push(b'\n');
        Ok(())
    }

    fn flush(&mut self, spool: &mut Spool) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let result = spool.append_patiently(&self.bytes);
        self.bytes.clear();
        result
    }
}

/// Writes until the report comes, which is last and is kept elsewhere.
pub(crate) async fn write_all(spool: &mut Spool, queues: &mut Queues) -> io::Result<()> {
    let (mut own, mut output) = (Vec::new(), VecDeque::new());
    loop {
        let room = spool.has_room();
        if !output.is_empty() && room {
            write_output(spool, &mut output)?;
            continue;
        }
        let mut taken = Vec::new();
        tokio::select! {
            biased;
            n = queues.events.recv_many(&mut own, BATCH) => {
                if n == 0 || write_own(spool, &mut own)? {
                    return write_rest(spool, queues, output).await;
                }
            }
            _ = queues.output.recv_many(&mut taken, BATCH), if output.is_empty() => {
                output.extend(taken);
            }
            () = tokio::time::sleep(LOOK_EVERY), if !room => {}
        }
    }
}

/// Writes the warden's own events; whether the report was among them.
fn write_own(spool: &mut Spool, events: &mut Vec<Event>) -> io::Result<bool> {
    let mut lines = Lines::default();
    let mut reported = false;
    for event in events.drain(..) {
        if matches!(event, Event::Report(_)) {
            reported = true;
        } else {
            lines.push(&event)?;
        }
    }
    lines.flush(spool)?;
    Ok(reported)
}

/// Writes of the container's output what there is room for.
fn write_output(spool: &mut Spool, output: &mut VecDeque<Event>) -> io::Result<()> {
    let mut lines = Lines::default();
    while let Some(event) = output.pop_front() {
        lines.push(&event)?;
        if lines.bytes.len() >= WRITE_BYTES {
            lines.flush(spool)?;
            if !spool.has_room() {
                return Ok(());
            }
        }
    }
    lines.flush(spool)
}

/// What of the output is still in its queue when the report is told: all of it is older.
async fn write_rest(
    spool: &mut Spool,
    queues: &mut Queues,
    mut output: VecDeque<Event>,
) -> io::Result<()> {
    loop {
        while let Ok(event) = queues.output.try_recv() {
            output.push_back(event);
        }
        if output.is_empty() {
            return Ok(());
        }
        while !spool.has_room() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        write_output(spool, &mut output)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_domain::{Stream, Timestamp};
    use std::path::Path;

    const SMALL: Bounds = Bounds { segment: 4096, total: 16384 };

    fn log(n: usize) -> Event {
        let line = format!("{n:06} {}", "x".repeat(200));
        Event::Log { stream: Stream::Stdout, line, raw: None, at: Timestamp::from_millis(0) }
    }

    fn warning() -> Event {
        Event::Warning { message: "own".into() }
    }

    fn bytes(folder: &Path) -> u64 {
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum()
    }

    /// Takes every finished segment, as the service does.
    fn take(folder: &Path, next: &mut u64, all: &mut String, last_too: bool) {
        loop {
            let path = folder.join(segment_name(*next));
            let finished = folder.join(segment_name(*next + 1)).exists();
            if !(finished || last_too && path.exists()) {
                return;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.ends_with('\n'));
            all.push_str(&text);
            std::fs::remove_file(&path).unwrap();
            *next += 1;
        }
    }

    #[tokio::test]
    async fn output_waits_at_the_bound_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("events");
        let mut spool = Spool::create_in(folder.clone(), SMALL).unwrap();
        let (own, events) = mpsc::channel(4);
        let (out, output) = mpsc::channel(4);
        let mut queues = Queues { events, output };
        let writing = tokio::spawn(async move { write_all(&mut spool, &mut queues).await });
        let container = tokio::spawn(async move {
            for n in 0..1000 {
                out.send(log(n)).await.unwrap();
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!container.is_finished(), "the spool is full");
        let full = bytes(&folder);
        assert!(full < SMALL.total + WRITE_BYTES as u64, "{full}");
        // The warden itself is heard all the same.
        for _ in 0..10 {
            let told = tokio::time::timeout(Duration::from_secs(5), own.send(warning())).await;
            told.unwrap().unwrap();
        }
        let (mut next, mut all) = (1, String::new());
        while !container.is_finished() {
            take(&folder, &mut next, &mut all, false);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(own);
        while !writing.is_finished() {
            take(&folder, &mut next, &mut all, false);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writing.await.unwrap().unwrap();
        take(&folder, &mut next, &mut all, true);
        let read: Vec<Event> = all.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let logs: Vec<_> = read.iter().filter(|e| matches!(e, Event::Log { .. })).collect();
        assert_eq!(logs.len(), 1000);
        assert!(logs.iter().enumerate().all(|(n, e)| **e == log(n)));
        assert_eq!(read.len(), 1010);
    }
}
