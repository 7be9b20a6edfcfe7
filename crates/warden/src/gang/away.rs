//! An instance that a node runs: what it tells lies in its folder, where the service puts it, and
//! what it is told is written there. Whether the node lives the service knows, and says so by a
//! file ([`LOST`]).

use super::member::{Ears, Place, hand_on, read_report};
use super::state::{End, Happening};
use crate::job::JobDir;
use belljar_domain::node::{IN, LEFT, LOST, OUT, segment_first, segment_name};
use belljar_domain::{Event, Outcome};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2, symlinkat};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// How soon it is looked again after something came, and how late if nothing comes.
const SOON: Duration = Duration::from_millis(5);
const LATE: Duration = Duration::from_millis(50);
/// Bytes that are read at once. A line is no longer: the warden that wrote it bounds it.
const READ_BYTES: u64 = 8 << 20;

/// The file of what an instance is told; made before its Assignment is there to be fetched.
pub(super) fn open_in(dir: &JobDir) -> io::Result<File> {
    File::options().create(true).append(true).mode(0o600).open(dir.path().join(IN))
}

/// Hears an instance to its end, and tells that.
pub(super) async fn attend(place: Place, dir: JobDir, ears: Ears) {
    let end = match hear(&place, &dir, &ears).await {
        Ok(end) => end,
        Err(e) => {
            tracing::warn!(host = %place.host, error = %e, "an instance of a node cannot be heard");
            End::Failed
        }
    };
    // Whoever waits for it is gone only if the whole warden is.
    let _ = ears.happenings.send(Happening::Ended(place.number, end)).await;
}

async fn hear(place: &Place, dir: &JobDir, ears: &Ears) -> io::Result<End> {
    let out = dir.path().join(OUT);
    let (mut next, mut pause) = (0, SOON);
    loop {
        // Looked at before the events are: what is not there then will not come.
        let over = dir.has_report() || dir.path().join(LOST).exists();
        let read = read(&out, next)?;
        for line in read.lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let event = serde_json::from_slice(line).unwrap_or_else(|e| Event::Warning {
                message: format!("an instance's warden wrote a line that is no event ({e})"),
            });
            hand_on(place, event, ears).await;
        }
        if read.next > next || read.more {
            (next, pause) = (read.next, SOON);
        } else if over {
            break;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LATE);
        }
    }
    let Some(report) = read_report(dir, place.generation) else { return Ok(End::Failed) };
    unpack(dir)?;
    Ok(match report.outcome {
        Outcome::Failed { .. } => End::Failed,
        _ => End::Well,
    })
}

/// Whole lines, and the byte behind them.
struct Heard {
    lines: Vec<u8>,
    next: u64,
    /// Another segment follows at once.
    more: bool,
}

/// Reads from byte `from` to the end of its segment, and removes segments that are done with. The
/// last one stays: its end says how much there has been.
fn read(out: &Path, from: u64) -> io::Result<Heard> {
    let nothing = Heard { lines: Vec::new(), next: from, more: false };
    let firsts = match firsts(out) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(nothing),
        firsts => firsts?,
    };
    let (done, rest): (Vec<u64>, Vec<u64>) = firsts.into_iter().partition(|first| *first <= from);
    let Some((first, done)) = done.split_last() else { return Ok(nothing) };
    for old in done {
        fs::remove_file(out.join(segment_name(*old)))?;
    }
    let mut file = File::open(out.join(segment_name(*first)))?;
    file.seek(SeekFrom::Start(from - first))?;
    let mut lines = Vec::new();
    file.take(READ_BYTES).read_to_end(&mut lines)?;
    lines.truncate(lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1));
    let next = from + lines.len() as u64;
    Ok(Heard { lines, next, more: rest.contains(&next) })
}

