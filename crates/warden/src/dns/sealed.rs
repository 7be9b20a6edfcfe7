//! The resolver of a container: knows the names that are served inside, answers that no other
//! exists, and says what was asked; where there is a way out, it asks the host's servers first. `NXDOMAIN` makes `getaddrinfo` fail in milliseconds; silence, or a
//! refusal, would make it try again.

use super::{Answers, Forwarder, PORT, readable, serve_tcp, serve_udp};
use crate::journal::now;
use belljar_domain::aws_names::is_aws;
use belljar_domain::{Attempt, Protocol};
use belljar_linux::netns::NetNs;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, PORT));
/// Seconds for which an answer may be kept.
const TTL: u32 = 60;

/// The running responder; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Responder {
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Starts to answer on 127.0.0.1:53 of the namespace.
pub(crate) fn start(
    ns: &NetNs,
    names: Names,
    heard: mpsc::Sender<Attempt>,
) -> belljar_linux::Result<Responder> {
    let failed =
        |e| belljar_linux::Error { operation: "use the resolver's socket".into(), source: e };
    let udp = UdpSocket::from_std(ns.bind_udp(ADDRESS)?).map_err(failed)?;
    let tcp = TcpListener::from_std(ns.listen(ADDRESS)?).map_err(failed)?;
    let zone = Arc::new(Zone { names, heard });
    let tasks =
        [tokio::spawn(serve_udp(udp, Arc::clone(&zone))), tokio::spawn(serve_tcp(tcp, zone))];
    Ok(Responder { tasks })
}

/// The names that exist.
#[derive(Debug)]
pub(crate) struct Names {
    /// The host's own, and its peers'.
    known: BTreeMap<String, Ipv4Addr>,
    /// Where AWS is, if it is anywhere.
    aws: Option<Ipv4Addr>,
    /// Who is asked for all others, if they may be known. AWS's are never asked for: what would
    /// be known of them is the real one's.
    upstream: Option<Arc<Forwarder>>,
}

impl Names {
    /// Its own name alone.
    pub(crate) fn own(host_name: &str) -> Self {
        Self::of([(Ipv4Addr::LOCALHOST, host_name.to_owned())])
    }

    /// These names, at these addresses.
    pub(crate) fn of(all: impl IntoIterator<Item = (Ipv4Addr, String)>) -> Self {
        let known = all.into_iter().map(|(at, name)| (name.to_ascii_lowercase(), at));
        Self { known: known.collect(), aws: None, upstream: None }
    }

    /// All of AWS's names too, at one address.
    pub(crate) fn with_aws(self, at: Ipv4Addr) -> Self {
        Self { aws: Some(at), ..self }
    }

    /// All others too, as far as these servers know them.
    pub(crate) fn with_upstream(self, upstream: Arc<Forwarder>) -> Self {
        Self { upstream: Some(upstream), ..self }
    }

    fn find(&self, name: &str) -> Option<Ipv4Addr> {
        if name == "localhost" {
            return Some(Ipv4Addr::LOCALHOST);
        }
        let known = self.known.get(name).copied();
        known.or(self.aws.filter(|_| is_aws(name)))
    }
}

struct Zone {
    names: Names,
    heard: mpsc::Sender<Attempt>,
}

impl Answers for Zone {
    async fn look_up(&self, query: &Query, answer: &mut Message) -> ResponseCode {
        let name = readable(query);
        if let Some(address) = self.names.find(&name) {
            if query.query_type() == RecordType::A {
                let address = RData::A(address.into());
                answer.answers.push(Record::from_rdata(query.name().clone(), TTL, address));
            }
            return ResponseCode::NoError;
        }
        if let Some(upstream) = self.names.upstream.as_ref().filter(|_| !is_aws(&name)) {
            return upstream.look_up(query, answer).await;
        }
        // If the list is full the container waits for its answer: nothing goes unrecorded.
        let _ = self.heard.send(attempt(name)).await;
        ResponseCode::NXDomain
    }
}

fn attempt(name: String) -> Attempt {
    let at = now();
    Attempt {
        protocol: Protocol::Dns,
        address: None,
        port: None,
        name: Some(name),
        first: at,
        last: at,
        count: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer;
    use super::*;
    use hickory_proto::op::{MessageType, OpCode};
    use hickory_proto::rr::Name;

    fn question(name: &str, kind: RecordType) -> Vec<u8> {
        let mut m = Message::new(7, MessageType::Query, OpCode::Query);
        m.queries.push(Query::query(Name::from_ascii(name).unwrap(), kind));
        m.to_vec().unwrap()
    }

    async fn ask(name: &str, kind: RecordType) -> (Message, Vec<Attempt>) {
        let (heard, mut list) = mpsc::channel(8);
        let names = Names::own("Algo-1").with_aws(Ipv4Addr::new(127, 0, 0, 9));
        let zone = Zone { names, heard };
        let answer = answer(&zone, &question(name, kind), true).await.unwrap();
        let mut all = Vec::new();
        while let Ok(a) = list.try_recv() {
            all.push(a);
        }
        (Message::from_vec(&answer).unwrap(), all)
    }

    #[tokio::test]
    async fn its_own_name_resolves_and_is_no_attempt() {
        let (m, attempts) = ask("ALGO-1.", RecordType::A).await;
        assert_eq!(m.answers.len(), 1);
        assert_eq!(m.metadata.response_code, ResponseCode::NoError);
        assert!(attempts.is_empty());
        let (m, _) = ask("algo-1.", RecordType::AAAA).await;
        assert_eq!((m.answers.len(), m.metadata.response_code), (0, ResponseCode::NoError));
    }

    #[tokio::test]
    async fn awss_names_have_one_ipv4_address() {
        let (m, attempts) = ask("sts.us-east-1.AmazonAWS.com.", RecordType::A).await;
        assert_eq!(m.answers[0].data, RData::A(Ipv4Addr::new(127, 0, 0, 9).into()));
        assert!(attempts.is_empty());
        let (m, _) = ask("sts.us-east-1.amazonaws.com.", RecordType::AAAA).await;
        assert_eq!((m.answers.len(), m.metadata.response_code), (0, ResponseCode::NoError));
        assert_eq!(Names::own("x").find("sts.us-east-1.amazonaws.com"), None);
    }

    #[tokio::test]
    async fn any_other_does_not_exist_and_is_recorded() {
        let (m, attempts) = ask("telemetry.example.com.", RecordType::A).await;
        assert_eq!(m.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(m.metadata.id, 7);
        assert_eq!(attempts[0].name.as_deref(), Some("telemetry.example.com"));
    }

    #[tokio::test]
    async fn nonsense_is_not_answered() {
        let (heard, _list) = mpsc::channel(8);
        let zone = Zone { names: Names::own("algo-1"), heard };
        for bytes in [&b""[..], b"x", &[0xff; 64]] {
            assert!(answer(&zone, bytes, true).await.is_none());
        }
    }
}
