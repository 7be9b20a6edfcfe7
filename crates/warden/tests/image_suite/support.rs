//! What the image tests share: archives and layouts made by code, good and evil.

use belljar_warden::image::{Digest, Image, ImageError, ImageStore, Reference};
use belljar_warden::progress::Silent;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

pub(crate) use belljar_warden::image::unpack::{Promise, UnpackError, Unpacked, unpack};

/// A tar archive of raw headers: names go in as they are.
#[derive(Default, Clone)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    pub(crate) fn entry(
        mut self,
        kind: u8,
        name: &str,
        link: &str,
        content: &[u8],
        mode: u32,
    ) -> Self {
        if name.len() > 100 {
            self = self.raw(b'L', "././@LongLink", "", name.as_bytes(), 0, name.len() as u64);
        }
        if link.len() > 100 {
            self = self.raw(b'K', "././@LongLink", "", link.as_bytes(), 0, link.len() as u64);
        }
        self.raw(kind, name, link, content, mode, content.len() as u64)
    }

    pub(crate) fn raw(
        mut self,
        kind: u8,
        name: &str,
        link: &str,
        content: &[u8],
        mode: u32,
        size: u64,
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        let cut = |text: &str| text.as_bytes()[..text.len().min(100)].to_vec();
        old.name[..name.len().min(100)].copy_from_slice(&cut(name));
        old.linkname[..link.len().min(100)].copy_from_slice(&cut(link));
        old.linkflag = [kind];
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(size);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        let padding = (512 - content.len() % 512) % 512;
        self.0.extend(std::iter::repeat_n(0, padding));
        self
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.entry(b'0', name, "", content.as_bytes(), 0o644)
    }

    pub(crate) fn dir(self, name: &str, mode: u32) -> Self {
        self.entry(b'5', name, "", b"", mode)
    }

    pub(crate) fn symlink(self, name: &str, to: &str) -> Self {
        self.entry(b'2', name, to, b"", 0o777)
    }

    pub(crate) fn hard_link(self, name: &str, to: &str) -> Self {
        self.entry(b'1', name, to, b"", 0o644)
    }

    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(b'x', "PaxHeaders/x", "", &data, 0o644)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Unpacks one layer into a new folder `name` below `at`.
pub(crate) fn unpack_to(at: &Path, name: &str, stream: &[u8]) -> Result<Unpacked, UnpackError> {
    let dest = at.join(name);
    std::fs::create_dir(&dest).unwrap();
    let folder = std::fs::File::open(&dest).unwrap();
    let stop = AtomicBool::new(false);
    let input = Box::new(stream);
    unpack(input, &Promise::default(), folder.as_fd(), &|_| {}, &stop)
}

/// An image as documents and blobs.
pub(crate) struct Made {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) blobs: Vec<Vec<u8>>,
    pub(crate) diff_ids: Vec<Digest>,
}

/// An image of these tar streams; the blobs are gzip, zstd and plain in turn.
pub(crate) fn image(tars: &[Vec<u8>], docker: bool) -> Made {
    image_for(tars, docker, belljar_warden::image::architecture())
}

pub(crate) fn image_for(tars: &[Vec<u8>], docker: bool, architecture: &str) -> Made {
    let diff_ids: Vec<Digest> = tars.iter().map(|t| Digest::of(t)).collect();
    let blobs: Vec<Vec<u8>> = tars
        .iter()
        .enumerate()
        .map(|(i, tar)| match i % 3 {
            0 => gzip(tar),
            1 => zstd::encode_all(tar.as_slice(), 1).unwrap(),
            _ => tar.clone(),
        })
        .collect();
    let config = serde_json::to_vec(&serde_json::json!({
        "architecture": architecture, "os": "linux",
        "config": {"Entrypoint": ["/train"], "Env": ["A=b"], "User": "ada", "WorkingDir": "/w",
                   "Labels": {"k": "v"}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }))
    .unwrap();
    let kind = |docker_kind: &str, oci: &str| {
        if docker {
            format!("application/vnd.docker.{docker_kind}")
        } else {
            format!("application/vnd.oci.image.{oci}")
        }
    };
    let descriptor = |kind: &str, bytes: &[u8]| serde_json::json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
    let layer_kind = kind("image.rootfs.diff.tar.gzip", "layer.v1.tar+gzip");
    let layers: Vec<_> = blobs.iter().map(|b| descriptor(&layer_kind, b)).collect();
    let manifest = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": kind("distribution.manifest.v2+json", "manifest.v1+json"),
        "config": descriptor(&kind("container.image.v1+json", "config.v1+json"), &config),
        "layers": layers,
    }))
    .unwrap();
    Made { manifest, config, blobs, diff_ids }
}

impl Made {
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// All blobs with their digests.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Digest, &Vec<u8>)> {
        self.blobs.iter().chain([&self.manifest, &self.config]).map(|b| (Digest::of(b), b))
    }

    /// Writes an OCI layout with these images, each with its tag.
    pub(crate) fn layout(dir: &Path, images: &[(&str, &Self)]) {
        std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let mut manifests = Vec::new();
        for (tag, image) in images {
            for (digest, bytes) in image.all() {
                std::fs::write(dir.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
            }
            manifests.push(serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": image.digest(), "size": image.manifest.len(),
                "annotations": {"org.opencontainers.image.ref.name": tag},
            }));
        }
        let index = serde_json::json!({"schemaVersion": 2, "manifests": manifests});
        std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    }
}

/// A tar of a folder, for archives of images.
pub(crate) fn tar_of(dir: &Path, file: &Path) {
    let mut builder = tar::Builder::new(std::fs::File::create(file).unwrap());
    builder.append_dir_all(".", dir).unwrap();
    builder.finish().unwrap();
}

pub(crate) fn run<F: std::future::Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

pub(crate) fn pull(store: &ImageStore, reference: &str) -> Result<Image, ImageError> {
    let reference: Reference = reference.parse()?;
    run(store.pull(&reference, None, &Silent))
}

/// What is in a folder: path, and content of files or target of links.
pub(crate) fn listing(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            let what = if kind.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap().display())
            } else if kind.is_dir() {
                waiting.push(path);
                "/".to_owned()
            } else if kind.is_file() {
                std::fs::read_to_string(&path).unwrap_or_else(|_| "(binary)".to_owned())
            } else {
                "(special)".to_owned()
            };
            found.push((name, what));
        }
    }
    found.sort();
    found
}
