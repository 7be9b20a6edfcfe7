//! Sharded channels: what several instances get of one, together and each for itself.

use crate::fake_s3::FakeS3;
use belljar_domain::{Channel, DataType, InputMode, PipedChannel, Shard, StagedFile};
use belljar_warden::progress::{Progress, Silent};
use belljar_warden::staging::{InputError, Pipes, S3Settings, StageIn, StagedIn, stage_in};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;

/// Instances of the jobs that are tried.
const COUNTS: std::ops::RangeInclusive<usize> = 1..=4;

fn channel(uri: impl Into<String>, data_type: DataType) -> Channel {
    let files = Channel::files("train".parse().unwrap(), uri);
    Channel { data_type, sharded: true, ..files }
}

fn piped(uri: impl Into<String>, data_type: DataType) -> Channel {
    Channel { input_mode: InputMode::Pipe, ..channel(uri, data_type) }
}

fn part(channel: &Channel, index: usize, count: usize) -> Channel {
    Channel { shard: Some(Shard { index, count }), ..channel.clone() }
}

/// Every `count`-th of `items`, from `index`.
fn dealt<T: Clone>(items: &[T], index: usize, count: usize) -> Vec<T> {
    items.iter().skip(index).step_by(count).cloned().collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

async fn stage(
    settings: &S3Settings,
    channel: Channel,
    progress: &dyn Progress,
) -> Result<(TempDir, StagedIn), InputError> {
    let data = tempfile::tempdir().unwrap();
    let private = data.path().join("private");
    let request =
        StageIn { channels: &[channel], data_dir: data.path(), private: &private, owner: None };
    let staged = stage_in(settings, &request, progress).await.map_err(|e| e.source)?;
    Ok((data, staged))
}

/// All that lies below `folder`, files with what is in them.
fn tree(folder: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.push((name, fs::read(&path).ok()));
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Stages in File mode, and holds what is reported against what is there, folders left out.
async fn files(settings: &S3Settings, channel: Channel) -> Vec<(String, Vec<u8>)> {
    let (data, staged) = stage(settings, channel, &Silent).await.unwrap();
    let there = tree(&data.path().join("train")).into_iter();
    let there: Vec<_> = there.filter_map(|(name, bytes)| Some((name, bytes?))).collect();
    let told = |(name, bytes): &(String, Vec<u8>)| StagedFile {
        path: name.clone(),
        size: bytes.len() as u64,
        sha256: sha256(bytes),
    };
    assert_eq!(staged.channels[0].files, there.iter().map(told).collect::<Vec<_>>());
    there
}

/// `order` is the names of the whole channel, in the order in which they are dealt out.
async fn files_are_dealt_out(settings: &S3Settings, whole: Channel, order: &[&str]) {
    let all = files(settings, whole.clone()).await;
    assert_eq!(all.len(), order.len());
    for count in COUNTS {
        let mut together = Vec::new();
        for index in 0..count {
            let part = part(&whole, index, count);
            let got = files(settings, part.clone()).await;
            assert_eq!(got, files(settings, part).await, "it is the same each time");
            let mut wanted = dealt(order, index, count);
            wanted.sort_unstable();
            let names: Vec<_> = got.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, wanted, "{index} of {count}");
            together.extend(got);
        }
        together.sort();
        assert_eq!(together, all, "{count} instances have all, and nothing twice");
    }
}

#[tokio::test]
async fn objects_below_a_prefix() {
    // What denotes a folder is no object: neither the prefix's own marker nor that of 'sub'.
    let server = FakeS3::start(&[
        ("p/", b""),
        ("p/a", b"1"),
        ("p/sub/", b""),
        ("p/sub-x", b"22"),
        ("p/sub/b", b"333"),
        ("p/sub/empty", b""),
        ("p/z", b"4444"),
        ("p/é", b"55555"),
    ]);
    let order = ["a", "sub-x", "sub/b", "sub/empty", "z", "é"];
    for uri in ["s3://bucket/p", "s3://bucket/p/"] {
        let whole = channel(uri, DataType::S3Prefix);
        files_are_dealt_out(&server.settings(), whole, &order).await;
    }
}

#[tokio::test]
async fn objects_of_a_manifest_in_its_order() {
    let manifest = br#"[{"prefix": "s3://bucket/p/"}, "d/c", "a", "b"]"#;
    let server = FakeS3::start(&[("m", manifest), ("p/a", b"1"), ("p/b", b"2"), ("p/d/c", b"3")]);
    let whole = channel("s3://bucket/m", DataType::ManifestFile);
    files_are_dealt_out(&server.settings(), whole, &["d/c", "a", "b"]).await;
}

#[tokio::test]
async fn files_of_a_folder_by_their_paths() {
    let source = tempfile::tempdir().unwrap();
    // The order of the paths as a whole, which is S3's, and not that of a walk.
    let order = ["a-b", "a/x", "a/y/z", "b", "c"];
    for (size, name) in order.iter().enumerate() {
        let path = source.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![b'.'; size]).unwrap();
    }
    let uri = source.path().display().to_string();
    for uri in [uri.clone(), format!("file://{uri}")] {
        let whole = channel(uri, DataType::S3Prefix);
        files_are_dealt_out(&S3Settings::default(), whole, &order).await;
    }
    let list = format!("[{{\"prefix\": \"{uri}/\"}}, \"c\", \"b\", \"a/x\"]");
    let manifest = source.path().join("manifest");
    fs::write(&manifest, list).unwrap();
    let whole = channel(manifest.display().to_string(), DataType::ManifestFile);
    files_are_dealt_out(&S3Settings::default(), whole, &["c", "b", "a/x"]).await;
}

