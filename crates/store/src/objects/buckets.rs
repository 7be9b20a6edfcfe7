//! Buckets.

use super::{ObjectError, Objects, Result, bucket_id, now};
use rusqlite::OptionalExtension as _;

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Seconds since the Unix epoch.
    pub created: i64,
}

impl Objects {
    /// Makes a bucket.
    ///
    /// # Errors
    /// [`ObjectError::BucketExists`], or those of the database.
    pub async fn create_bucket(&self, name: String) -> Result<()> {
        self.write(move |c, _| {
            let made = c.execute(
                "INSERT INTO buckets (name, created) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                (name, now()),
            )?;
            if made == 0 { Err(ObjectError::BucketExists) } else { Ok(()) }
        })
        .await
    }

    /// Removes an empty bucket.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::BucketNotEmpty`], or those of the database.
    pub async fn delete_bucket(&self, name: String) -> Result<()> {
        self.write(move |c, _| {
            let id = bucket_id(c, &name)?;
            let full = "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)
                OR EXISTS (SELECT 1 FROM uploads WHERE bucket = ?1)";
            if c.query_row(full, [id], |row| row.get(0))? {
                return Err(ObjectError::BucketNotEmpty);
            }
            c.execute("DELETE FROM buckets WHERE id = ?1", [id])?;
            Ok(())
        })
        .await
    }

    /// All buckets by name.
    ///
    /// # Errors
    /// Those of the database.
    pub fn buckets(&self) -> Result<Vec<Bucket>> {
        self.db.read(|c| {
            let mut all = c.prepare_cached("SELECT name, created FROM buckets ORDER BY name")?;
            let bucket =
                |row: &rusqlite::Row<'_>| Ok(Bucket { name: row.get(0)?, created: row.get(1)? });
            Ok(all.query_map([], bucket)?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Succeeds if the bucket exists.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], or those of the database.
    pub fn bucket_exists(&self, name: &str) -> Result<()> {
        self.db.read(|c| bucket_id(c, name).map(drop))
    }

    /// The tags of a bucket.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], or those of the database.
    pub fn bucket_tags(&self, name: &str) -> Result<Vec<(String, String)>> {
        self.db.read(|c| {
            let find = "SELECT tags FROM buckets WHERE name = ?1";
            let tags: Option<String> = c.query_row(find, [name], |row| row.get(0)).optional()?;
            Ok(serde_json::from_str(&tags.ok_or(ObjectError::NoSuchBucket)?)?)
        })
    }

    /// Replaces the tags of a bucket.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], or those of the database.
    pub async fn tag_bucket(&self, name: String, tags: Vec<(String, String)>) -> Result<()> {
        self.write(move |c, _| {
            let tags = serde_json::to_string(&tags)?;
            match c.execute("UPDATE buckets SET tags = ?2 WHERE name = ?1", (name, tags))? {
                0 => Err(ObjectError::NoSuchBucket),
                _ => Ok(()),
            }
        })
        .await
    }
}
