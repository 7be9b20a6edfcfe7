use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_second_service_refuses_to_start_and_names_the_first() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(service_is_alive(dir.path()).unwrap(), None);
    let first = State::open(dir.path()).unwrap();
    let pid = std::process::id();
    assert_eq!(service_is_alive(dir.path()).unwrap(), Some(Alive { pid: Some(pid) }));
    let error = State::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { pid: Some(p), .. } if p == pid));
    assert!(error.to_string().contains(&format!("(process {pid})")), "{error}");
    drop(first);
    assert_eq!(service_is_alive(dir.path()).unwrap(), None);
    State::open(dir.path()).unwrap();
}

#[test]
fn who_only_looks_does_not_keep_a_service_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    drop(State::open(dir.path()).unwrap());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                service_is_alive(dir.path()).unwrap();
            }
        });
        for _ in 0..15 {
            drop(State::open(dir.path()).unwrap());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[tokio::test]
async fn keys_are_made_and_seen_beside_a_running_service() {
    let dir = tempfile::tempdir().unwrap();
    let service = State::open(dir.path()).unwrap();
    let beside = State::peek(dir.path()).unwrap();
    let now = belljar_domain::Timestamp::from_millis(1);
    let made = beside
        .write(move |c| identity::create_key(c, identity::Owner::Root, now, None))
        .await
        .unwrap();
    let found = service.db().read(|c| identity::find_key(c, &made.id)).unwrap();
    assert_eq!(found, Some(made));
}

#[test]
fn nobody_else_may_look_into_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(&dir.path().join("new")).unwrap();
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(state.folder()), 0o700);
    for entry in std::fs::read_dir(state.folder()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_running_older_service_keeps_its_format() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let path = state.folder().join(DATABASE);
    let c = rusqlite::Connection::open(&path).unwrap();
    c.pragma_update(None, "user_version", 1).unwrap();
    assert!(matches!(State::peek(dir.path()), Err(OpenError::Older { found: 1, .. })));
}
