//! The warden as a child process.

use super::LocalError;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Bytes of a warden's diagnostics that are kept: the last.
const DIAGNOSTICS_BYTES: usize = 16 << 10;
/// A sweep takes milliseconds; one that takes this long hangs.
const SWEEP_SECONDS: u64 = 60;

/// How to start wardens.
#[derive(Debug, Clone)]
pub struct Warden {
    /// The program.
    pub program: PathBuf,
    /// Its whole environment; see [`super::environment::for_warden`].
    pub environment: Vec<(OsString, OsString)>,
}

impl Warden {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Its own process group: Ctrl-C in a terminal reaches the caller alone, who decides.
        command
            .env_clear()
            .envs(self.environment.iter().cloned())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// A warden that outlives its starter, with `environment` as its whole environment.
    pub(crate) fn detached(&self, job: &Path, environment: Vec<(OsString, OsString)>) -> Command {
        let mut command = Command::new(&self.program);
        // No group of its own: the leader of one cannot begin a session, as the warden does.
        command.env_clear().envs(environment);
        command.arg("run").arg("--job").arg(job).arg("--detached");
        command
    }

    /// The fabric of a state folder, which outlives its starter.
    pub(crate) fn fabric(&self, state: &Path) -> Command {
        let mut command = Command::new(&self.program);
        let ours = |(name, _): &&(OsString, OsString)| !name.to_string_lossy().starts_with("AWS_");
        command.env_clear().envs(self.environment.iter().filter(ours).cloned());
        command.arg("fabric").arg("--state").arg(state);
        command
    }

    pub(super) fn start(&self, job: &Path) -> Result<Child, LocalError> {
        self.command()
            .arg("run")
            .arg("--job")
            .arg(job)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| LocalError::Start { program: self.program.clone(), source })
    }

    /// Removes what the dead warden of one job left behind.
    ///
    /// # Errors
    /// If the sweep cannot be started, fails, or hangs.
    pub async fn sweep_job(&self, job: &Path) -> Result<(), LocalError> {
        let mut child = self
            .command()
            .arg("sweep")
            .arg("--job")
            .arg(job)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| LocalError::Start { program: self.program.clone(), source })?;
        let stderr = child.stderr.take();
        let work = async {
            let said = tail(stderr).await;
            child.wait().await.map(|status| (status, said))
        };
        let (status, said) = tokio::time::timeout(Duration::from_secs(SWEEP_SECONDS), work)
            .await
            .map_err(|_| LocalError::SweepHangs(SWEEP_SECONDS))?
            .map_err(LocalError::Wait)?;
        if status.success() {
            Ok(())
        } else {
            Err(LocalError::Sweep { ended: ended(status), said: last_line(&said) })
        }
    }
}

/// Reads to the end and keeps the last [`DIAGNOSTICS_BYTES`].
pub(super) async fn tail(reader: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut reader) = reader else { return String::new() };
    let mut kept = VecDeque::with_capacity(DIAGNOSTICS_BYTES);
    let mut chunk = [0; 4096];
    // A read error ends diagnostics like their end does: they are help, not data.
    while let Ok(n @ 1..) = reader.read(&mut chunk).await {
        kept.extend(&chunk[..n]);
        let excess = kept.len().saturating_sub(DIAGNOSTICS_BYTES);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(kept.make_contiguous()).into_owned()
}

/// The last line that says something.
pub(super) fn last_line(text: &str) -> String {
    text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default().to_owned()
}

/// "was killed by signal 9", "ended with exit code 1".
pub(crate) fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (_, Some(code)) => format!("ended with exit code {code}"),
        _ => "ended in an unknown way".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn diagnostics_are_bounded_and_the_last_are_kept() {
        let text = format!("{}the end\n\n", "x".repeat(100_000));
        let kept = tail(Some(text.as_bytes())).await;
        assert_eq!(kept.len(), DIAGNOSTICS_BYTES);
        assert!(last_line(&kept).ends_with("the end"));
    }
}
