//! Artifacts to S3: multipart uploads, noted before they begin, so that a later warden can end
//! those of one that was killed.

use super::archive::Outcome;
use super::error::{FileError, StageOutError};
use super::limits;
use super::out::Plan;
use super::s3::S3Settings;
use super::sink::{Tally, write_whole};
use belljar_domain::Artifact;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// How the names of notes end.
const NOTE: &str = ".upload.json";

/// A bucket and the key prefix that `--output` names.
pub(super) struct Target<'a> {
    pub(super) settings: &'a S3Settings,
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
}

/// An upload that is under way, as the journal has it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Note {
    bucket: String,
    key: String,
    upload_id: String,
}

impl Note {
    pub(super) fn new(bucket: &str, key: &Key, upload_id: &str) -> Self {
        let (bucket, upload_id) = (bucket.to_owned(), upload_id.to_owned());
        Self { bucket, key: key.to_string(), upload_id }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), StageOutError> {
        let bytes = serde_json::to_vec(self)
            .map_err(|source| StageOutError::Journal { path: path.to_owned(), source })?;
        Ok(write_whole(path, &bytes)?)
    }
}

/// An upload whose parts are all there.
pub(super) struct Uploaded {
    key: Key,
    id: String,
    parts: Vec<PartId>,
    note: PathBuf,
    pub(super) artifact: Artifact,
    pub(super) outcome: Outcome,
}

impl Target<'_> {
    fn key(&self, below: &str) -> Result<Key, StageOutError> {
        let text = match self.prefix.trim_end_matches('/') {
            "" => below.to_owned(),
            prefix => format!("{prefix}/{below}"),
        };
        let parsed = Key::parse(&text).map_err(object_store::Error::from);
        parsed.map_err(|e| self.settings.error("name", &text, e).into())
    }

    fn uri(&self, key: &Key) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// Whether any object lies below `folder`; also shows that the bucket can be reached.
    pub(super) async fn exists(&self, folder: &str) -> Result<bool, StageOutError> {
        let store = self.settings.bucket(self.bucket)?;
        let key = self.key(folder)?;
        let options = PaginatedListOptions { max_keys: Some(1), ..Default::default() };
        let page = store
            .list_paginated(Some(&format!("{key}/")), options)
            .await
            .map_err(|e| self.settings.error("list", &self.uri(&key), e))?;
        Ok(!page.result.objects.is_empty())
    }

    /// Writes a small object at once, whole or not at all.
    pub(super) async fn put(&self, below: &str, bytes: Vec<u8>) -> Result<String, StageOutError> {
        let store = self.settings.bucket(self.bucket)?;
        let key = self.key(below)?;
        let put = store.put(&key, PutPayload::from(bytes)).await;
        put.map_err(|e| self.settings.error("write", &self.uri(&key), e))?;
        Ok(self.uri(&key))
    }

    /// Uploads one archive, all but the last step.
    pub(super) async fn upload(
        &self,
        store: &AmazonS3,
        plan: Plan,
        journal: &Path,
    ) -> Result<Uploaded, StageOutError> {
        let key = self.key(&plan.below)?;
        let error = |action, e| self.settings.error(action, &self.uri(&key), e);
        let id = store.create_multipart(&key).await.map_err(|e| error("write", e))?;
        let note = note_path(journal, plan.name);
        let sent = match Note::new(self.bucket, &key, &id).write(&note) {
            Ok(()) => self.send(store, &key, &id, plan).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok((artifact, outcome, parts)) => {
                Ok(Uploaded { key, id, parts, note, artifact, outcome })
            }
            Err(error) => {
                self.abort(store, &key, &id, &note).await;
                Err(error)
            }
        }
    }

    async fn send(
        &self,
        store: &AmazonS3,
        key: &Key,
        id: &String,
        plan: Plan,
    ) -> Result<(Artifact, Outcome, Vec<PartId>), StageOutError> {
        let (sender, mut receiver) = mpsc::channel(limits::CHUNKS_IN_FLIGHT);
        let (name, uri) = (plan.name.to_owned(), self.uri(key));
        let archiver = tokio::task::spawn_blocking(move || {
            let pipe = io::BufWriter::with_capacity(64 << 10, Pipe(sender));
            let (outcome, tally) = plan.archive().write(Tally::new(pipe))?;
            let (mut pipe, size, sha256) = tally.finish();
            let name = plan.name.to_owned();
            pipe.flush().map_err(|source| StageOutError::Archive { name, source })?;
            Ok::<_, StageOutError>((outcome, size, sha256))
        });
        let mut parts = Vec::new();
        let mut part = Vec::with_capacity(limits::S3_PART);
        let failed = |e| self.settings.error("write", &uri, e);
        while let Some(chunk) = receiver.recv().await {
            part.extend_from_slice(&chunk);
            if part.len() >= limits::S3_PART {
                if parts.len() + 1 >= limits::S3_MAX_PARTS {
                    let limit = (limits::S3_MAX_PARTS * limits::S3_PART) as u64;
                    return Err(StageOutError::Limit { name, limit, what: "bytes (compressed)" });
                }
                let full = std::mem::replace(&mut part, Vec::with_capacity(limits::S3_PART));
                let sent = store.put_part(key, id, parts.len(), PutPayload::from(full)).await;
                parts.push(sent.map_err(failed)?);
            }
        }
        // The archiver has closed the pipe: done, or failed.
        let (outcome, size, sha256) = archiver.await.map_err(|_| StageOutError::Broken)??;
        if !part.is_empty() || parts.is_empty() {
            let sent = store.put_part(key, id, parts.len(), PutPayload::from(part)).await;
            parts.push(sent.map_err(failed)?);
        }
        Ok((Artifact { name, uri, size, sha256 }, outcome, parts))
    }

    /// Gives the object its name.
    pub(super) async fn publish(
        &self,
        store: &AmazonS3,
        uploaded: Uploaded,
    ) -> Result<(Artifact, Outcome), StageOutError> {
        let Uploaded { key, id, parts, note, artifact, outcome } = uploaded;
        let began = SystemTime::now();
        match store.complete_multipart(&key, &id, parts).await {
            Ok(_) => {
                forget(&note)?;
                Ok((artifact, outcome))
            }
            Err(e) => {
                // A service that died between doing it and saying so knows the upload no more.
                if self.stands(store, &key, artifact.size, began).await {
                    forget(&note)?;
                    return Ok((artifact, outcome));
                }
                self.abort(store, &key, &id, &note).await;
                Err(self.settings.error("write", &self.uri(&key), e).into())
            }
        }
    }

    /// Whether the object is there that this upload was to make, and no older one (times of S3 are
    /// whole seconds).
    async fn stands(&self, store: &AmazonS3, key: &Key, size: u64, began: SystemTime) -> bool {
        let since = began - Duration::from_secs(1);
        self.settings.socket.is_some()
            && store.head(key).await.is_ok_and(|found| {
                found.size == size && SystemTime::from(found.last_modified) >= since
            })
    }

    /// Ends an upload without result.
    pub(super) async fn discard(&self, store: &AmazonS3, uploaded: Uploaded) {
        self.abort(store, &uploaded.key, &uploaded.id, &uploaded.note).await;
    }

    async fn abort(&self, store: &AmazonS3, key: &Key, id: &String, note: &Path) {
        // If this fails too, the note stays, and the next sweep tries again.
        match store.abort_multipart(key, id).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                if let Err(error) = forget(note) {
                    tracing::warn!(%error, "left behind");
                }
            }
            Err(e) => {
                let error = self.settings.error("abort the upload of", &self.uri(key), e);
                tracing::warn!(%error, "left behind");
            }
        }
    }
}

