//! Staging from and to local folders.

use belljar_domain::{Channel, JobName, OutputCompression, StagedChannel};
use belljar_warden::failure::{Explain, Failure};
use belljar_warden::progress::Silent;
use belljar_warden::staging::{
    InputError, Owner, S3Settings, StageIn, StageInError, StageOut, StageOutError, check_output,
    put_file, stage_out, sweep,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn channel(uri: impl AsRef<Path>) -> Channel {
    let uri = uri.as_ref().display().to_string();
    Channel::files("train".parse().unwrap(), uri)
}

fn job() -> JobName {
    "job-1".parse().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn put(path: PathBuf, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn stage_in(
    channels: &[Channel],
    data_dir: &Path,
    owner: Option<Owner>,
) -> Result<Vec<StagedChannel>, StageInError> {
    let request = StageIn { channels, data_dir, private: data_dir, owner };
    let settings = S3Settings::default();
    let staged = belljar_warden::staging::stage_in(&settings, &request, &Silent).await?;
    Ok(staged.channels)
}

async fn check_inputs(channels: &[Channel], data_dir: &Path) -> Result<(), StageInError> {
    belljar_warden::staging::check_inputs(&S3Settings::default(), channels, data_dir).await
}

async fn bring_in(uri: impl AsRef<Path>) -> Result<(TempDir, StagedChannel), StageInError> {
    let data = tempfile::tempdir().unwrap();
    let mut staged = stage_in(&[channel(uri)], data.path(), None).await?;
    Ok((data, staged.remove(0)))
}

async fn refused(uri: impl AsRef<Path>) -> InputError {
    bring_in(uri).await.unwrap_err().source
}

#[tokio::test]
async fn a_folder_keeps_its_tree_and_every_file_its_digest() {
    let source = tempfile::tempdir().unwrap();
    let big: Vec<u8> = (0..700_000u32).flat_map(u32::to_le_bytes).collect();
    put(source.path().join("b/c/big"), &big);
    put(source.path().join("a.py"), "print()");
    fs::set_permissions(source.path().join("a.py"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(source.path().join("empty")).unwrap();
    for uri in [
        source.path().to_owned(),
        source.path().join(""),
        format!("file://{}", source.path().display()).into(),
    ] {
        let (data, staged) = bring_in(uri).await.unwrap();
        let got: Vec<_> =
            staged.files.iter().map(|f| (f.path.as_str(), f.size, f.sha256.clone())).collect();
        let wanted = [("a.py", 7, sha256(b"print()")), ("b/c/big", big.len() as u64, sha256(&big))];
        assert_eq!(got, wanted);
        let train = data.path().join("train");
        assert_eq!(fs::read(train.join("b/c/big")).unwrap(), big);
        assert!(train.join("empty").is_dir());
        let mode = |p: &str| fs::metadata(train.join(p)).unwrap().mode() & 0o7777;
        assert_eq!((mode("a.py"), mode("b/c"), mode("")), (0o644, 0o755, 0o755));
    }
}

#[tokio::test]
async fn a_single_file_keeps_its_base_name_also_behind_a_link() {
    let source = tempfile::tempdir().unwrap();
    put(source.path().join("x/sourcedir.tar.gz"), "code");
    symlink("x/sourcedir.tar.gz", source.path().join("latest.tar.gz")).unwrap();
    let (_data, staged) = bring_in(source.path().join("x/sourcedir.tar.gz")).await.unwrap();
    assert_eq!(staged.files[0].path, "sourcedir.tar.gz");
    let (_data, staged) = bring_in(source.path().join("latest.tar.gz")).await.unwrap();
    assert_eq!(staged.files[0].path, "latest.tar.gz");
}

#[tokio::test]
async fn everything_belongs_to_the_owner() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can give files away.
    }
    let (source, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(source.path().join("d/a"), "1");
    let owner = Some(Owner { uid: 61_234, gid: 61_235 });
    stage_in(&[channel(source.path())], data.path(), owner).await.unwrap();
    for path in ["train", "train/d", "train/d/a"] {
        let found = fs::metadata(data.path().join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (61_234, 61_235), "{path}");
    }
}

#[tokio::test]
async fn a_second_try_does_the_same() {
    let (source, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(source.path().join("a"), "1");
    put(data.path().join("train/stale"), "2");
    for _ in 0..2 {
        stage_in(&[channel(source.path())], data.path(), None).await.unwrap();
    }
    assert!(!data.path().join("train/stale").exists());
    assert_eq!(fs::read(data.path().join("train/a")).unwrap(), b"1");
}

#[tokio::test]
async fn links_are_followed_inside_and_refused_outside() {
    let (source, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(other.path().join("secret"), "s");
    put(source.path().join("data/a"), "1");
    symlink("data/a", source.path().join("link")).unwrap();
    symlink(source.path().join("data"), source.path().join("folder")).unwrap();
    let (data, staged) = bring_in(source.path()).await.unwrap();
    let names: Vec<_> = staged.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(names, ["data/a", "folder/a", "link"]);
    assert!(!fs::symlink_metadata(data.path().join("train/link")).unwrap().is_symlink());

    symlink(other.path().join("secret"), source.path().join("out")).unwrap();
    let error = refused(source.path()).await;
    assert!(matches!(&error, InputError::LinkOut { link, .. } if link.ends_with("/out")));
    fs::remove_file(source.path().join("out")).unwrap();
    symlink("..", source.path().join("data/up")).unwrap();
    assert!(matches!(refused(source.path()).await, InputError::LinkCycle(_)));
}

#[tokio::test]
async fn what_is_no_data_is_refused_by_name() {
    let source = tempfile::tempdir().unwrap();
    let here = source.path();
    let missing = refused(here.join("missing")).await;
    assert!(matches!(&missing, InputError::Nothing(p) if p.ends_with("missing")));
    put(here.join("a/x"), "1");
    assert!(matches!(refused(here.join("a/x/y")).await, InputError::Nothing(_)));
    let fifo = here.join("a/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(matches!(refused(here).await, InputError::Special(p) if p.ends_with("fifo")));
    fs::remove_file(fifo).unwrap();
    put(here.join("a").join(OsStr::from_bytes(b"\xff")), "1");
    assert!(matches!(refused(here).await, InputError::NotUtf8(_)));
    assert!(matches!(refused("https://example.com/x").await, InputError::Location(_)));
}

#[tokio::test]
async fn endless_depth_is_bounded() {
    let source = tempfile::tempdir().unwrap();
    let deep: PathBuf = std::iter::repeat_n("d", 140).collect();
    put(source.path().join(deep).join("x"), "1");
    assert!(matches!(refused(source.path()).await, InputError::Limit { .. }));
}

#[tokio::test]
async fn errors_speak_as_the_service_does_and_carry_a_hint() {
    let error = bring_in("/nowhere/at/all").await.unwrap_err();
    assert!(error.hint().is_some());
    let failure = Failure::from(error);
    let reason = failure.blame.reason(&failure.text);
    assert_eq!(
        reason,
        "ClientError: Data download failed: channel 'train': there is nothing at '/nowhere/at/all'"
    );
}

#[tokio::test]
async fn a_channel_that_holds_its_own_target_is_refused_before_anything_is_copied() {
    let source = tempfile::tempdir().unwrap();
    put(source.path().join("a"), "1");
    let data = source.path().join("state/job/data");
    let error = check_inputs(&[channel(source.path())], &data).await.unwrap_err();
    assert!(matches!(error.source, InputError::Inside(_)));
    let other = tempfile::tempdir().unwrap();
    check_inputs(&[channel(source.path())], other.path()).await.unwrap();
}

/// A container's `/opt/ml`, and where its results go.
struct Bench {
    ml: TempDir,
    out: TempDir,
    journal: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = || tempfile::tempdir().unwrap();
        let bench = Self { ml: dir(), out: dir(), journal: dir() };
        fs::create_dir_all(bench.ml.path().join("model")).unwrap();
        fs::create_dir_all(bench.ml.path().join("output/data")).unwrap();
        bench
    }

    async fn run(&self) -> Result<(Vec<belljar_domain::Artifact>, Vec<String>), StageOutError> {
        let request = StageOut {
            ml_dir: self.ml.path(),
            destination: self.out.path().to_str().unwrap(),
            job: &job(),
            compression: OutputCompression::Gzip,
            journal: self.journal.path(),
        };
        stage_out(&request, &Silent).await
    }

    fn model(&self) -> PathBuf {
        self.out.path().join("job-1/output/model.tar.gz")
    }

    /// Every file that is in the output now.
    fn left(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = vec![self.out.path().to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path.clone());
                }
                found.push(path);
            }
        }
        found
    }
}

type Entry = (tar::EntryType, Vec<u8>, Option<Vec<u8>>);

fn unpack(path: &Path) -> BTreeMap<Vec<u8>, Entry> {
    let mut archive =
        tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(path).unwrap()));
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        let link = entry.link_name_bytes().map(|l| l.to_vec());
        let (name, kind) = (entry.path_bytes().to_vec(), entry.header().entry_type());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, (kind, content, link))
    };
    archive.entries().unwrap().map(read).collect()
}

