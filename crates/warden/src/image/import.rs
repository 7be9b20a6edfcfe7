//! A folder with a root file system becomes an image of one layer.
//!
//! The folder is written as a tar stream in a fixed order and goes through the same unpacking as
//! any other layer. The same files (with their modes and times) always give the same digest.
//! Times are kept, since Python trusts its compiled files by them. Owners are kept for root;
//! files of whoever else imports belong to root in the image. Not taken: sockets, device nodes,
//! extended attributes.

use super::config::{ConfigDocument, Process, RootFs, architecture};
use super::digest::Digest;
use super::error::ImageError;
use super::limits::{MAX_ENTRIES, MAX_PATH};
use super::registry_name::RegistryName;
use super::store::{Image, ImageStore, NewImage, NewLayer};
use super::transport::{descriptor, manifest_of};
use super::unpack::{Promise, UnpackError, Unpacked, unpack};
use crate::progress::Progress;
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tar::{Builder, EntryType, Header};

/// What containers of an imported image run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `Env`, each `NAME=value`.
    pub env: Vec<String>,
    /// `WorkingDir`.
    pub working_dir: Option<String>,
    /// `User`.
    pub user: Option<String>,
}

impl ImageStore {
    /// Makes an image of `dir` and stores it under `tag`. Blocks until it is on the disk.
    ///
    /// # Errors
    /// [`ImageError::Reference`] for a bad tag, [`ImageError::Import`] if the folder cannot be
    /// read, [`ImageError::Unpack`] or [`ImageError::WriteStore`] if the store cannot be written.
    pub fn import(
        &self,
        dir: &Path,
        tag: &str,
        config: &ImportConfig,
        progress: &dyn Progress,
    ) -> Result<Image, ImageError> {
        let name = RegistryName::parse(tag)?.to_string();
        let new = NewLayer::create(self)?;
        let item = dir.display().to_string();
        let told = |bytes| progress.update(&item, bytes, None);
        let unpacked = write_layer(dir, &new, &told)?;
        let lease = new.commit(&unpacked)?;
        let config = config_document(config, &unpacked.diff_id)?;
        let kind = "application/vnd.oci.image.layer.v1.tar";
        let layer = descriptor(kind, unpacked.diff_id.clone(), unpacked.bytes);
        let manifest = manifest_of(&config, vec![layer])?;
        let source = format!("import of {}", dir.display());
        let new = NewImage { manifest: &manifest, config: &config, name: &name, source };
        let image = self.record(&new);
        drop(lease);
        image
    }
}

fn config_document(config: &ImportConfig, diff_id: &Digest) -> Result<Vec<u8>, ImageError> {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let document = ConfigDocument {
        architecture: architecture().to_owned(),
        os: "linux".to_owned(),
        config: Some(Process {
            entrypoint: some(&config.entrypoint),
            cmd: some(&config.cmd),
            env: some(&config.env),
            working_dir: config.working_dir.clone(),
            user: config.user.clone(),
            labels: None,
        }),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id.clone()] },
    };
    serde_json::to_vec(&document).map_err(|e| ImageError::Document {
        what: "the configuration".to_owned(),
        reason: e.to_string(),
    })
}

fn failed(path: &Path, reason: impl ToString) -> ImageError {
    ImageError::Import { path: path.to_owned(), reason: reason.to_string() }
}

/// One thread writes the tar stream into a pipe, this one unpacks it.
fn write_layer(
    dir: &Path,
    new: &NewLayer,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, ImageError> {
    let stop = AtomicBool::new(false);
    let unpack_failed = |source| ImageError::Unpack { layer: dir.display().to_string(), source };
    let Some(folder) = new.folder() else { return Err(unpack_failed(UnpackError::Stopped)) };
    let (reader, writer) = io::pipe().map_err(|e| failed(dir, e))?;
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || write_tar(dir, writer));
        let unpacked = unpack(Box::new(reader), &Promise::default(), folder, progress, &stop);
        let written = match writing.join() {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match (written, unpacked) {
            (Err(error), Ok(_) | Err(UnpackError::Malformed { .. })) => Err(error),
            (_, unpacked) => unpacked.map_err(unpack_failed),
        }
    })
}

struct Writer<W: Write> {
    tar: Builder<BufWriter<W>>,
    root: PathBuf,
    keep_owners: bool,
    /// First path of each file with several names.
    links: HashMap<(u64, u64), PathBuf>,
    entries: u64,
}

