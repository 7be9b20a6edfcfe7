//! Opening directories of a layer, and making those that the archive left out.

use super::{Content, Late, OPEN_PARENTS, Tree, failed, inside, refused};
use crate::image::unpack::UnpackError;
use crate::image::unpack::path::SafePath;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::rc::Rc;

impl Tree<'_> {
    /// The open parent directory of `path`, made if the archive left it out, and the last name.
    pub(super) fn parent(
        &mut self,
        path: &SafePath,
    ) -> Result<(Rc<OwnedFd>, Vec<u8>), UnpackError> {
        let (parent, name) = path.split();
        let name = name.to_vec();
        if let Some(at) = self.parents.iter().rposition(|(known, _)| known == parent.bytes()) {
            let found = self.parents.remove(at);
            let fd = Rc::clone(&found.1);
            self.parents.push(found);
            return Ok((fd, name));
        }
        let opened = match self.open(&parent) {
            Err(Errno::NOENT | Errno::NOTDIR) => {
                self.make_parents(&parent)?;
                self.open(&parent)
            }
            other => other,
        };
        let fd = Rc::new(opened.map_err(failed(&parent))?);
        if self.parents.len() == OPEN_PARENTS {
            self.parents.remove(0);
        }
        self.parents.push((parent.bytes().to_vec(), Rc::clone(&fd)));
        Ok((fd, name))
    }

    /// Makes the directories of `path` that are missing, as root's with mode 755.
    pub(super) fn make_parents(&mut self, path: &SafePath) -> Result<(), UnpackError> {
        let mut at = SafePath::new(b"")?;
        for part in path.parts() {
            let next = at.join(part);
            match self.open(&next) {
                Ok(_) => {}
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    let parent = self.open(&at).map_err(failed(&next))?;
                    let whiteout = self.whiteouts.contains(next.bytes());
                    let made = rustix::fs::mkdirat(&parent, part, Mode::RWXU);
                    if made == Err(Errno::EXIST) && whiteout {
                        self.create(&next, &parent, true, || {
                            rustix::fs::mkdirat(&parent, part, Mode::RWXU)
                        })?;
                        self.set_opaque(&next)?;
                    } else if made == Err(Errno::EXIST) {
                        return Err(refused(path, "a parent of it is not a directory"));
                    } else {
                        made.map_err(failed(&next))?;
                    }
                    let owner = match self.content {
                        Content::Layer => (0, 0),
                        Content::Files { owner } => owner.unwrap_or(self.own),
                    };
                    let late = Late { mode: 0o755, owner, mtime: (0, 0), xattrs: Vec::new() };
                    self.remember_late(&next, late)?;
                }
                Err(error) => return Err(failed(&next)(error)),
            }
            at = next;
        }
        Ok(())
    }

    pub(super) fn open(&self, path: &SafePath) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(self.root, path.or_dot(), flags, Mode::empty(), inside())
    }

    /// Opens a directory itself, not what a link of its name leads to.
    pub(super) fn open_for_change(&self, path: &SafePath) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat2(self.root, path.or_dot(), flags, Mode::empty(), inside())
    }
}
