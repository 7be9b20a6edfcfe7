//! The folders, the root file system and the command of a container.

use super::data::checkpoints_folder;
use super::{Facts, internal};
use crate::failure::{Failure, chain};
use crate::image::Image;
use crate::run::{Context, Ending};
use crate::staging::Owner;
use crate::trust::{self, Trust};
use belljar_domain::config_files::config_files;
use belljar_domain::fabric::AUTHORITY;
use belljar_domain::failure::Blame;
use belljar_domain::serving::SAFE_PORTS;
use belljar_domain::{Assignment, Serving};
use belljar_linux::container::Spec;
use belljar_linux::idmap::{self, UserNs};
use belljar_linux::privilege::{Privilege, SLOTS};
use belljar_linux::root::{Plan, Root, assemble};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What `PATH` is where the image says nothing, as Docker has it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Folders below `/opt/ml` (contract: Developer Guide, "How Amazon SageMaker provides training
/// information"; `output/intermediate` keeps the training toolkit from uploading by itself).
const FOLDERS: [&str; 7] = [
    "input/config",
    "input/data",
    "model",
    "output/data",
    "output/intermediate",
    "checkpoints",
    "output",
];
/// What a container that serves has instead: one of these (Developer Guide, "Use your own inference
/// code with hosting services", "Build your own container for multi-model endpoints").
const SERVED: [&str; 2] = ["model", "models"];
/// Those of them that are mounted. All else below `/opt/ml` is the image's: many bring their
/// program in `/opt/ml/code`.
const VOLUMES: [(&str, &str); 4] = [
    ("input", "opt/ml/input"),
    ("model", "opt/ml/model"),
    ("output", "opt/ml/output"),
    ("checkpoints", "opt/ml/checkpoints"),
];
/// Made where the image has none: the training toolkit puts the program there.
const CODE: &str = "opt/ml/code";

/// A root file system, ready but for what needs the network namespace.
pub(crate) struct Rooted {
    pub(super) root: Root,
    pub(super) user_ns: UserNs,
    pub(super) spec: Spec,
    shifted: bool,
    /// The image's layers stay in the store while this lives.
    _image: Image,
    /// No other container of this state directory has these ids while this lives.
    _slot: File,
}

impl Rooted {
    /// Whom the container's files belong to; an ordinary user's are the user's anyway.
    pub(super) fn owner(&self) -> Option<Owner> {
        let id = self.user_ns.root_id();
        self.shifted.then_some(Owner { uid: id, gid: id })
    }
}

pub(super) async fn root(cx: &Context, facts: &mut Facts, image: &Image) -> Result<Rooted, Ending> {
    let (slot, slot_lock) = take_slot(&cx.job.state().join("slots"))?;
    let user_ns = idmap::for_container(cx.privilege, slot)?;
    let shifted = cx.privilege == Privilege::Root;
    let owner = shifted.then(|| user_ns.root_id());
    let opt_ml = cx.job.opt_ml();
    furnish(cx, &opt_ml, owner).map_err(|e| disk(&opt_ml, &e))?;
    let layers: Vec<PathBuf> = image.layers.iter().map(|l| l.path.clone()).collect();
    let scratch = cx.job.scratch();
    fs::create_dir_all(&scratch).map_err(|e| disk(&scratch, &e))?;
    cx.journal.point(belljar_domain::Stage::Root, "during");
    let volumes = volumes(&cx.assignment);
    let mut volumes = volumes.map(|(from, at)| (opt_ml.join(from), at)).collect::<Vec<_>>();
    if let Some(checkpoints) = &cx.assignment.checkpoints {
        let folder = checkpoints_folder(&checkpoints.local_path);
        if !folder.starts_with("checkpoints") {
            volumes.push((opt_ml.join(folder), checkpoints.local_path.trim_start_matches('/')));
        }
    }
    let root = assemble(&Plan {
        layers: &layers,
        scratch: &scratch,
        volumes: &volumes,
        user_ns: &user_ns,
        host_name: cx.assignment.host_name(),
        hosts: &super::peers::addresses(&cx.assignment),
        resolv_conf: &super::network::resolv_conf(&cx.assignment),
        shm_bytes: None,
    })?;
    if cx.assignment.serving.is_none() {
        root.make_folder(CODE)?;
    }
    let trust = trust(cx, &root)?;
    let spec = spec(cx, image, &root, &user_ns, trust)?;
    facts.command.clone_from(&spec.command);
    facts.environment_names = spec.environment.iter().map(|(k, _)| k.clone()).collect();
    Ok(Rooted { root, user_ns, spec, shifted, _image: image.clone(), _slot: slot_lock })
}

/// Makes a container that is not isolated trust whom AWS's names lead to.
fn trust(cx: &Context, root: &Root) -> Result<Option<Trust>, Failure> {
    let open = cx.assignment.access().is_some();
    let put = open.then(|| trust::put(root, &cx.job.state().join(AUTHORITY))).transpose();
    put.map_err(|e| internal(chain(&e)))
}

/// A range of user ids that no other container has now.
fn take_slot(folder: &Path) -> Result<(u32, File), Failure> {
    fs::create_dir_all(folder).map_err(|e| disk(folder, &e))?;
    for slot in 0..SLOTS {
        let path = folder.join(slot.to_string());
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| disk(&path, &e))?;
        let taken = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        if taken.is_ok() {
            return Ok((slot, file));
        }
    }
    Err(internal(format!("all {SLOTS} ranges of user ids are in use")))
}

