//! Objects written, copied, tagged and deleted.

use super::receive::{Place, Received};
use super::{
    BlobId, Info, Meta, ObjectError, Objects, Result, bucket_id, meta, now, remove_content, size_in,
};
use rusqlite::{Connection, OptionalExtension as _};

/// What must hold for a key when it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// `If-None-Match: *`: there is no object.
    Absent,
    /// `If-Match`: there is one with this `ETag` (without quotes), or any (`*`).
    Matches(String),
}

/// A row of `objects`.
pub(super) struct Row {
    pub(super) content: i64,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) modified: i64,
}

pub(super) fn find(c: &Connection, bucket: i64, key: &str) -> Result<Option<Row>> {
    let mut find = c.prepare_cached(
        "SELECT content, size, etag, modified FROM objects WHERE bucket = ?1 AND key = ?2",
    )?;
    let row = find.query_row((bucket, key.as_bytes()), |row| {
        Ok(Row {
            content: row.get(0)?,
            size: super::size_of(row, 1)?,
            etag: row.get(2)?,
            modified: row.get(3)?,
        })
    });
    Ok(row.optional()?)
}

fn check(condition: &Condition, old: Option<&Row>) -> Result<()> {
    match (condition, old) {
        (Condition::Absent, Some(_)) => Err(ObjectError::Precondition("If-None-Match")),
        (Condition::Matches(_), None) => Err(ObjectError::NoSuchKey),
        (Condition::Matches(etag), Some(old)) if *etag != "*" && *etag != old.etag => {
            Err(ObjectError::Precondition("If-Match"))
        }
        _ => Ok(()),
    }
}

/// Makes `content` what the key names, instead of what it named.
pub(super) fn name(
    c: &Connection,
    bucket: i64,
    key: &str,
    (content, info): (i64, &Info),
    condition: &Condition,
    orphans: &mut Vec<BlobId>,
) -> Result<()> {
    let old = find(c, bucket, key)?;
    check(condition, old.as_ref())?;
    if let Some(old) = old {
        remove_content(c, old.content, orphans)?;
    }
    c.prepare_cached(
        "INSERT OR REPLACE INTO objects (bucket, key, content, size, etag, modified, class)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        bucket,
        key.as_bytes(),
        content,
        size_in(info.size),
        &info.etag,
        info.modified,
        &info.meta.class,
    ))?;
    Ok(())
}

pub(super) fn insert_content(
    c: &Connection,
    content: i64,
    meta: &Meta,
    body: Option<&[u8]>,
) -> Result<()> {
    c.prepare_cached("INSERT INTO contents (id, meta, body) VALUES (?1, ?2, ?3)")?.execute((
        content,
        serde_json::to_string(meta)?,
        body,
    ))?;
    Ok(())
}

/// Puts a blob into a content; the blob stays if the transaction does.
pub(super) fn insert_part(
    c: &Connection,
    (content, number): (i64, u32),
    received: &Received,
    blob: BlobId,
) -> Result<()> {
    c.prepare_cached(
        "INSERT INTO parts (content, number, size, etag, modified, sums, blob)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        content,
        number,
        size_in(received.size),
        received.etag(),
        now(),
        serde_json::to_string(&meta::texts(&received.sums))?,
        blob,
    ))?;
    Ok(())
}

impl Objects {
    /// Makes an object of what was received; its checksums become those of `described`.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::Precondition`] and, of
    /// [`Condition::Matches`], [`ObjectError::NoSuchKey`]; or those of the database.
    pub async fn put(
        &self,
        bucket: String,
        key: String,
        mut received: Received,
        described: Meta,
        condition: Condition,
    ) -> Result<Info> {
        let content = self.next_content();
        let meta = Meta { sums: meta::texts(&received.sums), ..described };
        let info = Info { size: received.size, etag: received.etag(), modified: now(), meta };
        self.write(move |c, orphans| {
            let id = bucket_id(c, &bucket)?;
            name(c, id, &key, (content, &info), &condition, orphans)?;
            match &mut received.place {
                Place::Inline(body) => insert_content(c, content, &info.meta, Some(body))?,
                Place::Blob(own) => {
                    insert_content(c, content, &info.meta, None)?;
                    // Given last: what fails before leaves the blob to its owner.
                    if let Some(blob) = own.id() {
                        insert_part(c, (content, 0), &received, blob)?;
                    }
                }
            }
            received.keep();
            Ok(info)
        })
        .await
    }

