//! What is said to the fabric.

use crate::service::socket;
use crate::serving::door::hear;
use belljar_domain::fabric::{Answer, Ask, FOLDER, MAX_ANSWER, SOCKET};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How long an answer may take: a large network is compiled and loaded meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the fabric of a state folder.
///
/// # Errors
/// If it is not there, or does not answer.
pub(super) async fn ask(state: &Path, ask: &Ask) -> io::Result<Answer> {
    ask_within(state, ask, PATIENCE).await
}

/// The same with another patience.
///
/// # Errors
/// As of [`ask`].
pub(crate) async fn ask_within(state: &Path, ask: &Ask, limit: Duration) -> io::Result<Answer> {
    let talk = async {
        let mut stream = socket::connect(&state.join(FOLDER), SOCKET).await?;
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let (line, _) = hear(&stream, MAX_ANSWER).await?;
        serde_json::from_slice(&line).map_err(io::Error::other)
    };
    tokio::time::timeout(limit, talk).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
