-- state.db of format 5. Never edited: schema.rs says how a later one is added.
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
CREATE TABLE async_request (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    endpoint TEXT NOT NULL REFERENCES endpoint (name) ON DELETE CASCADE,
    state TEXT NOT NULL, -- queued, running
    due INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    request TEXT NOT NULL
) STRICT;
CREATE TABLE attempt (
    job TEXT NOT NULL REFERENCES training_job (name) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    assignment TEXT NOT NULL,
    segment INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (job, generation)
) STRICT, WITHOUT ROWID;
CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    status TEXT NOT NULL,
    progress TEXT NOT NULL
) STRICT;
CREATE TABLE endpoint_config (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    request TEXT NOT NULL
) STRICT;
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
CREATE TABLE model (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    request TEXT NOT NULL
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
CREATE TABLE server (
    id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL REFERENCES endpoint (name),
    begun INTEGER NOT NULL,
    server TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE server_container (
    server TEXT NOT NULL REFERENCES server (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    assignment TEXT NOT NULL,
    segment INTEGER NOT NULL,
    position INTEGER NOT NULL,
    health TEXT,
    PRIMARY KEY (server, number)
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
CREATE INDEX async_request_due ON async_request (endpoint, state, due);
CREATE INDEX endpoint_config_created ON endpoint_config (created, id);
CREATE INDEX endpoint_created ON endpoint (created, id);
CREATE UNIQUE INDEX log_block_place
    ON log_block (stream, first_at, first_seq, last_at, last_seq, size);
CREATE INDEX log_stream_last ON log_stream (log_group, coalesce(last_event, 0), id);
CREATE INDEX model_created ON model (created, id);
CREATE INDEX server_endpoint ON server (endpoint);
CREATE INDEX training_job_created ON training_job (created, id);
CREATE INDEX training_job_unfinished ON training_job (id) WHERE NOT finished;
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES ('log_group', 2);
INSERT INTO sqlite_sequence VALUES ('log_stream', 2);
INSERT INTO sqlite_sequence VALUES ('model', 1);
INSERT INTO sqlite_sequence VALUES ('endpoint_config', 1);
INSERT INTO sqlite_sequence VALUES ('endpoint', 1);
INSERT INTO sqlite_sequence VALUES ('async_request', 1);
INSERT INTO access_key VALUES ('AKIAKUOF6ZD6J2GNLKEM', 'Xh5FyHIakcp+N6b2JPKXwq3F0o+/pGVYN3pdTlMl', NULL, 'job', 'digits', NULL, 2, 1795439700123, NULL);
INSERT INTO access_key VALUES ('AKIAUMOOSGR6II3RJRKN', '9cZtzkxmpIjy9Ixi7zy3meaFoNZ8w1o/ni9eDuiB', NULL, 'root', NULL, NULL, NULL, 1795439700123, NULL);
INSERT INTO access_key VALUES ('ASIAGV627276365DK5YI', 'zmiAiwWnTCioRzd+5CjpARNrejReZCWZx9qGpbBL', 'ce0sHvuzxR7ei9WZ/NCPvigGOQqD/XHBbSg/Os+GiqPWbwm1mfDYKe6ie9hKQF9XXLJS5kqVBPrzKA6XyK/gllf1LUJyGeF05YqokjuuGUd+cBM3HhciX1+QCs3/Zs5c', 'role', 'arn:aws:iam::123456789012:role/BelljarExecutionRole', 'golden', NULL, 1795439700123, 1795443300123);
INSERT INTO async_request VALUES (1, '00ff', 'Digits', 'queued', 1795439700123, 1795439700123, 0, '{"id":"00ff","endpoint":"Digits","input":"s3://bucket/in","output":"s3://bucket/out/00ff.out","failure":null,"headers":{"contentType":"text/csv","accept":null,"customAttributes":null},"inferenceId":"x","created":"2026-11-23T13:15:00.123Z","expires":"2026-11-23T13:15:00.123Z","timeoutSeconds":900}');
INSERT INTO endpoint VALUES (1, 'Digits', 'arn:aws:sagemaker:us-east-1:123456789012:endpoint/digits', 1795439700123, 1795439700123, 'InService', '{"status":"InService","current":{"number":3,"deployment":{"config":"digits","variants":[{"name":"AllTraffic","model":"digits","containers":[{"name":"primary","image":"digits","specifiedImage":"digits","environment":{"A":"b"},"model":{"uri":"s3://bucket/model.tar.gz","form":"archive"},"models":null,"cached":true}],"direct":false,"instanceType":"ml.m5.large","resources":{"cpuMillis":2000,"memoryBytes":8589934592,"processes":4096},"count":1,"weight":0.5,"routing":"LEAST_OUTSTANDING_REQUESTS","downloadSeconds":900,"startupSeconds":480,"notices":[]}],"asynchronous":{"output":"s3://bucket/out","failure":null,"concurrent":4}},"shares":{"AllTraffic":{"count":2,"weight":0.5}},"since":"2026-11-23T13:15:00.123Z","terminationWaitSeconds":0},"next":null,"tookOver":null}');
INSERT INTO endpoint_config VALUES (1, 'digits', 'arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/digits', 1795439700123, '{"Tested":"endpoint-config"}');
INSERT INTO log_block VALUES (1, 1, 1795439700123, 0, 1795439700123, 2, 55, x'019bd1aec4a0340080bab7030765706f63682031000080bab703155665726c7573743a20302c323520e2809320677574000080bab70300');
INSERT INTO log_dead VALUES (2);
INSERT INTO log_group VALUES (1, '/aws/sagemaker/TrainingJobs', 1795443300123, 30, '[]');
INSERT INTO log_stream VALUES (1, 1, 'digits/algo-1-1795439700', 1795443300123, 3, 1795439700123, 1795439700123, 1795443300123, 106);
INSERT INTO model VALUES (1, 'digits', 'arn:aws:sagemaker:us-east-1:123456789012:model/digits', 1795439700123, '{"Tested":"model"}');
INSERT INTO role VALUES ('BelljarExecutionRole', 'AROABFJ3T5WQEE26UUTW6', 'arn:aws:iam::123456789012:role/BelljarExecutionRole', '/', '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]}', 'Made by Belljar''s first start, for training jobs', 3600, '[]', 1795439700123);
INSERT INTO role_attachment VALUES ('BelljarExecutionRole', 'arn:aws:iam::aws:policy/AmazonSageMakerFullAccess');
INSERT INTO role_policy VALUES ('BelljarExecutionRole', 'inline', '{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}');
INSERT INTO server VALUES ('i-0123456789abcdef0', 'Digits', 1795439700123, '{"id":"i-0123456789abcdef0","endpoint":"Digits","fleet":3,"variant":"AllTraffic","zone":"us-east-1a","containers":1,"tries":0,"begun":"2026-11-23T13:15:00.123Z"}');
INSERT INTO server_container VALUES ('i-0123456789abcdef0', 1, '{"generation":1,"job":"i-0123456789abcdef0-1","jobArn":"arn","region":"us-east-1","host":"algo-1","instanceType":"ml.m5.large","group":"homogeneousCluster","image":"digits","entrypoint":[],"arguments":[],"environment":{},"hyperparameters":{},"channels":[],"output":"/evidence","outputCompression":"GZIP","checkpoints":null,"notices":[],"replaceOutput":false,"resources":{"cpuMillis":2000,"memoryBytes":8589934592,"processes":4096},"bestEffortLimits":false,"stop":{"maxRuntimeSeconds":60,"graceSeconds":30},"metrics":[],"serving":{"endpoint":"Digits","variant":"AllTraffic","container":"primary","bindToPort":null,"model":{"uri":"s3://bucket/model.tar.gz","form":"archive"},"models":null,"downloadSeconds":900,"startupSeconds":480}}', 1, 0, '{"healthy":true,"why":"","at":"2026-11-23T13:15:00.123Z"}');
INSERT INTO tag VALUES ('arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/digits', 'k', 'v');
INSERT INTO tag VALUES ('arn:aws:sagemaker:us-east-1:123456789012:endpoint/digits', 'k', 'v');
INSERT INTO tag VALUES ('arn:aws:sagemaker:us-east-1:123456789012:model/digits', 'k', 'v');
COMMIT;
PRAGMA user_version = 5;