/// The folder of the model, or models, of a container that serves.
pub(super) fn served(serving: &Serving) -> &'static str {
    SERVED[usize::from(serving.models.is_some())]
}

/// Which of `/opt/ml` is mounted, and where.
fn volumes(a: &Assignment) -> impl Iterator<Item = (&'static str, &'static str)> {
    let served = a.serving.as_deref().map(served);
    let places = [("model", "opt/ml/model"), ("models", "opt/ml/models")];
    let of_serving = places.into_iter().filter(move |(from, _)| served == Some(from));
    let of_training = VOLUMES.into_iter().filter(move |_| served.is_none());
    of_training.chain(of_serving)
}

/// Makes the folders of `/opt/ml` with their configuration files, all the container's own.
fn furnish(cx: &Context, opt_ml: &Path, owner: Option<u32>) -> std::io::Result<()> {
    let give = |path: &Path| std::os::unix::fs::lchown(path, owner, owner);
    if let Some(serving) = &cx.assignment.serving {
        let folder = opt_ml.join(served(serving));
        fs::create_dir_all(&folder)?;
        return give(&folder);
    }
    for folder in FOLDERS {
        fs::create_dir_all(opt_ml.join(folder))?;
    }
    for folder in FOLDERS.iter().chain(&["input", "."]) {
        give(&opt_ml.join(folder))?;
    }
    if let Some(checkpoints) = &cx.assignment.checkpoints {
        let folder = checkpoints_folder(&checkpoints.local_path);
        fs::create_dir_all(opt_ml.join(&folder))?;
        for folder in folder.ancestors().filter(|f| !f.as_os_str().is_empty()) {
            give(&opt_ml.join(folder))?;
        }
    }
    for (name, text) in config_files(&cx.assignment) {
        let path = opt_ml.join("input/config").join(name);
        fs::write(&path, text)?;
        give(&path)?;
    }
    Ok(())
}

/// What the container runs, and as whom.
fn spec(
    cx: &Context,
    image: &Image,
    root: &Root,
    user_ns: &UserNs,
    trust: Option<Trust>,
) -> Result<Spec, Ending> {
    let a = &cx.assignment;
    let (uid, gid) = crate::image::user_of(&image.config, &image.layers)?;
    if !user_ns.contains(uid) || !user_ns.contains(gid) {
        return Err(Failure {
            blame: Blame::Capacity,
            text: format!("the image runs as user {uid}, group {gid}, and an ordinary user's namespace has only one user"),
            hint: Some("run belljar as root, or use an image that runs as root, as SageMaker's do".to_owned()),
            machine: true,
        }
        .into());
    }
    let working_dir = match image.config.working_dir.as_str() {
        "" => "/".to_owned(),
        folder => {
            root.make_folder(folder)?;
            format!("/{}", folder.trim_start_matches('/'))
        }
    };
    let environment = environment(cx, image, uid, trust);
    let command = command(cx, image);
    let search = environment.iter().find(|(k, _)| k == "PATH").map_or("", |(_, v)| v);
    let program = command.first().map_or("", String::as_str);
    if root.find_program(program, search).is_none() {
        return Err(no_program(program, word(a), search).into());
    }
    Ok(Spec {
        root: root.path().to_owned(),
        host_name: a.host_name().to_owned(),
        command,
        environment,
        working_dir,
        uid,
        gid,
        processes: a.resources.processes,
    })
}