#[tokio::test]
async fn artifacts_hold_what_the_container_left_and_nothing_it_points_at() {
    let bench = Bench::new();
    let model = bench.ml.path().join("model");
    let long = "x".repeat(200);
    put(model.join("weights"), [7; 300_000]);
    put(model.join(&long).join(&long), "long");
    put(model.join(OsStr::from_bytes(b"\xff\xfe")), "bytes");
    symlink("/etc/passwd", model.join("passwd")).unwrap();
    symlink("/etc", model.join("etc")).unwrap();
    fs::hard_link(model.join("weights"), model.join("again")).unwrap();
    let fifo = model.join("fifo\n\u{1b}[2J");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, rustix::fs::Mode::RWXU, 0).unwrap();
    put(bench.ml.path().join("output/data/curve.csv"), "1,2");

    let (artifacts, warnings) = bench.run().await.unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("fifo") && warnings[0].contains("a FIFO"));
    assert!(!warnings[0].contains('\u{1b}'), "a name must not steer the terminal");
    let bytes = fs::read(bench.model()).unwrap();
    assert_eq!(artifacts[0].sha256, sha256(&bytes));
    assert_eq!(artifacts[0].size, bytes.len() as u64);
    assert_eq!(artifacts[0].uri, bench.model().display().to_string());
    assert_eq!(artifacts[1].name, "output.tar.gz");

    let entries = unpack(&bench.model());
    assert_eq!(entries.len(), 7);
    assert_eq!(entries[b"weights".as_slice()].1, [7; 300_000]);
    assert_eq!(entries[b"again".as_slice()].1.len(), 300_000);
    assert_eq!(entries[b"\xff\xfe".as_slice()].1, b"bytes");
    assert_eq!(entries[format!("{long}/{long}").as_bytes()].1, b"long");
    let passwd = &entries[b"passwd".as_slice()];
    assert_eq!((passwd.0, passwd.1.len()), (tar::EntryType::Symlink, 0));
    assert_eq!(passwd.2.as_deref(), Some(b"/etc/passwd".as_slice()));
    assert_eq!(entries[b"etc".as_slice()].0, tar::EntryType::Symlink);
}

