//! Checkpoints, kept while the container runs.
//!
//! Every few seconds the folder is looked through. A file that has not changed since the last look
//! is put where checkpoints are kept; one that never holds still is put as it is after a while. A
//! file that is gone is deleted there. When the container is dead everything is put that is not.
//!
//! **Invariant**: no object is half a file: what changes while it is read is not put.

use super::{KeepError, Kept, Put, Remote, Stamp, scan};
use crate::failure::chain;
use crate::staging::limits;
use crate::staging::s3::S3Settings;
use belljar_domain::StagedFile;
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use tokio::sync::{oneshot, watch};

/// What to keep, and where.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Where: a path, `file://` or `s3://`.
    pub uri: String,
    /// A folder that the container cannot rename.
    pub root: PathBuf,
    /// The checkpoints' folder, below it.
    pub folder: PathBuf,
    /// A folder of the warden's own where unfinished uploads are noted.
    pub journal: PathBuf,
}

/// Keeps checkpoints until it is finished.
pub struct Keeper {
    stop: watch::Sender<bool>,
    done: oneshot::Receiver<Result<Checkpointed, KeepError>>,
}

impl Keeper {
    /// Starts to keep the checkpoints of a container that does not run yet: what is in their
    /// folder now has come from where they are kept.
    ///
    /// # Errors
    /// If the folder cannot be read, or no thread be started.
    pub fn start(settings: &S3Settings, keeping: Keeping) -> Result<Self, KeepError> {
        let there = scan(&keeping.root, &keeping.folder)?;
        let now = Instant::now();
        let known = |(name, stamp): (String, Stamp)| {
            (name, Known { seen: stamp, since: now, put: Some((stamp, None)) })
        };
        let known = there.files.into_iter().map(known).collect();
        let (stop, stopped) = watch::channel(false);
        let (told, done) = oneshot::channel();
        let settings = settings.clone();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let kept = match runtime {
                Ok(runtime) => {
                    let kept = runtime.block_on(keep(&settings, keeping, known, stopped));
                    runtime.shutdown_background();
                    kept
                }
                Err(_) => Err(KeepError::Broken),
            };
            let _ = told.send(kept);
        };
        let thread = std::thread::Builder::new().name("checkpoints".into()).spawn(run);
        thread.map_err(|_| KeepError::Broken)?;
        Ok(Self { stop, done })
    }

    /// The container is dead: keeps what has not been kept, and says what is kept by now.
    ///
    /// # Errors
    /// If something cannot be kept.
    pub async fn finish(self) -> Result<Checkpointed, KeepError> {
        let _ = self.stop.send(true);
        self.done.await.unwrap_or(Err(KeepError::Broken))
    }
}

/// What came of keeping checkpoints.
#[derive(Debug, Default)]
pub struct Checkpointed {
    /// Everything that this run put, and that is still there, sorted by path.
    pub files: Vec<StagedFile>,
    /// Sentences for a person.
    pub warnings: Vec<String>,
}

/// What is known of a file.
struct Known {
    /// As it was at the last look, and since when.
    seen: Stamp,
    /// When it was first seen to differ from what is kept.
    since: Instant,
    /// The version that is kept, with size and digest if it was put by this run.
    put: Option<(Stamp, Option<Put>)>,
}

struct Work {
    remote: Remote,
    keeping: Keeping,
    known: BTreeMap<String, Known>,
    warnings: BTreeMap<String, String>,
    /// How many uploads have been begun: each is noted under a name of its own.
    begun: u64,
}

