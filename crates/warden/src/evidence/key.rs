//! The host's Ed25519 key. Files are PEM as OpenSSL reads and writes them: PKCS#8 for the private
//! key, SPKI for the public one (RFC 8410).

use crate::failure::Explain;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belljar_domain::failure::Blame;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, linkat, openat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The private key, below `<state>/keys`.
const PRIVATE: &str = "evidence.key.pem";
/// The public key, beside it.
pub const PUBLIC: &str = "evidence.pub.pem";
/// `PrivateKeyInfo` of Ed25519 up to the 32 bytes of the seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// `SubjectPublicKeyInfo` of Ed25519 up to the 32 bytes of the key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/// Bytes of a key file that are read.
const MAX_KEY_FILE: u64 = 4096;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// An operation on a file.
    #[error("cannot {action} '{path}'", path = .path.display())]
    File {
        /// A verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Others can read the private key, or it belongs to somebody else.
    #[error("the private key '{path}' {what}", path = .path.display())]
    Exposed {
        /// The file or its folder.
        path: PathBuf,
        /// "can be read or changed by others", "is not a plain file", ...
        what: &'static str,
    },
    /// Not an Ed25519 key in PEM.
    #[error("'{0}' is not an Ed25519 key in PEM form")]
    Form(String),
    /// The kernel gave no random bytes.
    #[error("cannot get random bytes")]
    Random(#[source] io::Error),
}

impl Explain for KeyError {
    fn blame(&self) -> Blame {
        Blame::Internal
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed { path, .. } => Some(format!(
                "If nobody else can have had it: chmod go= '{}'. Otherwise remove it and beside it {PUBLIC}: a new key is made at the next use.",
                path.display()
            )),
            Self::Form(_) => Some(format!("Give the file {PUBLIC} of the host that signed.")),
            Self::File { .. } => Some("Check that --state can be read and written.".to_owned()),
            Self::Random(_) => None,
        }
    }

    fn machine(&self) -> bool {
        !matches!(self, Self::Form(_))
    }
}

/// A public key that signatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From PEM (`-----BEGIN PUBLIC KEY-----`).
    ///
    /// # Errors
    /// If it is not an Ed25519 key; `name` tells where it came from.
    pub fn from_pem(pem: &str, name: &str) -> Result<Self, KeyError> {
        from_pem(pem, "PUBLIC KEY", &SPKI_PREFIX)
            .map(Self)
            .ok_or_else(|| KeyError::Form(name.to_owned()))
    }

    /// From a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no Ed25519 key in PEM.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let text = read_bounded(file, path)?;
        Self::from_pem(&text, &path.display().to_string())
    }

    /// The public key of this host, if it ever signed anything.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn of_host(keys_dir: &Path) -> Result<Option<Self>, KeyError> {
        match Self::read(&keys_dir.join(PUBLIC)) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// As PEM, with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem("PUBLIC KEY", &SPKI_PREFIX, &self.0)
    }

    /// SHA-256 of the SPKI in DER, lower-case hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::new().chain_update(SPKI_PREFIX).chain_update(self.0).finalize();
        digest.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// The host's private key.
pub struct HostKey(Ed25519KeyPair);

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.public().id())
    }
}

