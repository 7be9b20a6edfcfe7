//! `/ping`.

use crate::inside::scene;
use belljar_domain::{Event, Outcome};
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Server};

const NEVER: &str = "The primary container for production variant AllTraffic did not pass the ping health check. Please check CloudWatch logs for this endpoint.";

pub(crate) fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_slow_start_is_waited_for_and_noticed_at_once() {
    let scene = scene(As::User);
    // One may be kept from the processor just then.
    let start = |n: u8| {
        let given = assignment(&scene, &format!("i-1-{n}"), &["--after", "2000"], serving());
        Server::start(&scene, &given, &[])
    };
    let mut servers = [1, 2, 3].map(start);
    let took = servers.each_mut().map(|server| {
        server.until_healthy();
        let (mut served, mut healthy) = (None, None);
        for event in server.events() {
            match event {
                Event::Log { line, at, .. } if line == "serving" => served = Some(at),
                Event::Health { healthy: true, at, .. } => healthy = Some(at),
                _ => {}
            }
        }
        healthy.unwrap().since(served.unwrap())
    });
    assert!(took.iter().any(|millis| *millis < 1000), "{took:?}");
    for mut server in servers {
        let _report = server.stop();
    }
}

#[test]
fn one_that_is_never_healthy_is_stopped_in_the_services_words() {
    for who in As::all() {
        let scene = scene(who);
        for (id, arguments) in [
            ("i-2-1", ["--ping", "503"]),
            ("i-3-1", ["--ping", "hang"]),
            ("i-4-1", ["--after", "600000"]),
        ] {
            let mut never = serving();
            never.startup_seconds = 2;
            let mut given = assignment(&scene, id, &arguments, never);
            given.stop.grace_seconds = 1;
            let mut server = Server::start(&scene, &given, &[]);
            let report = server.end();
            assert_eq!(reason(&report.outcome), NEVER, "{who:?} {id}");
            assert!(server.health().is_empty(), "{who:?} {id}");
        }
    }
}

#[test]
fn one_that_ends_before_it_is_healthy_says_how() {
    let scene = scene(As::User);
    let mut given = assignment(&scene, "i-5-1", &[], serving());
    given.arguments = ["exit", "3"].map(str::to_owned).into();
    let mut server = Server::start(&scene, &given, &[]);
    let report = server.end();
    assert_eq!(reason(&report.outcome), format!("{NEVER} (it exited with code 3)"));
    assert_eq!(report.exit.unwrap().code, 3);
}

#[test]
fn unhealthy_and_back_again() {
    let scene = scene(As::User);
    let mut server = Server::start(&scene, &assignment(&scene, "i-6-1", &[], serving()), &[]);
    server.until_healthy();
    assert_eq!(server.invoke("ping 500").0, 200);
    server.until("it was unhealthy", |s| s.health() == [true, false]);
    let why = server.events().into_iter().find_map(|e| match e {
        Event::Health { healthy: false, why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(why.unwrap(), "it answered /ping with status 500");
    assert_eq!(server.invoke("ping 200").0, 200);
    server.until("it was healthy again", |s| s.health() == [true, false, true]);
    let _report = server.stop();
}
