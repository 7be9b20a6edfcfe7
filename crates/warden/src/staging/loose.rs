//! Artifacts that are not compressed: every file by itself (`OutputDataConfig.CompressionType`
//! `NONE`).

use super::error::{FileError, StageOutError};
use super::keep::{KeepError, Kept, Put, Remote, Stamp, scan};
use super::limits;
use super::location::Location;
use super::meter::Meter;
use super::out::StageOut;
use super::s3::S3Settings;
use belljar_domain::Artifact;
use futures_util::{StreamExt, stream};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names below `JOB/output`, and the folders below `/opt/ml` that they are made of.
const PARTS: [(&str, &str); 2] = [("model", "model"), ("data", "output/data")];

/// What is to be put, owned, so that a thread can take it along.
struct Job {
    settings: S3Settings,
    ml_dir: PathBuf,
    /// `O/JOB/output`.
    output: String,
    in_folder: bool,
    journal: PathBuf,
    meter: Arc<Meter>,
}

pub(super) async fn stage_out(
    settings: &S3Settings,
    request: &StageOut<'_>,
    meter: &Arc<Meter>,
) -> Result<(Vec<Artifact>, Vec<String>), StageOutError> {
    let location: Location = request.destination.parse()?;
    let (base, in_folder) = match location {
        Location::Path(folder) => (super::out::absolute(&folder)?.display().to_string(), true),
        Location::S3 { .. } => (request.destination.trim_end_matches('/').to_owned(), false),
    };
    let job = Job {
        settings: settings.clone(),
        ml_dir: request.ml_dir.to_owned(),
        output: format!("{base}/{}/output", request.job),
        in_folder,
        journal: request.journal.to_owned(),
        meter: Arc::clone(meter),
    };
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| StageOutError::Broken)?;
        let done = runtime.block_on(job.all());
        runtime.shutdown_background();
        done
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| StageOutError::Broken)?
}

/// Where a part stands in a folder until it is whole.
fn hidden(output: &Path, part: &str) -> PathBuf {
    super::sink::temporary(&output.join(part))
}

/// Removes what a killed warden left below `O/JOB/output`.
pub(super) fn sweep(output: &Path) -> Result<(), FileError> {
    for (part, _) in PARTS {
        let folder = hidden(output, part);
        match std::fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::new("remove", &folder, e));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Job {
    async fn all(&self) -> Result<(Vec<Artifact>, Vec<String>), StageOutError> {
        let (mut artifacts, mut warnings) = (Vec::new(), Vec::new());
        if self.in_folder {
            sweep(Path::new(&self.output))?;
        }
        let mut done = Ok(());
        for part in PARTS {
            if done.is_ok() {
                done = self.part(part, &mut artifacts, &mut warnings).await;
            }
        }
        match done {
            Ok(()) => self.publish(&mut artifacts)?,
            Err(error) => {
                self.discard(&artifacts).await;
                return Err(error);
            }
        }
        if !artifacts.iter().any(|a| a.name.starts_with("model/")) {
            let text = "The job left nothing in /opt/ml/model: there is no model.";
            warnings.push(text.to_owned());
        }
        artifacts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok((artifacts, warnings))
    }

    fn remote(&self, part: &str) -> Result<Remote, KeepError> {
        if self.in_folder {
            Ok(Remote::Folder(hidden(Path::new(&self.output), part)))
        } else {
            Remote::open(&self.settings, &format!("{}/{part}", self.output))
        }
    }

    /// Puts one part; `artifacts` is what has been put, also after a failure.
    async fn part(
        &self,
        (part, folder): (&str, &str),
        artifacts: &mut Vec<Artifact>,
        warnings: &mut Vec<String>,
    ) -> Result<(), StageOutError> {
        let found = match scan(&self.ml_dir, Path::new(folder)) {
            // The container removed the folder: it left nothing.
            Err(KeepError::NoFolder(_)) => return Ok(()),
            found => found?,
        };
        warnings.extend(found.others.into_values());
        self.meter.set_total(found.files.values().map(|s| s.size).sum());
        let remote = self.remote(part)?;
        let failed = Cell::new(false);
        let (remote, stop) = (&remote, &failed);
        let mut puts = stream::iter((0_u64..).zip(found.files))
            .map(|(number, file)| async move {
                let put = self.one(remote, (part, folder), number, file);
                if stop.get() { None } else { Some(put.await) }
            })
            .buffer_unordered(limits::LOOSE_UPLOADS);
        let mut result = Ok(());
        // After a failure those under way are awaited, so that they can be taken back.
        while let Some(put) = puts.next().await {
            match put {
                Some(Ok(artifact)) => artifacts.push(artifact),
                Some(Err(error)) => {
                    failed.set(true);
                    result = result.and(Err(error));
                }
                None => {}
            }
        }
        result
    }

    async fn one(
        &self,
        remote: &Remote,
        (part, folder): (&str, &str),
        number: u64,
        (name, stamp): (String, Stamp),
    ) -> Result<Artifact, StageOutError> {
        let note = self.journal.join(format!("{part}-{number}.upload.json"));
        let (root, folder) = (&self.ml_dir, Path::new(folder));
        let kept = Kept { root, folder, name: &name, stamp, changing: false, note: &note };
        let put: Option<Put> = remote.put(&kept).await?;
        let (size, sha256) = put.ok_or_else(|| StageOutError::Changed(name.clone()))?;
        self.meter.add(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(Artifact { uri: remote.uri(&name), name: format!("{part}/{name}"), size, sha256 })
    }

    /// Gives folders their names.
    fn publish(&self, artifacts: &mut [Artifact]) -> Result<(), FileError> {
        if !self.in_folder {
            return Ok(());
        }
        let output = Path::new(&self.output);
        for (part, _) in PARTS {
            let (from, to) = (hidden(output, part), output.join(part));
            if from.exists() {
                std::fs::rename(&from, &to).map_err(|e| FileError::new("write", &to, e))?;
            }
        }
        for artifact in artifacts {
            artifact.uri = output.join(&artifact.name).display().to_string();
        }
        if let Ok(folder) = std::fs::File::open(output) {
            folder.sync_all().map_err(|e| FileError::new("write", output, e))?;
        }
        Ok(())
    }

    /// Takes back what was put. Its failure would say less than the one that led here.
    async fn discard(&self, artifacts: &[Artifact]) {
        if self.in_folder {
            let _ = sweep(Path::new(&self.output));
            return;
        }
        for (part, _) in PARTS {
            let Ok(remote) = self.remote(part) else { return };
            let prefix = format!("{part}/");
            for name in artifacts.iter().filter_map(|a| a.name.strip_prefix(&prefix)) {
                if let Err(error) = remote.delete(name).await {
                    tracing::warn!(%error, "left behind");
                }
            }
        }
    }
}
