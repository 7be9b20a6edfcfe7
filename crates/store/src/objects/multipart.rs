//! Uploads in parts. An upload owns a content from its start; its parts are that content's, and
//! completion names the content: no byte is copied.

use super::put::{find, insert_content, insert_part, name};
use super::receive::{Place, Received};
use super::{
    Algorithm, Condition, Info, MAX_LISTED, MIN_PART, Meta, ObjectError, Objects, Part, Result,
    Sums, base64, blobs, bucket_id, meta, now, remove_content, remove_parts, size_of, sums,
};
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::BTreeMap;

/// An upload that is not completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The key that it will have.
    pub key: String,
    /// Its id.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub begun: i64,
    /// The metadata that the object will have.
    pub meta: Meta,
}

/// Which uploads to list.
#[derive(Debug, Clone, Default)]
pub struct UploadQuery {
    /// Only keys that begin so.
    pub prefix: String,
    /// After this key, or, with an id, after that upload of it.
    pub after: Option<(String, Option<String>)>,
    /// The most uploads; at most [`MAX_LISTED`].
    pub limit: usize,
}

/// A page of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPage {
    /// By key and id.
    pub uploads: Vec<Upload>,
    /// Whether there are more.
    pub more: bool,
}

/// How an upload is to be completed.
#[derive(Debug, Clone, Default)]
pub struct Completion {
    /// Number, `ETag` without quotes and checksums (base64) of each part, by number.
    pub parts: Vec<(u32, String, BTreeMap<Algorithm, String>)>,
    /// The checksum that the object must have, in base64 without `-N`.
    pub sum: Option<(Algorithm, String)>,
    /// The size that the object must have.
    pub size: Option<u64>,
    /// What must hold for the key.
    pub condition: Condition,
}

struct Stored {
    part: Part,
    sums: Sums,
}

fn stored(c: &Connection, content: i64) -> Result<Vec<Stored>> {
    let mut all = c.prepare_cached(
        "SELECT number, size, etag, modified, sums FROM parts WHERE content = ?1 ORDER BY number",
    )?;
    let mut rows = all.query([content])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let sums = serde_json::from_str(&row.get::<_, String>(4)?)?;
        let part = Part {
            number: row.get(0)?,
            size: size_of(row, 1)?,
            etag: row.get(2)?,
            modified: row.get(3)?,
            sums,
        };
        parts.push(Stored { sums: meta::bytes(&part.sums), part });
    }
    Ok(parts)
}

pub(super) fn parts(c: &Connection, content: i64) -> Result<Vec<Part>> {
    Ok(stored(c, content)?.into_iter().map(|stored| stored.part).collect())
}

/// The content of an upload.
fn upload(c: &Connection, bucket: i64, key: &str, id: &str) -> Result<i64> {
    c.prepare_cached("SELECT content FROM uploads WHERE bucket = ?1 AND key = ?2 AND id = ?3")?
        .query_row((bucket, key.as_bytes(), id), |row| row.get(0))
        .optional()?
        .ok_or(ObjectError::NoSuchUpload)
}

fn meta_of(c: &Connection, content: i64) -> Result<Meta> {
    let mut find = c.prepare_cached("SELECT meta FROM contents WHERE id = ?1")?;
    Ok(serde_json::from_str(&find.query_row([content], |row| row.get::<_, String>(0))?)?)
}

impl Objects {
    /// Begins an upload in parts.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], or those of the database.
    pub async fn create_upload(
        &self,
        bucket: String,
        key: String,
        described: Meta,
    ) -> Result<String> {
        let content = self.next_content();
        let half = || blobs::random().map_err(ObjectError::Blob);
        let id = sums::hex(&[half()?, half()?].concat());
        let meta = Meta { upload: Some(id.clone()), ..described };
        self.write(move |c, _| {
            let bucket = bucket_id(c, &bucket)?;
            insert_content(c, content, &meta, None)?;
            c.execute(
                "INSERT INTO uploads (bucket, key, id, content, begun) VALUES (?1, ?2, ?3, ?4, ?5)",
                (bucket, key.as_bytes(), &id, content, now()),
            )?;
            Ok(id)
        })
        .await
    }

