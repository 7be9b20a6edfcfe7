//! Connections from an interface, and what is in their way.

use crate::Outcome;
use crate::scene::{NETWORK, S3, SOON, Scene, fd, is_root, network};
use belljar_domain::fabric::{Answer, Ask, CONNECT_MILLIS};
use belljar_linux::netns::NetNs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

/// Says something and hears it again.
pub(crate) fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

pub(crate) fn reaches() -> Outcome {
    let scene = Scene::with_network();
    let from: IpAddr = [10, 0, 1, 10].into();
    for (host, endpoint) in [(S3, "vpce-1"), ("10.0.2.10", "vpce-2")] {
        let mut stream = scene.connect(host, 443).unwrap();
        echoes(&mut stream);
        let head = scene.service.head();
        assert_eq!((head.source, head.endpoint.as_str()), (stream.local_addr().unwrap(), endpoint));
        assert_eq!((head.source.ip(), head.destination), (from, format!("{host}:443").parse()?));
    }
    assert_eq!(scene.status().interfaces.len(), 2);
    Ok(())
}

/// Somebody takes all the connections that can be had, and keeps them.
pub(crate) fn shared() -> Outcome {
    /// More than one gets (`carry.rs`).
    const GREEDY: usize = 420;
    let scene = Scene::with_network();
    // What is too many is closed, maybe at once.
    let connect = |_| scene.connect(S3, 443).ok();
    let held: Vec<TcpStream> = (0..GREEDY).filter_map(connect).collect();
    let mut first = &held[0];
    first.write_all(b"x")?;
    assert_eq!(first.read(&mut [0; 9])?, 1);
    // Others have theirs.
    echoes(&mut scene.connect("10.0.2.10", 443).unwrap());
    Ok(())
}

/// One needed rule at a time is not there.
pub(crate) fn blocked() -> Outcome {
    let mut scene = Scene::with_network();
    let cases = [
        ("  egress tcp 443 pl-1\n", "", S3, "ENI_SG_RULES_MISMATCH"),
        ("  egress 100 allow tcp 443 0.0.0.0/0\n", "", S3, "SUBNET_ACL_RESTRICTION"),
        ("tcp 1024-65535", "tcp 1024-2000", S3, "SUBNET_ACL_RESTRICTION"),
        ("  pl-1 vpce-1\n", "", S3, "NO_ROUTE_TO_DESTINATION"),
        ("  ingress tcp 443 sg-1\n", "", "10.0.2.10", "SG_HAS_NO_RULES"),
    ];
    for (rule, instead, host, code) in cases {
        let text = NETWORK.replacen(rule, instead, 1);
        assert_ne!(text, NETWORK, "{rule}");
        assert!(matches!(scene.replace(&text), Answer::Applied { .. }), "{rule}");
        let begun = Instant::now();
        let Err(Answer::Refused(refusal)) = scene.connect(host, 443) else {
            panic!("connected without {rule}")
        };
        let codes: Vec<&str> = refusal.blockers.iter().map(|b| b.code.as_str()).collect();
        assert!(codes.contains(&code), "{rule}: {refusal}");
        assert!(refusal.blockers.iter().all(|b| b.fix.is_some()), "{refusal:?}");
        // A packet that is dropped is waited for.
        assert!(begun.elapsed() < Duration::from_millis(CONNECT_MILLIS));
        // What the model says of it the kernel does too: see `attached`.
    }
    assert!(matches!(scene.replace(NETWORK), Answer::Applied { .. }));
    echoes(&mut scene.connect(S3, 443).unwrap());
    Ok(())
}

pub(crate) fn unapplied() -> Outcome {
    let mut scene = Scene::with_network();
    let two = NETWORK.replace(
        "subnet subnet-b",
        "subnet subnet-c vpc-1 us-east-1b 10.0.1.0/25\nsubnet subnet-b",
    );
    let Answer::Failed { why } = scene.replace(&two) else { panic!("applied") };
    assert!(why.contains("two subnets overlap"), "{why}");
    echoes(&mut scene.connect(S3, 443).unwrap());
    assert_eq!(scene.status().generation, Some(1));
    let ask = Ask::Change { from: 9, generation: 10, changes: vec![] };
    assert_eq!(scene.ask(&ask), Answer::Behind { generation: Some(1) });
    let closed = network(&NETWORK.replace("  egress tcp 443 pl-1\n", ""));
    let changes = network(NETWORK).changes_to(&closed);
    assert_eq!(changes.len(), 1);
    let ask = Ask::Change { from: 1, generation: 2, changes };
    assert_eq!(scene.ask(&ask), Answer::Applied { generation: 2 });
    assert!(scene.connect(S3, 443).is_err());
    Ok(())
}

