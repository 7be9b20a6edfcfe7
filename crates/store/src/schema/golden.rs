//! Golden copies of older formats: what was written by any released version is read by this one.

use super::*;
use crate::identity::Owner;
use crate::logs::{Direction, LogEvent, Range};
use belljar_domain::Timestamp;
use rusqlite::types::ValueRef;
use std::fmt::Write as _;

/// The formats of which there is a copy. The last is today's.
const COPIES: &[(usize, &str)] = &[
    (3, include_str!("../../golden/state-3.sql")),
    (4, include_str!("../../golden/state-4.sql")),
    (5, include_str!("../../golden/state-5.sql")),
    (6, include_str!("../../golden/state-6.sql")),
];
/// What a copy is written with: `BELLJAR_GOLDEN=write`. Only before its format is released.
const WRITE: &str = "BELLJAR_GOLDEN";

const GROUP: &str = "/aws/sagemaker/TrainingJobs";
const ROLE: &str = "arn:aws:iam::123456789012:role/BelljarExecutionRole";

/// Records of every kind but jobs, whose own test has theirs; written by today's code.
fn fill(c: &Connection) {
    let now = Timestamp::from_millis(1_795_439_700_123);
    let later = Timestamp::from_millis(now.millis() + 3_600_000);
    identity::ensure_root(c, "123456789012", now).unwrap();
    let role = Owner::Role { arn: ROLE.into(), session: "golden".into() };
    identity::create_key(c, role, now, Some(later)).unwrap();
    let job = Owner::Job { name: "digits".into(), generation: 2 };
    identity::create_key(c, job, now, None).unwrap();
    let document = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    identity::put_policy(c, "BelljarExecutionRole", "inline", document).unwrap();
    let events = ["epoch 1", "Verlust: 0,25 – gut", ""]
        .map(|message| LogEvent { at: now, message: message.into() });
    logs::append_creating(c, GROUP, "digits/algo-1-1795439700", &events, later).unwrap();
    logs::set_retention(c, GROUP, Some(30)).unwrap();
    logs::create_group(c, "gone", &[("k".into(), "v".into())], now).unwrap();
    logs::create_stream(c, "gone", "s", now).unwrap();
    logs::delete_group(c, "gone").unwrap();
    golden_endpoint::fill(c, now);
    golden_network::fill(c, now);
}

/// Reads what [`fill`] wrote.
fn check(c: &Connection) {
    let role = identity::find_by_arn(c, ROLE).unwrap().unwrap();
    assert_eq!(role.max_session, 3600);
    assert_eq!(identity::list_policies(c, &role.name).unwrap().len(), 1);
    assert_eq!(identity::attached(c, &role.name).unwrap().len(), 1);
    let keys = identity::list_keys(c).unwrap();
    let owners: Vec<_> = keys.iter().map(|k| &k.owner).collect();
    assert!(owners.contains(&&Owner::Root));
    assert!(owners.contains(&&Owner::Job { name: "digits".into(), generation: 2 }));
    let temporary = keys.iter().find(|k| k.expires.is_some()).unwrap();
    assert_eq!(temporary.owner, Owner::Role { arn: ROLE.into(), session: "golden".into() });
    assert!(temporary.session_token.is_some() && temporary.id.starts_with("ASIA"));
    let group = logs::get_group(c, GROUP).unwrap();
    assert_eq!((group.retention, group.bytes), (Some(30), 106));
    let stream = "digits/algo-1-1795439700";
    let page = logs::read(c, GROUP, stream, Range::ALL, Direction::Forward(None), 9).unwrap();
    let lines: Vec<_> = page.events.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(lines, ["epoch 1", "Verlust: 0,25 – gut", ""]);
    assert_eq!(page.events[0].ingested.millis(), 1_795_443_300_123);
}

#[test]
fn golden_copies_are_read_by_this_version() {
    let dir = tempfile::tempdir().unwrap();
    if std::env::var_os(WRITE).is_some() {
        let path = dir.path().join("new.db");
        drop(Db::open(&path, STATE).unwrap());
        let c = Connection::open(&path).unwrap();
        fill(&c);
        let name = format!("{}/golden/state-{}.sql", env!("CARGO_MANIFEST_DIR"), STATE.len());
        std::fs::write(name, dump(&c)).unwrap();
        return;
    }
    for (format, sql) in COPIES {
        let state = dir.path().join(format.to_string());
        let path = make_folder(&state).unwrap().join(DATABASE);
        let c = Connection::open(&path).unwrap();
        c.execute_batch(sql).unwrap();
        assert_eq!(format_of(&path).unwrap(), Some(*format), "of the copy");
        drop(c);
        let state = State::open(&state).unwrap();
        assert_eq!(format_of(&path).unwrap(), Some(STATE.len()), "after opening");
        let read = |c: &Connection| {
            check(c);
            // Before, there were none.
            if *format >= 5 {
                golden_endpoint::check(c);
            }
            if *format >= 6 {
                golden_network::check(c);
            }
            Ok::<_, StoreError>(())
        };
        state.db().read(read).unwrap();
        let fresh = Db::open(&dir.path().join(format!("{format}.fresh")), STATE).unwrap();
        let tables = |c: &Connection| Ok::<_, StoreError>(tables(c));
        assert_eq!(
            state.db().read(tables).unwrap(),
            fresh.read(tables).unwrap(),
            "a released SCHEMA never changes; one that is not: {WRITE}=write cargo test golden"
        );
    }
}

/// Tables and indexes, with the text that made them.
fn tables(c: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let mut list = c.prepare(sql).unwrap();
    let rows = list.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// A whole database as SQL.
fn dump(c: &Connection) -> String {
    let version: i64 = c.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let mut out = format!(
        "-- state.db of format {version}. Never edited: schema.rs says how a later one is added.\n\
         -- Its keys are of a service that never listened.\n\
         PRAGMA foreign_keys = OFF;\nBEGIN;\n"
    );
    let mut objects = c
        .prepare(
            "SELECT type, name, sql FROM sqlite_schema
             WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type = 'index', name",
        )
        .unwrap();
    let mut rows = objects.query([]).unwrap();
    let mut names = vec!["sqlite_sequence".to_owned()];
    while let Some(row) = rows.next().unwrap() {
        let (kind, name, sql): (String, String, String) =
            (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        writeln!(out, "{sql};").unwrap();
        if kind == "table" {
            names.push(name);
        }
    }
    out.push_str("DELETE FROM sqlite_sequence;\n");
    for name in names {
        let mut all = c.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|i| literal(row.get_ref(i).unwrap())).collect();
            writeln!(out, "INSERT INTO {name} VALUES ({});", values.join(", ")).unwrap();
        }
    }
    writeln!(out, "COMMIT;\nPRAGMA user_version = {version};").unwrap();
    out
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(n) => format!("{n:?}"),
        ValueRef::Text(text) => {
            format!("'{}'", std::str::from_utf8(text).unwrap().replace('\'', "''"))
        }
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("x'{hex}'")
        }
    }
}