#[tokio::test]
async fn equal_folders_give_equal_archives() {
    let (one, two) = (Bench::new(), Bench::new());
    for (bench, order) in [(&one, ["a", "b", "c"]), (&two, ["c", "a", "b"])] {
        for name in order {
            put(bench.ml.path().join("model").join(name), name);
            let file = fs::File::open(bench.ml.path().join("model").join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    }
    let (first, second) = (one.run().await.unwrap(), two.run().await.unwrap());
    assert_eq!(first.0[0].sha256, second.0[0].sha256);
}

#[tokio::test]
async fn an_empty_model_is_an_archive_with_a_warning_and_empty_output_is_none() {
    let bench = Bench::new();
    let (artifacts, warnings) = bench.run().await.unwrap();
    assert_eq!(artifacts.len(), 1);
    assert!(warnings[0].contains("/opt/ml/model"));
    assert!(unpack(&bench.model()).is_empty());
}

#[tokio::test]
async fn a_link_in_place_of_a_folder_gives_nothing_away() {
    let (bench, other) = (Bench::new(), tempfile::tempdir().unwrap());
    put(other.path().join("data/secret"), "s");
    put(other.path().join("secret"), "s");
    fs::remove_dir(bench.ml.path().join("model")).unwrap();
    symlink(other.path(), bench.ml.path().join("model")).unwrap();
    fs::remove_dir_all(bench.ml.path().join("output")).unwrap();
    symlink(other.path(), bench.ml.path().join("output")).unwrap();
    let (artifacts, _) = bench.run().await.unwrap();
    assert_eq!(artifacts.len(), 1);
    assert!(unpack(&bench.model()).is_empty());
}

#[tokio::test]
async fn a_failure_leaves_nothing_behind() {
    let bench = Bench::new();
    put(bench.ml.path().join("model/good"), "1");
    let deep: PathBuf = std::iter::repeat_n("d", 140).collect();
    put(bench.ml.path().join("output/data").join(deep).join("x"), "1");
    let error = bench.run().await.unwrap_err();
    assert!(matches!(error, StageOutError::Limit { .. }), "{error:?}");
    assert_eq!(bench.left(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_bomb_of_holes_is_refused_without_reading_it() {
    let bench = Bench::new();
    let file = fs::File::create(bench.ml.path().join("model/bomb")).unwrap();
    file.set_len(1 << 42).unwrap();
    let error = bench.run().await.unwrap_err();
    assert!(matches!(error, StageOutError::Limit { what: "bytes", .. }), "{error:?}");
    assert_eq!(bench.left(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_a_killed_warden_left_is_swept_and_what_is_whole_stays() {
    let bench = Bench::new();
    let output = bench.out.path().join("job-1/output");
    put(output.join(".model.tar.gz.belljar-unfinished"), "half");
    let destination = bench.out.path().to_str().unwrap();
    for _ in 0..2 {
        sweep(destination, &job(), bench.journal.path()).await.unwrap();
        assert_eq!(bench.left(), Vec::<PathBuf>::new());
    }
    put(output.join(".output.tar.gz.belljar-unfinished"), "half");
    put(output.join("model.tar.gz"), "whole");
    sweep(destination, &job(), bench.journal.path()).await.unwrap();
    assert!(output.join("model.tar.gz").exists());
    assert_eq!(fs::read_dir(&output).unwrap().count(), 1);
}

#[tokio::test]
async fn results_of_a_job_are_never_overwritten() {
    let bench = Bench::new();
    let destination = bench.out.path().to_str().unwrap();
    check_output(destination, &job()).await.unwrap();
    check_output(&format!("{destination}/not/yet"), &job()).await.unwrap();
    bench.run().await.unwrap();
    let error = check_output(destination, &job()).await.unwrap_err();
    assert!(matches!(error, StageOutError::Exists(_)));
    assert!(error.hint().unwrap().contains("--job-name"));
    put(bench.out.path().join("file"), "");
    let error = check_output(&format!("{destination}/file"), &job()).await.unwrap_err();
    assert!(matches!(error, StageOutError::File(_)), "{error:?}");
}

#[tokio::test]
async fn a_small_file_is_put_whole() {
    let bench = Bench::new();
    let destination = bench.out.path().to_str().unwrap();
    let below = "job-1/evidence/algo-1.intoto.json";
    for text in ["one", "two"] {
        let uri = put_file(destination, below, text.into()).await.unwrap();
        assert_eq!(fs::read_to_string(uri).unwrap(), text);
    }
    assert_eq!(fs::read_dir(bench.out.path().join("job-1/evidence")).unwrap().count(), 1);
}

/// `BELLJAR_BENCH_SOURCE=<folder> BELLJAR_BENCH_TARGET=<folder> cargo test --release -p belljar-warden
/// --test staging -- --ignored --nocapture copy_speed`, against `cp -r` of the same folder.
#[tokio::test]
#[ignore = "measures"]
async fn copy_speed() {
    let source = std::env::var("BELLJAR_BENCH_SOURCE").unwrap();
    let target = std::env::var("BELLJAR_BENCH_TARGET").unwrap();
    let begun = std::time::Instant::now();
    let staged = stage_in(&[channel(source)], Path::new(&target), None).await.unwrap();
    println!("staged {} files in {:?}", staged[0].files.len(), begun.elapsed());
}
