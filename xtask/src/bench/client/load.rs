//! As many requests as a server answers, over a fixed number of connections.

use super::signer::hex;
use super::{Call, Connection, Endpoint, Signer};
use ring::digest::{SHA256, digest};
use std::time::{Duration, Instant};

/// Connections that always have a request under way.
pub(crate) const CONNECTIONS: usize = 16;

/// Requests that are sent in turn, each signed when it is sent, and the bytes that each answer's
/// body must have (`None`: any).
pub(crate) struct Load {
    pub(crate) calls: Vec<Call>,
    pub(crate) answer_bytes: Option<usize>,
}

/// Answered requests per second. One thread goes round over the connections: it reads the answer
/// of one, sends the next request there, and goes on to the next. An answer that is not a 200 ends
/// the measurement.
pub(crate) fn rate(endpoint: &Endpoint, load: &Load, during: Duration) -> Result<f64, String> {
    let mut signer = Signer::new(endpoint);
    let hashes: Vec<_> =
        load.calls.iter().map(|call| hex(digest(&SHA256, &call.body).as_ref())).collect();
    let mut next = load.calls.iter().zip(&hashes).cycle();
    let mut sign = || {
        let (call, hash) = next.next().ok_or("there is nothing to send")?;
        Ok::<_, String>(signer.request_with(call, hash))
    };
    let mut connections: Vec<_> =
        (0..CONNECTIONS).map(|_| Connection::new(&endpoint.address)).collect();
    let start = Instant::now();
    for connection in &mut connections {
        connection.send(&sign()?)?;
    }
    let mut answered = 0_u32;
    loop {
        let going_on = start.elapsed() < during;
        for connection in &mut connections {
            check(&connection.receive()?, load)?;
            answered += 1;
            if going_on {
                connection.send(&sign()?)?;
            }
        }
        if !going_on {
            return Ok(f64::from(answered) / start.elapsed().as_secs_f64());
        }
    }
}

fn check(answer: &super::Response<'_>, load: &Load) -> Result<(), String> {
    let size_is_right = load.answer_bytes.is_none_or(|bytes| bytes == answer.body.len());
    if answer.status == 200 && size_is_right {
        return Ok(());
    }
    let start = &answer.body[..answer.body.len().min(300)];
    let text = String::from_utf8_lossy(start);
    Err(format!("status {}, {} bytes: {text}", answer.status, answer.body.len()))
}
