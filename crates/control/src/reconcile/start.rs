//! An attempt's folder, its key, and its warden.

use super::folder;
use super::pause::{self, Point};
use crate::local::ended;
use crate::service::Service;
use crate::state::{self, ASSIGNMENT_FILE};
use belljar_domain::{Assignment, spool};
use belljar_store::identity::{self, AccessKey, Owner};
use belljar_store::{Connection, StoreError};
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// A warden that this process started.
pub(super) enum Started {
    /// It may live; its end is put here.
    Running(Arc<Mutex<Option<io::Result<ExitStatus>>>>),
    /// It has ended in this way, a sentence.
    Ended(String),
}

/// Why an attempt cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The folder is there, and belongs to something else.
    #[error("{} is there already, and belongs to another job", .0.display())]
    Foreign(PathBuf),
    /// The folder or a file in it cannot be made.
    #[error("cannot make {}", .path.display())]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The Assignment cannot be written.
    #[error("cannot write the assignment")]
    Assignment(#[source] state::StateError),
    /// The warden does not start.
    #[error("cannot start {}", .program.display())]
    Spawn {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the folder and writes the Assignment; both may be there from a service that was killed.
pub(super) fn prepare(state: &Path, assignment: &Assignment) -> Result<PathBuf, StartError> {
    let folder = folder::of_assignment(state, assignment);
    let wrong = |source| StartError::Make { path: folder.clone(), source };
    let above = folder.parent().unwrap_or(state);
    DirBuilder::new().recursive(true).mode(0o700).create(above).map_err(wrong)?;
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(wrong(e)),
        Err(_) if !is_ours(&folder, assignment) => return Err(StartError::Foreign(folder)),
        _ => {}
    }
    state::write_json(&folder.join(ASSIGNMENT_FILE), assignment).map_err(StartError::Assignment)?;
    Ok(folder)
}

/// A folder without an Assignment is one whose maker was killed; with another one it is that of a
/// job that `belljar train` ran.
pub(super) fn is_ours(folder: &Path, assignment: &Assignment) -> bool {
    match std::fs::read(folder.join(ASSIGNMENT_FILE)) {
        Ok(text) => serde_json::from_slice::<Assignment>(&text).is_ok_and(|a| a == *assignment),
        Err(e) => e.kind() == io::ErrorKind::NotFound && !super::folder::is_begun(folder),
    }
}

/// The key of an attempt: the one that it has, so that a warden which an earlier service started
/// keeps its own.
pub(super) async fn key(
    service: &Service,
    assignment: &Assignment,
) -> Result<AccessKey, StoreError> {
    let (name, generation, now) = (key_name(assignment), assignment.generation, service.now());
    let make = move |c: &Connection| match identity::job_key(c, &name, generation)? {
        Some(key) => Ok(key),
        None => identity::create_key(c, Owner::Job { name, generation }, now, None),
    };
    service.db().write(make).await
}

/// Under which name a warden has its key. No training job has the name of a container that
/// serves.
pub(super) fn key_name(assignment: &Assignment) -> String {
    match &assignment.serving {
        Some(_) => format!("{}/{}", belljar_domain::serving::FOLDER, assignment.job),
        None => assignment.job.to_string(),
    }
}

impl Started {
    /// Starts the warden of a recorded Assignment.
    pub(super) async fn start(
        service: &Arc<Service>,
        assignment: &Assignment,
    ) -> Result<Self, StartError> {
        let service = service.clone();
        let key = key(&service, assignment).await?;
        pause::before(Point::Folder);
        let folder = prepare(&service.config.state, assignment)?;
        pause::after(Point::Folder);
        let said = folder.join(spool::DIAGNOSTICS);
        let open = File::options().create(true).append(true).mode(0o600).open(&said);
        let stderr = open.map_err(|source| StartError::Make { path: said, source })?;
        pause::before(Point::Spawn);
        let mut child = service
            .config
            .warden
            .detached(&folder, environment(&service, &key))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|source| StartError::Spawn {
                program: service.config.warden.program.clone(),
                source,
            })?;
        pause::after(Point::Spawn);
        let end = Arc::new(Mutex::new(None));
        let started = Self::Running(end.clone());
        tokio::spawn(async move {
            let status = child.wait().await;
            *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            service.wanted.notify_one();
        });
        Ok(started)
    }

    /// Takes note of whether it has ended. Answers whether there is anything to remember.
    pub(super) fn reap(&mut self) -> bool {
        let Self::Running(end) = self else { return true };
        let Some(end) = end.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return true;
        };
        let taken = [spool::EXIT_TAKEN, spool::EXIT_BEGUN].map(i32::from);
        let how = match end {
            // Another warden has it, or had: what is in the folder says how that goes.
            Ok(status) if status.code().is_some_and(|c| taken.contains(&c)) => return false,
            Ok(status) => format!("the warden {}", ended(status)),
            Err(e) => format!("the warden's end is not known: {e}"),
        };
        *self = Self::Ended(how);
        true
    }
}

/// What a warden needs to know of S3. Nothing of the user's own credentials goes in.
pub(super) fn environment(service: &Service, key: &AccessKey) -> Vec<(OsString, OsString)> {
    let set = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
    let mut all: Vec<(OsString, OsString)> = service
        .config
        .warden
        .environment
        .iter()
        .filter(|(name, _)| !name.to_string_lossy().starts_with("AWS_"))
        .cloned()
        .collect();
    let socket = service.state.folder().join(crate::service::SOCKET).into_os_string();
    match &service.config.outside_s3 {
        Some(s3) => {
            all.push((spool::SOCKET_VARIABLE.into(), socket));
            all.push(set(spool::KEY_VARIABLE, &key.id));
            all.push(set(spool::SECRET_VARIABLE, key.secret.expose()));
            all.push(set("AWS_ENDPOINT_URL_S3", &s3.endpoint));
            all.push(set("AWS_REGION", &s3.region));
            all.push(set("AWS_ACCESS_KEY_ID", &s3.access_key));
            all.push(set("AWS_SECRET_ACCESS_KEY", &s3.secret_key));
            all.extend(s3.session_token.as_ref().map(|token| set("AWS_SESSION_TOKEN", token)));
        }
        None => {
            all.push((spool::S3_SOCKET_VARIABLE.into(), socket));
            all.push(set("AWS_REGION", &service.config.region));
            all.push(set("AWS_ACCESS_KEY_ID", &key.id));
            all.push(set("AWS_SECRET_ACCESS_KEY", key.secret.expose()));
        }
    }
    all
}
