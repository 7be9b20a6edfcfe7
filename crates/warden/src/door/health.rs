//! Whether the container answers `/ping` as it must: HTTP 200 within two seconds (Developer
//! Guide, "How your container should respond to health check (ping) requests").

use belljar_domain::serving::PING_SECONDS;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// The pauses between pings of a container that has yet to begin: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The pause between pings of one that serves.
const EVERY: Duration = Duration::from_secs(5);
/// So many failures in a row make it unhealthy.
const FAILURES: u32 = 2;
/// Bytes of an answer's head.
const MAX_HEAD: usize = 16 << 10;

/// A change of health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It answers as it must.
    Healthy,
    /// It no longer does, and why.
    Unhealthy(String),
    /// It never did within the time that it had.
    Never,
}

/// Pings the container until the channel's other end is gone, and tells what changes.
pub(super) async fn watch(port: u16, window: Duration, news: mpsc::Sender<News>) {
    let first = if begins(port, window).await { News::Healthy } else { News::Never };
    let goes_on = first == News::Healthy;
    if news.send(first).await.is_err() || !goes_on {
        return;
    }
    let (mut healthy, mut failures) = (true, 0);
    loop {
        sleep(EVERY).await;
        let told = match ping(port).await {
            Ok(()) => {
                failures = 0;
                (!healthy).then_some(News::Healthy)
            }
            Err(why) => {
                failures += 1;
                (healthy && failures >= FAILURES).then_some(News::Unhealthy(why))
            }
        };
        let Some(told) = told else { continue };
        healthy = told == News::Healthy;
        if news.send(told).await.is_err() {
            return;
        }
    }
}

/// Whether it answers within the time that it has to begin.
async fn begins(port: u16, window: Duration) -> bool {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    while ping(port).await.is_err() {
        let left = window.saturating_sub(began.elapsed());
        if left.is_zero() {
            return false;
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    true
}

/// One ping, on a connection of its own.
async fn ping(port: u16) -> Result<(), String> {
    match timeout(Duration::from_secs(PING_SECONDS), status(port)).await {
        Err(_) => Err(format!("it did not answer /ping within {PING_SECONDS} seconds")),
        Ok(Err(why)) => Err(format!("it did not answer /ping: {why}")),
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(other)) => Err(format!("it answered /ping with status {}", other.as_u16())),
    }
}

async fn status(port: u16) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await?;
    // Apart from the question, because a connection that has ended may have brought the answer.
    let connection = Connection(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let request = Request::get("/ping").header("host", format!("localhost:{port}"));
    let request = request.body(Empty::<bytes::Bytes>::new())?;
    let status = sender.send_request(request).await?.status();
    drop(connection);
    Ok(status)
}

/// Closed when it is no longer needed, whatever the server sends.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
