//! The models of a multi-model container, brought and removed while it serves.
//!
//! **Invariant**: a model's folder is there whole or not at all. It is made out of the container's
//! reach and renamed. The folder that it is renamed into is the container's, which may have put
//! anything there: it is used by descriptor, and no link in it is followed.

use super::Asked;
use crate::failure::{Failure, chain};
use crate::image::unpack::remove::remove_tree;
use crate::job::JobDir;
use crate::progress::Silent;
use crate::stages::internal;
use crate::staging::{Location, ModelIn, Owner, S3Settings, is_plain, stage_model};
use belljar_domain::serving::{Answer, Ask, ModelData, ModelForm};
use belljar_domain::{Serving, StagedFile};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, mpsc};

/// Models that are brought in at once.
const AT_ONCE: usize = 8;
/// Bytes of a name.
const MAX_NAME: usize = 128;
/// Files that the evidence lists.
const MAX_LISTED: usize = 10_000;
/// The model in its folder.
const MODEL: &str = "model";

/// What has been brought, for the evidence: by key, and again where it had changed.
pub(crate) type Brought = Arc<Mutex<Vec<StagedFile>>>;

/// The models of one container.
#[derive(Debug)]
pub(crate) struct Models {
    settings: S3Settings,
    /// Ends in `/`.
    prefix: String,
    seconds: u64,
    owner: Option<Owner>,
    /// `/opt/ml/models`.
    folder: File,
    aside: PathBuf,
    aside_fd: File,
    /// Whether a model is there; held while it is seen to.
    slots: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<bool>>>>,
    places: Semaphore,
    gone: AtomicU64,
    brought: Brought,
}

impl Models {
    /// Those below the prefix, for a container that does not run yet.
    pub(crate) fn new(
        (job, settings): (&JobDir, S3Settings),
        serving: &Serving,
        prefix: &str,
        owner: Option<Owner>,
    ) -> Result<Self, Failure> {
        let failed = |e: io::Error| internal(format!("make the folder of models: {e}"));
        let aside = job.aside();
        std::fs::create_dir_all(&aside).map_err(failed)?;
        Ok(Self {
            settings,
            prefix: format!("{}/", prefix.trim_end_matches('/')),
            seconds: serving.download_seconds,
            owner,
            folder: File::open(job.opt_ml().join("models")).map_err(failed)?,
            aside_fd: File::open(&aside).map_err(failed)?,
            aside,
            slots: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            gone: AtomicU64::new(0),
            brought: Brought::default(),
        })
    }

    /// What has been brought, also later.
    pub(crate) fn brought(&self) -> Brought {
        Arc::clone(&self.brought)
    }