fn note_path(journal: &Path, name: &str) -> PathBuf {
    journal.join(format!("{name}{NOTE}"))
}

pub(super) fn forget(note: &Path) -> Result<(), FileError> {
    std::fs::remove_file(note).map_err(|e| FileError::new("remove", note, e))
}

/// Ends the uploads that the journal knows of.
pub(super) async fn sweep(settings: &S3Settings, journal: &Path) -> Result<(), StageOutError> {
    let unreadable = |e| FileError::new("list", journal, e);
    let notes = match std::fs::read_dir(journal) {
        Ok(notes) => notes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(unreadable(e).into()),
    };
    for note in notes {
        let path = note.map_err(unreadable)?.path();
        if super::sink::is_unfinished(&path) {
            std::fs::remove_file(&path).map_err(|e| FileError::new("remove", &path, e))?;
        } else if path.to_string_lossy().ends_with(NOTE) {
            end(settings, &path).await?;
        }
    }
    Ok(())
}

/// Ends the upload that `path` notes.
async fn end(settings: &S3Settings, path: &Path) -> Result<(), StageOutError> {
    let bytes = std::fs::read(path).map_err(|e| FileError::new("read", path, e))?;
    let note: Note = serde_json::from_slice(&bytes)
        .map_err(|source| StageOutError::Journal { path: path.to_owned(), source })?;
    let store = settings.bucket(&note.bucket)?;
    let what = format!("s3://{}/{}", note.bucket, note.key);
    let error = |e| settings.error("abort the upload of", &what, e);
    let key = Key::parse(&note.key).map_err(|e| error(e.into()))?;
    match store.abort_multipart(&key, &note.upload_id).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(forget(path)?),
        Err(e) => Err(error(e).into()),
    }
}

/// Hands written bytes to the uploading task; waits when that is behind.
struct Pipe(mpsc::Sender<Vec<u8>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload has ended");
        self.0.blocking_send(bytes.to_vec()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
