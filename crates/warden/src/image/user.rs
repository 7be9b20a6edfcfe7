//! `User` of an image, by the image's own `/etc/passwd` and `/etc/group`.
//!
//! The files are looked for in the layers as overlayfs would show them, without mounting, and
//! nothing outside the layers is ever opened.

use super::config::ImageConfig;
use super::error::ImageError;
use super::limits::MAX_ACCOUNTS;
use super::store::Layer;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

/// User and group number that the image's process runs as: `User` may be `UID`, `UID:GID`,
/// `name` or `name:group`, as Docker reads it. An empty one is root.
///
/// # Errors
/// [`ImageError::User`] if a name is not in the image, or its files cannot be read safely.
pub fn user_of(config: &ImageConfig, layers: &[Layer]) -> Result<(u32, u32), ImageError> {
    let text = config.user.as_str();
    let fail = |reason: String| ImageError::User { user: text.to_owned(), reason };
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let group = group.filter(|g| !g.is_empty());
    let wanted: Option<u32> = number(user);
    let uid_gid = match (wanted, group) {
        (Some(uid), Some(_)) => Some((uid, 0)),
        _ => {
            let passwd = read(layers, "passwd").map_err(|e| fail(e.to_string()))?;
            find_user(&passwd, user, wanted)
        }
    };
    let (uid, own_group) = match (uid_gid, wanted) {
        (Some(found), _) => found,
        // A number without an account runs in root's group, as in Docker.
        (None, Some(uid)) => (uid, 0),
        (None, None) => return Err(fail(format!("{user:?} is not in its /etc/passwd"))),
    };
    let gid = match group {
        None => own_group,
        Some(name) => match number(name) {
            Some(gid) => gid,
            None => {
                let groups = read(layers, "group").map_err(|e| fail(e.to_string()))?;
                find_group(&groups, name)
                    .ok_or_else(|| fail(format!("{name:?} is not in its /etc/group")))?
            }
        },
    };
    Ok((uid, gid))
}

/// A user or group number: below 2^31 as Docker has it.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n: &u32| digits && *n < 1 << 31)
}

fn find_user(passwd: &str, name: &str, uid: Option<u32>) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (this, number_text, group) = (fields.next()?, fields.nth(1)?, fields.next()?);
        let this_uid = number(number_text)?;
        let gid = number(group)?;
        (this == name || Some(this_uid) == uid).then_some((this_uid, gid))
    })
}

fn find_group(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (this, gid) = (fields.next()?, fields.nth(1)?);
        (this == name).then(|| number(gid)).flatten()
    })
}

/// `/etc/NAME` of the layers laid over each other; empty if there is none.
fn read(layers: &[Layer], name: &str) -> io::Result<String> {
    for layer in layers.iter().rev() {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&layer.path, flags, Mode::empty())?;
        let etc = match look(&root, "etc")? {
            Found::Nothing => continue,
            Found::Deleted => break,
            Found::Folder => open(&root, "etc", OFlags::DIRECTORY)?,
            Found::File | Found::Other => {
                return Err(io::Error::other("its /etc is not a directory"));
            }
        };
        match look(&etc, name)? {
            Found::File => return content(open(&etc, name, OFlags::NONBLOCK)?),
            Found::Deleted => break,
            Found::Nothing if is_opaque(&etc) => break,
            Found::Nothing => {}
            Found::Folder | Found::Other => {
                return Err(io::Error::other(format!("its /etc/{name} is not a regular file")));
            }
        }
    }
    Ok(String::new())
}

enum Found {
    Nothing,
    Deleted,
    Folder,
    File,
    Other,
}

fn look(folder: &OwnedFd, name: &str) -> io::Result<Found> {
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if stat.st_rdev == 0 => Found::Deleted,
        FileType::Directory => Found::Folder,
        FileType::RegularFile => Found::File,
        _ => Found::Other,
    })
}

fn open(folder: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(rustix::fs::openat2(folder, name, flags, Mode::empty(), inside)?)
}

fn is_opaque(folder: &OwnedFd) -> bool {
    let mut value = [0; 1];
    // Only `y` means opaque; no such attribute is an error, and means no.
    rustix::fs::fgetxattr(folder, "user.overlay.opaque", &mut value).is_ok_and(|_| value == *b"y")
}

fn content(file: OwnedFd) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::from(file).take(MAX_ACCOUNTS + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_ACCOUNTS {
        return Err(io::Error::other(format!("its accounts have more than {MAX_ACCOUNTS} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
