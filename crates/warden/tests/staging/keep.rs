//! Checkpoints and artifacts that are not compressed.

use crate::fake_s3::FakeS3;
use belljar_domain::{Checkpoints, JobName, OutputCompression};
use belljar_warden::failure::chain;
use belljar_warden::progress::Silent;
use belljar_warden::staging::{
    Keeper, Keeping, S3Settings, StageOut, StageOutError, check_checkpoints, restore,
    stage_out_with, sweep_with,
};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn put(path: PathBuf, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The folder of a container's checkpoints, restored from the server.
struct Scene {
    dir: TempDir,
    server: FakeS3,
}

impl Scene {
    async fn start(server: FakeS3) -> (Self, Keeper) {
        let scene = Self { dir: tempfile::tempdir().unwrap(), server };
        let (s, local) = (scene.server.settings(), scene.local());
        fs::create_dir_all(&local).unwrap();
        restore(&s, "s3://bucket/ckpt", &local, None, &Silent).await.unwrap();
        let keeping = Keeping {
            uri: "s3://bucket/ckpt".into(),
            root: scene.dir.path().join("ml"),
            folder: "checkpoints".into(),
            journal: scene.dir.path().join("journal"),
        };
        let keeper = Keeper::start(&s, keeping).unwrap();
        (scene, keeper)
    }

    fn local(&self) -> PathBuf {
        self.dir.path().join("ml/checkpoints")
    }

    fn journal_is_empty(&self) -> bool {
        fs::read_dir(self.dir.path().join("journal")).map_or(true, |d| d.count() == 0)
    }
}

#[tokio::test]
async fn what_was_kept_comes_back_and_what_changes_is_kept_again() {
    let server = FakeS3::start(&[
        ("ckpt/", b""),
        ("ckpt/epoch-1/w", b"one"),
        ("ckpt/state", b"1"),
        ("ckpt2/other", b"not mine"),
    ]);
    let (scene, keeper) = Scene::start(server).await;
    let (local, server) = (scene.local(), &scene.server);
    assert_eq!(fs::read(local.join("epoch-1/w")).unwrap(), b"one");
    assert!(!local.join("2").exists() && fs::read_dir(&local).unwrap().count() == 2);
    let asked = server.requests();
    // Three parts, and small files; one is replaced, one goes.
    let big = vec![7; 12 << 20];
    put(scene.dir.path().join("epoch-2/w"), &big);
    // At once, or half of it may be kept first.
    fs::rename(scene.dir.path().join("epoch-2"), local.join("epoch-2")).unwrap();
    fs::write(local.join("state.new"), "2").unwrap();
    fs::rename(local.join("state.new"), local.join("state")).unwrap();
    until(|| server.object("ckpt/epoch-2/w").is_some()).await;
    until(|| server.object("ckpt/state").as_deref() == Some(b"2")).await;
    assert_eq!(server.object("ckpt/epoch-2/w").unwrap(), big);
    fs::remove_dir_all(local.join("epoch-1")).unwrap();
    until(|| server.object("ckpt/epoch-1/w").is_none()).await;
    assert!(server.requests() - asked < 12, "what was restored is not put again");
    put(local.join("final"), "3");
    let kept = keeper.finish().await.unwrap();
    let names: Vec<_> = kept.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(names, ["epoch-2/w", "final", "state"]);
    assert_eq!(kept.warnings, [""; 0]);
    assert_eq!(
        server.keys(),
        ["ckpt/", "ckpt/epoch-2/w", "ckpt/final", "ckpt/state", "ckpt2/other"]
    );
    assert!(server.open_uploads() == 0 && scene.journal_is_empty());
}

#[tokio::test]
async fn what_a_hostile_container_plants_is_left_alone() {
    let (scene, keeper) = Scene::start(FakeS3::start(&[("ckpt/real", b"1")])).await;
    let (local, outside) = (scene.local(), tempfile::tempdir().unwrap());
    put(outside.path().join("secret"), "host");
    symlink(outside.path(), local.join("folder")).unwrap();
    symlink(outside.path().join("secret"), local.join("file")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, local.join("fifo"), fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    // A checkpoint that becomes a link is not kept on, and not deleted either.
    symlink("/etc/passwd", local.join("link")).unwrap();
    fs::rename(local.join("link"), local.join("real")).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let kept = keeper.finish().await.unwrap();
    assert_eq!(scene.server.keys(), ["ckpt/real"]);
    assert_eq!(scene.server.object("ckpt/real").unwrap(), b"1");
    assert_eq!(kept.warnings.len(), 4, "{:?}", kept.warnings);
    assert!(kept.files.is_empty());
}

#[tokio::test]
async fn a_folder_that_becomes_a_link_is_an_error_and_deletes_nothing() {
    let (scene, keeper) = Scene::start(FakeS3::start(&[("ckpt/real", b"1")])).await;
    let (local, outside) = (scene.local(), tempfile::tempdir().unwrap());
    fs::rename(&local, scene.dir.path().join("moved")).unwrap();
    symlink(outside.path(), &local).unwrap();
    let error = keeper.finish().await.unwrap_err();
    assert!(chain(&error).contains("no folder any more"), "{error}");
    assert_eq!(scene.server.keys(), ["ckpt/real"]);
}

#[tokio::test]
async fn a_place_that_cannot_be_had_is_named_before_anything_starts() {
    let server = FakeS3::start(&[]);
    for (uri, local_path, reason) in [
        ("s3://no-such-bucket/c", "/opt/ml/checkpoints", "does not exist"),
        ("s3://denied/c", "/opt/ml/checkpoints", "denied"),
        ("https://example.com", "/opt/ml/checkpoints", "'https'"),
        ("s3://bucket/c", "/opt/ml/model", "'/opt/ml/model' is reserved"),
        ("s3://bucket/c", "relative", "no plain absolute path"),
    ] {
        let c = Checkpoints { uri: uri.into(), local_path: local_path.into() };
        let error = check_checkpoints(&server.settings(), &c).await.unwrap_err();
        assert!(chain(&error).contains(reason), "{}", chain(&error));
    }
    let c = Checkpoints { uri: "s3://bucket/new".into(), local_path: "/checkpoints".into() };
    check_checkpoints(&server.settings(), &c).await.unwrap();
}

struct Output {
    ml: TempDir,
    out: TempDir,
}

impl Output {
    fn new() -> Self {
        let this = Self { ml: tempfile::tempdir().unwrap(), out: tempfile::tempdir().unwrap() };
        put(this.ml.path().join("model/weights/w"), vec![1; 6 << 20]);
        put(this.ml.path().join("model/config"), "{}");
        put(this.ml.path().join("output/data/log"), "x");
        symlink("config", this.ml.path().join("model/link")).unwrap();
        this
    }

    async fn run(
        &self,
        s: &S3Settings,
        destination: &str,
    ) -> Result<(Vec<belljar_domain::Artifact>, Vec<String>), StageOutError> {
        let request = StageOut {
            ml_dir: self.ml.path(),
            destination,
            job: &job(),
            compression: OutputCompression::None,
            journal: &self.out.path().join("journal"),
        };
        stage_out_with(s, &request, &Silent).await
    }
}

fn job() -> JobName {
    "job-1".parse().unwrap()
}

#[tokio::test]
async fn every_file_by_itself_in_s3() {
    let (server, output) = (FakeS3::start(&[]), Output::new());
    let (artifacts, warnings) = output.run(&server.settings(), "s3://bucket/out/").await.unwrap();
    let below = "out/job-1/output";
    let keys = ["data/log", "model/config", "model/weights/w"].map(|n| format!("{below}/{n}"));
    assert_eq!(server.keys(), keys);
    assert_eq!(server.object(&keys[2]).unwrap(), vec![1; 6 << 20]);
    assert_eq!(artifacts[1].name, "model/config");
    assert_eq!(artifacts[1].uri, format!("s3://bucket/{}", keys[1]));
    assert_eq!(warnings, ["'link' is a link and was left out."]);
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn what_fails_halfway_takes_back_what_it_put() {
    let (server, output) = (FakeS3::start(&[]), Output::new());
    server.fail_parts_from(1);
    output.run(&server.settings(), "s3://bucket/out").await.unwrap_err();
    assert_eq!(server.keys(), [""; 0]);
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn every_file_by_itself_in_a_folder_and_all_or_none() {
    let output = Output::new();
    let destination = output.out.path().display().to_string();
    let s = S3Settings::default();
    let (artifacts, _) = output.run(&s, &destination).await.unwrap();
    let folder = output.out.path().join("job-1/output");
    assert_eq!(fs::read(folder.join("model/config")).unwrap(), b"{}");
    assert!(artifacts.iter().all(|a| Path::new(&a.uri).is_file()), "{artifacts:?}");
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|n| n.into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&folder), ["data", "model"]);
    // What a killed warden would have left.
    let half = folder.join(".model.belljar-unfinished");
    put(half.join("w"), "half");
    sweep_with(&s, &destination, &job(), &output.out.path().join("journal")).await.unwrap();
    assert_eq!(names(&folder), ["data", "model"]);
}
