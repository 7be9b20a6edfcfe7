//! What a warden asks of the fabric.

use crate::words;
use belljar_domain::fabric::{Answer, Ask, CONNECT_MILLIS, MAX_ANSWER, Refusal, SOCKET};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// How long an answer is waited for: longer than the fabric itself may wait.
const PATIENCE: Duration = Duration::from_millis(CONNECT_MILLIS + 5_000);

/// Why the fabric did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It is not there, or does not answer. It may be there again in a while.
    #[error("the fabric does not answer: {0}")]
    Away(#[from] io::Error),
    /// The network does not let it through.
    #[error("{0}")]
    Refused(Refusal),
    /// It cannot be done.
    #[error("the fabric: {0}")]
    Failed(String),
}

/// Asks once. The connection is handed back: some of what is asked lasts as long as it does.
pub(crate) async fn ask(
    folder: &Path,
    ask: &Ask,
    along: Option<BorrowedFd<'_>>,
) -> Result<(Answer, Option<OwnedFd>, UnixStream), AskError> {
    let talk = async {
        let stream = words::connect(&folder.join(SOCKET)).await?;
        words::tell(&stream, ask, along).await?;
        let (line, descriptor) = words::hear(&stream, MAX_ANSWER).await?;
        let answer = serde_json::from_slice(&line).map_err(io::Error::other)?;
        Ok::<_, io::Error>((answer, descriptor, stream))
    };
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let (answer, descriptor, stream) =
        tokio::time::timeout(PATIENCE, talk).await.map_err(|_| late())??;
    match answer {
        Answer::Refused(refusal) => Err(AskError::Refused(refusal)),
        Answer::Failed { why } => Err(AskError::Failed(why)),
        answer => Ok((answer, descriptor, stream)),
    }
}

/// A TCP connection from an interface.
pub(crate) async fn connect(folder: &Path, question: &Ask) -> Result<TcpStream, AskError> {
    let (answer, descriptor, _) = ask(folder, question, None).await?;
    let (Answer::Connected { .. }, Some(descriptor)) = (&answer, descriptor) else {
        return Err(AskError::Failed(format!("it answered {answer:?}")));
    };
    let stream = std::net::TcpStream::from(descriptor);
    stream.set_nonblocking(true)?;
    // Heads and bodies are written as they are ready; waiting to fill a packet only delays them.
    stream.set_nodelay(true)?;
    Ok(TcpStream::from_std(stream)?)
}
