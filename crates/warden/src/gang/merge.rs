//! What the instances of a job left, put together in one folder. Their containers are dead, so
//! nothing changes meanwhile; links are moved, and never followed.
//!
//! **Invariant**: nothing is lost. Where two instances left different things under one name, the
//! first keeps it and the other's gets its host's name appended, which is told.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Folders in folders, at most: as deep as an archive may be.
const MAX_DEPTH: usize = 128;
/// Clashes that are told one by one; the rest is counted.
const MAX_TOLD: usize = 20;

/// The clashes that were met.
#[derive(Debug, Default)]
pub(super) struct Clashes {
    told: Vec<String>,
    more: usize,
}

impl Clashes {
    fn tell(&mut self, name: &Path, kept: &Path) {
        if self.told.len() == MAX_TOLD {
            self.more += 1;
            return;
        }
        self.told.push(format!(
            "instances left different things as '{}': that of a later one is kept as '{}'",
            name.display(),
            kept.display()
        ));
    }

    /// A sentence each.
    pub(super) fn into_warnings(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} more names clashed in the same way", self.more));
        }
        self.told
    }
}

/// Moves what is in the folder `from` into the folder `into`; `host` is whose it is.
pub(super) fn merge(from: &Path, into: &Path, host: &str, clashes: &mut Clashes) -> io::Result<()> {
    move_all(from, into, host, clashes, 0)
}

fn move_all(
    from: &Path,
    into: &Path,
    host: &str,
    clashes: &mut Clashes,
    depth: usize,
) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other(format!("{} is nested too deeply", from.display())));
    }
    let mut names: Vec<_> =
        fs::read_dir(from)?.map(|e| e.map(|e| e.file_name())).collect::<Result<_, _>>()?;
    names.sort_unstable();
    for name in names {
        let (source, target) = (from.join(&name), into.join(&name));
        let theirs = fs::symlink_metadata(&source)?;
        match fs::symlink_metadata(&target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => fs::rename(&source, &target)?,
            Err(e) => return Err(e),
            Ok(ours) if ours.is_dir() && theirs.is_dir() => {
                move_all(&source, &target, host, clashes, depth + 1)?;
            }
            Ok(ours) if same(&source, &theirs, &target, &ours)? => {}
            Ok(_) => {
                let free = free_name(&target, host)?;
                fs::rename(&source, &free)?;
                clashes.tell(&target, &free);
            }
        }
    }
    Ok(())
}

/// Whether two that are no folders are the same to whoever reads them.
fn same(a: &Path, of_a: &Metadata, b: &Path, of_b: &Metadata) -> io::Result<bool> {
    if of_a.is_symlink() && of_b.is_symlink() {
        return Ok(fs::read_link(a)? == fs::read_link(b)?);
    }
    if !of_a.is_file() || !of_b.is_file() || of_a.len() != of_b.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    loop {
        let read = a.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

/// `weights.bin.algo-2`, or what follows it where that is taken too.
fn free_name(target: &Path, host: &str) -> io::Result<std::path::PathBuf> {
    let mut name = target.as_os_str().to_owned();
    loop {
        name.push(".");
        name.push(host);
        match fs::symlink_metadata(&name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(name.into()),
            Err(e) => return Err(e),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    type Tree = [(&'static str, &'static str)];

    fn merged(trees: &[&Tree]) -> (BTreeMap<PathBuf, String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("into");
        fs::create_dir(&into).unwrap();
        let mut clashes = Clashes::default();
        for (n, tree) in trees.iter().enumerate() {
            let host = format!("algo-{}", n + 1);
            let from = dir.path().join(&host);
            fs::create_dir(&from).unwrap();
            for (path, text) in *tree {
                let path = from.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                match text.strip_prefix("-> ") {
                    Some(link) => std::os::unix::fs::symlink(link, path).unwrap(),
                    None => fs::write(path, text).unwrap(),
                }
            }
            merge(&from, &into, &host, &mut clashes).unwrap();
        }
        let mut found = BTreeMap::new();
        collect(&into, &into, &mut found);
        (found, clashes.into_warnings())
    }

    fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if kind.is_dir() {
                collect(root, &path, found);
            } else if kind.is_symlink() {
                found.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()));
            } else {
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }

    fn expect(trees: &[&Tree], all: &Tree, clashes: usize) {
        let (found, warnings) = merged(trees);
        let all = all.iter().map(|(p, t)| (PathBuf::from(p), (*t).to_owned())).collect();
        assert_eq!(found, all);
        assert_eq!(warnings.len(), clashes, "{warnings:?}");
    }

    #[test]
    fn folders_are_united_and_equal_files_are_one() {
        expect(
            &[&[("a/x", "1"), ("m", "same")], &[("a/y", "2"), ("m", "same")], &[]],
            &[("a/x", "1"), ("a/y", "2"), ("m", "same")],
            0,
        );
    }

    #[test]
    fn what_differs_is_kept_twice_and_told() {
        expect(
            &[&[("m", "1")], &[("m", "2")], &[("m", "3"), ("m.algo-2", "x")]],
            &[("m", "1"), ("m.algo-2", "2"), ("m.algo-3", "3"), ("m.algo-2.algo-3", "x")],
            3,
        );
    }

    #[test]
    fn a_folder_against_a_file_keeps_both() {
        expect(&[&[("m", "1")], &[("m/a", "2")]], &[("m", "1"), ("m.algo-2/a", "2")], 1);
        expect(&[&[("m/a", "1")], &[("m", "2")]], &[("m/a", "1"), ("m.algo-2", "2")], 1);
    }

    #[test]
    fn links_are_moved_and_not_followed() {
        expect(
            &[&[("l", "-> /etc"), ("k", "-> a")], &[("l/passwd", "x"), ("k", "-> a")]],
            &[("l", "-> /etc"), ("k", "-> a"), ("l.algo-2/passwd", "x")],
            1,
        );
    }
}