/// What a container is told to do.
fn word(a: &Assignment) -> &'static str {
    if a.serving.is_some() { "serve" } else { "train" }
}

/// `docker run [--entrypoint E] IMAGE [ARGUMENTS|train|serve]` (Developer Guide, "How Amazon
/// SageMaker runs your training image", "Use your own inference code with hosting services").
fn command(cx: &Context, image: &Image) -> Vec<String> {
    let a = &cx.assignment;
    let mut command = if a.entrypoint.is_empty() {
        image.config.entrypoint.clone()
    } else {
        a.entrypoint.clone()
    };
    if !a.arguments.is_empty() {
        command.extend(a.arguments.iter().cloned());
    } else if a.entrypoint.is_empty() {
        command.push(word(a).to_owned());
    }
    command
}

/// The image's environment, then the request's, then the platform's. Nothing of the host's.
fn environment(
    cx: &Context,
    image: &Image,
    uid: u32,
    trust: Option<Trust>,
) -> Vec<(String, String)> {
    let a = &cx.assignment;
    let mut all = std::collections::BTreeMap::new();
    all.insert("PATH".to_owned(), DEFAULT_PATH.to_owned());
    all.insert("HOME".to_owned(), if uid == 0 { "/root" } else { "/" }.to_owned());
    all.extend(
        image
            .config
            .env
            .iter()
            .filter_map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))),
    );
    all.extend(a.environment.clone());
    all.insert("HOSTNAME".to_owned(), a.host_name().to_owned());
    match &a.serving {
        Some(serving) => all.extend(of_serving(serving)),
        None => {
            all.insert("TRAINING_JOB_NAME".to_owned(), a.job.to_string());
            all.insert("TRAINING_JOB_ARN".to_owned(), a.job_arn.clone());
        }
    }
    all.insert("AWS_REGION".to_owned(), a.region.clone());
    if let Some(trust) = trust {
        trust.tell(&mut all);
    }
    all.into_iter().collect()
}

/// What the platform tells a container that serves (Developer Guide, "Deploy multi-container
/// endpoints" and "Build your own container for multi-model endpoints").
fn of_serving(serving: &Serving) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if let Some(port) = serving.bind_to_port {
        let (first, last) = SAFE_PORTS;
        all.push(("SAGEMAKER_BIND_TO_PORT".to_owned(), port.to_string()));
        all.push(("SAGEMAKER_SAFE_PORT_RANGE".to_owned(), format!("{first}-{last}")));
    }
    if serving.models.is_some() {
        all.push(("SAGEMAKER_MULTI_MODEL".to_owned(), "true".to_owned()));
    }
    all
}

fn no_program(program: &str, word: &str, search: &str) -> Failure {
    let (text, hint) = if program == word {
        (
            format!("the image has no program '{word}' on its PATH ({search})"),
            format!(
                "SageMaker runs an image as 'docker run IMAGE {word}': give it an executable '{word}' or an ENTRYPOINT, or name the program with --entrypoint"
            ),
        )
    } else {
        (
            format!("the image has no executable '{program}' (PATH is {search})"),
            "look into the image with 'belljar image inspect', or name another program with --entrypoint".to_owned(),
        )
    };
    Failure { blame: Blame::Client, text, hint: Some(hint), machine: false }
}

pub(super) fn disk(path: &Path, e: &std::io::Error) -> Failure {
    let text = format!("write {}: {e}", path.display());
    match e.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Failure {
            blame: Blame::Capacity,
            text,
            hint: Some("the disk is full: free space in the state directory".to_owned()),
            machine: true,
        },
        _ => internal(text),
    }
}
