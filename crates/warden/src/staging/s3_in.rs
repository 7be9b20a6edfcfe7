//! A channel from S3.

use super::Owner;
use super::copy::{hex, make_file, make_folder, make_parents};
use super::error::{FileError, InputError};
use super::limits;
use super::meter::Meter;
use super::names;
use super::reading::{Clients, Object, Place};
use super::s3::{S3Error, S3Settings};
use belljar_domain::StagedFile;
use futures_util::{StreamExt, stream};
use object_store::ObjectMeta;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path as Key;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A channel's source in S3.
pub(super) struct Source<'a> {
    pub(super) settings: &'a S3Settings,
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
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

    /// Everything whose key begins with the prefix, at most `limit` objects, in the order of their
    /// keys. `as_files` says whether the names must be fit for files.
    pub(super) async fn list(
        &self,
        as_files: bool,
        limit: usize,
    ) -> Result<Vec<Object>, InputError> {
        match self.list_any(as_files, limit).await? {
            Some(objects) => Ok(objects),
            None => Err(InputError::Nothing(self.uri())),
        }
    }

    /// As [`Self::list`]; `None` if there is nothing, not even a folder's marker.
    pub(super) async fn list_any(
        &self,
        as_files: bool,
        limit: usize,
    ) -> Result<Option<Vec<Object>>, InputError> {
        let listed = self.pages(limit).await?;
        if listed.is_empty() {
            return Ok(None);
        }
        let bucket: Arc<str> = self.bucket.into();
        let listed = in_order(listed).into_iter();
        let objects = listed.filter_map(|meta| self.object(&bucket, meta, as_files).transpose());
        let objects = objects.collect::<Result<Vec<_>, _>>()?;
        match names::clash(objects.iter().map(|o| o.name.as_str())) {
            Some(name) if as_files => Err(InputError::Clash(name)),
            _ => Ok(Some(objects)),
        }
    }

    async fn pages(&self, limit: usize) -> Result<Vec<ObjectMeta>, InputError> {
        let store = self.settings.bucket(self.bucket)?;
        let (mut listed, mut token) = (Vec::new(), None);
        loop {
            let (page, next) = self.page(&store, None, token).await?;
            listed.extend(page);
            if listed.len() > limit {
                return Err(InputError::Limit { root: self.uri(), limit, what: "objects" });
            }
            token = next;
            if token.is_none() {
                return Ok(listed);
            }
        }
    }

    fn object(
        &self,
        bucket: &Arc<str>,
        meta: ObjectMeta,
        as_files: bool,
    ) -> Result<Option<Object>, InputError> {
        let name = names::relative(meta.location.as_ref(), self.prefix);
        if name.is_empty() && meta.size == 0 {
            return Ok(None);
        }
        if as_files && !names::is_file_name(name) {
            return Err(InputError::Name(meta.location.to_string()));
        }
        let (name, size) = (name.to_owned(), Some(meta.size));
        let place = Place::S3 { bucket: Arc::clone(bucket), key: meta.location, e_tag: meta.e_tag };
        Ok(Some(Object { place, name, size }))
    }
}

/// Sorts by key, and drops the markers of folders: an empty object with others below it can be
/// nothing else. The order is S3's own, but not that of every server that looks like S3; and what
/// an instance gets must not depend on who was asked when.
fn in_order(mut listed: Vec<ObjectMeta>) -> Vec<ObjectMeta> {
    listed.sort_by(|a, b| a.location.cmp(&b.location));
    let is_marker = |meta: &&ObjectMeta| {
        let below = format!("{}/", meta.location);
        let first = listed.partition_point(|m| m.location.as_ref() < below.as_str());
        listed.get(first).is_some_and(|m| m.location.as_ref().starts_with(&below))
    };
    let empty = listed.iter().filter(|m| m.size == 0);
    let markers: HashSet<Key> = empty.filter(is_marker).map(|m| m.location.clone()).collect();
    listed.retain(|m| m.size != 0 || !markers.contains(&m.location));
    listed
}

/// Where objects of S3 are downloaded to, and from.
pub(super) struct Target<'a> {
    pub(super) settings: &'a S3Settings,
    /// The key prefix whose own marker makes no folder.
    pub(super) prefix: &'a str,
    /// An empty folder.
    pub(super) folder: &'a Path,
    pub(super) owner: Option<Owner>,
    pub(super) meter: &'a Meter,
}

