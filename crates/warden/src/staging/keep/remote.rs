//! Where files are kept.

use super::reading::Reading;
use super::{KeepError, Kept, Put};
use crate::staging::error::FileError;
use crate::staging::limits;
use crate::staging::location::Location;
use crate::staging::s3::S3Settings;
use crate::staging::s3_out::{Note, forget};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use std::path::{Path, PathBuf};

/// A place for files.
pub(in crate::staging) enum Remote {
    /// Below a key prefix.
    S3(Box<Bucket>),
    /// Below a folder.
    Folder(PathBuf),
}

/// A client belongs to the runtime that uses it.
pub(in crate::staging) struct Bucket {
    settings: S3Settings,
    client: AmazonS3,
    name: String,
    /// Without its last slash.
    prefix: String,
}

impl Remote {
    pub(in crate::staging) fn open(settings: &S3Settings, uri: &str) -> Result<Self, KeepError> {
        match uri.parse()? {
            Location::Path(path) => {
                let absolute = std::path::absolute(&path);
                Ok(Self::Folder(absolute.map_err(|e| FileError::new("find", &path, e))?))
            }
            Location::S3 { bucket, prefix } => Ok(Self::S3(Box::new(Bucket {
                settings: settings.clone(),
                client: settings.bucket(&bucket)?,
                name: bucket,
                prefix: prefix.trim_end_matches('/').to_owned(),
            }))),
        }
    }

    pub(in crate::staging) fn uri(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::S3(bucket) => format!("s3://{}/{}", bucket.name, bucket.text(name)),
        }
    }

    /// Puts one file, whole or not at all. `None` if it is gone or changes.
    pub(in crate::staging) async fn put(&self, kept: &Kept<'_>) -> Result<Option<Put>, KeepError> {
        let Some(reading) = Reading::open(kept)? else { return Ok(None) };
        match self {
            Self::Folder(folder) => reading.into_folder(&folder.join(kept.name)),
            Self::S3(bucket) if reading.size <= limits::S3_PART as u64 => {
                bucket.put(kept.name, reading).await
            }
            Self::S3(bucket) => bucket.put_parts(kept, reading).await,
        }
    }

    /// Removes one file. That it is not there is as good.
    pub(in crate::staging) async fn delete(&self, name: &str) -> Result<(), KeepError> {
        match self {
            Self::Folder(folder) => delete(folder, name),
            Self::S3(bucket) => {
                let key = bucket.key(name)?;
                match bucket.client.delete(&key).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                    Err(e) => Err(bucket.error("delete", name, e)),
                }
            }
        }
    }
}

/// Removes a file, and the folders that held nothing else.
fn delete(folder: &Path, name: &str) -> Result<(), KeepError> {
    let path = folder.join(name);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(FileError::new("delete", &path, e).into());
        }
        _ => {}
    }
    let parents = path.ancestors().skip(1).take_while(|p| *p != folder);
    for parent in parents {
        if std::fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
}

impl Bucket {
    fn text(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    fn key(&self, name: &str) -> Result<Key, KeepError> {
        let text = self.text(name);
        Key::parse(&text).map_err(|e| self.error("name", name, e.into()))
    }

    fn error(&self, action: &'static str, name: &str, e: object_store::Error) -> KeepError {
        let uri = format!("s3://{}/{}", self.name, self.text(name));
        self.settings.error(action, &uri, e).into()
    }

    async fn put(&self, name: &str, mut reading: Reading) -> Result<Option<Put>, KeepError> {
        let Some(bytes) = reading.part(limits::S3_PART)? else { return Ok(None) };
        if !reading.holds() {
            return Ok(None);
        }
        let put = self.client.put(&self.key(name)?, PutPayload::from(bytes)).await;
        put.map_err(|e| self.error("write", name, e))?;
        Ok(Some(reading.done()))
    }

    async fn put_parts(
        &self,
        kept: &Kept<'_>,
        mut reading: Reading,
    ) -> Result<Option<Put>, KeepError> {
        let (name, key) = (kept.name, self.key(kept.name)?);
        let failed = |e| self.error("write", name, e);
        let id = self.client.create_multipart(&key).await.map_err(failed)?;
        let sent = match Note::new(&self.name, &key, &id).write(kept.note) {
            Ok(()) => self.send(name, &key, &id, &mut reading).await,
            Err(e) => Err(KeepError::Journal(crate::failure::chain(&e))),
        };
        let ended = match &sent {
            Ok(Some(parts)) => {
                let whole = self.client.complete_multipart(&key, &id, parts.clone()).await;
                whole.map(drop)
            }
            _ => self.client.abort_multipart(&key, &id).await,
        };
        match (ended, sent) {
            (Ok(()) | Err(object_store::Error::NotFound { .. }), Ok(None)) => {
                forget(kept.note)?;
                Ok(None)
            }
            (Ok(()), Ok(Some(_))) => {
                forget(kept.note)?;
                Ok(Some(reading.done()))
            }
            // The note stays: the sweep, or the next try under its name, ends the upload.
            (Err(e), Ok(_)) => Err(failed(e)),
            (ended, Err(error)) => {
                if ended.is_ok() {
                    forget(kept.note)?;
                }
                Err(error)
            }
        }
    }

    /// `None` if the file changed.
    async fn send(
        &self,
        name: &str,
        key: &Key,
        id: &String,
        reading: &mut Reading,
    ) -> Result<Option<Vec<PartId>>, KeepError> {
        let least = reading.size.div_ceil(limits::S3_MAX_PARTS as u64);
        let size = limits::S3_PART.max(usize::try_from(least).unwrap_or(usize::MAX));
        let count = usize::try_from(reading.size.div_ceil(size as u64)).unwrap_or(usize::MAX);
        let mut parts = Vec::with_capacity(count);
        for number in 0..count {
            let Some(bytes) = reading.part(size)? else { return Ok(None) };
            let sent = self.client.put_part(key, id, number, PutPayload::from(bytes)).await;
            parts.push(sent.map_err(|e| self.error("write", name, e))?);
        }
        Ok(reading.holds().then_some(parts))
    }
}