async fn keep(
    settings: &S3Settings,
    keeping: Keeping,
    known: BTreeMap<String, Known>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Checkpointed, KeepError> {
    let remote = Remote::open(settings, &keeping.uri)?;
    let mut work = Work { remote, keeping, known, warnings: BTreeMap::new(), begun: 0 };
    let mut pause = limits::CHECKPOINT_LOOK;
    let mut trouble = None;
    loop {
        tokio::select! {
            stop = stopped.wait_for(|stop| *stop) => match stop {
                Ok(_) => break,
                // The job is given up.
                Err(_) => return Err(KeepError::Broken),
            },
            () = tokio::time::sleep(pause) => {}
        }
        let begun = Instant::now();
        // What cannot be kept now is tried again, and at the end must be.
        if let Err(e) = work.look(false).await {
            trouble = Some(chain(&e));
        }
        pause = limits::CHECKPOINT_LOOK.max(begun.elapsed() * 4);
    }
    work.look(true).await?;
    let mut warnings: Vec<String> = work.warnings.into_values().collect();
    if let Some(text) = trouble {
        warnings.push(format!("Checkpoints were kept late, because for a time: {text}."));
    }
    let file = |(path, known): (String, Known)| {
        let (size, sha256) = known.put?.1?;
        Some(StagedFile { path, size, sha256 })
    };
    Ok(Checkpointed { files: work.known.into_iter().filter_map(file).collect(), warnings })
}

impl Work {
    /// Brings what is kept up to date; with `all` also what has not held still.
    async fn look(&mut self, all: bool) -> Result<(), KeepError> {
        let found = scan(&self.keeping.root, &self.keeping.folder)?;
        for (name, text) in &found.others {
            if self.warnings.len() < limits::MAX_WARNINGS {
                self.warnings.entry(name.clone()).or_insert_with(|| text.clone());
            }
        }
        // What has become a link or a device is neither kept on nor deleted.
        let gone =
            |name: &&String| !found.files.contains_key(*name) && !found.others.contains_key(*name);
        let gone: Vec<String> = self.known.keys().filter(gone).cloned().collect();
        let due: Vec<(String, Stamp, bool)> = found
            .files
            .into_iter()
            .filter_map(|(name, stamp)| self.is_due(&name, stamp, all).map(|c| (name, stamp, c)))
            .collect();
        let put = self.put(due).await;
        // New before old: a checkpoint that replaces another is there when that goes.
        let deleted = self.delete(gone).await;
        put.and(deleted)
    }

    /// Whether a version is to be put, and if so whether although it changes.
    fn is_due(&mut self, name: &str, stamp: Stamp, all: bool) -> Option<bool> {
        let now = Instant::now();
        let known = self.known.entry(name.to_owned()).or_insert_with(|| Known {
            // Never seen: no version has held still yet.
            seen: Stamp::default(),
            since: now,
            put: None,
        });
        let is_put = known.put.as_ref().is_some_and(|(put, _)| *put == stamp);
        let held_still = std::mem::replace(&mut known.seen, stamp) == stamp;
        if is_put {
            known.since = now;
            return None;
        }
        let restless = now.duration_since(known.since) > limits::CHECKPOINT_RESTLESS;
        (all || held_still || restless).then_some(all || (restless && !held_still))
    }

    async fn put(&mut self, due: Vec<(String, Stamp, bool)>) -> Result<(), KeepError> {
        let (remote, keeping) = (&self.remote, &self.keeping);
        let numbers = self.begun..;
        self.begun += due.len() as u64;
        let mut puts = stream::iter(numbers.zip(due))
            .map(|(number, (name, stamp, changing))| async move {
                let note = format!("checkpoint-{number}.upload.json");
                let note = keeping.journal.join(note);
                let (root, folder) = (&keeping.root, &keeping.folder);
                let kept = Kept { root, folder, name: &name, stamp, changing, note: &note };
                let put = remote.put(&kept).await;
                (name, stamp, put)
            })
            .buffer_unordered(limits::CHECKPOINT_UPLOADS);
        let mut result = Ok(());
        while let Some((name, stamp, put)) = puts.next().await {
            match put {
                Ok(Some(put)) => {
                    if let Some(known) = self.known.get_mut(&name) {
                        known.put = Some((stamp, Some(put)));
                        known.since = Instant::now();
                    }
                }
                Ok(None) => {}
                Err(e) => result = result.and(Err(e)),
            }
        }
        result
    }

    async fn delete(&mut self, gone: Vec<String>) -> Result<(), KeepError> {
        let remote = &self.remote;
        let known = &self.known;
        let was_put = |name: &String| known.get(name).is_some_and(|k| k.put.is_some());
        let (kept, never): (Vec<_>, Vec<_>) = gone.into_iter().partition(was_put);
        let mut deletes = stream::iter(kept)
            .map(|name| async move {
                let deleted = remote.delete(&name).await;
                (name, deleted)
            })
            .buffer_unordered(limits::CHECKPOINT_UPLOADS);
        let mut result = Ok(());
        let mut done = never;
        while let Some((name, deleted)) = deletes.next().await {
            match deleted {
                Ok(()) => done.push(name),
                Err(e) => result = result.and(Err(e)),
            }
        }
        drop(deletes);
        for name in done {
            self.known.remove(&name);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    async fn until(what: impl Fn() -> bool) {
        let begun = Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not happen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn read(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    #[tokio::test]
    async fn what_holds_still_is_kept_and_what_goes_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let (ml, kept) = (dir.path().join("ml"), dir.path().join("kept"));
        let local = ml.join("checkpoints");
        fs::create_dir_all(&local).unwrap();
        fs::create_dir_all(&kept).unwrap();
        for folder in [&local, &kept] {
            fs::write(folder.join("old"), "1").unwrap();
        }
        let keeping = Keeping {
            uri: kept.display().to_string(),
            root: ml,
            folder: "checkpoints".into(),
            journal: dir.path().join("journal"),
        };
        let keeper = Keeper::start(&S3Settings::default(), keeping).unwrap();
        fs::create_dir(local.join("a")).unwrap();
        fs::write(local.join("a/new"), "2").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", local.join("link")).unwrap();
        until(|| read(&kept.join("a/new")).as_deref() == Some("2")).await;
        fs::remove_dir_all(local.join("a")).unwrap();
        fs::remove_file(local.join("old")).unwrap();
        until(|| !kept.join("a").exists() && !kept.join("old").exists()).await;
        fs::write(local.join("last"), "3").unwrap();
        let Checkpointed { files, warnings } = keeper.finish().await.unwrap();
        assert_eq!(read(&kept.join("last")).as_deref(), Some("3"), "at the end without waiting");
        assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["last"]);
        assert_eq!(warnings, ["'link' is a link and was left out."]);
        assert!(!kept.join("link").exists());
    }
}
