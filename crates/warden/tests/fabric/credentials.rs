//! The addresses at which a container finds its role's credentials, in a namespace.

use crate::scene::{SOON, is_root};
use crate::{Outcome, scene::fd};
use belljar_domain::spool::S3_SOCKET_VARIABLE;
use belljar_linux::netns::NetNs;
use belljar_warden::credentials::{self, About, CONTAINER, CredentialsError, METADATA};
use nlink::netlink::addr::Ipv4Address;
use nlink::{Connection, Route};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

const ROLE: &str = "arn:aws:iam::123456789012:role/Train";

/// STS, as far as it is asked here. Signatures are checked where the service is.
fn sts(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|s| answer(s).unwrap()));
}

fn answer(mut stream: UnixStream) -> std::io::Result<()> {
    let (mut got, mut piece) = (String::new(), [0; 4096]);
    while !got.contains("DurationSeconds=3600") {
        let count = stream.read(&mut piece)?;
        got.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    let asks = "Action=AssumeRole&Version=2011-06-15\
        &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FTrain&RoleSessionName=SageMaker";
    let signed = got.to_lowercase().contains("/us-east-1/sts/aws4_request");
    let xml = format!(
        "<A><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></A>",
        got.contains(asks) && signed
    );
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{xml}", xml.len())
}

/// What an address answers, asked from inside.
fn ask(ns: &NetNs, at: Ipv4Addr, request: &str) -> String {
    let mut stream = ns.run(|| Ok(TcpStream::connect((at, 80)).unwrap())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(format!("{request}\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    all
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

pub(crate) fn found() -> Outcome {
    if !is_root() {
        // A namespace of one's own needs more than this process has; a warden has it.
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let _entered = handle.enter();
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("socket");
    sts(&socket);
    let about = About::new(ROLE.into(), "us-east-1".into());
    let lookup = |name: &str| {
        Some(if name == S3_SOCKET_VARIABLE { socket.to_str()?.to_owned() } else { "x".into() })
            .filter(|_| !name.starts_with("BELLJAR_") || name == S3_SOCKET_VARIABLE)
    };
    let ns = NetNs::create()?;
    let route = Connection::<Route>::new_in(fd(&ns))?;
    runtime.block_on(route.set_link_up("lo"))?;
    // Without its addresses nothing is served anywhere.
    let nowhere = credentials::serve_with(&ns, &about, lookup);
    assert!(matches!(nowhere, Err(CredentialsError::Listen(_))), "{nowhere:?}");
    for address in [CONTAINER, METADATA] {
        runtime.block_on(route.add_address(Ipv4Address::new("lo", address, 32)))?;
    }
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    let served = credentials::serve_with(&ns, &about, lookup)?;
    let uri = served.environment().remove(0).1;
    let keys = ask(&ns, CONTAINER, &format!("GET {uri} HTTP/1.1"));
    let keys: serde_json::Value = serde_json::from_str(body(&keys))?;
    assert!(keys["code"].is_null(), "{keys}");
    assert_eq!((&keys["AccessKeyId"], &keys["Token"]), (&"ASIA1".into(), &"true".into()));
    assert_eq!(keys["Expiration"], "2999-01-01T00:00:00Z");

    let token = "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    let token = ask(&ns, METADATA, token);
    let path = "/latest/meta-data/iam/security-credentials/";
    let get = format!("GET {path} HTTP/1.1\r\nX-aws-ec2-metadata-token: {}", body(&token));
    assert_eq!(body(&ask(&ns, METADATA, &get)), "Train");
    // It ends with the value.
    drop(served);
    let begun = Instant::now();
    while ns.run(|| Ok(TcpStream::connect((CONTAINER, 80)).is_ok())).unwrap() {
        assert!(begun.elapsed() < SOON, "it is served still");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
