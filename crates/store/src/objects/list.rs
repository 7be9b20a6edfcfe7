//! Listing: a walk along the index that skips what a delimiter folds.

use super::{MAX_LISTED, Objects, Result, bucket_id};
use std::ops::Bound;

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that contain this after the prefix are folded into one entry up to its end; empty:
    /// none.
    pub delimiter: String,
    /// The least key (as bytes) that may be listed, or the greatest that may not.
    pub from: Option<Bound<Vec<u8>>>,
    /// The most entries; at most [`MAX_LISTED`].
    pub limit: usize,
}

impl Query {
    /// Goes on after `marker` as version 1 of listing means it: what is folded into `marker` was
    /// listed.
    pub fn after_marker(&mut self, marker: &str) {
        let marker = marker.as_bytes();
        self.from = Some(match self.fold(marker) {
            Some(folded) if folded == marker.len() => past(marker),
            _ => Bound::Excluded(marker.to_vec()),
        });
    }

    /// The length of the common prefix that `key` is folded into.
    fn fold(&self, key: &[u8]) -> Option<usize> {
        let rest = key.strip_prefix(self.prefix.as_bytes())?;
        let delimiter = self.delimiter.as_bytes();
        if delimiter.is_empty() {
            return None;
        }
        let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
        Some(self.prefix.len() + at + delimiter.len())
    }
}

/// The least key that is not, and is after, all that begin with `prefix`.
fn past(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < u8::MAX {
            next.push(last + 1);
            return Bound::Included(next);
        }
    }
    // No key is: UTF-8 has no byte 0xFF.
    Bound::Included(vec![u8::MAX])
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An object.
    Object {
        /// Its key.
        key: String,
        /// Bytes.
        size: u64,
        /// Without quotes.
        etag: String,
        /// Seconds since the Unix epoch.
        modified: i64,
        /// Its storage class; none is `STANDARD`.
        class: Option<String>,
    },
    /// Keys that were folded.
    Prefix(String),
}

impl Entry {
    /// Its name: a key or a common prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Object { key, .. } | Self::Prefix(key) => key,
        }
    }
}

/// A page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of their names' bytes.
    pub entries: Vec<Entry>,
    /// Where the next page begins ([`Query::from`]), if there is more.
    pub next: Option<Vec<u8>>,
}

impl Objects {
    /// One page of a bucket's objects.
    ///
    /// # Errors
    /// [`super::ObjectError::NoSuchBucket`], or those of the database.
    pub fn list(&self, bucket: &str, query: &Query) -> Result<Listing> {
        self.db.read(|c| {
            let bucket = bucket_id(c, bucket)?;
            let limit = query.limit.min(MAX_LISTED);
            let mut listing = Listing::default();
            if limit == 0 {
                return Ok(listing);
            }
            let Bound::Included(end) = past(query.prefix.as_bytes()) else { return Ok(listing) };
            let mut from = first(query);
            let mut walk = c.prepare_cached(
                "SELECT key, size, etag, modified, class FROM objects
                WHERE bucket = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
            )?;
            'seek: loop {
                let mut rows = walk.query((bucket, &from, &end))?;
                while let Some(row) = rows.next()? {
                    let key = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
                    if listing.entries.len() == limit {
                        listing.next = Some(key.to_vec());
                        return Ok(listing);
                    }
                    if let Some(folded) = query.fold(key) {
                        let prefix = String::from_utf8_lossy(&key[..folded]).into_owned();
                        let Bound::Included(next) = past(&key[..folded]) else { break 'seek };
                        listing.entries.push(Entry::Prefix(prefix));
                        from = next;
                        continue 'seek;
                    }
                    listing.entries.push(Entry::Object {
                        key: String::from_utf8_lossy(key).into_owned(),
                        size: super::size_of(row, 1)?,
                        etag: row.get(2)?,
                        modified: row.get(3)?,
                        class: row.get(4)?,
                    });
                }
                break;
            }
            Ok(listing)
        })
    }
}

/// The least key that may be listed.
fn first(query: &Query) -> Vec<u8> {
    let prefix = query.prefix.as_bytes().to_vec();
    let from = match &query.from {
        None | Some(Bound::Unbounded) => return prefix,
        Some(Bound::Included(key)) => key.clone(),
        // The next string of bytes.
        Some(Bound::Excluded(key)) => [key.as_slice(), &[0]].concat(),
    };
    prefix.max(from)
}
