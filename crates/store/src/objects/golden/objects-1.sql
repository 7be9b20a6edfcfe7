PRAGMA user_version = 1;
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
INSERT INTO buckets VALUES (1, 'b', 1795500000, '[["team","vision"]]');
INSERT INTO contents VALUES (1, '{"content_type":"text/plain","cache_control":"no-cache","content_disposition":"inline","content_encoding":"gzip","content_language":"de","expires":"Wed, 25 Nov 2026 03:00:00 GMT","user":{"name":"value"},"tags":[["tag","value"]],"sse":"aws:kms","kms_key":"key","bucket_key":true,"class":"STANDARD_IA","sums":{"CRC32":"tJ4mVA=="}}', x'6279746573');
INSERT INTO objects VALUES (1, x'736d616c6c', 1, 5, '4b3a6218bb3e3a7303e8a171a60fcf92', 1795500001, 'STANDARD_IA');
INSERT INTO contents VALUES (2, '{"sums":{"SHA256":"2jmj7l5rSw0yVb/vlWAYkK/YBwk="},"composite":true,"upload":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","algorithm":"SHA256","parts":2}', NULL);
INSERT INTO objects VALUES (1, x'7061727473', 2, 8, 'd41d8cd98f00b204e9800998ecf8427e-2', 1795500002, NULL);
INSERT INTO parts VALUES (2, 1, 5, '4b3a6218bb3e3a7303e8a171a60fcf92', 1795500002, '{"SHA256":"J3CJ2RwL308uaGK6fkoHYFEZQx9dE/cm3TUrBvGyBqk="}', x'00112233445566778899aabbccddeeff');
INSERT INTO parts VALUES (2, 2, 3, '900150983cd24fb0d6963f7d28e17f72', 1795500002, '{"SHA256":"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="}', x'ffeeddccbbaa99887766554433221100');
INSERT INTO contents VALUES (3, '{"upload":"aa","algorithm":"CRC64NVME"}', NULL);
INSERT INTO uploads VALUES (1, x'7570', 'aa', 3, 1795500003);
