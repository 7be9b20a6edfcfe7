//! What is said at the door.

use super::Asked;
use crate::words;
use belljar_domain::serving::{Answer, Ask, CONNECT_MILLIS, MAX_DOOR_LINE};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Questions that are dealt with at once: each holds two descriptors, of which a process has 1,024
/// by default. Others wait in the kernel's queue.
const AT_ONCE: usize = 256;
/// Questions about models that are dealt with at once: they take long, and must not be in the way
/// of connections.
const MODELS_AT_ONCE: usize = 128;
/// How long whoever asks may take to do so, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody is let in after the kernel would not.
const BREATH: Duration = Duration::from_millis(10);

/// Answers whoever comes, for ever.
pub(super) async fn serve(
    listener: tokio::net::UnixListener,
    port: u16,
    models: Option<mpsc::Sender<Asked>>,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let waiting = Arc::new(Semaphore::new(MODELS_AT_ONCE));
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let (models, waiting) = (models.clone(), Arc::clone(&waiting));
        tokio::spawn(async move {
            // Whoever does not ask, or goes away, gets no answer.
            let Ok(asked) = timeout(PATIENCE, hear(&stream)).await else { return };
            let (answer, connection) = match asked {
                Ok(Ask::Connect) => connect(port).await,
                Ok(ask) => {
                    drop(place);
                    let Ok(_place) = waiting.try_acquire() else {
                        let why = "too many models are being brought in at once";
                        return tell(&stream, &failed(why), None).await;
                    };
                    (bring(ask, models).await, None)
                }
                Err(why) => (failed(&why), None),
            };
            tell(&stream, &answer, connection.as_ref().map(AsFd::as_fd)).await;
        });
    }
}

fn failed(why: &str) -> Answer {
    Answer::Failed { why: why.to_owned() }
}

/// One question, or why it is none.
async fn hear(stream: &UnixStream) -> Result<Ask, String> {
    let Ok((line, _)) = words::hear(stream, MAX_DOOR_LINE).await else {
        return Err(format!("a question is a line of at most {MAX_DOOR_LINE} bytes"));
    };
    serde_json::from_slice(&line).map_err(|e| format!("this is no question: {e}"))
}

/// A connection to the container's server. This thread is in its namespace, and so is the socket.
async fn connect(port: u16) -> (Answer, Option<TcpStream>) {
    let limit = Duration::from_millis(CONNECT_MILLIS);
    let closed = |why: String| (Answer::Closed { why }, None);
    match timeout(limit, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await {
        Ok(Ok(stream)) => {
            // Requests and answers are written whole; a socket without this option works as well.
            let _ = stream.set_nodelay(true);
            (Answer::Done, Some(stream))
        }
        Ok(Err(e)) => {
            closed(format!("the container does not accept connections at port {port}: {e}"))
        }
        Err(_) => closed(format!(
            "the container did not accept a connection at port {port} within {CONNECT_MILLIS} ms"
        )),
    }
}

/// Has the warden's own thread see to a model.
async fn bring(ask: Ask, models: Option<mpsc::Sender<Asked>>) -> Answer {
    let Some(models) = models else { return failed("this is no multi-model container") };
    let (answer, answered) = oneshot::channel();
    if models.send((ask, answer)).await.is_err() {
        return failed("the container is being stopped");
    }
    answered.await.unwrap_or_else(|_| failed("the container is being stopped"))
}

/// Answers, with a descriptor in the same message if there is one. Whoever has gone away, or does
/// not listen, misses it.
async fn tell(stream: &UnixStream, answer: &Answer, descriptor: Option<BorrowedFd<'_>>) {
    let _ = timeout(PATIENCE, words::tell(stream, answer, descriptor)).await;
}
