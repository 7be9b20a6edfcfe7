//! Evidence: signed, verified, and every change seen.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use belljar_domain::attempt::{Attempt, Attempts, Protocol};
use belljar_domain::cluster::Driver;
use belljar_domain::evidence::{
    CredentialsEvidence, HubReading, ImageEvidence, InstanceEvidence, JOB_PREDICATE_TYPE,
    JobPredicate, PREDICATE_TYPE, STATEMENT_TYPE, ServingEvidence, Subject,
};
use belljar_domain::{
    Exit, Outcome, PeerLink, PipedChannel, PipedEpoch, Predicate, SealReading, StagedChannel,
    StagedFile, Statement, Timestamp,
};
use belljar_warden::evidence::{
    Account, EnvelopeError, HostKey, KeyError, PublicKey, dsse, show, sign, verify,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn seal() -> SealReading {
    let kinds = ["net", "user", "mnt", "pid", "ipc", "uts", "cgroup"];
    let sets = ["inheritable", "permitted", "effective", "bounding", "ambient"];
    SealReading {
        interfaces: vec!["lo".into()],
        routes: vec!["default dev lo src 169.254.7.2".into()],
        rules: vec!["output: log, reject".into()],
        namespaces: kinds.iter().map(|k| ((*k).to_owned(), 4_026_531_840)).collect(),
        capabilities: sets.iter().map(|s| ((*s).to_owned(), "0000000000000000".into())).collect(),
        no_new_privileges: true,
        seccomp_mode: 2,
        seccomp_filters: 2,
        ..SealReading::default()
    }
}

fn statement() -> Statement {
    let at = Timestamp::from_millis;
    let digest = |c: &str| c.repeat(64);
    let attempt = Attempt {
        protocol: Protocol::Tcp,
        address: Some([169, 254, 169, 254].into()),
        port: Some(80),
        name: Some("metadata\u{1b}[2J".into()),
        first: at(1_795_439_700_123),
        last: at(1_795_439_700_200),
        count: 3,
    };
    Statement {
        kind: STATEMENT_TYPE.into(),
        subject: vec![Subject {
            name: "model.tar.gz".into(),
            digest: [("sha256".to_owned(), digest("a"))].into(),
        }],
        predicate_type: PREDICATE_TYPE.into(),
        predicate: Predicate {
            access: None,
            peers: None,
            belljar: "0.1.0".into(),
            job: "job-1".parse().unwrap(),
            host: "algo-1".parse().unwrap(),
            generation: 1,
            image: ImageEvidence {
                reference: "oci:image".into(),
                digest: format!("sha256:{}", digest("b")),
                diff_ids: vec![format!("sha256:{}", digest("c"))],
            },
            command: vec!["train".into(), "--ä".into()],
            environment_names: vec!["PATH".into()],
            inputs: vec![StagedChannel {
                channel: "train".parse().unwrap(),
                uri: "/data".into(),
                files: vec![StagedFile { path: "a".into(), size: 1, sha256: digest("d") }],
                pipe: None,
            }],
            checkpoints: None,
            seal_at_start: seal(),
            seal_at_end: Some(seal()),
            attempts: Attempts { targets: vec![attempt], beyond: 0, lost: 0 },
            credentials: CredentialsEvidence::of(false, ["PATH"].into_iter()),
            started: at(1_795_439_700_000),
            serving: None,
            ended: Some(at(1_795_439_701_000)),
            exit: Some(Exit { code: 0, signal: None, out_of_memory: false }),
            outcome: Some(Outcome::Completed),
            kernel: "6.1.0 x86_64".into(),
        },
    }
}

fn run(statement: Statement) -> Account {
    Account::Run(Box::new(statement))
}

fn key() -> (tempfile::TempDir, HostKey) {
    let dir = tempfile::tempdir().unwrap();
    let key = HostKey::open(&dir.path().join("keys")).unwrap();
    (dir, key)
}

#[test]
fn what_was_streamed_is_shown_and_claimed() {
    let mut s = statement();
    let epoch = |epoch, complete| PipedEpoch { epoch, size: 7, sha256: "e".repeat(64), complete };
    let pipe = PipedChannel { opened: 3, epochs: vec![epoch(0, true), epoch(1, false)] };
    let (channel, uri) = ("valid".parse().unwrap(), "s3://bucket/v".into());
    s.predicate.inputs.push(StagedChannel { channel, uri, files: vec![], pipe: Some(pipe) });
    let shown = show(&run(s));
    for wanted in ["valid from s3://bucket/v: streamed, 3 epochs opened", "epoch 1, closed before"]
    {
        assert!(shown.contains(wanted), "{shown}");
    }
}

#[test]
fn the_encoding_is_that_of_the_specification() {
    // The example of DSSE's protocol.md.
    let encoded =
        dsse::pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn what_was_signed_is_valid_and_always_the_same_bytes() {
    let (_dir, key) = key();
    let envelope = sign(&statement(), &key).unwrap();
    assert_eq!(envelope, sign(&statement(), &key).unwrap());
    let verdict = verify(&envelope, &[key.public()]).unwrap();
    assert_eq!(verdict.account, run(statement()));
    assert!(verdict.holds() && verdict.problems.is_empty(), "{:?}", verdict.problems);
    let text = verdict.render();
    assert!(text.starts_with(&format!("VALID: signed by the key {}", key.public().id())));
    assert!(text.contains("Not proved:") && text.contains("host is honest"));
}

#[test]
fn every_changed_byte_is_seen() {
    let (_dir, key) = key();
    let public = key.public();
    let envelope = sign(&statement(), &key).unwrap();
    for position in 0..envelope.len() {
        let mut changed = envelope.clone();
        for mask in [0x01, 0x20, 0x80] {
            changed[position] = envelope[position] ^ mask;
            assert!(
                verify(&changed, std::slice::from_ref(&public)).is_err(),
                "byte {position} ^ {mask}"
            );
        }
    }
    for length in 0..envelope.len() {
        assert!(
            verify(&envelope[..length], std::slice::from_ref(&public)).is_err(),
            "cut to {length}"
        );
    }
    for extra in ["\n", " ", "{}"] {
        let longer = [envelope.as_slice(), extra.as_bytes()].concat();
        assert!(verify(&longer, std::slice::from_ref(&public)).is_err());
    }
}

#[test]
fn other_spellings_of_the_same_envelope_are_refused() {
    let (_dir, key) = key();
    let text = String::from_utf8(sign(&statement(), &key).unwrap()).unwrap();
    let signature = &text[text.find("{\"keyid\"").unwrap()..text.rfind(']').unwrap()];
    let twice = text.replace(signature, &format!("{signature},{signature}"));
    let none = text.replace(signature, "");
    let keyid = format!("\"keyid\":\"{}\"", key.public().id());
    for (what, changed) in [
        ("two signatures", twice),
        ("no signature", none),
        ("a key twice", text.replace(&keyid, &format!("{keyid},{keyid}"))),
        ("an unknown key", text.replace(&keyid, &format!("\"cert\":\"\",{keyid}"))),
        ("a space", text.replacen(':', ": ", 1)),
        ("an escape", text.replace("application/", "application\\/")),
        ("another type", text.replace("vnd.in-toto", "vnd.in-tofu")),
    ] {
        assert_ne!(changed, text, "{what}");
        assert!(verify(changed.as_bytes(), &[key.public()]).is_err(), "{what}");
        assert!(verify(changed.as_bytes(), &[]).is_err(), "{what} without key");
    }
}

#[test]
fn a_signed_statement_of_another_type_is_refused() {
    let (_dir, key) = key();
    let mut other = statement();
    other.predicate_type = "https://example.com/other/v1".into();
    let envelope = sign(&other, &key).unwrap();
    let error = verify(&envelope, &[key.public()]).unwrap_err();
    assert!(format!("{error:?}").contains("predicateType"), "{error:?}");
}

#[test]
fn another_key_does_not_verify_even_under_a_stolen_name() {
    let ((_a, key), (_b, other)) = (key(), key());
    let envelope = sign(&statement(), &key).unwrap();
    let error = dsse::open(&envelope, &[other.public()]).unwrap_err();
    assert!(matches!(error, EnvelopeError::OtherKey { .. }));
    let text = String::from_utf8(envelope).unwrap();
    let renamed = text.replace(&key.public().id(), &other.public().id());
    let error = dsse::open(renamed.as_bytes(), &[other.public()]).unwrap_err();
    assert!(matches!(error, EnvelopeError::Forged(_)));
}

#[test]
fn without_a_key_nothing_is_claimed() {
    let (_dir, key) = key();
    let verdict = verify(&sign(&statement(), &key).unwrap(), &[]).unwrap();
    assert!(!verdict.holds());
    let text = verdict.render();
    assert!(text.starts_with("NOT CHECKED") && !text.contains("VALID") && !text.contains("Proved"));
}

#[test]
fn a_well_signed_account_of_no_seal_does_not_hold() {
    type Damage = fn(&mut Predicate);
    let cases: [(Damage, &str); 7] = [
        (|p| p.seal_at_start.interfaces.push("eth0".into()), "at the start"),
        (|p| p.seal_at_end.as_mut().unwrap().rules.clear(), "at the end"),
        (
            |p| p.seal_at_end.as_mut().unwrap().namespaces.extend([("net".to_owned(), 7)]),
            "namespaces",
        ),
        (|p| p.ended = Some(Timestamp::from_millis(0)), "before it started"),
        (|p| p.credentials.given_by_platform = true, "credentials"),
        (|p| p.exit.as_mut().unwrap().code = 1, "exit code"),
        (|p| p.image.digest = "latest".into(), "image"),
    ];
    let (_dir, key) = key();
    for (damage, word) in cases {
        let mut damaged = statement();
        damage(&mut damaged.predicate);
        let verdict = verify(&sign(&damaged, &key).unwrap(), &[key.public()]).unwrap();
        assert!(!verdict.holds());
        assert!(
            verdict.problems.iter().any(|p| p.contains(word)),
            "{word}: {:?}",
            verdict.problems
        );
        assert!(verdict.render().starts_with("NOT A SEALED RUN"));
    }
}

/// Of a container that serves since a moment after its start.
fn serving(open: bool) -> Statement {
    let mut s = statement();
    s.predicate.serving = Some(ServingEvidence {
        endpoint: "endpoint".into(),
        variant: "AllTraffic".into(),
        container: "primary".into(),
        since: Some(Timestamp::from_millis(1_795_439_700_500)),
        open,
        renewed: Timestamp::from_millis(1_795_439_701_000),
    });
    if open {
        (s.predicate.ended, s.predicate.exit, s.predicate.outcome) = (None, None, None);
    }
    s
}

#[test]
fn a_container_that_serves_is_said_to_until_its_account_is_closed() {
    let (_dir, key) = key();
    let verdict = |s: &Statement| verify(&sign(s, &key).unwrap(), &[key.public()]).unwrap();
    let open = verdict(&serving(true));
    assert!(open.holds(), "{:?}", open.problems);
    assert!(open.render().contains("It serves since 2026-"), "{}", open.render());
    assert!(open.render().contains("Anything after 2026-"), "{}", open.render());
    assert!(show(&run(serving(true))).contains("(open)"));
    let closed = verdict(&serving(false));
    assert!(closed.holds() && closed.render().contains("the account is closed"));
    assert!(show(&run(serving(false))).contains("(closed)"));
}

#[test]
fn an_account_that_is_neither_open_nor_closed_does_not_hold() {
    let (_dir, key) = key();
    type Change = fn(&mut Predicate);
    let cases: [(bool, Change, &str); 7] = [
        (true, |p| p.exit = Some(Exit { code: 0, signal: None, out_of_memory: false }), "tells of"),
        (true, |p| p.outcome = Some(Outcome::Stopped), "tells of an end"),
        (true, |p| p.seal_at_end = None, "was not read again"),
        (true, |p| p.serving.as_mut().unwrap().since = None, "never served"),
        (true, |p| p.serving = None, "does not tell how it ended"),
        (false, |p| p.ended = None, "does not tell how it ended"),
        (false, |p| p.serving.as_mut().unwrap().renewed = p.started, "after this was written"),
    ];
    for (open, change, word) in cases {
        let mut s = serving(open);
        change(&mut s.predicate);
        let verdict = verify(&sign(&s, &key).unwrap(), &[key.public()]).unwrap();
        assert!(
            verdict.problems.iter().any(|p| p.contains(word)),
            "{word}: {:?}",
            verdict.problems
        );
    }
}

#[test]
fn an_end_that_was_not_read_is_said() {
    let (_dir, key) = key();
    let mut early = statement();
    early.predicate.seal_at_end = None;
    let verdict = verify(&sign(&early, &key).unwrap(), &[key.public()]).unwrap();
    assert!(verdict.holds());
    assert!(verdict.render().contains("held to the end"));
    assert!(show(&run(early)).contains("not read"));
}

#[test]
fn an_end_of_which_the_kernel_tells_less_is_no_breach() {
    let mut late = statement();
    late.predicate.seal_at_end.as_mut().unwrap().namespaces.retain(|kind, _| kind == "pid");
    let shown = show(&run(late.clone()));
    assert!(!shown.contains("BROKEN"), "{shown}");
    late.predicate.seal_at_end.as_mut().unwrap().interfaces.push("eth0".into());
    assert!(show(&run(late)).contains("BROKEN"));
}

#[test]
fn artifacts_are_compared_by_digest() {
    let (dir, key) = key();
    let file = dir.path().join("model.tar.gz");
    fs::write(&file, "model").unwrap();
    let mut true_one = statement();
    let digest = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4";
    true_one.subject[0].digest = [("sha256".to_owned(), digest.to_owned())].into();
    let envelope = sign(&true_one, &key).unwrap();
    let mut verdict = verify(&envelope, &[key.public()]).unwrap();
    assert!(verdict.check_artifact("model.tar.gz", &file).unwrap() && verdict.holds());
    assert!(!verdict.check_artifact("output.tar.gz", &file).unwrap());
    fs::write(&file, "other").unwrap();
    assert!(!verdict.check_artifact("model.tar.gz", &file).unwrap());
    assert!(!verdict.holds() && verdict.render().contains("is NOT the file"));
}

#[test]
fn what_a_container_chose_does_not_steer_the_terminal() {
    let text = show(&run(statement()));
    assert!(!text.contains('\u{1b}') && text.contains("metadata\\u{1b}[2J at 169.254.169.254:80"));
}

const HOSTS: [&str; 2] = ["algo-1", "algo-2"];

/// The evidence of an instance with one peer.
fn instance(own: usize) -> Statement {
    let mut s = statement();
    let address = |n: usize| [100, 127, 7, u8::try_from(n + 1).unwrap()].into();
    let link = PeerLink {
        interface: "eth0".into(),
        driver: Driver::Veth,
        address: address(own),
        peers: [(HOSTS[1 - own].parse().unwrap(), address(1 - own))].into(),
        public_keys: BTreeMap::new(),
    };
    s.predicate.host = HOSTS[own].parse().unwrap();
    s.predicate.seal_at_start.interfaces.insert(0, "eth0".into());
    s.predicate.seal_at_start.routes.extend(link.routes());
    s.predicate.seal_at_end = Some(s.predicate.seal_at_start.clone());
    s.predicate.peers = Some(link);
    s
}

/// The evidence of a job whose instances have these envelopes.
fn job(envelopes: &[Vec<u8>]) -> Statement<JobPredicate> {
    let one = |(host, envelope): (&&str, &Vec<u8>)| InstanceEvidence {
        host: host.parse().unwrap(),
        uri: Some(format!("/out/evidence/{host}.intoto.json")),
        sha256: Some(Sha256::digest(envelope).iter().map(|b| format!("{b:02x}")).collect()),
    };
    let single = statement();
    Statement {
        kind: single.kind,
        subject: single.subject,
        predicate_type: JOB_PREDICATE_TYPE.into(),
        predicate: JobPredicate {
            belljar: single.predicate.belljar,
            job: single.predicate.job,
            generation: 1,
            encrypted: false,
            instances: HOSTS.iter().zip(envelopes).map(one).collect(),
            hub: Some(HubReading {
                interfaces: ["hub", "hub-1", "hub-2", "lo"].map(str::to_owned).to_vec(),
                ..HubReading::default()
            }),
            outcome: Outcome::Completed,
        },
    }
}

/// What comes of a job's evidence and those of its instances, which may be told apart.
fn judged(
    key: &HostKey,
    runs: [Statement; 2],
    damage: impl Fn(&mut Statement<JobPredicate>),
) -> belljar_warden::evidence::Verdict {
    let envelopes = runs.map(|s| sign(&s, key).unwrap());
    let mut stated = job(&envelopes);
    damage(&mut stated);
    let public = key.public();
    let mut verdict = verify(&sign(&stated, key).unwrap(), std::slice::from_ref(&public)).unwrap();
    for (host, envelope) in HOSTS.iter().zip(&envelopes) {
        verdict.check_instance(&host.parse().unwrap(), envelope, std::slice::from_ref(&public));
    }
    verdict
}

#[test]
fn a_job_with_instances_is_judged_with_their_evidence() {
    let (_dir, key) = key();
    let verdict = judged(&key, [instance(0), instance(1)], |_| {});
    let text = verdict.render();
    assert!(verdict.holds(), "{text}");
    assert!(text.contains("no network interface but lo and eth0, which led to algo-2 alone"));
    assert!(text.contains("no other interface, no address and no route"), "{text}");
    let shown = show(&verdict.account);
    assert!(shown.contains("(2 instances)") && shown.contains("hub-1; hub-2"), "{shown}");

    let alone = verify(&sign(&job(&[]), &key).unwrap(), &[key.public()]).unwrap();
    assert!(!alone.holds(), "it has no instances");
    let envelopes = [instance(0), instance(1)].map(|s| sign(&s, &key).unwrap());
    let unseen = verify(&sign(&job(&envelopes), &key).unwrap(), &[key.public()]).unwrap();
    assert!(unseen.holds() && unseen.render().contains("Anything of algo-2"));
}

#[test]
fn an_account_of_a_job_that_is_none_does_not_hold() {
    type Damage = fn(&mut JobPredicate);
    let cases: [(Damage, &str); 7] = [
        (|p| p.hub.as_mut().unwrap().interfaces.push("eth9".into()), "meeting place"),
        (|p| p.hub.as_mut().unwrap().routes.push("default".into()), "meeting place"),
        (|p| p.encrypted = true, "met in clear"),
        (|p| p.instances[1].sha256 = None, "no evidence of algo-2"),
        (|p| p.instances[1].sha256 = Some("0".repeat(64)), "not the one that the job's evidence"),
        (|p| p.instances[1].host = p.instances[0].host.clone(), "named twice"),
        (|p| p.generation = 2, "another job, attempt"),
    ];
    let (_dir, key) = key();
    for (damage, word) in cases {
        let verdict = judged(&key, [instance(0), instance(1)], |s| damage(&mut s.predicate));
        assert!(
            !verdict.holds() && verdict.render().contains(word),
            "{word}: {}",
            verdict.render()
        );
    }
}

#[test]
fn an_instance_that_does_not_belong_is_told() {
    let (_dir, key) = key();
    let mut stranger = instance(1);
    let peers = &mut stranger.predicate.peers.as_mut().unwrap().peers;
    let address = peers.remove(&HOSTS[0].parse().unwrap()).unwrap();
    peers.insert("algo-9".parse().unwrap(), address);
    let mut alone = statement();
    alone.predicate.host = HOSTS[1].parse().unwrap();
    let mut open = instance(1);
    open.predicate.seal_at_start.routes.push("default dev eth0".into());
    for (other, word) in [
        (stranger, "does not lead to the other instances"),
        (alone, "no link to its peers"),
        (open, "leads out of lo"),
    ] {
        let verdict = judged(&key, [instance(0), other], |_| {});
        assert!(!verdict.holds() && verdict.render().contains(word), "{}", verdict.render());
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn the_key_is_made_once_and_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("state/keys");
    assert_eq!(PublicKey::of_host(&keys).unwrap(), None);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let keys = keys.clone();
            std::thread::spawn(move || HostKey::open(&keys).unwrap().public())
        })
        .collect();
    let made: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let key = HostKey::open(&keys).unwrap();
    assert!(made.iter().all(|public| *public == key.public()));
    assert_eq!(PublicKey::of_host(&keys).unwrap(), Some(key.public()));
    assert_eq!((mode(&keys), mode(&keys.join("evidence.key.pem"))), (0o700, 0o600));
    let pem = fs::read_to_string(keys.join("evidence.pub.pem")).unwrap();
    assert_eq!(PublicKey::from_pem(&pem, "x").unwrap(), key.public());
    let names: BTreeMap<_, _> =
        fs::read_dir(&keys).unwrap().map(|e| (e.unwrap().file_name(), ())).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (dir, _) = key();
    let keys = dir.path().join("keys");
    let file = keys.join("evidence.key.pem");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(HostKey::open(&keys).unwrap_err(), KeyError::Exposed { .. }));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(HostKey::open(&keys).unwrap_err(), KeyError::Exposed { .. }));
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&file, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(matches!(HostKey::open(&keys).unwrap_err(), KeyError::Form(_)));
}

#[test]
fn a_public_key_that_was_lost_comes_back() {
    let (dir, key) = key();
    let keys = dir.path().join("keys");
    fs::remove_file(keys.join("evidence.pub.pem")).unwrap();
    HostKey::open(&keys).unwrap();
    assert_eq!(PublicKey::of_host(&keys).unwrap(), Some(key.public()));
}

/// Writes an envelope and its key for other implementations:
/// `BELLJAR_EVIDENCE=FILE BELLJAR_PUBLIC_KEY=FILE cargo test --test evidence -- --ignored`.
#[test]
#[ignore = "writes files for tests/clients"]
fn write_an_example() {
    let (_dir, key) = key();
    let place = |name: &str| std::env::var_os(name).expect(name);
    fs::write(place("BELLJAR_EVIDENCE"), sign(&statement(), &key).unwrap()).unwrap();
    fs::write(place("BELLJAR_PUBLIC_KEY"), key.public().to_pem()).unwrap();
}
