//! What a container tried is in the report, exactly.

use crate::inside::{self, probe};
use belljar_domain::attempt::Attempts;
use belljar_domain::{Event, Protocol, Stream};
use belljar_testkit::{As, Run};
use serde_json::json;
use std::net::IpAddr;

/// Protocol, address, port, name and count of a target.
pub(crate) type Target<'a> = (Protocol, Option<IpAddr>, Option<u16>, Option<&'a str>, u64);

/// Every target, in order.
pub(crate) fn list(attempts: &Attempts) -> Vec<Target<'_>> {
    let targets = attempts.targets.iter();
    let mut all: Vec<_> =
        targets.map(|t| (t.protocol, t.address, t.port, t.name.as_deref(), t.count)).collect();
    all.sort_unstable();
    all
}

/// What `probe attempts` tries, in the order of [`list`].
pub(crate) fn of_attempts() -> Vec<Target<'static>> {
    let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let tcp = |address, port| (Protocol::Tcp, ip(address), Some(port), None, 1);
    let mut expected = vec![
        tcp("192.0.2.1", 443),
        tcp("10.0.0.1", 80),
        tcp("169.254.169.254", 80),
        tcp("169.254.170.2", 80),
        tcp("172.17.0.1", 22),
        tcp("2001:db8::1", 443),
        tcp("fd00:ec2::254", 80),
        (Protocol::Udp, ip("192.0.2.1"), Some(123), None, 1),
        (Protocol::Udp, ip("192.0.2.53"), Some(53), Some("example.com"), 1),
        (Protocol::Udp, ip("2001:db8::53"), Some(53), Some("example.com"), 1),
        // One question for each family of addresses.
        (Protocol::Dns, None, None, Some("example.com"), 2),
    ];
    expected.sort_unstable();
    expected
}

fn live(run: &Run) -> usize {
    run.events.iter().filter(|e| matches!(e, Event::Attempt(_))).count()
}

/// Nothing may be lost, but where the host's kernel gives an ordinary user only a short queue:
/// there what was lost must be counted as such.
fn allowed_loss(who: As, attempts: &Attempts) -> u64 {
    const LONG: u64 = 1 << 20;
    let longest = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
    if who == As::Root || longest.trim().parse::<u64>().unwrap() >= LONG {
        assert_eq!(attempts.lost, 0, "{who:?}");
    }
    attempts.lost
}

#[test]
fn every_kind_of_attempt_is_named() {
    for who in As::all() {
        let (run, _) = inside::attempts(&inside::scene(who), "named", &[]);
        let attempts = &run.report().attempts;
        let expected = of_attempts();
        assert_eq!(list(attempts), expected, "{who:?}");
        assert_eq!((attempts.beyond, attempts.lost), (0, 0), "{who:?}");
        assert_eq!(live(&run), expected.len(), "each target is told once, when it is new");
    }
}

#[test]
fn a_thousand_attempts_on_one_target_are_counted() {
    for who in As::all() {
        let scene = inside::scene(who);
        let run = probe(&scene, "counted", &["connect-many", "192.0.2.7:443", "1000"]);
        let lines = inside::read(run.lines(Stream::Stdout));
        assert_eq!(*inside::fact(&lines, "connect-many"), json!({"refused": 1000}), "{who:?}");
        let attempts = &run.report().attempts;
        let address = Some("192.0.2.7".parse().unwrap());
        let listed = 1000 - allowed_loss(who, attempts);
        assert_eq!(list(attempts), [(Protocol::Tcp, address, Some(443), None, listed)], "{who:?}");
        assert_eq!(attempts.beyond, 0, "{who:?}");
    }
}

/// Names asked of a resolver elsewhere are often the way out of those that may not connect.
#[test]
fn names_asked_of_a_foreign_resolver_are_recorded() {
    for who in As::all() {
        let run = probe(&inside::scene(who), "asked", &["attempts", "udp:198.51.100.53:53"]);
        let address = Some("198.51.100.53".parse().unwrap());
        let found = list(&run.report().attempts).into_iter().filter(|t| t.1 == address);
        let expected = (Protocol::Udp, address, Some(53), Some("example.com"), 1);
        assert_eq!(found.collect::<Vec<_>>(), [expected], "{who:?}");
    }
}

#[test]
fn a_port_scan_gives_a_bounded_list() {
    const PORTS: u64 = 3000;
    for who in As::all() {
        let run = probe(&inside::scene(who), "scan", &["scan-ports", "192.0.2.7", "3000"]);
        let attempts = &run.report().attempts;
        assert_eq!(attempts.targets.len(), Attempts::MAX_TARGETS, "{who:?}");
        assert_eq!(attempts.total(), PORTS, "{who:?}");
        let beyond = PORTS - Attempts::MAX_TARGETS as u64 - allowed_loss(who, attempts);
        assert_eq!(attempts.beyond, beyond, "{who:?}");
        assert_eq!(live(&run), Attempts::MAX_TARGETS, "{who:?}");
    }
}
