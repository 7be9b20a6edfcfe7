//! Names: questions and answers on the wire (RFC 1035), whoever knows the answers.

mod forward;
mod sealed;

pub(crate) use forward::Forwarder;
pub(crate) use sealed::{Names, Responder, start};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Where names are asked for.
pub(crate) const PORT: u16 = 53;
/// Questions by TCP that are answered at once.
const MAX_CONNECTIONS: usize = 16;
/// And those by UDP: some wait for other servers.
const MAX_QUESTIONS: usize = 64;
/// A connection that asks nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(5);
/// How long a connection may last, also one that goes on asking, or does not take its answers: others
/// wait for its place.
const LIFE: Duration = Duration::from_secs(30);
/// Bytes of an answer by UDP to whoever does not say that it takes more (RFC 1035, 4.2.1).
const PLAIN_UDP: u16 = 512;
/// And of any (RFC 9715: what is not cut into fragments on the way).
const MAX_UDP: u16 = 1232;

/// Who knows the answers.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Puts what it knows into `answer`.
    fn look_up(
        &self,
        query: &Query,
        answer: &mut Message,
    ) -> impl Future<Output = ResponseCode> + Send;
}

/// Answers what comes as datagrams, for ever.
pub(crate) async fn serve_udp(socket: UdpSocket, answers: Arc<impl Answers>) {
    let socket = Arc::new(socket);
    let mut asked = JoinSet::new();
    let mut packet = [0; 4096];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut packet), if asked.len() < MAX_QUESTIONS => received,
            Some(_) = asked.join_next() => continue,
        };
        let Ok((length, from)) = received else { continue };
        let (question, socket, answers) =
            (packet[..length].to_vec(), Arc::clone(&socket), Arc::clone(&answers));
        asked.spawn(async move {
            if let Some(answer) = answer(&*answers, &question, true).await {
                // A client that has gone does not want it.
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

/// How long nothing is taken after the kernel refused (no descriptors are left, say).
const PAUSE: Duration = Duration::from_millis(20);

/// Answers what comes by connections, for ever. They end with it.
pub(crate) async fn serve_tcp(listener: TcpListener, answers: Arc<impl Answers>) {
    let mut talking = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if talking.len() < MAX_CONNECTIONS => accepted,
            Some(_) = talking.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let answers = Arc::clone(&answers);
        talking.spawn(async move {
            let _ = tokio::time::timeout(LIFE, converse(stream, &*answers)).await;
        });
    }
}

/// Questions by TCP carry their length in front (RFC 1035, 4.2.2).
async fn converse(mut stream: TcpStream, answers: &impl Answers) -> std::io::Result<()> {
    loop {
        let length = tokio::time::timeout(IDLE, stream.read_u16()).await??;
        let mut question = vec![0; usize::from(length)];
        tokio::time::timeout(IDLE, stream.read_exact(&mut question)).await??;
        let Some(answer) = answer(answers, &question, false).await else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        stream.write_u16(length).await?;
        stream.write_all(&answer).await?;
    }
}

/// The answer to a question, if it is one. What does not fit into a datagram is cut short and says
/// so: whoever asks comes again by TCP.
async fn answer(answers: &impl Answers, question: &[u8], datagram: bool) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    if question.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    let code = match question.queries.as_slice() {
        [query] if question.metadata.op_code == OpCode::Query => {
            answer.queries.push(query.clone());
            answers.look_up(query, &mut answer).await
        }
        _ => ResponseCode::NotImp,
    };
    answer.metadata.response_code = code;
    let mut room = PLAIN_UDP;
    if let Some(theirs) = &question.edns {
        room = theirs.max_payload().clamp(PLAIN_UDP, MAX_UDP);
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP);
        answer.edns = Some(edns);
    }
    let whole = answer.to_vec().ok()?;
    if !datagram || whole.len() <= usize::from(room) {
        return Some(whole);
    }
    answer.answers.clear();
    answer.authorities.clear();
    answer.metadata.truncation = true;
    answer.to_vec().ok()
}

/// A name in lower case and without its last dot.
pub(crate) fn readable(query: &Query) -> String {
    query.name().to_string().trim_end_matches('.').to_ascii_lowercase()
}

/// The name that a DNS question asks for, if it is one.
pub(crate) fn name_asked(packet: &[u8]) -> Option<String> {
    Message::from_vec(packet).ok()?.queries.first().map(readable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::TXT;
    use hickory_proto::rr::{Name, RData, Record, RecordType};

    /// Knows one long text.
    struct Long;

    impl Answers for Long {
        async fn look_up(&self, query: &Query, answer: &mut Message) -> ResponseCode {
            let text = RData::TXT(TXT::new(vec!["x".repeat(200); 5]));
            answer.answers.push(Record::from_rdata(query.name().clone(), 60, text));
            ResponseCode::NoError
        }
    }

    async fn ask(datagram: bool, room: Option<u16>) -> Message {
        let mut m = Message::new(7, MessageType::Query, OpCode::Query);
        m.queries.push(Query::query(Name::from_ascii("long.").unwrap(), RecordType::TXT));
        m.edns = room.map(|room| {
            let mut edns = Edns::new();
            edns.set_max_payload(room);
            edns
        });
        let bytes = answer(&Long, &m.to_vec().unwrap(), datagram).await.unwrap();
        Message::from_vec(&bytes).unwrap()
    }

    #[tokio::test]
    async fn conversations_end_with_whoever_answers() {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve_tcp(listener, Arc::new(Long)));
        let mut stream = TcpStream::connect(at).await.unwrap();
        let mut m = Message::new(7, MessageType::Query, OpCode::Query);
        m.queries.push(Query::query(Name::from_ascii("long.").unwrap(), RecordType::TXT));
        let question = m.to_vec().unwrap();
        stream.write_u16(question.len() as u16).await.unwrap();
        stream.write_all(&question).await.unwrap();
        let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut answer).await.unwrap();
        serving.abort();
        let end = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_cut_short_and_says_so() {
        for (datagram, room, whole) in [
            (false, None, true),
            (true, None, false),
            (true, Some(600), false),
            (true, Some(4096), true),
        ] {
            let m = ask(datagram, room).await;
            assert_eq!(m.metadata.truncation, !whole, "{datagram} {room:?}");
            assert_eq!(m.answers.len(), usize::from(whole));
            assert_eq!(m.edns.is_some(), room.is_some());
        }
    }
}
