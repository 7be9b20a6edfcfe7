//! How a container that serves ends.

use crate::health::reason;
use crate::inside::scene;
use belljar_domain::Outcome;
use belljar_domain::serving::STOP_GRACE_SECONDS;
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Server};
use std::time::{Duration, Instant};

#[test]
fn one_that_dies_while_it_serves_has_failed() {
    for who in As::all() {
        let scene = scene(who);
        for code in [0, 5] {
            let id = format!("i-{code}-1");
            let mut server = Server::start(&scene, &assignment(&scene, &id, &[], serving()), &[]);
            server.until_healthy();
            let _nothing = server.invoke(&format!("die {code}"));
            let report = server.end();
            let said = reason(&report.outcome);
            assert!(said.contains(&format!("exited with code {code} while")), "{who:?}: {said}");
            assert!(!server.folder().join("door").exists(), "{who:?}");
        }
    }
}

/// MaxRuntime, which is a second here, is a training job's.
#[test]
fn one_that_ignores_term_is_killed_after_its_grace() {
    for who in As::all() {
        let scene = scene(who);
        let mut given = assignment(&scene, "i-6-1", &["--ignore-term"], serving());
        given.stop.grace_seconds = 2;
        let mut server = Server::start(&scene, &given, &[]);
        server.until_healthy();
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(server.request("GET", "/ping", "").0, 200, "{who:?}");
        let asked = Instant::now();
        let report = server.stop();
        assert!(asked.elapsed() >= Duration::from_secs(2), "{who:?}: {:?}", asked.elapsed());
        assert_eq!(report.exit.unwrap().signal, Some(9), "{who:?}");
    }
}

#[test]
fn one_that_heeds_term_ends_at_once_and_kill_does_not_wait() {
    let scene = scene(As::User);
    let mut server = Server::start(&scene, &assignment(&scene, "i-7-1", &[], serving()), &[]);
    server.until_healthy();
    let asked = Instant::now();
    assert_eq!(server.stop().exit.unwrap().code, 7);
    let grace = Duration::from_secs(STOP_GRACE_SECONDS);
    assert!(asked.elapsed() < grace, "{:?}", asked.elapsed());
    let given = assignment(&scene, "i-8-1", &["--ignore-term"], serving());
    let mut server = Server::start(&scene, &given, &[]);
    server.until_healthy();
    let asked = Instant::now();
    server.order("kill");
    assert_eq!(server.end().outcome, Outcome::Stopped);
    assert!(asked.elapsed() < grace, "{:?}", asked.elapsed());
}
