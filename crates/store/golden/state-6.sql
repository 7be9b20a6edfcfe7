-- state.db of format 6. Never edited: schema.rs says how a later one is added.
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
CREATE TABLE network_generation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL
) STRICT;
CREATE TABLE network_note (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE network_record (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
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
INSERT INTO access_key VALUES ('AKIAGCMLVBCFADPXK2GI', 'wsma7GjlbdX4cwlLOpiWsy/LlBc70NKE6/WEJYWe', NULL, 'root', NULL, NULL, NULL, 1795439700123, NULL);
INSERT INTO access_key VALUES ('AKIAHSQGFYXRO6W4ZKLJ', 'IHKtt+v5V5QyGz4BXnVcGuoZAMcRUx9KPyXSAwtF', NULL, 'job', 'digits', NULL, 2, 1795439700123, NULL);
INSERT INTO access_key VALUES ('ASIA5E5KESQEEWXUK4FY', 'rfGO35yx0jCO1o/tLEpA0J4m5n9DzujtDbXWrAUM', 'YT1LbK0aaok2aokjbHexnDqoHNjH3fB9T2n/Isq/P9iHpwj4W84PY3w4o2bOoPZclqQZ4St7PJQXqmS7TJ+o3d/Fl7d53TP4n63vRoLgos9YzC+1k2SyNZ0XCrltiyi/', 'role', 'arn:aws:iam::123456789012:role/BelljarExecutionRole', 'golden', NULL, 1795439700123, 1795443300123);
INSERT INTO async_request VALUES (1, '00ff', 'Digits', 'queued', 1795439700123, 1795439700123, 0, '{"id":"00ff","endpoint":"Digits","input":"s3://bucket/in","output":"s3://bucket/out/00ff.out","failure":null,"headers":{"contentType":"text/csv","accept":null,"customAttributes":null},"inferenceId":"x","created":"2026-11-23T13:15:00.123Z","expires":"2026-11-23T13:15:00.123Z","timeoutSeconds":900}');
INSERT INTO endpoint VALUES (1, 'Digits', 'arn:aws:sagemaker:us-east-1:123456789012:endpoint/digits', 1795439700123, 1795439700123, 'InService', '{"status":"InService","current":{"number":3,"deployment":{"config":"digits","variants":[{"name":"AllTraffic","model":"digits","containers":[{"name":"primary","image":"digits","specifiedImage":"digits","environment":{"A":"b"},"model":{"uri":"s3://bucket/model.tar.gz","form":"archive"},"models":null,"cached":true}],"direct":false,"instanceType":"ml.m5.large","resources":{"cpuMillis":2000,"memoryBytes":8589934592,"processes":4096},"count":1,"weight":0.5,"routing":"LEAST_OUTSTANDING_REQUESTS","downloadSeconds":900,"startupSeconds":480,"notices":[]}],"asynchronous":{"output":"s3://bucket/out","failure":null,"concurrent":4}},"shares":{"AllTraffic":{"count":2,"weight":0.5}},"since":"2026-11-23T13:15:00.123Z","terminationWaitSeconds":0},"next":null,"tookOver":null}');
INSERT INTO endpoint_config VALUES (1, 'digits', 'arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/digits', 1795439700123, '{"Tested":"endpoint-config"}');
INSERT INTO log_block VALUES (1, 1, 1795439700123, 0, 1795439700123, 2, 55, x'019bd1aec4a0340080bab7030765706f63682031000080bab703155665726c7573743a20302c323520e2809320677574000080bab70300');
INSERT INTO log_dead VALUES (2);
INSERT INTO log_group VALUES (1, '/aws/sagemaker/TrainingJobs', 1795443300123, 30, '[]');
INSERT INTO log_stream VALUES (1, 1, 'digits/algo-1-1795439700', 1795443300123, 3, 1795439700123, 1795439700123, 1795443300123, 106);
INSERT INTO model VALUES (1, 'digits', 'arn:aws:sagemaker:us-east-1:123456789012:model/digits', 1795439700123, '{"Tested":"model"}');
INSERT INTO network_generation VALUES (1, 1);
INSERT INTO network_note VALUES ('kind', 'id', '{"a":1}');
INSERT INTO network_record VALUES ('Acl', 'acl-1', 1795439700123, '{"acl":["acl-1",{"vpc":"vpc-1","isDefault":true,"ingress":{"100":{"traffic":{"kind":"protocol","number":47},"block":"::/0","allow":true}},"egress":{},"associations":{"subnet-1":"aclassoc-1"}}]}');
INSERT INTO network_record VALUES ('Address', 'eipalloc-1', 1795439700123, '{"address":["eipalloc-1",{"public":"203.0.113.7","association":["eipassoc-1","eni-1","10.0.0.4"]}]}');
INSERT INTO network_record VALUES ('DhcpOptions', 'dopt-1', 1795439700123, '{"dhcpOptions":["dopt-1",{"options":{"domain-name":["example.com"]}}]}');
INSERT INTO network_record VALUES ('Endpoint', 'vpce-1', 1795439700123, '{"endpoint":["vpce-1",{"vpc":"vpc-1","service":"com.amazonaws.us-east-1.s3","kind":{"gateway":{"route_tables":["rtb-1"]}},"policy":null}]}');
INSERT INTO network_record VALUES ('FlowLog', 'fl-1', 1795439700123, '{"flowLog":["fl-1",{"of":{"subnet":"subnet-1"},"traffic":"REJECT","destination":{"logs":"group"},"format":"${version}","interval":600,"role":null}]}');
INSERT INTO network_record VALUES ('Group', 'sg-1', 1795439700123, '{"group":["sg-1",{"vpc":"vpc-1","name":"default","description":"d","rules":{"sgr-1":{"direction":"ingress","traffic":{"kind":"all"},"peer":{"group":"sg-1"},"description":null},"sgr-2":{"direction":"egress","traffic":{"kind":"ports","transport":"tcp","from":443,"to":443},"peer":{"prefixList":"pl-1"},"description":"s3"},"sgr-3":{"direction":"egress","traffic":{"kind":"icmp","v6":false,"type":8,"code":null},"peer":{"cidr":"0.0.0.0/0"},"description":null}}}]}');
INSERT INTO network_record VALUES ('Interface', 'eni-1', 1795439700123, '{"interface":["eni-1",{"subnet":"subnet-1","addresses":[{"address":"10.0.0.4","public":null}],"addressesV6":["2600:1f00::4"],"groups":["sg-1"],"sourceDestCheck":true,"mac":"02:00:00:00:00:01","description":"d","kind":"natGateway","requesterManaged":true,"attachment":{"id":"eni-attach-1","owner":"nat-1"}}]}');
INSERT INTO network_record VALUES ('InternetGateway', 'igw-1', 1795439700123, '{"internetGateway":["igw-1",{"vpc":"vpc-1"}]}');
INSERT INTO network_record VALUES ('NatGateway', 'nat-1', 1795439700123, '{"natGateway":["nat-1",{"subnet":"subnet-1","interface":"eni-1","allocation":"eipalloc-1","available":true}]}');
INSERT INTO network_record VALUES ('Peering', 'pcx-1', 1795439700123, '{"peering":["pcx-1",{"requester":"vpc-1","accepter":"vpc-1","status":"active","dnsResolution":false}]}');
INSERT INTO network_record VALUES ('PrefixList', 'pl-1', 1795439700123, '{"prefixList":["pl-1",{"name":"com.amazonaws.us-east-1.s3","owner":"AWS","v6":false,"maxEntries":3,"version":1,"entries":{"52.216.0.0/15":null}}]}');
INSERT INTO network_record VALUES ('RouteTable', 'rtb-1', 1795439700123, '{"routeTable":["rtb-1",{"vpc":"vpc-1","main":"rtbassoc-1","associations":{},"routes":[{"destination":{"cidr":"0.0.0.0/0"},"target":{"internet":"igw-1"},"origin":"createRoute"},{"destination":{"prefixList":"pl-1"},"target":{"endpoint":"vpce-1"},"origin":"createRoute"}]}]}');
INSERT INTO network_record VALUES ('Subnet', 'subnet-1', 1795439700123, '{"subnet":["subnet-1",{"vpc":"vpc-1","zone":"us-east-1a","block":"10.0.0.0/24","blockV6":"2600:1f00::/64","associationV6":"subnet-cidr-assoc-1","mapPublicIp":false,"assignV6":true,"defaultForZone":false}]}');
INSERT INTO network_record VALUES ('Vpc', 'vpc-1', 1795439700123, '{"vpc":["vpc-1",{"cidrs":[{"association":"vpc-cidr-assoc-1","block":"10.0.0.0/16"},{"association":"vpc-cidr-assoc-2","block":"2600:1f00::/56"}],"dnsSupport":true,"dnsHostnames":true,"dhcpOptions":"dopt-1","isDefault":false}]}');
INSERT INTO network_record VALUES ('Zone', 'Z1', 1795439700123, '{"zone":["Z1",{"name":"corp.example.com.","callerReference":"r","comment":null,"vpcs":["vpc-1"],"records":{"a.corp.example.com.":{"A":{"ttl":60,"values":["10.0.0.4"]}}}}]}');
INSERT INTO role VALUES ('BelljarExecutionRole', 'AROAOE6YNGNKLYGKNZNYN', 'arn:aws:iam::123456789012:role/BelljarExecutionRole', '/', '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]}', 'Made by Belljar''s first start, for training jobs', 3600, '[]', 1795439700123);
INSERT INTO role_attachment VALUES ('BelljarExecutionRole', 'arn:aws:iam::aws:policy/AmazonSageMakerFullAccess');
INSERT INTO role_policy VALUES ('BelljarExecutionRole', 'inline', '{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}');
INSERT INTO server VALUES ('i-0123456789abcdef0', 'Digits', 1795439700123, '{"id":"i-0123456789abcdef0","endpoint":"Digits","fleet":3,"variant":"AllTraffic","zone":"us-east-1a","containers":1,"tries":0,"begun":"2026-11-23T13:15:00.123Z"}');
INSERT INTO server_container VALUES ('i-0123456789abcdef0', 1, '{"generation":1,"job":"i-0123456789abcdef0-1","jobArn":"arn","region":"us-east-1","host":"algo-1","instanceType":"ml.m5.large","group":"homogeneousCluster","image":"digits","entrypoint":[],"arguments":[],"environment":{},"hyperparameters":{},"channels":[],"output":"/evidence","outputCompression":"GZIP","checkpoints":null,"notices":[],"replaceOutput":false,"resources":{"cpuMillis":2000,"memoryBytes":8589934592,"processes":4096},"bestEffortLimits":false,"stop":{"maxRuntimeSeconds":60,"graceSeconds":30},"metrics":[],"serving":{"endpoint":"Digits","variant":"AllTraffic","container":"primary","bindToPort":null,"model":{"uri":"s3://bucket/model.tar.gz","form":"archive"},"models":null,"downloadSeconds":900,"startupSeconds":480}}', 1, 0, '{"healthy":true,"why":"","at":"2026-11-23T13:15:00.123Z"}');
INSERT INTO tag VALUES ('arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/digits', 'k', 'v');
INSERT INTO tag VALUES ('arn:aws:sagemaker:us-east-1:123456789012:endpoint/digits', 'k', 'v');
INSERT INTO tag VALUES ('arn:aws:sagemaker:us-east-1:123456789012:model/digits', 'k', 'v');
INSERT INTO tag VALUES ('vpc-1', 'k', 'v');
COMMIT;
PRAGMA user_version = 6;
