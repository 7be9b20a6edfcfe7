//! Pipe mode, read as a container reads it: FIFO by FIFO.

use crate::fake_s3::FakeS3;
use belljar_domain::{
    Channel, Compression, DataType, InputMode, PipedChannel, RecordWrapper, StagedChannel,
};
use belljar_warden::failure::chain;
use belljar_warden::progress::Silent;
use belljar_warden::staging::{Pipes, S3Settings, StageIn, StageInError, stage_in};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn channel(uri: impl Into<String>) -> Channel {
    let files = Channel::files("train".parse().unwrap(), uri);
    Channel { input_mode: InputMode::Pipe, ..files }
}

struct Scene {
    data: TempDir,
    pipes: Pipes,
    staged: Vec<StagedChannel>,
}

async fn start(settings: &S3Settings, channels: &[Channel]) -> Result<Scene, StageInError> {
    let data = tempfile::tempdir().unwrap();
    let private = data.path().join("private");
    let request = StageIn { channels, data_dir: data.path(), private: &private, owner: None };
    let staged = stage_in(settings, &request, &Silent).await?;
    let pipes = Pipes::start(staged.pipes, data.path(), None)?;
    Ok(Scene { data, pipes, staged: staged.channels })
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    /// Reads a FIFO to its end, once it is there.
    async fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        blocking(move || {
            let mut bytes = Vec::new();
            open(&path).read_to_end(&mut bytes).unwrap();
            bytes
        })
        .await
    }

    /// Reads a few bytes, and closes.
    async fn peek(&self, name: &str, count: usize) -> Vec<u8> {
        let path = self.path(name);
        blocking(move || {
            let mut bytes = vec![0; count];
            open(&path).read_exact(&mut bytes).unwrap();
            bytes
        })
        .await
    }

    async fn finish(self) -> (PipedChannel, Option<StageInError>) {
        let (mut all, error) = self.pipes.finish().await;
        (all.remove(0).1, error)
    }
}