    /// Answers what is asked at the door, until it is closed.
    pub(super) async fn serve(self, mut asked: mpsc::Receiver<Asked>) {
        let this = Arc::new(self);
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                question = asked.recv() => {
                    let Some((ask, answer)) = question else { return };
                    let this = Arc::clone(&this);
                    tasks.spawn(async move {
                        // Whoever has gone away does not want it.
                        let _ = answer.send(this.answer(ask).await);
                    });
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    async fn answer(&self, ask: Ask) -> Answer {
        let done = match ask {
            Ask::Model { name, key } => self.bring(&name, &key).await,
            Ask::Forget { name } => self.forget(&name).await,
            Ask::Connect => Err("this is no question about models".to_owned()),
        };
        match done {
            Ok(()) => Answer::Done,
            Err(why) => Answer::Failed { why },
        }
    }

    /// Where it is noted whether a model is there. Those that are not are forgotten.
    fn slot(&self, name: &str) -> Result<Arc<tokio::sync::Mutex<bool>>, String> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(hex) {
            return Err("a model's name is lower-case hexadecimal".to_owned());
        }
        let mut slots = self.slots.lock().map_err(|_| "the list of models is lost".to_owned())?;
        slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|s| *s));
        Ok(Arc::clone(slots.entry(name.to_owned()).or_default()))
    }

    async fn bring(&self, name: &str, key: &str) -> Result<(), String> {
        let slot = self.slot(name)?;
        let mut there = slot.lock().await;
        // The container may have removed it.
        if *there && rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Ok(());
        }
        let data = self.data(key)?;
        let _place = self.places.acquire().await.map_err(|e| e.to_string())?;
        let made = self.make(name, &data).await;
        // Nothing is there if it went well.
        let cleared = self.remove(&self.aside_fd, name).await;
        let file = made?;
        cleared?;
        *there = true;
        self.list(StagedFile { path: key.to_owned(), ..file });
        Ok(())
    }

    /// Where the model is. A key leads nowhere but below the prefix.
    fn data(&self, key: &str) -> Result<ModelData, String> {
        if !is_plain(key) {
            return Err(format!("the key '{key}' has an empty, '.' or '..' segment"));
        }
        let uri = format!("{}{key}", self.prefix);
        if let Ok(Location::Path(path)) = uri.parse() {
            let real = |p: &Path| std::fs::canonicalize(p);
            let Location::Path(prefix) = self.prefix.parse().map_err(|e| chain(&e))? else {
                return Err("the prefix is no folder".to_owned());
            };
            let below = real(&path).and_then(|p| Ok(p.starts_with(real(&prefix)?)));
            match below {
                Ok(true) => {}
                Ok(false) => return Err(format!("the key '{key}' is a link that leads out")),
                Err(e) => return Err(format!("there is nothing at '{uri}': {e}")),
            }
        }
        let archive = key.ends_with(".tar.gz");
        let form = if archive { ModelForm::Archive } else { ModelForm::Object };
        Ok(ModelData { uri, form })
    }

    /// Makes a model's folder aside, and puts it in its place.
    async fn make(&self, name: &str, data: &ModelData) -> Result<StagedFile, String> {
        let failed = |e: io::Error| format!("make the folder of a model: {e}");
        self.remove(&self.aside_fd, name).await?;
        let folder = self.aside.join(name);
        let archive = data.form == ModelForm::Archive;
        let target = if archive { folder.join(MODEL) } else { folder.clone() };
        std::fs::create_dir_all(&target).map_err(failed)?;
        for folder in [&folder, &target] {
            let owner = self.owner;
            std::os::unix::fs::chown(folder, owner.map(|o| o.uid), owner.map(|o| o.gid))
                .map_err(failed)?;
        }
        let (owner, seconds) = (self.owner, self.seconds);
        let request = ModelIn { data, target: &target, owner, seconds };
        let brought = stage_model(&self.settings, &request, &Silent).await;
        let file = brought.map_err(|e| chain(&e))?.pop().ok_or("there is no model")?;
        if !archive {
            std::fs::rename(folder.join(&file.path), folder.join(MODEL)).map_err(failed)?;
        }
        self.remove(&self.folder, name).await?;
        rustix::fs::renameat(&self.aside_fd, name, &self.folder, name)
            .map_err(|e| failed(e.into()))?;
        Ok(file)
    }

    async fn forget(&self, name: &str) -> Result<(), String> {
        let slot = self.slot(name)?;
        let mut there = slot.lock().await;
        *there = false;
        let gone = format!("gone-{}", self.gone.fetch_add(1, Ordering::Relaxed));
        match rustix::fs::renameat(&self.folder, name, &self.aside_fd, gone.as_str()) {
            Ok(()) => self.remove(&self.aside_fd, &gone).await,
            Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(format!("remove the model: {e}")),
        }
    }

    async fn remove(&self, parent: &File, name: &str) -> Result<(), String> {
        let failed = |e: io::Error| format!("remove the folder of a model: {e}");
        let (parent, name) = (parent.try_clone().map_err(failed)?, name.to_owned());
        let work = move || remove_tree(&parent, name.as_bytes());
        let removed = tokio::task::spawn_blocking(work).await;
        removed.map_err(|e| failed(io::Error::other(e)))?.map_err(failed)
    }

    fn list(&self, file: StagedFile) {
        let Ok(mut brought) = self.brought.lock() else { return };
        if brought.len() < MAX_LISTED && !brought.contains(&file) {
            brought.push(file);
        }
    }
}
