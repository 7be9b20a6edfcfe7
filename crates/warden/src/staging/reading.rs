//! Reading one object from its first byte to its last, wherever it lies, in bounded memory.

use super::error::{FileError, InputError};
use super::limits;
use super::local::{FILE, open_below};
use super::s3::S3Settings;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore};
use rustix::fs::{FileType, fstat};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where an object lies.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In S3. With a tag it is that version or none.
    S3 { bucket: Arc<str>, key: Key, e_tag: Option<String> },
    /// A file below a folder, free of links.
    File { root: Arc<Path>, from: PathBuf },
}

/// One object of a channel.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) place: Place,
    /// Below the channel's folder.
    pub(super) name: String,
    /// Bytes, if it has been listed.
    pub(super) size: Option<u64>,
}

impl Object {
    /// For errors.
    pub(super) fn uri(&self) -> String {
        match &self.place {
            Place::S3 { bucket, key, .. } => format!("s3://{bucket}/{key}"),
            Place::File { root, from } => root.join(from).display().to_string(),
        }
    }
}

/// An object that is being read.
pub(super) struct Opened {
    /// Bytes in all.
    pub(super) size: u64,
    /// They are exactly as many, or the last item is an error.
    pub(super) chunks: BoxStream<'static, Result<Bytes, InputError>>,
}

/// One client for each bucket, made when it is first needed. A client belongs to the runtime
/// that uses it.
pub(super) struct Clients {
    settings: S3Settings,
    buckets: HashMap<Arc<str>, Arc<AmazonS3>>,
}

impl Clients {
    pub(super) fn new(settings: &S3Settings) -> Self {
        Self { settings: settings.clone(), buckets: HashMap::new() }
    }

    pub(super) fn bucket(&mut self, bucket: &Arc<str>) -> Result<Arc<AmazonS3>, InputError> {
        if let Some(client) = self.buckets.get(bucket) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(self.settings.bucket(bucket)?);
        self.buckets.insert(Arc::clone(bucket), Arc::clone(&client));
        Ok(client)
    }

    /// Begins to read an object; the future does not hold on to `self`.
    pub(super) fn open(
        &mut self,
        object: Object,
    ) -> impl Future<Output = Result<Opened, InputError>> + Send + use<> {
        let client = match &object.place {
            Place::S3 { bucket, .. } => self.bucket(bucket).map(Some),
            Place::File { .. } => Ok(None),
        };
        let settings = self.settings.clone();
        async move {
            match (&object.place, client?) {
                (Place::S3 { key, e_tag, .. }, Some(client)) => {
                    let uri = object.uri();
                    let (key, e_tag) = (key.clone(), e_tag.clone());
                    Download { client, settings, uri, key, e_tag }.open(object.size).await
                }
                (Place::File { root, from }, _) => open_file(root, from, object.size),
                (Place::S3 { .. }, None) => Err(InputError::Broken),
            }
        }
    }
}

/// One object of S3.
pub(super) struct Download {
    client: Arc<AmazonS3>,
    settings: S3Settings,
    uri: String,
    key: Key,
    e_tag: Option<String>,
}

impl Download {
    fn changed(&self, expected: u64, found: u64) -> InputError {
        InputError::Changed { path: self.uri.clone(), expected, found }
    }

    async fn open(mut self, expected: Option<u64>) -> Result<Opened, InputError> {
        let (size, e_tag, body) = self.get(0, expected).await?;
        if let Some(expected) = expected.filter(|e| *e != size) {
            return Err(self.changed(expected, size));
        }
        // What is asked for again later is this version.
        self.e_tag = e_tag.or(self.e_tag);
        let progress = Progress { download: self, body: Some(body), offset: 0, size, tries: 0 };
        let chunks = stream::try_unfold(progress, Progress::next);
        Ok(Opened { size, chunks: chunks.boxed() })
    }

    /// The object's whole size, its tag, and its bytes from `offset` on.
    async fn get(&self, offset: u64, expected: Option<u64>) -> Result<Answer, InputError> {
        let range = (offset > 0).then_some(GetRange::Offset(offset));
        let options = GetOptions { if_match: self.e_tag.clone(), range, ..Default::default() };
        match self.client.get_opts(&self.key, options).await {
            Ok(answer) => {
                let (size, e_tag) = (answer.meta.size, answer.meta.e_tag.clone());
                Ok((size, e_tag, answer.into_stream()))
            }
            Err(object_store::Error::Precondition { .. }) => {
                Err(self.changed(expected.unwrap_or(0), 0))
            }
            Err(e) => Err(self.settings.error("download", &self.uri, e).into()),
        }
    }
}

type Answer = (u64, Option<String>, BoxStream<'static, object_store::Result<Bytes>>);

/// Where a download is. A slow reader outlasts connections: what breaks is taken up again.
struct Progress {
    download: Download,
    body: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    offset: u64,
    size: u64,
    /// Tries since the last byte.
    tries: usize,
}

impl Progress {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, InputError> {
        loop {
            let Some(body) = &mut self.body else {
                let (size, _, body) = self.download.get(self.offset, Some(self.size)).await?;
                if size != self.size {
                    return Err(self.download.changed(self.size, size));
                }
                self.body = Some(body);
                continue;
            };
            match body.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => {
                    self.tries = 0;
                    self.offset += chunk.len() as u64;
                    if self.offset > self.size {
                        return Err(self.download.changed(self.size, self.offset));
                    }
                    return Ok(Some((chunk, self)));
                }
                None if self.offset == self.size => return Ok(None),
                None if self.tries >= limits::S3_RETRIES => {
                    return Err(self.download.changed(self.size, self.offset));
                }
                Some(Err(e)) if self.tries >= limits::S3_RETRIES => {
                    let (settings, uri) = (&self.download.settings, &self.download.uri);
                    return Err(settings.error("download", uri, e).into());
                }
                None | Some(Err(_)) => {
                    self.tries += 1;
                    self.body = None;
                }
            }
        }
    }
}

/// Reads a file as a download is read. Each chunk blocks for as long as the disk does.
fn open_file(root: &Path, from: &Path, expected: Option<u64>) -> Result<Opened, InputError> {
    let path = root.join(from);
    let unreadable = |e: rustix::io::Errno| FileError::new("read", &path, e);
    let file = File::from(open_below(root, from, FILE).map_err(unreadable)?);
    let stat = fstat(&file).map_err(unreadable)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(InputError::Special(path.display().to_string()));
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let shown = path.display().to_string();
    if let Some(expected) = expected.filter(|e| *e != size) {
        return Err(InputError::Changed { path: shown, expected, found: size });
    }
    let chunks = stream::try_unfold((file, size), move |(mut file, left)| {
        let (path, shown) = (path.clone(), shown.clone());
        async move {
            if left == 0 {
                return Ok(None);
            }
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(limits::COPY_BUFFER);
            let mut buffer = vec![0; room];
            let read = file.read(&mut buffer).map_err(|e| FileError::new("read", &path, e))?;
            if read == 0 {
                let found = size - left;
                return Err(InputError::Changed { path: shown, expected: size, found });
            }
            buffer.truncate(read);
            Ok(Some((Bytes::from(buffer), (file, left - read as u64))))
        }
    });
    Ok(Opened { size, chunks: chunks.boxed() })
}
