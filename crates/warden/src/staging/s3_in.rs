//! A channel from S3.

use super::Owner;
use super::copy::{hex, make_file, make_folder, make_parents};
use super::error::{FileError, InputError};
use super::limits;
use super::meter::Meter;
use super::names;
use super::s3::{S3Error, S3Settings};
use belljar_domain::StagedFile;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path as Key;
use object_store::{GetOptions, ObjectMeta, ObjectStore};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A channel's source in S3.
pub(super) struct Source<'a> {
    pub(super) settings: &'a S3Settings,
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
}

struct Object {
    key: Key,
    name: String,
    size: u64,
    e_tag: Option<String>,
}

impl Source<'_> {
    fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    /// Whether there is an object to stage: one request.
    pub(super) async fn check(&self) -> Result<(), InputError> {
        let store = self.settings.bucket(self.bucket)?;
        let page = self.page(&store, Some(1), None).await?;
        if page.0.is_empty() { Err(InputError::Nothing(self.uri())) } else { Ok(()) }
    }

    /// Downloads everything whose key begins with the prefix into `target`, which is empty.
    pub(super) async fn copy_in(
        &self,
        target: &Path,
        owner: Option<Owner>,
        meter: &Arc<Meter>,
    ) -> Result<Vec<StagedFile>, InputError> {
        let store = self.settings.bucket(self.bucket)?;
        let objects = self.list(&store).await?;
        meter.set_total(objects.iter().map(|o| o.size).sum());
        let store = &store;
        let downloads = stream::iter(objects)
            .map(|o| async move { self.download(store, o, target, owner, meter).await })
            .buffer_unordered(limits::S3_DOWNLOADS);
        let files: Vec<Option<StagedFile>> = downloads.try_collect().await?;
        let mut files: Vec<StagedFile> = files.into_iter().flatten().collect();
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    async fn page(
        &self,
        store: &AmazonS3,
        max_keys: Option<usize>,
        page_token: Option<String>,
    ) -> Result<(Vec<ObjectMeta>, Option<String>), InputError> {
        let options = PaginatedListOptions { max_keys, page_token, ..Default::default() };
        let prefix = (!self.prefix.is_empty()).then_some(self.prefix);
        let page = store
            .list_paginated(prefix, options)
            .await
            .map_err(|e| self.settings.error("list", &self.uri(), e))?;
        Ok((page.result.objects, page.page_token))
    }

    async fn list(&self, store: &AmazonS3) -> Result<Vec<Object>, InputError> {
        let mut objects = Vec::new();
        let mut token = None;
        let mut seen = false;
        loop {
            let (page, next) = self.page(store, None, token).await?;
            for meta in page {
                seen = true;
                objects.extend(self.object(meta)?);
            }
            if objects.len() > limits::MAX_INPUT_FILES {
                let (root, limit) = (self.uri(), limits::MAX_INPUT_FILES);
                return Err(InputError::Limit { root, limit, what: "objects" });
            }
            token = next;
            if token.is_none() {
                break;
            }
        }
        if !seen {
            return Err(InputError::Nothing(self.uri()));
        }
        // An empty object with others below it can only be a folder's marker.
        let folders: std::collections::HashSet<String> = objects
            .iter()
            .flat_map(|o| o.name.match_indices('/').map(|(slash, _)| o.name[..slash].to_owned()))
            .collect();
        objects.retain(|o| o.size > 0 || !folders.contains(&o.name));
        match names::clash(objects.iter().map(|o| o.name.as_str())) {
            Some(name) => Err(InputError::Clash(name)),
            None => Ok(objects),
        }
    }

    fn object(&self, meta: ObjectMeta) -> Result<Option<Object>, InputError> {
        let name = names::relative(meta.location.as_ref(), self.prefix);
        if name.is_empty() && meta.size == 0 {
            return Ok(None);
        }
        if !names::is_plain(name) || name.matches('/').count() >= limits::MAX_DEPTH {
            return Err(InputError::Name(meta.location.to_string()));
        }
        let name = name.to_owned();
        Ok(Some(Object { name, size: meta.size, e_tag: meta.e_tag, key: meta.location }))
    }

    /// `None` if the object was a folder's marker.
    async fn download(
        &self,
        store: &AmazonS3,
        object: Object,
        target: &Path,
        owner: Option<Owner>,
        meter: &Arc<Meter>,
    ) -> Result<Option<StagedFile>, InputError> {
        let uri = format!("s3://{}/{}", self.bucket, object.key);
        let changed =
            |found| InputError::Changed { path: uri.clone(), expected: object.size, found };
        // The tag of the listing: the bytes are those that were listed, or none.
        let options = GetOptions { if_match: object.e_tag.clone(), ..Default::default() };
        let answer = match store.get_opts(&object.key, options).await {
            Ok(answer) => answer,
            // The library shows the keys 'a/' and 'a' alike; only a marker is empty and not there.
            Err(object_store::Error::NotFound { .. }) if object.size == 0 => {
                let folder = target.join(&object.name);
                if object.key.as_ref() != self.prefix {
                    make_parents(target, &object.name, owner)?;
                    make_folder(&folder, owner)?;
                }
                return Ok(None);
            }
            Err(object_store::Error::Precondition { .. }) => return Err(changed(0)),
            Err(e) => return Err(self.settings.error("download", &uri, e).into()),
        };
        if answer.meta.size != object.size {
            return Err(changed(answer.meta.size));
        }
        make_parents(target, &object.name, owner)?;
        let (sender, receiver) = mpsc::channel(limits::CHUNKS_IN_FLIGHT);
        let path = target.join(&object.name);
        let writer = tokio::task::spawn_blocking(move || write(&path, owner, receiver));
        let mut body = answer.into_stream();
        let mut received = 0;
        let mut failed: Option<S3Error> = None;
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => {
                    received += chunk.len() as u64;
                    meter.add(chunk.len());
                    if sender.send(chunk).await.is_err() {
                        break; // The writer has failed, and says why below.
                    }
                }
                Err(e) => {
                    failed = Some(self.settings.error("download", &uri, e));
                    break;
                }
            }
        }
        drop(sender);
        let (size, sha256) = writer.await.map_err(|_| InputError::Broken)??;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if size != object.size {
            return Err(changed(received));
        }
        Ok(Some(StagedFile { path: object.name, size, sha256 }))
    }
}

fn write<B: AsRef<[u8]>>(
    path: &PathBuf,
    owner: Option<Owner>,
    mut chunks: mpsc::Receiver<B>,
) -> Result<(u64, String), FileError> {
    let mut file = make_file(path, owner)?;
    let mut digest = Sha256::new();
    let mut size = 0;
    while let Some(chunk) = chunks.blocking_recv() {
        let chunk = chunk.as_ref();
        digest.update(chunk);
        file.write_all(chunk).map_err(|e| FileError::new("write", path, e))?;
        size += chunk.len() as u64;
    }
    Ok((size, hex(digest)))
}
