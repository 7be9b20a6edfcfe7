//! What hides entries of the layers below, in overlayfs's own form.

use super::{Tree, failed};
use crate::image::unpack::UnpackError;
use crate::image::unpack::path::SafePath;
use rustix::fs::{AtFlags, FileType, Mode, XattrFlags};
use rustix::io::Errno;

impl Tree<'_> {
    /// A whiteout for overlayfs: a character device 0:0, which needs no privilege to make.
    pub(super) fn delete(&mut self, path: &SafePath) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        let made = rustix::fs::mknodat(
            &*parent,
            name.as_slice(),
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        );
        match made {
            Ok(()) => {
                self.whiteouts.insert(path.bytes().to_vec());
                Ok(())
            }
            // This layer has the path itself. A file replaces the lower one anyway; a directory
            // must not show what the lower one held.
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&*parent, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(failed(path))?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    self.set_opaque(path)?;
                }
                Ok(())
            }
            Err(error) => Err(failed(path)(error)),
        }
    }

    pub(super) fn hide_below(&mut self, path: &SafePath) -> Result<(), UnpackError> {
        if path.is_root() {
            self.opaque_root = true;
            return Ok(());
        }
        // The directory's own entry may be still to come.
        self.parent(&path.join(b"x"))?;
        self.set_opaque(path)
    }

    /// Marks a directory as hiding the lower ones, for mounts with `userxattr` and without.
    pub(super) fn set_opaque(&mut self, path: &SafePath) -> Result<(), UnpackError> {
        let directory = self.open_for_change(path).map_err(failed(path))?;
        let set = |name: &str| rustix::fs::fsetxattr(&directory, name, b"y", XattrFlags::empty());
        set("user.overlay.opaque").map_err(failed(path))?;
        match set("trusted.overlay.opaque") {
            // Without privilege mounts are with `userxattr` only, which reads the first.
            Ok(()) | Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(failed(path)(error)),
        }
    }
}