    /// The metadata of an upload.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchUpload`], or those of the database.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Meta> {
        self.db.read(|c| meta_of(c, upload(c, bucket_id(c, bucket)?, key, id)?))
    }

    /// Adds a part, instead of the one with its number if there is one.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchUpload`], or those of the database.
    pub async fn put_part(
        &self,
        (bucket, key, id): (String, String, String),
        number: u32,
        received: Received,
    ) -> Result<()> {
        self.write(move |c, orphans| {
            let content = upload(c, bucket_id(c, &bucket)?, &key, &id)?;
            remove_parts(c, content, Some(number), orphans)?;
            if let Place::Blob(own) = &received.place
                && let Some(blob) = own.id()
            {
                insert_part(c, (content, number), &received, blob)?;
            }
            received.keep();
            Ok(())
        })
        .await
    }

    /// An upload's metadata and its parts.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchUpload`], or those of the database.
    pub fn parts(&self, bucket: &str, key: &str, id: &str) -> Result<(Meta, Vec<Part>)> {
        self.db.read(|c| {
            let content = upload(c, bucket_id(c, bucket)?, key, id)?;
            Ok((meta_of(c, content)?, parts(c, content)?))
        })
    }

    /// Removes an upload and its parts.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchUpload`], or those of the database.
    pub async fn abort_upload(&self, bucket: String, key: String, id: String) -> Result<()> {
        self.write(move |c, orphans| {
            let bucket = bucket_id(c, &bucket)?;
            let content = upload(c, bucket, &key, &id)?;
            forget_upload(c, bucket, &key, &id)?;
            remove_content(c, content, orphans)
        })
        .await
    }

    /// Makes the object. Completing again what was completed, and is not overwritten, succeeds.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchUpload`], [`ObjectError::InvalidPart`],
    /// [`ObjectError::PartTooSmall`], [`ObjectError::Checksum`], [`ObjectError::Size`], those of
    /// the condition, or those of the database.
    pub async fn complete_upload(
        &self,
        (bucket, key, id): (String, String, String),
        completion: Completion,
    ) -> Result<Info> {
        self.write(move |c, orphans| {
            let bucket = bucket_id(c, &bucket)?;
            let content = match upload(c, bucket, &key, &id) {
                Err(ObjectError::NoSuchUpload) => return completed(c, bucket, &key, &id),
                other => other?,
            };
            let stored = stored(c, content)?;
            let joined = join(&stored, &completion.parts)?;
            let info = describe(meta_of(c, content)?, &joined, &completion)?;
            let mut unused = stored.iter().map(|stored| stored.part.number).collect::<Vec<_>>();
            unused.retain(|number| !completion.parts.iter().any(|part| part.0 == *number));
            for number in unused {
                remove_parts(c, content, Some(number), orphans)?;
            }
            let meta = serde_json::to_string(&info.meta)?;
            c.execute("UPDATE contents SET meta = ?2 WHERE id = ?1", (content, meta))?;
            forget_upload(c, bucket, &key, &id)?;
            name(c, bucket, &key, (content, &info), &completion.condition, orphans)?;
            Ok(info)
        })
        .await
    }

    /// One page of a bucket's uploads.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], or those of the database.
    pub fn uploads(&self, bucket: &str, query: &UploadQuery) -> Result<UploadPage> {
        self.db.read(|c| {
            let bucket = bucket_id(c, bucket)?;
            let limit = query.limit.min(MAX_LISTED);
            let (key, id) = match &query.after {
                None => (query.prefix.as_bytes().to_vec(), String::new()),
                Some((key, Some(id))) => (key.as_bytes().to_vec(), id.clone()),
                // After every upload of the key.
                Some((key, None)) => ([key.as_bytes(), &[0]].concat(), String::new()),
            };
            let mut walk = c.prepare_cached(
                "SELECT key, id, begun, content FROM uploads
                WHERE bucket = ?1 AND (key, id) > (?2, ?3) ORDER BY key, id",
            )?;
            let mut rows = walk.query((bucket, key, id))?;
            let mut page = UploadPage { uploads: Vec::new(), more: false };
            while let Some(row) = rows.next()? {
                let key = String::from_utf8_lossy(&row.get::<_, Vec<u8>>(0)?).into_owned();
                if !key.starts_with(&query.prefix) {
                    if key > query.prefix {
                        break;
                    }
                    continue;
                }
                if page.uploads.len() == limit {
                    page.more = limit > 0;
                    break;
                }
                let meta = meta_of(c, row.get(3)?)?;
                page.uploads.push(Upload { key, id: row.get(1)?, begun: row.get(2)?, meta });
            }
            Ok(page)
        })
    }
}

