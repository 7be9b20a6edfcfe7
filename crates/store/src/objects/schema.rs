//! The format of `objects.db`. A change is a new migration, never an edit.

/// `MIGRATIONS[i]` turns format `i` into `i + 1`.
///
/// `objects` holds what a listing shows, and nothing else, so that a listing reads few pages.
/// `contents` holds the rest; its `body` is the bytes of a small object, or NULL when they lie in
/// files, which `parts` names in order (number 0 alone: not uploaded in parts). An upload in
/// parts owns a content from its start, so that its completion moves no byte and no part.
/// Keys are blobs: they compare as bytes, which is S3's order, and any prefix has a successor.
/// Times are seconds since the Unix epoch.
pub(super) const MIGRATIONS: &[&str] = &["
CREATE TABLE buckets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    tags TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    meta TEXT NOT NULL,
    body BLOB
) STRICT;
CREATE TABLE objects (
    bucket INTEGER NOT NULL REFERENCES buckets (id),
    key BLOB NOT NULL,
    content INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    class TEXT,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE parts (
    content INTEGER NOT NULL,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    sums TEXT NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (content, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX parts_by_blob ON parts (blob);
CREATE TABLE uploads (
    bucket INTEGER NOT NULL REFERENCES buckets (id),
    key BLOB NOT NULL,
    id TEXT NOT NULL,
    content INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    PRIMARY KEY (bucket, key, id)
) STRICT, WITHOUT ROWID;
"];