/// The kernel itself, whatever the model says: a socket in the container connects, or does not.
pub(crate) fn attached() -> Outcome {
    let mut scene = Scene::with_network();
    // As an ordinary user this process has no namespace to give.
    if !is_root() {
        return Ok(());
    }
    let container = NetNs::create()?;
    let ask = Ask::Attach { interface: "eni-1".parse()? };
    let (answer, held) = scene.ask_with(&ask, fd(&container));
    assert_eq!(answer, Answer::Attached);
    let connect = |host: &str, limit: Duration| {
        let at = format!("{host}:443").parse().unwrap();
        container.run(|| Ok(TcpStream::connect_timeout(&at, limit))).unwrap()
    };
    echoes(&mut connect(S3, SOON).unwrap());
    assert_eq!(scene.service.head().source.ip(), IpAddr::from([10, 0, 1, 10]));
    // The fabric's connections come from there as well.
    echoes(&mut scene.connect(S3, 443).unwrap());
    for rule in
        ["  egress tcp 443 pl-1\n", "  egress 100 allow tcp 443 0.0.0.0/0\n", "  pl-1 vpce-1\n"]
    {
        scene.replace(&NETWORK.replace(rule, ""));
        assert!(connect(S3, Duration::from_millis(100)).is_err(), "{rule}");
    }
    scene.replace(NETWORK);
    echoes(&mut connect(S3, SOON).unwrap());
    let (again, _) = scene.ask_with(&ask, fd(&container));
    assert!(matches!(again, Answer::Failed { .. }), "{again:?}");
    drop(held);
    let begun = Instant::now();
    while !scene.status().attached.is_empty() {
        assert!(begun.elapsed() < SOON, "it is not taken out of the container");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(connect(S3, Duration::from_millis(100)).is_err());
    echoes(&mut scene.connect(S3, 443).unwrap());
    // An interface that is deleted is lost, and whoever holds it hears so.
    let (_, mut held) = scene.ask_with(&ask, fd(&container));
    scene.replace(&NETWORK.replace("eni eni-1 subnet-a 10.0.1.10 sg-1\n", ""));
    assert_eq!(held.read(&mut [0; 9])?, 0);
    Ok(())
}

/// Namespaces of processes of this user that are not this process's own.
fn fabric_is_there(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

pub(crate) fn killed() -> Outcome {
    let mut scene = Scene::with_network();
    let mut stream = scene.connect(S3, 443).unwrap();
    echoes(&mut stream);
    let pid = scene.status().pid;
    let second = std::process::Command::new(std::env::current_exe()?)
        .args(["fabric", "--state"])
        .arg(scene.dir.path())
        .status()?;
    assert_eq!(second.code(), Some(75), "there is one already");
    scene.kill();
    assert!(!fabric_is_there(pid));
    assert_eq!(stream.read(&mut [0; 9]).unwrap_or(0), 0, "nobody carries it any more");
    scene.start();
    assert_eq!(scene.status().generation, None);
    assert!(matches!(scene.connect(S3, 443), Err(Answer::Failed { .. })));
    assert!(matches!(scene.replace(NETWORK), Answer::Applied { .. }));
    echoes(&mut scene.connect(S3, 443).unwrap());
    Ok(())
}

pub(crate) fn ends() -> Outcome {
    let mut scene = Scene::with_network();
    assert_eq!(scene.ask(&Ask::End), Answer::Ending);
    assert!(scene.fabric.take().unwrap().wait()?.success());
    assert!(!scene.socket().exists());
    scene.start();
    // Nobody could ask it, and no other one begin.
    std::fs::remove_file(scene.socket())?;
    let begun = Instant::now();
    let mut deaf = scene.fabric.take().unwrap();
    while deaf.try_wait()?.is_none() {
        if begun.elapsed() > SOON {
            deaf.kill()?;
            deaf.wait()?;
            panic!("it lives on without its socket");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    scene.start();
    std::fs::remove_dir_all(scene.socket().parent().unwrap())?;
    assert!(scene.fabric.take().unwrap().wait()?.success());
    Ok(())
}
