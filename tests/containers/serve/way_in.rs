//! Requests come in through the door, and what the container is told.

use crate::inside::scene;
use belljar_domain::serving::{Answer, Ask, MAX_DOOR_LINE};
use belljar_domain::{Event, Outcome};
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Server};
use std::os::unix::fs::PermissionsExt;

#[test]
fn requests_enter_and_nothing_is_said_of_training() {
    for who in As::all() {
        let scene = scene(who);
        let mut given = assignment(&scene, "i-1-1", &[], serving());
        given.arguments.clear();
        given.environment.insert("OWN".to_owned(), "value".to_owned());
        let mut server = Server::start(&scene, &given, &[("SECRET", "of the host")]);
        server.until_healthy();
        assert_eq!(server.request("GET", "/ping", "").0, 200, "{who:?}");
        let (status, said) = server.invoke("environment");
        assert_eq!(status, 200);
        for line in ["OWN=value", "HOSTNAME=primary", "AWS_REGION=us-east-1"] {
            assert!(said.lines().any(|l| l == line), "{who:?} {line}: {said}");
        }
        for word in ["TRAINING", "SECRET", "SAGEMAKER", "AWS_ACCESS", "algo-1"] {
            assert!(!said.contains(word), "{who:?} {word}: {said}");
        }
        let (_, tree) = server.invoke("tree /opt/ml");
        assert!(tree.contains("/opt/ml/model") && !tree.contains("input"), "{tree}");
        let door = std::fs::metadata(server.folder().join("door")).unwrap();
        assert_eq!(door.permissions().mode() & 0o777, 0o600);
        let report = server.stop();
        assert_eq!(report.exit.unwrap().code, 7, "TERM should have reached it: {report:?}");
        assert!(report.transitions.as_slice().is_empty(), "{report:?}");
        assert!(report.artifacts.is_empty() && !scene.output().join("i-1-1/output").exists());
        assert!(!server.events().iter().any(|e| matches!(e, Event::Status { .. })));
        assert!(!server.folder().join("door").exists() && !server.folder().join("ml").exists());
        assert_eq!(server.health(), [true]);
    }
}

#[test]
fn one_of_several_binds_where_it_is_told() {
    let scene = scene(As::User);
    let mut one = serving();
    (one.bind_to_port, one.container) = (Some(8123), "not a host name".to_owned());
    let mut server = Server::start(&scene, &assignment(&scene, "i-2-1", &[], one), &[]);
    server.until_healthy();
    let (_, said) = server.invoke("environment");
    for line in
        ["SAGEMAKER_BIND_TO_PORT=8123", "SAGEMAKER_SAFE_PORT_RANGE=9000-9999", "HOSTNAME=algo-1"]
    {
        assert!(said.lines().any(|l| l == line), "{line}: {said}");
    }
    let _report = server.stop();
}

#[test]
fn its_name_resolves_inside() {
    let scene = scene(As::User);
    let mut server = Server::start(&scene, &assignment(&scene, "i-3-1", &[], serving()), &[]);
    server.until_healthy();
    let (_, lines) = server.invoke("attempts --outside dns:primary dns:algo-1");
    let lines = crate::inside::read(lines.lines());
    assert_eq!(lines["dns primary"].result, "ok");
    assert_eq!(lines["dns algo-1"].result, "unresolved");
    let _report = server.stop();
}

/// A container that is there and does not listen, and questions that are none.
#[test]
fn what_cannot_be_had_is_answered() {
    let scene = scene(As::User);
    let arguments = ["--after", "600000"];
    let mut server =
        Server::start(&scene, &assignment(&scene, "i-4-1", &arguments, serving()), &[]);
    server.until("the door was open", |s| s.ask(&Ask::Connect).is_ok());
    let (answer, stream) = server.ask(&Ask::Connect).unwrap();
    assert!(matches!(answer, Answer::Closed { .. }) && stream.is_none(), "{answer:?}");
    for ask in [
        Ask::Model { name: "ab".to_owned(), key: "m.tar.gz".to_owned() },
        Ask::Forget { name: "ab".to_owned() },
    ] {
        let (answer, _) = server.ask(&ask).unwrap();
        assert!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
    }
    let long = "x".repeat(MAX_DOOR_LINE);
    for bad in ["\n", "{}\n", "{\"ask\":\"forget\",\"name\":\"a\",\"x\":1}\n", &long] {
        let (answer, stream) = server.say(bad).unwrap();
        let text = String::from_utf8(answer).unwrap();
        assert!(text.contains("\"failed\"") && stream.is_none(), "{bad:.40}: {text}");
    }
    server.order("kill");
    assert_eq!(server.end().outcome, Outcome::Stopped);
}

#[test]
fn many_come_at_once_and_idle_ones_are_in_nobodys_way() {
    let scene = scene(As::User);
    let mut server = Server::start(&scene, &assignment(&scene, "i-5-1", &[], serving()), &[]);
    server.until_healthy();
    let connect = || std::os::unix::net::UnixStream::connect(server.folder().join("door")).unwrap();
    let idle: Vec<_> = (0..200).map(|_| connect()).collect();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(server.request("GET", "/ping", "").0, 200);
                }
            });
        }
    });
    drop(idle);
    let _report = server.stop();
}