#[tokio::test]
async fn a_folder_comes_with_its_files_and_an_empty_part_is_empty() {
    let source = tempfile::tempdir().unwrap();
    fs::create_dir_all(source.path().join("d/none")).unwrap();
    fs::write(source.path().join("d/x"), "1").unwrap();
    let whole = channel(source.path().display().to_string(), DataType::S3Prefix);
    let folder = |name: &str| (name.to_owned(), None);
    let file = ("d/x".to_owned(), Some(b"1".to_vec()));
    for (channel, wanted) in [
        (whole.clone(), vec![folder("d"), folder("d/none"), file.clone()]),
        (part(&whole, 0, 2), vec![folder("d"), file]),
        (part(&whole, 1, 2), vec![]),
    ] {
        let (data, _) = stage(&S3Settings::default(), channel, &Silent).await.unwrap();
        assert_eq!(tree(&data.path().join("train")), wanted);
    }
}

#[tokio::test]
async fn a_channel_without_objects_is_an_error_in_parts_too() {
    let server = FakeS3::start(&[("other", b"1")]);
    for whole in [channel, piped].map(|c| c("s3://bucket/p", DataType::S3Prefix)) {
        let staged = stage(&server.settings(), part(&whole, 1, 2), &Silent).await;
        assert!(matches!(staged.err(), Some(InputError::Nothing(_))));
    }
}

/// The last word on how much there is to be staged.
#[derive(Default)]
struct Total(Mutex<Option<u64>>);

impl Progress for Total {
    fn update(&self, _: &str, _: u64, total: Option<u64>) {
        *self.0.lock().unwrap() = total;
    }
}

#[tokio::test]
async fn progress_is_that_of_the_part() {
    let server = FakeS3::start(&[("p/a", b"1"), ("p/b", b"22"), ("p/c", b"333")]);
    let source = tempfile::tempdir().unwrap();
    for (name, text) in [("a", "1"), ("b", "22"), ("c", "333")] {
        fs::write(source.path().join(name), text).unwrap();
    }
    for uri in ["s3://bucket/p", source.path().to_str().unwrap()] {
        let total = Total::default();
        let half = part(&channel(uri, DataType::S3Prefix), 0, 2);
        stage(&server.settings(), half, &total).await.unwrap();
        assert_eq!(*total.0.lock().unwrap(), Some(4), "{uri}");
    }
}

const EPOCHS: usize = 3;