fn open(path: &Path) -> File {
    let begun = Instant::now();
    loop {
        match File::open(path) {
            Ok(file) => return file,
            Err(e) => assert!(begun.elapsed() < Duration::from_secs(30), "{}: {e}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = tokio::task::spawn_blocking(work);
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("a hang").unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn record(bytes: &[u8]) -> Vec<u8> {
    let mut out = 0xced7_230a_u32.to_le_bytes().to_vec();
    out.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

#[tokio::test]
async fn epochs_follow_each_other_as_their_reader_comes_to_them() {
    let big: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let server = FakeS3::start(&[("p/", b""), ("p/a", b"first,"), ("p/b", &big), ("p/c", b"!")]);
    let scene = start(&server.settings(), &[channel("s3://bucket/p")]).await.unwrap();
    let whole = [b"first,", &big[..], b"!"].concat();
    assert!(fs::metadata(scene.path("train_0")).unwrap().file_type().is_fifo());
    assert!(!scene.path("train_1").exists(), "the next one comes when this one is done");
    assert_eq!(scene.read("train_0").await, whole);
    assert!(scene.path("train_1").exists(), "whoever saw the end finds the next");
    // Closed early, which is no failure; then the next, in full.
    assert_eq!(scene.peek("train_1", 9).await, &whole[..9]);
    assert_eq!(scene.read("train_2").await, whole);
    assert!(!scene.path("train_0").exists());
    let (piped, error) = scene.finish().await;
    assert!(error.is_none());
    assert_eq!(piped.opened, 3);
    let all = whole.len() as u64;
    for (epoch, complete) in [(0, true), (1, false), (2, true)] {
        let told = &piped.epochs[epoch];
        assert_eq!((told.epoch, told.complete), (epoch as u64, complete));
        assert_eq!(told.size == all, complete);
        let size = usize::try_from(told.size).unwrap();
        assert_eq!(told.sha256, sha256(&whole[..size]), "the digest is of what was written");
    }
}

#[tokio::test]
async fn channels_are_independent_and_one_that_nobody_opens_costs_nothing() {
    let server = FakeS3::start(&[("a", b"1"), ("b", b"2")]);
    let mut channels = [channel("s3://bucket/a"), channel("s3://bucket/b")];
    channels[1].name = "test".parse().unwrap();
    let scene = start(&server.settings(), &channels).await.unwrap();
    let asked = server.requests();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.requests(), asked, "nothing is fetched for a FIFO that nobody opens");
    assert_eq!(scene.read("test_0").await, b"2");
    assert_eq!(scene.read("test_1").await, b"2");
    assert_eq!(scene.staged[0].pipe, Some(PipedChannel::default()));
    let begun = Instant::now();
    let (piped, error) = scene.finish().await;
    assert!(begun.elapsed() < Duration::from_secs(20) && error.is_none());
    assert_eq!(piped, PipedChannel::default());
}

#[tokio::test]
async fn framing_and_decompression() {
    let (text, twice) = (b"some text".repeat(10_000), [gzip(b"mem"), gzip(b"bers")].concat());
    let server = FakeS3::start(&[("p/1", &gzip(&text)), ("p/2", &twice), ("p/3", b"")]);
    for wrapper in [RecordWrapper::None, RecordWrapper::RecordIO] {
        let c = Channel {
            compression: Compression::Gzip,
            record_wrapper: wrapper,
            ..channel("s3://bucket/p/")
        };
        let scene = start(&server.settings(), &[c]).await.unwrap();
        let wanted = match wrapper {
            RecordWrapper::None => [&text[..], b"members"].concat(),
            RecordWrapper::RecordIO => [record(&text), record(b"members"), record(b"")].concat(),
        };
        assert_eq!(scene.read("train_0").await, wanted, "{wrapper:?}");
    }
    let plain = Channel { record_wrapper: RecordWrapper::RecordIO, ..channel("s3://bucket/p/2") };
    let scene = start(&server.settings(), &[plain]).await.unwrap();
    assert_eq!(scene.read("train_0").await, record(&twice));
}

#[tokio::test]
async fn a_shuffled_channel_has_another_order_in_each_epoch_and_the_same_in_each_run() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..50u8 {
        fs::write(dir.path().join(format!("{i:02}")), [i]).unwrap();
    }
    let uri = dir.path().display().to_string();
    let shuffled = Channel { shuffle_seed: Some(42), ..channel(&uri) };
    let mut runs = Vec::new();
    for c in [shuffled.clone(), shuffled, channel(format!("file://{uri}"))] {
        let scene = start(&S3Settings::default(), &[c]).await.unwrap();
        runs.push([scene.read("train_0").await, scene.read("train_1").await]);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0][0], runs[0][1]);
    let in_order: Vec<u8> = (0..50).collect();
    assert_eq!(runs[2], [in_order.clone(), in_order.clone()]);
    let mut sorted = runs[0][0].clone();
    sorted.sort_unstable();
    assert_eq!(sorted, in_order);
}

#[tokio::test]
async fn manifests_plain_and_augmented() {
    let lines = "{\"image-ref\": \"s3://bucket/i/1\", \"label\": 1}\n{\"label\": \"cat\", \"image-ref\": \"s3://bucket/i/2\"}\n";
    let server = FakeS3::start(&[
        ("m", br#"[{"prefix": "s3://bucket/i/"}, "2", "1", "2"]"#),
        ("am", lines.as_bytes()),
        ("i/1", b"one"),
        ("i/2", b"two"),
    ]);
    let s = server.settings();
    let plain = Channel { data_type: DataType::ManifestFile, ..channel("s3://bucket/m") };
    let scene = start(&s, &[plain]).await.unwrap();
    assert_eq!(scene.read("train_0").await, b"twoonetwo");
    let augmented = Channel {
        data_type: DataType::AugmentedManifestFile,
        attribute_names: vec!["image-ref".into(), "label".into()],
        ..channel("s3://bucket/am")
    };
    let framed = Channel { record_wrapper: RecordWrapper::RecordIO, ..augmented.clone() };
    let scene = start(&s, &[augmented]).await.unwrap();
    assert_eq!(scene.read("train_0").await, b"one1twocat");
    let scene = start(&s, &[framed]).await.unwrap();
    let wanted = [record(b"one"), record(b"1"), record(b"two"), record(b"cat")].concat();
    assert_eq!(scene.read("train_0").await, wanted);
}

#[tokio::test]
async fn data_that_breaks_off_is_a_failure_and_never_an_end() {
    let server =
        FakeS3::start(&[("m", br#"[{"prefix": "s3://bucket/"}, "a", "gone"]"#), ("a", b"1")]);
    let c = Channel { data_type: DataType::ManifestFile, ..channel("s3://bucket/m") };
    let mut scene = start(&server.settings(), &[c]).await.unwrap();
    let path = scene.path("train_0");
    let (seen, ended) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let (mut file, mut byte) = (open(&path), [0]);
        while file.read(&mut byte).unwrap() > 0 {
            seen.send(byte[0]).unwrap();
        }
    });
    let error = tokio::time::timeout(Duration::from_secs(30), scene.pipes.failed()).await.unwrap();
    assert!(chain(&error).contains("channel 'train'"), "{}", chain(&error));
    assert!(chain(&error).contains("s3://bucket/gone"), "{}", chain(&error));
    assert_eq!(ended.recv_timeout(Duration::from_secs(30)).unwrap(), b'1');
    std::thread::sleep(Duration::from_millis(100));
    assert!(!reader.is_finished(), "the reader must not see an end");
    let (piped, _) = scene.finish().await;
    assert!(!piped.epochs[0].complete);
    reader.join().unwrap();
}

#[tokio::test]
async fn what_is_not_compressed_is_named() {
    let server = FakeS3::start(&[("a", b"plain text")]);
    let c = Channel { compression: Compression::Gzip, ..channel("s3://bucket/a") };
    let mut scene = start(&server.settings(), &[c]).await.unwrap();
    let path = scene.path("train_0");
    let reader = std::thread::spawn(move || open(&path).read_to_end(&mut Vec::new()).unwrap());
    let error = tokio::time::timeout(Duration::from_secs(30), scene.pipes.failed()).await.unwrap();
    assert!(chain(&error).contains("'s3://bucket/a' cannot be decompressed"), "{}", chain(&error));
    scene.finish().await;
    reader.join().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_is_taken_up_again() {
    let big: Vec<u8> = (0..2_000_000u32).flat_map(u32::to_le_bytes).collect();
    let server = FakeS3::start(&[("big", &big)]);
    server.cut_bodies_at(1_500_000);
    let scene = start(&server.settings(), &[channel("s3://bucket/big")]).await.unwrap();
    assert_eq!(scene.read("train_0").await, big);
}
