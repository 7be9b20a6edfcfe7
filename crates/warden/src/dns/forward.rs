//! Names that are not ours to know: asked of the host's name servers.

use crate::outlet::outside::has_v6;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::RecordType;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Where hosts name their servers.
const CONF: &str = "/etc/resolv.conf";
/// Servers that are asked (resolv.conf(5): `MAXNS`).
const MAX_SERVERS: usize = 3;
/// How long a question may take in all, as long as most who ask wait for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// And how long one server, before the next is asked.
const TURN: Duration = Duration::from_millis(1_600);
/// Questions at once; others wait.
const AT_ONCE: usize = 64;

/// Asks the servers that a file names, as it is at that moment.
#[derive(Debug)]
pub(crate) struct Forwarder {
    conf: PathBuf,
    port: u16,
    read: Mutex<(Option<SystemTime>, Vec<IpAddr>)>,
    places: Semaphore,
}

impl Forwarder {
    /// The host's.
    pub(crate) fn of_host() -> Self {
        Self::new(CONF.into(), super::PORT)
    }

    fn new(conf: PathBuf, port: u16) -> Self {
        Self { conf, port, read: Mutex::default(), places: Semaphore::new(AT_ONCE) }
    }

    /// Puts what they know into `answer`. Addresses of IPv6 are left out where the host has no way to
    /// them: programs would take them before others.
    pub(crate) async fn look_up(&self, query: &Query, answer: &mut Message) -> ResponseCode {
        if query.query_type() == RecordType::AAAA && !has_v6() {
            return ResponseCode::NoError;
        }
        let Ok(Some(found)) = timeout(PATIENCE, self.ask(query)).await else {
            return ResponseCode::ServFail;
        };
        answer.answers.extend(found.answers);
        answer.authorities.extend(found.authorities);
        found.metadata.response_code
    }

    async fn ask(&self, query: &Query) -> Option<Message> {
        let _place = self.places.acquire().await.ok()?;
        let servers = self.servers();
        // Twice around: a datagram may be lost.
        for server in servers.iter().chain(&servers) {
            let asked = timeout(TURN, exchange(SocketAddr::new(*server, self.port), query)).await;
            match asked {
                Ok(Ok(found)) if is_final(found.metadata.response_code) => return Some(found),
                _ => {}
            }
        }
        None
    }

    fn servers(&self) -> Vec<IpAddr> {
        let changed = std::fs::metadata(&self.conf).and_then(|m| m.modified()).ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != changed || read.1.is_empty() {
            *read = (changed, parse(&std::fs::read_to_string(&self.conf).unwrap_or_default()));
        }
        read.1.clone()
    }
}

/// The servers of a resolv.conf(5); without any it is the host itself.
fn parse(conf: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        if words.next() == Some("nameserver") { words.next()?.parse().ok() } else { None }
    };
    let all: Vec<IpAddr> = conf.lines().filter_map(server).take(MAX_SERVERS).collect();
    if all.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { all }
}

/// Whether a server has answered, and not said that it cannot.
fn is_final(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// By datagram, and again by a connection if the answer does not fit.
async fn exchange(server: SocketAddr, query: &Query) -> io::Result<Message> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    let mut question = Message::new(u16::from_ne_bytes(id), MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.queries.push(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(super::MAX_UDP);
    question.edns = Some(edns);
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let found = by_datagram(server, &question, &bytes).await?;
    if found.metadata.truncation { by_stream(server, &question, &bytes).await } else { Ok(found) }
}

async fn by_datagram(server: SocketAddr, asked: &Message, bytes: &[u8]) -> io::Result<Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut packet = [0; 4096];
    loop {
        let length = socket.recv(&mut packet).await?;
        if let Some(found) = answers(asked, &packet[..length]) {
            return Ok(found);
        }
    }
}

async fn by_stream(server: SocketAddr, asked: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut found = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut found).await?;
    answers(asked, &found).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The message, if it is an answer to what was asked.
fn answers(asked: &Message, packet: &[u8]) -> Option<Message> {
    let found = Message::from_vec(packet).ok()?;
    let is_answer = found.metadata.message_type == MessageType::Response
        && found.metadata.id == asked.metadata.id
        && found.queries == asked.queries;
    is_answer.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::super::{Answers, serve_tcp, serve_udp};
    use super::*;
    use hickory_proto::rr::rdata::TXT;
    use hickory_proto::rr::{Name, RData, Record};
    use std::sync::Arc;
    use tokio::net::TcpListener;

    /// Knows a long text at `long.`, an address at `here.`, and nothing else; cannot say of `broken.`
    struct Server;

    impl Answers for Server {
        async fn look_up(&self, query: &Query, answer: &mut Message) -> ResponseCode {
            let data = match super::super::readable(query).as_str() {
                "long" => RData::TXT(TXT::new(vec!["x".repeat(200); 10])),
                "here" => RData::A(Ipv4Addr::new(203, 0, 113, 10).into()),
                "broken" => return ResponseCode::ServFail,
                _ => return ResponseCode::NXDomain,
            };
            answer.answers.push(Record::from_rdata(query.name().clone(), 60, data));
            ResponseCode::NoError
        }
    }

    async fn ask(forwarder: &Forwarder, name: &str, kind: RecordType) -> (ResponseCode, usize) {
        let query = Query::query(Name::from_ascii(name).unwrap(), kind);
        let mut answer = Message::response(1, OpCode::Query);
        let code = forwarder.look_up(&query, &mut answer).await;
        (code, answer.answers.len())
    }

    #[tokio::test]
    async fn others_are_asked_by_both_transports() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        tokio::spawn(serve_tcp(listener, Arc::new(Server)));
        tokio::spawn(serve_udp(socket, Arc::new(Server)));
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("resolv.conf");
        // Nobody answers at the first.
        std::fs::write(&conf, "nameserver 127.0.0.77\nnameserver 127.0.0.1\n").unwrap();
        let forwarder = Forwarder::new(conf, port);
        for (name, kind, meant) in [
            ("here.", RecordType::A, (ResponseCode::NoError, 1)),
            ("long.", RecordType::TXT, (ResponseCode::NoError, 1)),
            ("nowhere.", RecordType::A, (ResponseCode::NXDomain, 0)),
            ("broken.", RecordType::A, (ResponseCode::ServFail, 0)),
        ] {
            assert_eq!(ask(&forwarder, name, kind).await, meant, "{name}");
        }
    }

    #[test]
    fn a_resolv_conf_is_read_as_the_c_library_does() {
        let conf = "# x\n; nameserver 9.9.9.9\nsearch a b\nnameserver 1.1.1.1\n nameserver ::1\n\
                    nameserver fe80::1%eth0\nnameserver 2.2.2.2 # x\nnameserver 3.3.3.3\n";
        let all: Vec<String> = parse(conf).iter().map(ToString::to_string).collect();
        assert_eq!(all, ["1.1.1.1", "::1", "2.2.2.2"]);
        assert_eq!(parse(""), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
}