impl HostKey {
    /// The key in `keys_dir` (`<state>/keys`), made on first use: the folder 0700, the key 0600,
    /// both the caller's own. Two processes that come at once agree on one key.
    ///
    /// # Errors
    /// If the key cannot be read or made, or others could have read it.
    pub fn open(keys_dir: &Path) -> Result<Self, KeyError> {
        make_private_folder(keys_dir)?;
        let path = keys_dir.join(PRIVATE);
        let key = match Self::load(&path)? {
            Some(key) => key,
            None => Self::make(keys_dir, &path)?,
        };
        // Also after a crash between the two files.
        let public = keys_dir.join(PUBLIC);
        if PublicKey::of_host(keys_dir)? != Some(key.public()) {
            let failed = |source| KeyError::File { action: "write", path: public.clone(), source };
            let (temporary, mut file) = temporary(keys_dir, 0o644)?;
            let written =
                file.write_all(key.public().to_pem().as_bytes()).and_then(|()| file.sync_all());
            written.and_then(|()| std::fs::rename(&temporary, &public)).map_err(|e| {
                let _ = std::fs::remove_file(&temporary);
                failed(e)
            })?;
        }
        Ok(key)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs; deterministic (RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(CWD, path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(exposed(path, "is a link")),
            Err(e) => {
                return Err(KeyError::File {
                    action: "read",
                    path: path.to_owned(),
                    source: e.into(),
                });
            }
        };
        check_private(&file, path, FileType::RegularFile)?;
        let text = read_bounded(file, path)?;
        let form = || KeyError::Form(path.display().to_string());
        let seed = from_pem(&text, "PRIVATE KEY", &PKCS8_PREFIX).ok_or_else(form)?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map(|k| Some(Self(k))).map_err(|_| form())
    }

    fn make(keys_dir: &Path, path: &Path) -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
            .and_then(|n| if n == seed.len() { Ok(()) } else { Err(Errno::INTR) })
            .map_err(|e| KeyError::Random(e.into()))?;
        let failed = |source| KeyError::File { action: "write", path: path.to_owned(), source };
        let (temporary, mut file) = temporary(keys_dir, 0o600)?;
        let pem = to_pem("PRIVATE KEY", &PKCS8_PREFIX, &seed);
        let written = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all());
        // A link, not a rename: whoever comes second fails and takes the first one's key.
        let linked = written.and_then(|()| {
            match linkat(CWD, &temporary, CWD, path, rustix::fs::AtFlags::empty()) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(e) => Err(io::Error::from(e)),
            }
        });
        let removed = std::fs::remove_file(&temporary);
        linked.and(removed).map_err(failed)?;
        File::open(keys_dir).and_then(|d| d.sync_all()).map_err(failed)?;
        Self::load(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    }
}

fn exposed(path: &Path, what: &'static str) -> KeyError {
    KeyError::Exposed { path: path.to_owned(), what }
}

fn make_private_folder(folder: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |action, source| KeyError::File { action, path: folder.to_owned(), source };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| failed("make the folder", e))?;
    let opened = File::open(folder).map_err(|e| failed("open", e))?;
    check_private(&opened, folder, FileType::Directory)
}

fn check_private(file: &File, path: &Path, kind: FileType) -> Result<(), KeyError> {
    let stat = fstat(file).map_err(|e| KeyError::File {
        action: "read",
        path: path.to_owned(),
        source: e.into(),
    })?;
    if FileType::from_raw_mode(stat.st_mode) != kind {
        return Err(exposed(path, "is neither a plain file nor a folder"));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(exposed(path, "belongs to another user"));
    }
    // A folder that others can only look into does not expose a file of mode 0600.
    let forbidden = if kind == FileType::Directory { 0o022 } else { 0o077 };
    if stat.st_mode & forbidden != 0 {
        return Err(exposed(path, "can be read or changed by others"));
    }
    Ok(())
}

fn temporary(folder: &Path, mode: u32) -> Result<(PathBuf, File), KeyError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".new-{}-{count}", std::process::id()));
    let failed = |source| KeyError::File { action: "write", path: path.clone(), source };
    // Of a process with this number that was killed.
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        openat(CWD, &path, flags, Mode::from_raw_mode(mode)).map_err(|e| failed(e.into()))?;
    Ok((path, File::from(file)))
}

fn read_bounded(file: File, path: &Path) -> Result<String, KeyError> {
    let mut text = String::new();
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(|source| KeyError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok(text)
}

fn to_pem(label: &str, prefix: &[u8], key: &[u8; 32]) -> String {
    let body = BASE64_STANDARD.encode([prefix, key].concat());
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn from_pem(pem: &str, label: &str, prefix: &[u8]) -> Option<[u8; 32]> {
    let body = pem
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))?
        .strip_suffix(&format!("-----END {label}-----"))?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = BASE64_STANDARD.decode(body).ok()?;
    der.strip_prefix(prefix)?.try_into().ok()
}
