//! FIFOs in a folder that belongs to a hostile container.
//!
//! The container may rename, remove and replace whatever is in that folder while this runs. So a
//! name is used once, to make the FIFO in a folder that is held open; from then on what is used is
//! a descriptor of that very FIFO. Nothing that the container put there is ever opened: what was
//! found in place of the FIFO is only looked at (`O_PATH`), and refused.

use crate::staging::Owner;
use crate::staging::error::{FileError, InputError};
use crate::staging::limits;
use belljar_domain::ChannelName;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chmod, chownat, fstat, mknodat, openat,
    unlinkat,
};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use tokio::net::unix::pipe::Sender;

/// The FIFOs of one channel.
pub(super) struct Fifos {
    folder: OwnedFd,
    channel: ChannelName,
    owner: Option<Owner>,
}

/// One FIFO, whatever its name is by now.
pub(super) struct Fifo {
    handle: OwnedFd,
    name: String,
}

impl Fifos {
    /// `folder` is `/opt/ml/input/data` of a container that does not run yet.
    pub(super) fn new(
        folder: &Path,
        channel: &ChannelName,
        owner: Option<Owner>,
    ) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(CWD, folder, flags, Mode::empty());
        let opened = opened.map_err(|e| FileError::new("open", folder, e))?;
        Ok(Self { folder: opened, channel: channel.clone(), owner })
    }

    fn name(&self, epoch: u64) -> String {
        format!("{}_{epoch}", self.channel)
    }

    /// Makes the FIFO of an epoch; that of the one before the last goes.
    pub(super) fn make(&self, epoch: u64) -> Result<Fifo, InputError> {
        if let Some(old) = epoch.checked_sub(2) {
            // What the container made of it is its own affair.
            let _ = unlinkat(&self.folder, self.name(old), AtFlags::empty());
        }
        let name = self.name(epoch);
        let failed = |e: Errno| FileError::new("make the FIFO", &name, e);
        let readable = Mode::from_raw_mode(0o644);
        match unlinkat(&self.folder, &name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => {}
            Err(Errno::ISDIR | Errno::PERM) => return Err(InputError::NoFifo(name)),
            Err(e) => return Err(failed(e).into()),
        }
        match mknodat(&self.folder, &name, FileType::Fifo, readable, 0) {
            Err(Errno::EXIST) => return Err(InputError::NoFifo(name)),
            made => made.map_err(failed)?,
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match openat(&self.folder, &name, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Err(InputError::NoFifo(name)),
            Err(e) => return Err(failed(e).into()),
        };
        if FileType::from_raw_mode(fstat(&handle).map_err(failed)?.st_mode) != FileType::Fifo {
            return Err(InputError::NoFifo(name));
        }
        if let Some(Owner { uid, gid }) = self.owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            chownat(&handle, "", uid, gid, AtFlags::EMPTY_PATH).map_err(failed)?;
        }
        let fifo = Fifo { handle, name };
        // The mode that was asked for above is less the umask.
        chmod(fifo.path(), readable).map_err(|e| FileError::new("open to all", &fifo.name, e))?;
        Ok(fifo)
    }
}

impl Fifo {
    /// Leads to this FIFO, wherever its name leads.
    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.handle.as_raw_fd())
    }

    /// Waits until the container has opened it, and opens the other end.
    pub(super) async fn opened(&self) -> Result<Sender, InputError> {
        let failed = |e: std::io::Error| FileError::new("write to", &self.name, e);
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut wait = Duration::from_millis(1);
        loop {
            match openat(CWD, self.path(), flags, Mode::empty()) {
                Ok(end) => {
                    // A user who may not have as much gets what the kernel gives by itself.
                    let _ = rustix::pipe::fcntl_setpipe_size(&end, limits::PIPE_BUFFER);
                    return Ok(Sender::from_owned_fd(end).map_err(failed)?);
                }
                // Nobody reads.
                Err(Errno::NXIO) => tokio::time::sleep(wait).await,
                Err(e) => return Err(failed(e.into()).into()),
            }
            wait = (wait * 2).min(limits::PIPE_LOOK);
        }
    }
}

/// Waits until everything that was written has been read. False if the reader is gone before.
pub(super) async fn drained(end: &Sender) -> bool {
    let mut wait = Duration::from_millis(1);
    loop {
        if rustix::io::ioctl_fionread(end).is_ok_and(|left| left == 0) {
            return true;
        }
        if is_alone(end) {
            return false;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(limits::PIPE_LOOK);
    }
}

/// Whether nobody reads any more.
fn is_alone(end: &Sender) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(end.as_fd(), PollFlags::OUT)];
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::ERR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, symlink};
    use tokio::io::AsyncWriteExt;

    fn fifos(folder: &Path) -> Fifos {
        Fifos::new(folder, &"train".parse().unwrap(), None).unwrap()
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_not_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let fifos = fifos(dir.path());
        let first = fifos.make(0).unwrap();
        let (name, victim) = (dir.path().join("train_0"), outside.path().join("victim"));
        std::fs::write(&victim, "mine").unwrap();
        // The hostile container: its FIFO moves away, and a link takes its place.
        std::fs::rename(&name, dir.path().join("moved")).unwrap();
        symlink(&victim, &name).unwrap();
        let moved = dir.path().join("moved");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            std::fs::File::open(moved).unwrap().read_to_string(&mut text).unwrap();
            text
        });
        let mut end = first.opened().await.unwrap();
        end.write_all(b"data").await.unwrap();
        assert!(drained(&end).await);
        drop(end);
        assert_eq!(reader.join().unwrap(), "data", "the FIFO that was made is the one written to");
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    }

    #[test]
    fn what_lies_where_the_next_one_will_be_is_replaced_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let fifos = fifos(dir.path());
        let name = dir.path().join("train_1");
        symlink("/dev/null", &name).unwrap();
        fifos.make(1).unwrap();
        assert!(std::fs::symlink_metadata(&name).unwrap().file_type().is_fifo());
        std::fs::create_dir(dir.path().join("train_2")).unwrap();
        assert!(matches!(fifos.make(2), Err(InputError::NoFifo(_))));
    }

    #[test]
    fn a_folder_that_is_moved_takes_its_fifos_along() {
        let dir = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (dir.path().join("data"), tempfile::tempdir().unwrap());
        std::fs::create_dir(&data).unwrap();
        let fifos = fifos(&data);
        std::fs::rename(&data, dir.path().join("old")).unwrap();
        symlink(elsewhere.path(), &data).unwrap();
        fifos.make(0).unwrap();
        assert!(dir.path().join("old/train_0").exists());
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_reader_that_leaves_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = fifos(dir.path()).make(0).unwrap();
        let path = dir.path().join("train_0");
        let reader = std::thread::spawn(move || std::fs::File::open(path).unwrap());
        let mut end = fifo.opened().await.unwrap();
        end.write_all(b"unread").await.unwrap();
        drop(reader.join().unwrap());
        assert!(!drained(&end).await);
    }
}