/// Reads a channel's first epochs, each to its end.
async fn epochs(settings: &S3Settings, channel: Channel) -> Vec<Vec<u8>> {
    let (data, staged) = stage(settings, channel, &Silent).await.unwrap();
    let pipes = Pipes::start(staged.pipes, data.path(), None).unwrap();
    let folder = data.path().to_owned();
    let read = move || -> Vec<_> {
        let path = |epoch| folder.join(format!("train_{epoch}"));
        (0..EPOCHS).map(|epoch| fs::read(path(epoch)).unwrap()).collect()
    };
    let reading = tokio::task::spawn_blocking(read);
    let limit = std::time::Duration::from_secs(60);
    let read = tokio::time::timeout(limit, reading).await.expect("a hang").unwrap();
    let (mut all, error) = pipes.finish().await;
    assert!(error.is_none(), "{error:?}");
    let PipedChannel { opened, epochs } = all.remove(0).1;
    assert_eq!(opened, EPOCHS as u64);
    for (told, bytes) in epochs.iter().zip(&read) {
        assert!(told.complete);
        assert_eq!((told.size, &told.sha256), (bytes.len() as u64, &sha256(bytes)));
    }
    read
}

/// A channel whose objects, or lines, are `size` bytes each, at most 8 and no two of them alike.
async fn streams_are_dealt_out(settings: &S3Settings, whole: Channel, size: usize) {
    for shuffle_seed in [None, Some(7)] {
        let whole = Channel { shuffle_seed, ..whole.clone() };
        let all = epochs(settings, whole.clone()).await;
        assert_eq!(all[0] == all[1], shuffle_seed.is_none(), "another order in each epoch");
        for count in COUNTS.chain([9]) {
            for index in 0..count {
                let got = epochs(settings, part(&whole, index, count)).await;
                for (epoch, (got, all)) in got.into_iter().zip(&all).enumerate() {
                    let items: Vec<_> = all.chunks(size).collect();
                    let wanted = dealt(&items, index, count).concat();
                    assert_eq!(got, wanted, "{index} of {count}, {shuffle_seed:?}, epoch {epoch}");
                    assert!(index < 8 || got.is_empty(), "more instances than objects");
                }
            }
        }
    }
}

fn server() -> FakeS3 {
    let lines: Vec<_> = "hgfedcba".chars().map(|c| format!("{{\"x\": \"{c}!\"}}")).collect();
    let manifest = br#"[{"prefix": "s3://bucket/p/"}, "7", "6", "5", "4", "3", "2", "1"]"#;
    let mut objects = vec![
        ("am".to_owned(), lines.join("\n").into_bytes()),
        ("m".to_owned(), manifest.to_vec()),
        ("p/".to_owned(), Vec::new()),
    ];
    objects.extend((1..9).map(|i| (format!("p/{i}"), i.to_string().into_bytes())));
    let objects: Vec<_> = objects.iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect();
    FakeS3::start(&objects)
}

#[tokio::test]
async fn streams_of_a_prefix() {
    // Without the slash its marker is listed too.
    let whole = piped("s3://bucket/p", DataType::S3Prefix);
    streams_are_dealt_out(&server().settings(), whole, 1).await;
}

#[tokio::test]
async fn streams_of_a_manifest() {
    let whole = piped("s3://bucket/m", DataType::ManifestFile);
    streams_are_dealt_out(&server().settings(), whole, 1).await;
}

#[tokio::test]
async fn streams_of_an_augmented_manifest_line_by_line() {
    let whole = piped("s3://bucket/am", DataType::AugmentedManifestFile);
    let whole = Channel { attribute_names: vec!["x".into()], ..whole };
    streams_are_dealt_out(&server().settings(), whole, 2).await;
}

#[tokio::test]
async fn streams_of_a_folder() {
    let source = tempfile::tempdir().unwrap();
    for i in 0..8u8 {
        fs::write(source.path().join(i.to_string()), [i]).unwrap();
    }
    let whole = piped(source.path().display().to_string(), DataType::S3Prefix);
    streams_are_dealt_out(&S3Settings::default(), whole, 1).await;
}