fn forget_upload(c: &Connection, bucket: i64, key: &str, id: &str) -> Result<()> {
    let delete = "DELETE FROM uploads WHERE bucket = ?1 AND key = ?2 AND id = ?3";
    c.execute(delete, (bucket, key.as_bytes(), id))?;
    Ok(())
}

/// The object that this upload became.
fn completed(c: &Connection, bucket: i64, key: &str, id: &str) -> Result<Info> {
    let row = find(c, bucket, key)?.ok_or(ObjectError::NoSuchUpload)?;
    let (info, _) = super::read::info(c, row)?;
    if info.meta.upload.as_deref() == Some(id) { Ok(info) } else { Err(ObjectError::NoSuchUpload) }
}

/// The parts that are to be joined, checked.
fn join<'a>(
    stored: &'a [Stored],
    wanted: &[(u32, String, BTreeMap<Algorithm, String>)],
) -> Result<Vec<&'a Stored>> {
    let mut joined = Vec::with_capacity(wanted.len());
    for (number, etag, sums) in wanted {
        let invalid = || ObjectError::InvalidPart(*number);
        let at = stored.binary_search_by_key(number, |stored| stored.part.number);
        let found = &stored[at.map_err(|_| invalid())?];
        let differs = |(algorithm, sum): (&Algorithm, &String)| {
            found.part.sums.get(algorithm).is_some_and(|stored| stored != sum)
        };
        if found.part.etag != *etag || sums.iter().any(differs) {
            return Err(invalid());
        }
        joined.push(found);
    }
    let small = joined.iter().rev().skip(1).find(|stored| stored.part.size < MIN_PART);
    match small {
        Some(small) => Err(ObjectError::PartTooSmall(small.part.number)),
        None => Ok(joined),
    }
}

/// What the joined object will show.
fn describe(mut meta: Meta, joined: &[&Stored], completion: &Completion) -> Result<Info> {
    let size = joined.iter().map(|stored| stored.part.size).sum();
    if completion.size.is_some_and(|announced| announced != size) {
        return Err(ObjectError::Size(size));
    }
    if let Some(algorithm) = meta.algorithm {
        let sum = if meta.composite {
            sums::composite(algorithm, joined.iter().map(|stored| &stored.sums))
        } else {
            sums::full(algorithm, joined.iter().map(|stored| (&stored.sums, stored.part.size)))
        };
        meta.sums = sum.map(|sum| (algorithm, base64(&sum))).into_iter().collect();
    }
    if let Some((algorithm, announced)) = &completion.sum
        && meta.sums.get(algorithm) != Some(announced)
    {
        return Err(ObjectError::Checksum(*algorithm));
    }
    meta.parts = u32::try_from(joined.len()).ok();
    let etag = sums::etag_of_parts(joined.iter().map(|stored| stored.part.etag.as_str()));
    Ok(Info { size, etag, modified: now(), meta })
}