    /// Makes another key name the same bytes; files are shared, not copied. `change` sees the
    /// source and gives the copy's metadata, or refuses.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchKey`] of the source, those of `change`
    /// and of the database.
    pub async fn copy<E: From<ObjectError> + Send + 'static>(
        &self,
        (from_bucket, from_key): (String, String),
        (to_bucket, to_key): (String, String),
        condition: Condition,
        change: impl FnOnce(&Info) -> std::result::Result<Meta, E> + Send + 'static,
    ) -> std::result::Result<Info, E> {
        let content = self.next_content();
        let copied = self.write(move |c, orphans| {
            let from = bucket_id(c, &from_bucket)?;
            let to = bucket_id(c, &to_bucket)?;
            let row = find(c, from, &from_key)?.ok_or(ObjectError::NoSuchKey)?;
            let (mut info, source) = super::read::info(c, row)?;
            info.meta = match change(&info) {
                Ok(meta) => meta,
                Err(e) => return Ok(Err(e)),
            };
            info.modified = now();
            c.execute(
                "INSERT INTO contents (id, meta, body)
                SELECT ?1, ?2, body FROM contents WHERE id = ?3",
                (content, serde_json::to_string(&info.meta)?, source),
            )?;
            c.execute(
                "INSERT INTO parts (content, number, size, etag, modified, sums, blob)
                SELECT ?1, number, size, etag, modified, sums, blob FROM parts WHERE content = ?2",
                (content, source),
            )?;
            name(c, to, &to_key, (content, &info), &condition, orphans)?;
            Ok(Ok(info))
        });
        copied.await?
    }

    /// Replaces the tags of an object.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchKey`], or those of the database.
    pub async fn tag(
        &self,
        bucket: String,
        key: String,
        tags: Vec<(String, String)>,
    ) -> Result<()> {
        self.write(move |c, _| {
            let id = bucket_id(c, &bucket)?;
            let row = find(c, id, &key)?.ok_or(ObjectError::NoSuchKey)?;
            let (mut info, content) = super::read::info(c, row)?;
            info.meta.tags = tags;
            let meta = serde_json::to_string(&info.meta)?;
            c.execute("UPDATE contents SET meta = ?2 WHERE id = ?1", (content, meta))?;
            Ok(())
        })
        .await
    }

    /// Deletes an object. One that does not exist is deleted.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], those of `condition`, or those of the database.
    pub async fn delete(&self, bucket: String, key: String, condition: Condition) -> Result<()> {
        self.write(move |c, orphans| {
            let id = bucket_id(c, &bucket)?;
            delete(c, id, &key, &condition, orphans)
        })
        .await
    }

    /// Deletes many objects in one transaction; each has an answer of its own.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], or those of the database.
    pub async fn delete_all(
        &self,
        bucket: String,
        keys: Vec<(String, Condition)>,
    ) -> Result<Vec<Result<()>>> {
        self.write(move |c, orphans| {
            let id = bucket_id(c, &bucket)?;
            let each = |(key, condition): &(String, Condition)| match delete(
                c, id, key, condition, orphans,
            ) {
                Err(e @ ObjectError::Store(_)) => Err(e),
                other => Ok(other),
            };
            keys.iter().map(each).collect()
        })
        .await
    }
}

fn delete(
    c: &Connection,
    bucket: i64,
    key: &str,
    condition: &Condition,
    orphans: &mut Vec<BlobId>,
) -> Result<()> {
    let old = find(c, bucket, key)?;
    check(condition, old.as_ref())?;
    if let Some(old) = old {
        c.prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
            .execute((bucket, key.as_bytes()))?;
        remove_content(c, old.content, orphans)?;
    }
    Ok(())
}
