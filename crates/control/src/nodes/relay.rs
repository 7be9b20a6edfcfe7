//! Bytes between a node and the folder of an instance. Everything can be sent again: what is there
//! already is not written twice.

use belljar_domain::node::{IN, LEFT, MAX_WAITING, OUT, segment_first, segment_name};
use belljar_domain::spool::SEGMENT_BYTES;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of [`IN`] that are handed out at once.
const MAX_IN: u64 = 1 << 20;

/// Appends to the instance's events what begins at byte `from` of them; returns how many bytes are
/// there. A full folder takes nothing, until the job's warden has read.
pub(super) fn append_out(folder: &Path, from: u64, bytes: &[u8]) -> io::Result<u64> {
    let out = folder.join(OUT);
    DirBuilder::new().recursive(true).mode(0o700).create(&out)?;
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
    file: File,
    part: PathBuf,
    path: PathBuf,
}

impl Whole {
    pub(super) fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        let part = folder.join(format!("{name}.part"));
        let file =
            File::options().create(true).write(true).truncate(true).mode(0o600).open(&part)?;
        Ok(Self { file, part, path })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.part, &self.path)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // Renamed, it is not there.
        let _ = fs::remove_file(&self.part);
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
