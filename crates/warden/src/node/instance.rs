//! One instance that a node runs: its warden is a child with pipes, as it would be of the job's
//! warden, and between it and the service bytes are carried.

use super::Node;
use super::client::ClientError;
use super::left;
use crate::failure::chain;
use crate::gang::member::{command, read_report, write_assignment};
use crate::job::JobDir;
use crate::{program, sweep};
use belljar_domain::node::{LEFT, MAX_CHUNK, Place, Work};
use belljar_domain::spool::{Order, S3_SOCKET_VARIABLE};
use bytes::{Bytes, BytesMut};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

/// How long it waits before it asks a service again that is away, or cannot take more.
const AGAIN: Duration = Duration::from_millis(200);

/// An instance; dropped, it is ended at once, and what it left is cleared.
pub(super) struct Running {
    task: Option<JoinHandle<()>>,
    unwanted: Arc<AtomicBool>,
    stop: Arc<tokio::sync::Notify>,
}

impl Running {
    pub(super) fn start(node: Arc<Node>, work: Work) -> Self {
        let unwanted = Arc::new(AtomicBool::new(false));
        let stop = Arc::new(tokio::sync::Notify::new());
        let (told, ended) = (unwanted.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let place = Place::of(&work.assignment);
            let ran = tokio::select! {
                ran = run(&node, &work) => ran,
                () = ended.notified() => Ok(()),
            };
            if let Err(e) = ran
                && !told.load(Ordering::Relaxed)
            {
                program::say(&format!("node: {} of {}: {}\n", place.host, place.job, chain(&e)));
                if !matches!(e, RunError::Tell(ClientError::Refused(_))) {
                    // If even this is refused the attempt is over.
                    let _ = patiently(|| node.client.lost(&work)).await;
                }
            }
            clear(&node, &work).await;
        });
        Self { task: Some(task), unwanted, stop }
    }

    /// Whether nothing of it runs any more.
    pub(super) fn is_done(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it, and waits until what it left is cleared.
    pub(super) async fn end(mut instance: Self) {
        let task = instance.task.take();
        drop(instance);
        if let Some(task) = task {
            // It tells of its own troubles.
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
        self.stop.notify_one();
    }
}

/// Why an instance came to nothing.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("its warden cannot be run")]
    Warden(#[from] io::Error),
    #[error("what it says cannot be told")]
    Tell(#[from] ClientError),
    #[error("the place of an instance")]
    Folder,
}

/// `jobs/NAME~N~algo-K`: no job's name has a `~`.
fn folder(node: &Node, work: &Work) -> std::path::PathBuf {
    let Place { job, generation, host } = Place::of(&work.assignment);
    node.state.join("jobs").join(format!("{job}~{generation}~{host}"))
}

/// Removes the folders of instances that an earlier node ran, which were swept: of what became of
/// them the service knows.
pub(super) fn forget_all(state: &std::path::Path) -> io::Result<()> {
    for entry in fs::read_dir(state.join("jobs"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().matches('~').count() == 2 {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn prepare(node: &Node, work: &Work) -> io::Result<JobDir> {
    let folder = folder(node, work);
    DirBuilder::new().mode(0o700).create(&folder)?;
    let dir = JobDir::of_instance(&folder, &node.state)?;
    write_assignment(&dir, &work.assignment)?;
    Ok(dir)
}

async fn run(node: &Node, work: &Work) -> Result<(), RunError> {
    // One that an earlier node left; it was swept at this one's start.
    clear(node, work).await;
    let dir = prepare(node, work)?;
    let mut child = spawn(node, work, &dir)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err(RunError::Folder) };
    let said = async {
        let said = tell(node, work, stdout).await;
        (said, child.wait().await)
    };
    let (said, ended) = tokio::select! {
        both = said => both,
        refused = listen(node, work, stdin) => return Err(refused.into()),
    };
    said?;
    ended?;
    let Some(report) = read_report(&dir, work.assignment.generation) else {
        return Ok(patiently(|| node.client.lost(work)).await?);
    };
    let tar = dir.path().join(LEFT);
    let (packed, root) = (tar.clone(), dir.opt_ml());
    let packing = tokio::task::spawn_blocking(move || left::pack(&root, &packed));
    packing.await.map_err(io::Error::other)??;
    patiently(|| node.client.left(work, &tar)).await?;
    Ok(patiently(|| node.client.report(work, &report)).await?)
}

/// What it gets of the environment, and of S3 what the job's warden would give it.
fn spawn(node: &Node, work: &Work, dir: &JobDir) -> io::Result<Child> {
    let mut command = command(dir, node.privilege, None);
    let own = std::env::vars_os().filter(|(n, _)| !n.to_string_lossy().starts_with("AWS_"));
    command
        .env_clear()
        .envs(own)
        .env(S3_SOCKET_VARIABLE, &node.socket)
        .env("AWS_REGION", &work.region)
        .env("AWS_ACCESS_KEY_ID", &work.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &work.secret_access_key);
    command.spawn()
}

/// Sends what the warden says until it has said all. While the service is away one chunk waits
/// here, and the pipe fills: nothing is lost, and the container goes on until it has more to say.
async fn tell(node: &Node, work: &Work, mut stdout: ChildStdout) -> Result<(), RunError> {
    let (mut from, mut buffer, mut open) = (0, BytesMut::with_capacity(64 << 10), true);
    while open || !buffer.is_empty() {
        if buffer.is_empty() {
            open = stdout.read_buf(&mut buffer).await? > 0;
            continue;
        }
        let chunk = Bytes::copy_from_slice(&buffer[..buffer.len().min(MAX_CHUNK)]);
        let received = {
            let sending = patiently(|| node.client.out(work, from, chunk.clone()));
            tokio::pin!(sending);
            loop {
                let room = open && buffer.len() < 2 * MAX_CHUNK;
                tokio::select! {
                    received = &mut sending => break received?,
                    read = stdout.read_buf(&mut buffer), if room => open = read? > 0,
                }
            }
        };
        if received <= from {
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        let taken = usize::try_from(received - from).unwrap_or(usize::MAX).min(buffer.len());
        let _ = buffer.split_to(taken);
        from = received;
    }
    Ok(())
}

/// Passes on what the instance is told; returns only if the service refuses, as it does once the
/// attempt is over.
async fn listen(node: &Node, work: &Work, mut stdin: ChildStdin) -> ClientError {
    let mut from = 0;
    loop {
        match patiently(|| node.client.told(work, from)).await {
            Ok(lines) => {
                from += lines.len() as u64;
                // One that has ended needs to hear nothing.
                let _ = stdin.write_all(&lines).await;
            }
            Err(refused) => {
                let _ = stdin.write_all(format!("{}\n", Order::Kill).as_bytes()).await;
                return refused;
            }
        }
    }
}

/// Asks until the service answers, however long it is away.
async fn patiently<T, F: Future<Output = Result<T, ClientError>>>(
    request: impl Fn() -> F,
) -> Result<T, ClientError> {
    loop {
        match request().await {
            Err(ClientError::Away(_) | ClientError::Failed(_)) => tokio::time::sleep(AGAIN).await,
            answer => return answer,
        }
    }
}

async fn clear(node: &Node, work: &Work) {
    let folder = folder(node, work);
    let Ok(dir) = JobDir::of_instance(&folder, &node.state) else { return };
    if let Err(e) = sweep::job(&dir).await {
        tracing::warn!(error = %chain(&e), "what an instance left cannot be cleared");
    }
    if let Err(e) = fs::remove_dir_all(&folder) {
        tracing::warn!(error = %e, folder = %folder.display(), "an instance's folder stays");
    }
}