fn write_tar(dir: &Path, to: impl Write) -> Result<(), ImageError> {
    let metadata = std::fs::metadata(dir).map_err(|e| failed(dir, e))?;
    if !metadata.is_dir() {
        return Err(failed(dir, "it is not a folder"));
    }
    let mut writer = Writer {
        tar: Builder::new(BufWriter::with_capacity(256 << 10, to)),
        root: dir.to_owned(),
        keep_owners: rustix::process::geteuid().is_root(),
        links: HashMap::new(),
        entries: 0,
    };
    writer.directory(Path::new("./"), &metadata)?;
    // Paths still to be visited, the next one last.
    let mut waiting = children(dir, Path::new(""))?;
    while let Some(path) = waiting.pop() {
        let full = dir.join(&path);
        let metadata = std::fs::symlink_metadata(&full).map_err(|e| failed(&full, e))?;
        if writer.entry(&path, &metadata)? {
            waiting.append(&mut children(&full, &path)?);
        }
    }
    let finish = || writer.tar.into_inner()?.flush();
    finish().map_err(|e| failed(dir, e))
}

/// The names in a folder, sorted backwards.
fn children(full: &Path, path: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(full).map_err(|e| failed(full, e))? {
        let name = entry.map_err(|e| failed(full, e))?.file_name();
        if name.as_bytes().starts_with(b".wh.") {
            return Err(failed(
                &full.join(name),
                "names that begin with .wh. delete files in an image",
            ));
        }
        if path.as_os_str().len() + name.len() > MAX_PATH {
            return Err(failed(full, "a path in it is too long"));
        }
        names.push(path.join(name));
    }
    names.sort_by(|a, b| b.cmp(a));
    Ok(names)
}

impl<W: Write> Writer<W> {
    /// Writes one entry; `true` if it is a directory to be visited.
    fn entry(&mut self, path: &Path, metadata: &Metadata) -> Result<bool, ImageError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(failed(&self.root, format!("it has more than {MAX_ENTRIES} entries")));
        }
        let kind = metadata.file_type();
        let full = self.root.join(path);
        if kind.is_dir() {
            self.directory(path, metadata)?;
            return Ok(true);
        }
        if metadata.nlink() > 1 && !kind.is_dir() {
            let key = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&key) {
                let mut header = self.header(EntryType::Link, metadata);
                self.tar.append_link(&mut header, path, first).map_err(|e| failed(&full, e))?;
                return Ok(false);
            }
            if kind.is_file() {
                self.links.insert(key, path.to_owned());
            }
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(&full).map_err(|e| failed(&full, e))?;
            let mut header = self.header(EntryType::Symlink, metadata);
            // Not `append_link`, which tidies the target.
            let literal = header.set_link_name_literal(target.as_os_str().as_bytes());
            let written = match literal {
                Ok(()) => self.tar.append_data(&mut header, path, io::empty()),
                Err(_) => self.tar.append_link(&mut header, path, &target),
            };
            written.map_err(|e| failed(&full, e))?;
        } else if kind.is_file() {
            self.file(path, &full, metadata)?;
        } else if kind.is_fifo() {
            let mut header = self.header(EntryType::Fifo, metadata);
            self.tar.append_data(&mut header, path, io::empty()).map_err(|e| failed(&full, e))?;
        } else {
            tracing::info!(path = %full.display(), "sockets and device nodes are not imported");
        }
        Ok(false)
    }

    fn directory(&mut self, path: &Path, metadata: &Metadata) -> Result<(), ImageError> {
        let mut header = self.header(EntryType::Directory, metadata);
        let name: &OsStr = path.as_os_str();
        self.tar
            .append_data(&mut header, name, io::empty())
            .map_err(|e| failed(&self.root.join(path), e))
    }

    fn file(&mut self, path: &Path, full: &Path, metadata: &Metadata) -> Result<(), ImageError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(full, flags, Mode::empty()).map_err(|e| failed(full, e))?;
        let mut header = self.header(EntryType::Regular, metadata);
        header.set_size(metadata.len());
        let content = Exact { file: File::from(file), left: metadata.len() };
        self.tar.append_data(&mut header, path, content).map_err(|e| failed(full, e))
    }

    fn header(&self, kind: EntryType, metadata: &Metadata) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(metadata.mode() & 0o7777);
        header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
        let (uid, gid) = if self.keep_owners { (metadata.uid(), metadata.gid()) } else { (0, 0) };
        header.set_uid(u64::from(uid));
        header.set_gid(u64::from(gid));
        header
    }
}

/// Exactly as many bytes as the header says, though the file may change meanwhile.
struct Exact {
    file: File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |l| l.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
