//! Bytes between a node and the folder of an instance. Everything can be sent again: what is there
//! already is not written twice.

use belljar_domain::node::{IN, LEFT, LOST, MAX_WAITING, OUT, segment_first, segment_name};
use belljar_domain::spool::{self, SEGMENT_BYTES};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Bytes of [`IN`] that are handed out at once.
const MAX_IN: u64 = 1 << 20;

/// Appends to the instance's events what begins at byte `from` of them; returns how many bytes are
/// there. A full folder takes nothing, until the job's warden has read.
pub(super) fn append_out(folder: &Path, from: u64, bytes: &[u8]) -> io::Result<u64> {
    let out = folder.join(OUT);
    DirBuilder::new().recursive(true).mode(0o700).create(&out)?;
    // What was sent and is sent again may come at the same time.
    let held = File::open(&out)?;
    flock(&held, FlockOperation::LockExclusive)?;
    let segments = segments(&out)?;
    let (first, size) = segments.last().copied().unwrap_or((0, 0));
    let end = first + size;
    let waiting: u64 = segments.iter().map(|(_, size)| size).sum();
    let skip = end.checked_sub(from).and_then(|s| usize::try_from(s).ok());
    let new = skip.and_then(|skip| bytes.get(skip..)).unwrap_or_default();
    if new.is_empty() || waiting >= MAX_WAITING {
        return Ok(end);
    }
    // A segment ends with a line's end, so that every line is whole in one.
    let line = if size < SEGMENT_BYTES { None } else { new.iter().position(|b| *b == b'\n') };
    let (last, next) = new.split_at(line.map_or(new.len(), |at| at + 1));
    append(&out, first, last)?;
    if !next.is_empty() {
        append(&out, end + last.len() as u64, next)?;
    }
    Ok(end + new.len() as u64)
}

fn append(out: &Path, first: u64, bytes: &[u8]) -> io::Result<()> {
    let path = out.join(segment_name(first));
    File::options().create(true).append(true).mode(0o600).open(path)?.write_all(bytes)
}

/// The segments, as the places of their first bytes and their sizes, in order.
fn segments(out: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(segment_first) {
            match entry.metadata() {
                Ok(found) => all.push((first, found.len())),
                // The job's warden has just read it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// What the instance is told from byte `from` on; empty if nothing is.
pub(super) fn read_in(folder: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(folder.join(IN)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(MAX_IN).read_to_end(&mut bytes)?;
    // A line that is being written comes as a whole the next time.
    bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1));
    Ok(bytes)
}

/// A file that is put in its place once it is whole. Dropped before that, it is gone.
pub(super) struct Whole {
    file: NamedTempFile,
    path: PathBuf,
}

impl Whole {
    pub(super) fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        Ok(Self { file: NamedTempFile::new_in(folder)?, path: folder.join(name) })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        Ok(())
    }
}

/// Removes what was carried, once nobody reads it any more.
pub(crate) fn remove(attempt: &Path) {
    let instances = fs::read_dir(attempt.join(spool::INSTANCES));
    for folder in instances.into_iter().flatten().flatten().map(|e| e.path()) {
        // What is not there need not be removed; what stays is in the way of nothing.
        let _ = fs::remove_dir_all(folder.join(OUT));
        for file in [IN, LEFT, LOST] {
            let _ = fs::remove_file(folder.join(file));
        }
    }
}

/// The tar of what the instance left.
pub(super) fn begin_left(folder: &Path) -> io::Result<Whole> {
    Whole::begin(folder, LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_there_once() {
        let dir = tempfile::tempdir().unwrap();
        let append = |from, text: &str| append_out(dir.path(), from, text.as_bytes()).unwrap();
        assert_eq!(append(0, "a\nb\n"), 4);
        assert_eq!(append(0, "a\nb\n"), 4, "all of it was there");
        assert_eq!(append(2, "b\nc\n"), 6, "half of it was there");
        assert_eq!(append(9, "x\n"), 6, "something between is missing");
        let text = fs::read_to_string(dir.path().join(OUT).join(segment_name(0))).unwrap();
        assert_eq!(text, "a\nb\nc\n");
    }

    #[test]
    fn segments_go_on_where_the_last_ended_and_a_full_folder_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut chunk = vec![b'x'; usize::try_from(SEGMENT_BYTES).unwrap()];
        chunk[7] = b'\n';
        let mut end = 0;
        while end < MAX_WAITING {
            end = append_out(dir.path(), end, &chunk).unwrap();
        }
        assert_eq!(append_out(dir.path(), end, b"more").unwrap(), end, "it is full");
        let out = dir.path().join(OUT);
        for (first, size) in segments(&out).unwrap() {
            let text = fs::read(out.join(segment_name(first))).unwrap();
            assert!(first + size == end || text.ends_with(b"\n"), "a line is cut at {first}");
        }
        fs::remove_file(out.join(segment_name(0))).unwrap();
        assert_eq!(append_out(dir.path(), end, b"more").unwrap(), end + 4);
    }

    #[test]
    fn lines_are_handed_out_whole() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_in(dir.path(), 0).unwrap(), b"");
        fs::write(dir.path().join(IN), "stop\nki").unwrap();
        assert_eq!(read_in(dir.path(), 0).unwrap(), b"stop\n");
        assert_eq!(read_in(dir.path(), 5).unwrap(), b"");
    }

    #[test]
    fn what_was_carried_goes_with_the_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let instance = dir.path().join(spool::INSTANCES).join("algo-2");
        fs::create_dir_all(&instance).unwrap();
        append_out(&instance, 0, b"a\n").unwrap();
        fs::write(instance.join(IN), "stop\n").unwrap();
        fs::write(instance.join("report.json"), "{}").unwrap();
        remove(dir.path());
        let left: Vec<_> =
            fs::read_dir(instance).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["report.json"]);
    }

    #[test]
    fn what_comes_in_part_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut whole = begin_left(dir.path()).unwrap();
        whole.write(b"half").unwrap();
        drop(whole);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut whole = begin_left(dir.path()).unwrap();
        whole.write(b"all").unwrap();
        whole.finish().unwrap();
        assert_eq!(fs::read(dir.path().join(LEFT)).unwrap(), b"all");
    }
}