/// Downloads `objects`, and returns them sorted. A few threads, each with connections and an event
/// loop of its own, on which everything of an object is done: what costs with many small objects
/// is to hand them from thread to thread.
pub(super) fn download_all(
    objects: &[Object],
    target: &Target<'_>,
) -> Result<Vec<StagedFile>, InputError> {
    if let Some(bad) = objects.iter().find(|o| !names::is_file_name(&o.name)) {
        return Err(InputError::Name(bad.uri()));
    }
    if let Some(name) = names::clash(objects.iter().map(|o| o.name.as_str())) {
        return Err(InputError::Clash(name));
    }
    target.meter.set_total(objects.iter().filter_map(|o| o.size).sum());
    let all = All {
        objects,
        target,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        staged: Mutex::new(Vec::with_capacity(objects.len())),
    };
    let workers = limits::S3_WORKERS.min(objects.len().div_ceil(limits::S3_DOWNLOADS_EACH));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| all.work())).collect();
        let results: Vec<Result<(), InputError>> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(InputError::Broken)))
            .collect();
        results.into_iter().collect::<Result<(), InputError>>()
    })?;
    if target.meter.cancelled() {
        return Err(InputError::Broken);
    }
    let mut staged = all.staged.into_inner().map_err(|_| InputError::Broken)?;
    staged.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(staged)
}

struct All<'a> {
    objects: &'a [Object],
    target: &'a Target<'a>,
    next: AtomicUsize,
    stop: AtomicBool,
    staged: Mutex<Vec<StagedFile>>,
}

impl All<'_> {
    fn work(&self) -> Result<(), InputError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| InputError::Broken)?;
        let clients = RefCell::new(Clients::new(self.target.settings));
        let work = async {
            // An object is begun only when another is done: its number is taken then.
            let slots = stream::iter(0..limits::S3_DOWNLOADS_EACH)
                .map(|_| self.several(&clients))
                .buffer_unordered(limits::S3_DOWNLOADS_EACH);
            tokio::pin!(slots);
            while let Some(done) = slots.next().await {
                done.inspect_err(|_| self.stop.store(true, Ordering::Relaxed))?;
            }
            Ok(())
        };
        let done = runtime.block_on(async {
            tokio::select! {
                done = work => done,
                () = self.given_up() => Ok(()),
            }
        });
        // A name that is still being looked up must not hold up the end.
        runtime.shutdown_background();
        done
    }

    /// Returns once nobody waits for the work any more, or another thread has failed.
    async fn given_up(&self) {
        while !self.target.meter.cancelled() && !self.stop.load(Ordering::Relaxed) {
            tokio::time::sleep(limits::PROGRESS_INTERVAL).await;
        }
    }

    async fn several(&self, clients: &RefCell<Clients>) -> Result<(), InputError> {
        while let Some(object) = self.objects.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(file) = self.one(clients, object).await? {
                self.staged.lock().map_err(|_| InputError::Broken)?.push(file);
            }
        }
        Ok(())
    }

    /// `None` if the object was a folder's marker.
    async fn one(
        &self,
        clients: &RefCell<Clients>,
        object: &Object,
    ) -> Result<Option<StagedFile>, InputError> {
        let Target { folder, owner, meter, prefix, .. } = *self.target;
        let opening = clients.borrow_mut().open(object.clone());
        let mut opened = match opening.await {
            Ok(opened) => opened,
            Err(e) if is_marker(object, &e) => {
                if !matches!(&object.place, Place::S3 { key, .. } if key.as_ref() == prefix) {
                    make_parents(folder, &object.name, owner)?;
                    make_folder(&folder.join(&object.name), owner)?;
                }
                return Ok(None);
            }
            Err(e) => return Err(e),
        };
        make_parents(folder, &object.name, owner)?;
        let path = folder.join(&object.name);
        let mut file = make_file(&path, owner)?;
        let mut digest = Sha256::new();
        while let Some(chunk) = opened.chunks.next().await {
            let chunk = chunk?;
            digest.update(&chunk);
            file.write_all(&chunk).map_err(|e| FileError::new("write", &path, e))?;
            meter.add(chunk.len());
        }
        let (path, size) = (object.name.clone(), opened.size);
        Ok(Some(StagedFile { path, size, sha256: hex(digest) }))
    }
}

/// Whether an object that cannot be had is a folder's marker: the library shows the keys 'a/' and
/// 'a' alike, and only a marker is listed, empty and not there.
pub(super) fn is_marker(object: &Object, error: &InputError) -> bool {
    object.size == Some(0) && matches!(error, InputError::S3(S3Error::Gone { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_in_the_order_of_their_keys_and_markers_are_none() {
        // As a server lists them that knows no order; 'a', 'a/b' and 'none' are empty.
        let listed =
            [("z", 1), ("none", 0), ("a/é", 1), ("a/b/c", 1), ("a/b", 0), ("a-", 1), ("a", 0)];
        let meta = |(key, size): (&str, u64)| ObjectMeta {
            location: Key::parse(key).unwrap(),
            last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
            size,
            e_tag: None,
            version: None,
        };
        let kept = in_order(listed.map(meta).to_vec());
        let keys: Vec<_> = kept.iter().map(|m| m.location.as_ref()).collect();
        assert_eq!(keys, ["a-", "a/b/c", "a/é", "none", "z"]);
    }
}
