//! Several instances whose traffic is to be encrypted: they meet, or the job does not start.

use crate::own_warden::OwnWarden;
use crate::support::{failure, scene};
use belljar_domain::cluster::Driver;
use belljar_domain::{Allowed, Event, Outcome, PeerLink, SealReading};
use belljar_testkit::{As, Run, Scene, Training};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;

fn run(scene: &Scene, count: u8) -> Run {
    let cluster = |assignment: &mut Value| {
        let instance = |n: u8| {
            json!({
                "host": format!("algo-{n}"),
                "group": "homogeneousCluster",
                "instanceType": assignment["instanceType"],
                "resources": assignment["resources"],
                "address": format!("100.127.7.{n}"),
            })
        };
        let instances: Vec<Value> = (1..=count).map(instance).collect();
        assignment["cluster"] = json!({ "instances": instances, "encrypted": true });
    };
    OwnWarden::new(scene, "encrypted", &["meet", "7777"], cluster).end()
}

/// What each instance tells of its seal.
fn seals(run: &Run) -> Vec<(&SealReading, &PeerLink)> {
    fn sealed(event: &Event) -> Option<(&SealReading, &PeerLink)> {
        let Event::Instance { told, .. } = event else { return None };
        match &**told {
            Event::Sealed { seal, peers: Some(link) } => Some((seal, link)),
            _ => None,
        }
    }
    run.events.iter().filter_map(sealed).collect()
}

#[test]
fn instances_meet_over_encrypted_links() {
    for who in As::all() {
        let scene = scene(who);
        let run = run(&scene, 3);
        if who == As::User && !others_may_open_tun() {
            let (reason, hint) = failure(&run);
            assert!(reason.contains("cannot be encrypted here: open /dev/net/tun"), "{reason}");
            assert!(hint.is_some_and(|h| h.contains("modprobe tun")), "{hint:?}");
            assert!(seals(&run).is_empty(), "nothing was started");
            continue;
        }
        assert_eq!(run.report().outcome, Outcome::Completed, "{who:?} {run:?}");
        assert_eq!(run.report().attempts.targets, [], "{who:?}");
        assert!(!run.events.iter().any(|e| matches!(e, Event::Offer(_))), "it is between wardens");
        let seals = seals(&run);
        assert_eq!(seals.len(), 3, "{who:?} {run:?}");
        for (seal, link) in seals {
            assert_eq!(seal.breaches(Allowed::joined(Some(link))), Vec::<String>::new());
            assert_eq!((link.driver, link.public_keys.len()), (Driver::WireguardUser, 2));
        }
    }
}

/// Keys are made for an attempt, and never used again.
#[test]
fn every_attempt_has_keys_of_its_own() {
    if As::all() == [As::User] && !others_may_open_tun() {
        return;
    }
    let scene = scene(As::all()[0]);
    let mut keys = BTreeSet::new();
    for name in ["first", "second"] {
        let job = Training::probe(name, &["meet", "7777"])
            .option("--instances", "2")
            .flag("--encrypt-inter-container-traffic");
        let run = crate::support::complete(&scene, &job);
        let seals = seals(&run);
        keys.extend(seals.iter().flat_map(|(_, link)| link.public_keys.values().cloned()));
    }
    assert_eq!(keys.len(), 4, "{keys:?}");
}

/// Whether an ordinary user may have TUN devices on this host, as udev lets them.
fn others_may_open_tun() -> bool {
    use std::os::unix::fs::MetadataExt;
    File::open("/dev/net/tun").and_then(|f| f.metadata()).is_ok_and(|m| m.mode() & 0o006 == 0o006)
}