fn firsts(out: &Path) -> io::Result<Vec<u64>> {
    let names = fs::read_dir(out)?.map(|e| Ok(e?.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let mut firsts: Vec<u64> =
        names.iter().filter_map(|n| n.to_str().and_then(segment_first)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// Puts what the instance left where that of an instance of this machine would be.
fn unpack(dir: &JobDir) -> io::Result<()> {
    let tar = dir.path().join(LEFT);
    let file = match File::open(&tar) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir.opt_ml())?;
    let root = File::open(dir.opt_ml())?;
    for entry in tar::Archive::new(file).entries()? {
        put(&root, &mut entry?)?;
    }
    fs::remove_file(tar)
}

/// Puts one entry below `root`, where nothing is yet. The kernel refuses a path that leads outside
/// or through a link, whatever else is in the archive.
fn put(root: &File, entry: &mut tar::Entry<'_, File>) -> io::Result<()> {
    let path = entry.path()?.into_owned();
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let open = |path: &Path, flags: OFlags, mode| {
        openat2(root, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, beneath)
    };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidData)?;
    let kind = entry.header().entry_type();
    let mode = Mode::from_raw_mode(entry.header().mode()? & 0o777);
    if kind.is_dir() {
        make_output(root, parent)?;
        let parent = open(parent, OFlags::DIRECTORY, Mode::empty())?;
        return match mkdirat(&parent, name, mode | Mode::RWXU) {
            Err(Errno::EXIST) => Ok(()),
            made => Ok(made?),
        };
    }
    if kind.is_symlink() {
        let target = entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?;
        let parent = open(parent, OFlags::DIRECTORY, Mode::empty())?;
        return Ok(symlinkat(target.as_ref(), &parent, name)?);
    }
    if !kind.is_file() {
        return Err(io::Error::other(format!("{} is no file, folder or link", path.display())));
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    let mut file = File::from(open(&path, flags, mode | Mode::RUSR)?);
    io::copy(entry, &mut file).map(drop)
}

/// `output/data` comes without an entry for `output`.
fn make_output(root: &File, parent: &Path) -> io::Result<()> {
    if parent != Path::new("output") {
        return Ok(());
    }
    match mkdirat(root, parent, Mode::RWXU) {
        Err(Errno::EXIST) => Ok(()),
        made => Ok(made?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_across_segments_and_the_last_stays() {
        let dir = tempfile::tempdir().unwrap();
        let write = |first, text: &str| {
            fs::write(dir.path().join(segment_name(first)), text).unwrap();
        };
        let step = |from| {
            let read = read(dir.path(), from).unwrap();
            (String::from_utf8(read.lines).unwrap(), read.next)
        };
        assert_eq!(step(0), (String::new(), 0));
        write(0, "a\nb\nc");
        assert_eq!(step(0), ("a\nb\n".into(), 4));
        assert_eq!(step(4), (String::new(), 4), "half a line is none");
        write(0, "a\nb\nc\n");
        write(6, "d\n");
        assert_eq!(step(4), ("c\n".into(), 6));
        assert_eq!(step(6), ("d\n".into(), 8));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "what is done with is gone");
        assert_eq!(step(8), (String::new(), 8));
    }

    #[test]
    fn a_tar_from_elsewhere_stays_in_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("inst");
        fs::create_dir(&folder).unwrap();
        let job = JobDir::of_instance(&folder, dir.path()).unwrap();
        let mut tar = tar::Builder::new(File::create(folder.join(LEFT)).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        let name = b"../escaped";
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_cksum();
        tar.append(&header, &b"x"[..]).unwrap();
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, "model", dir.path()).unwrap();
        let mut inside = tar::Header::new_gnu();
        inside.set_size(1);
        inside.set_mode(0o644);
        tar.append_data(&mut inside, "model/through", &b"x"[..]).unwrap();
        tar.finish().unwrap();
        assert!(unpack(&job).is_err());
        assert!(!dir.path().join("escaped").exists() && !folder.join("escaped").exists());
        assert!(!dir.path().join("through").exists());
    }

    #[test]
    fn what_was_packed_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("inst");
        fs::create_dir(&folder).unwrap();
        let job = JobDir::of_instance(&folder, dir.path()).unwrap();
        let ml = dir.path().join("ml");
        fs::create_dir_all(ml.join("model/a/b")).unwrap();
        fs::create_dir_all(ml.join("output/data")).unwrap();
        fs::write(ml.join("model/a/b/x"), "1").unwrap();
        fs::write(ml.join("output/data/y"), "2").unwrap();
        std::os::unix::fs::symlink("/etc", ml.join("model/l")).unwrap();
        crate::node::pack(&ml, &folder.join(LEFT)).unwrap();
        unpack(&job).unwrap();
        let read = |name: &str| fs::read_to_string(job.opt_ml().join(name)).unwrap();
        assert_eq!((read("model/a/b/x"), read("output/data/y")), ("1".into(), "2".into()));
        let link = fs::read_link(job.opt_ml().join("model/l")).unwrap();
        assert_eq!(link, Path::new("/etc"));
        assert!(!folder.join(LEFT).exists());
    }
}
