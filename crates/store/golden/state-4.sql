-- state.db of format 4. Never edited: schema.rs says how a later one is added.
-- Its keys are of a service that never listened.
PRAGMA foreign_keys = OFF;
BEGIN;
CREATE TABLE access_key (
    id         TEXT PRIMARY KEY,
    secret     TEXT NOT NULL,
    token      TEXT,
    kind       TEXT NOT NULL CHECK (kind IN ('root', 'role', 'job')),
    name       TEXT,    -- a role's ARN, a job's name
    session    TEXT,    -- of a role
    generation INTEGER, -- of a job's attempt
    created    INTEGER NOT NULL, -- here and below: milliseconds since the epoch
    expires    INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt (
    job TEXT NOT NULL REFERENCES training_job (name) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    assignment TEXT NOT NULL,
    segment INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (job, generation)
) STRICT, WITHOUT ROWID;
CREATE TABLE log_block (
    id        INTEGER PRIMARY KEY,
    stream    INTEGER NOT NULL,
    first_at  INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    size      INTEGER NOT NULL, -- bytes of the body
    body      BLOB NOT NULL
) STRICT;
CREATE TABLE log_dead (stream INTEGER PRIMARY KEY) STRICT;
CREATE TABLE log_group (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT NOT NULL UNIQUE,
    created   INTEGER NOT NULL, -- here and below: milliseconds since the epoch
    retention INTEGER,          -- days
    tags      TEXT NOT NULL     -- a JSON list of [key, value]
) STRICT;
CREATE TABLE log_stream (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    log_group    INTEGER NOT NULL REFERENCES log_group (id),
    name         TEXT NOT NULL,
    created      INTEGER NOT NULL,
    next         INTEGER NOT NULL DEFAULT 0, -- the sequence of the next event
    first_event  INTEGER,
    last_event   INTEGER,
    last_ingest  INTEGER,
    bytes        INTEGER NOT NULL DEFAULT 0,
    UNIQUE (log_group, name)
) STRICT;
CREATE TABLE node (
    name    TEXT PRIMARY KEY,
    token   BLOB NOT NULL, -- SHA-256
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE role (
    name        TEXT PRIMARY KEY COLLATE NOCASE,
    id          TEXT NOT NULL UNIQUE,
    arn         TEXT NOT NULL UNIQUE,
    path        TEXT NOT NULL,
    trust       TEXT NOT NULL, -- the policy document as it was sent
    description TEXT,
    max_session INTEGER NOT NULL, -- seconds
    tags        TEXT NOT NULL, -- a JSON list of [key, value]
    created     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE role_attachment (
    role TEXT NOT NULL COLLATE NOCASE REFERENCES role (name),
    arn  TEXT NOT NULL,
    PRIMARY KEY (role, arn)
) STRICT, WITHOUT ROWID;
CREATE TABLE role_policy (
    role     TEXT NOT NULL COLLATE NOCASE REFERENCES role (name),
    name     TEXT NOT NULL COLLATE NOCASE,
    document TEXT NOT NULL,
    PRIMARY KEY (role, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE tag (
    arn TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (arn, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE training_job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    status TEXT NOT NULL,
    finished INTEGER NOT NULL,
    definition TEXT NOT NULL,
    assignment TEXT NOT NULL,
    progress TEXT NOT NULL
) STRICT;
CREATE INDEX access_key_expires ON access_key (expires) WHERE expires IS NOT NULL;
CREATE INDEX access_key_owner ON access_key (kind, name);
CREATE UNIQUE INDEX log_block_place
    ON log_block (stream, first_at, first_seq, last_at, last_seq, size);
CREATE INDEX log_stream_last ON log_stream (log_group, coalesce(last_event, 0), id);
CREATE INDEX training_job_created ON training_job (created, id);
CREATE INDEX training_job_unfinished ON training_job (id) WHERE NOT finished;
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES ('log_group', 2);
INSERT INTO sqlite_sequence VALUES ('log_stream', 2);
INSERT INTO access_key VALUES ('AKIA535EXSRFHPP4ZHRE', '7kMjeHfTPMi4esa4vqL5dVXLvJxLUJOlyYWlxrh+', NULL, 'root', NULL, NULL, NULL, 1795439700123, NULL);
INSERT INTO access_key VALUES ('AKIAG24OHRT2VX4AEQYC', 'd3m74UjuBOLXGot0RVgs7HOR8yDtrGMQIlyZPqkP', NULL, 'job', 'digits', NULL, 2, 1795439700123, NULL);
INSERT INTO access_key VALUES ('ASIAMRDWA4XYJDPTE5C6', 'XgcKzrmQPNaqXqnYA76wl0UzPdYfmULs/QOz3ga9', 'JhogRYpdClXHxi0VbYuKm66TuVGSa/+b7GFnOiHUh8nZdb7LO2OojbHeolj7jawiABRj4OZ52JPHA2zE9h0ozBMWSUh4zaFn+ZTVqasZHmhg6xTpun7SSOtTFPM4HJ6o', 'role', 'arn:aws:iam::123456789012:role/BelljarExecutionRole', 'golden', NULL, 1795439700123, 1795443300123);
INSERT INTO log_block VALUES (1, 1, 1795439700123, 0, 1795439700123, 2, 55, x'019bd1aec4a0340080bab7030765706f63682031000080bab703155665726c7573743a20302c323520e2809320677574000080bab70300');
INSERT INTO log_dead VALUES (2);
INSERT INTO log_group VALUES (1, '/aws/sagemaker/TrainingJobs', 1795443300123, 30, '[]');
INSERT INTO log_stream VALUES (1, 1, 'digits/algo-1-1795439700', 1795443300123, 3, 1795439700123, 1795439700123, 1795443300123, 106);
INSERT INTO role VALUES ('BelljarExecutionRole', 'AROA4KMTTZH4HJCXIDJB7', 'arn:aws:iam::123456789012:role/BelljarExecutionRole', '/', '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]}', 'Made by Belljar''s first start, for training jobs', 3600, '[]', 1795439700123);
INSERT INTO role_attachment VALUES ('BelljarExecutionRole', 'arn:aws:iam::aws:policy/AmazonSageMakerFullAccess');
INSERT INTO role_policy VALUES ('BelljarExecutionRole', 'inline', '{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}');
COMMIT;
PRAGMA user_version = 4;
