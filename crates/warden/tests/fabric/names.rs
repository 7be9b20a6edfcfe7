//! Names, asked for as an instance asks.

use crate::Outcome;
use crate::scene::{NETWORK, SOON, Scene, fd, is_root};
use belljar_domain::fabric::{Answer, Ask};
use belljar_linux::netns::NetNs;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use std::io::{Read, Write};

const S3: &str = "bucket.s3.us-east-1.amazonaws.com.";
const API: &str = "api.sagemaker.us-east-1.amazonaws.com.";

fn question(name: &str) -> Vec<u8> {
    let mut m = Message::new(7, MessageType::Query, OpCode::Query);
    m.queries.push(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    m.to_vec().unwrap()
}

fn answer(bytes: &[u8]) -> (ResponseCode, Vec<String>) {
    let m = Message::from_vec(bytes).unwrap();
    (m.metadata.response_code, m.answers.iter().map(|r| r.data.to_string()).collect())
}

pub(crate) fn by_tcp(scene: &Scene, server: &str, name: &str) -> (ResponseCode, Vec<String>) {
    let mut stream = scene.connect(server, 53).unwrap();
    let question = question(name);
    stream.write_all(&u16::try_from(question.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&question).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).unwrap();
    answer(&bytes)
}

pub(crate) fn answered() -> Outcome {
    let mut scene = Scene::with_network();
    for server in ["10.0.0.2", "169.254.169.253"] {
        // No group and no ACL lets anything to port 53: nobody asks them.
        let (code, found) = by_tcp(&scene, server, S3);
        assert!(code == ResponseCode::NoError && found[0].starts_with("3.5."), "{found:?}");
        assert_eq!(by_tcp(&scene, server, API), (ResponseCode::NoError, vec!["10.0.2.10".into()]));
        assert_eq!(by_tcp(&scene, server, "example.com."), (ResponseCode::NXDomain, vec![]));
    }
    if is_root() {
        datagrams(&scene)?;
    }
    // A connection is made to where a name leads.
    scene.connect("s3.us-east-1.amazonaws.com", 443).unwrap();
    scene.connect("api.sagemaker.us-east-1.amazonaws.com", 443).unwrap();
    let Err(Answer::Refused(refusal)) = scene.connect("sts.us-east-1.amazonaws.com", 443) else {
        panic!("connected to nobody")
    };
    assert_eq!(refusal.blockers[0].code, "BELLJAR_DNS_NAME_UNRESOLVED", "{refusal}");
    // The endpoint's private name is gone with it; without support there is no resolver.
    scene.replace(&NETWORK.replace(" eni-2 private", " eni-2"));
    assert_eq!(by_tcp(&scene, "10.0.0.2", API).0, ResponseCode::NXDomain);
    scene.replace(&NETWORK.replace("vpc vpc-1 10.0.0.0/16", "vpc vpc-1 10.0.0.0/16 nodns"));
    assert!(scene.connect("10.0.0.2", 53).is_err());
    assert!(scene.connect("s3.us-east-1.amazonaws.com", 443).is_err());
    Ok(())
}

fn datagrams(scene: &Scene) -> Outcome {
    let container = NetNs::create()?;
    let ask = Ask::Attach { interface: "eni-1".parse()? };
    let (answered, _held) = scene.ask_with(&ask, fd(&container));
    assert_eq!(answered, Answer::Attached);
    let socket = container.bind_udp("0.0.0.0:0".parse()?)?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(SOON))?;
    for server in ["10.0.0.2:53", "169.254.169.253:53"] {
        socket.send_to(&question(API), server)?;
        let mut bytes = [0; 512];
        let (length, from) = socket.recv_from(&mut bytes)?;
        assert_eq!(from.to_string(), server);
        assert_eq!(answer(&bytes[..length]).1, ["10.0.2.10"]);
    }
    Ok(())
}
