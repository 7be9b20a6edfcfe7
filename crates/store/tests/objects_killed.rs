//! A writer of objects that is killed anywhere: what it was told is kept is there and whole, and
//! nothing is there in part.

#![expect(clippy::unwrap_used, reason = "a test")]

use belljar_store::objects::{
    Algorithm, Completion, Condition, Found, Meta, ObjectError, Objects, Query,
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const FOLDER: &str = "BELLJAR_TEST_OBJECTS";
const ROUND: &str = "BELLJAR_TEST_ROUND";
const ROUNDS: u64 = 12;
const WRITERS: u64 = 8;

/// The bytes of a version of a key: the version, again and again.
fn content(version: u64, size: usize) -> Vec<u8> {
    version.to_be_bytes().into_iter().cycle().take(size).collect()
}

async fn put(objects: &Objects, key: &str, version: u64, size: usize) -> Result<(), ObjectError> {
    let mut incoming = objects.receive(&[Algorithm::Crc32]);
    for piece in content(version, size).chunks(50_000) {
        incoming.push(Bytes::copy_from_slice(piece)).await?;
    }
    let received = incoming.finish().await?;
    objects.put("b".into(), key.into(), received, Meta::default(), Condition::None).await?;
    Ok(())
}

async fn put_in_parts(objects: &Objects, key: &str, version: u64) -> Result<usize, ObjectError> {
    let id = objects.create_upload("b".into(), key.into(), Meta::default()).await?;
    let upload = ("b".to_owned(), key.to_owned(), id);
    let sizes = [5 << 20, 1000];
    let mut parts = Vec::new();
    for (number, size) in (1..).zip(sizes) {
        let mut incoming = objects.receive_part(&[]);
        incoming.push(content(version, size).into()).await?;
        let received = incoming.finish().await?;
        parts.push((number, received.etag(), BTreeMap::new()));
        objects.put_part(upload.clone(), number, received).await?;
    }
    objects.complete_upload(upload, Completion { parts, ..Completion::default() }).await?;
    Ok(sizes.iter().sum())
}

/// Not a test of its own: the process that [`acknowledged_objects_survive_a_kill`] kills.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let objects = Objects::open(Path::new(&folder)).unwrap();
        let _ = objects.create_bucket("b".into()).await;
        let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
        let one = |writer: u64| {
            let objects = objects.clone();
            async move {
                let mut version: u64 = (round + 1) << 32 | writer << 24;
                loop {
                    version += 1;
                    let key = format!("{writer}/{}", version % 5);
                    let size = match version % 4 {
                        0 => put_in_parts(&objects, &key, version).await.unwrap(),
                        more => {
                            let size = 10_usize.pow(2 * u32::try_from(more).unwrap());
                            put(&objects, &key, version, size).await.unwrap();
                            size
                        }
                    };
                    // Whole lines, in one write.
                    let line = format!("\nkept {key} {version} {size}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            }
        };
        futures(WRITERS, one).await;
    });
}

async fn futures<F: Future<Output = ()> + Send + 'static>(count: u64, one: impl Fn(u64) -> F) {
    let tasks: Vec<_> = (0..count).map(|writer| tokio::spawn(one(writer))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn acknowledged_objects_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut kept: HashMap<String, (u64, usize)> = HashMap::new();
    let mut lines = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let heard = Arc::new(AtomicUsize::new(0));
        let hears = heard.clone();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(150 + 67 * round % 400));
            // On a busy machine it may not have begun by then.
            for _ in 0..20_000 {
                if hears.load(Ordering::Relaxed) > 1 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["kept", key, version, size] = words[..]
                && line.ends_with('\n')
            {
                let (version, size) = (version.parse().unwrap(), size.parse().unwrap());
                kept.insert(key.to_owned(), (version, size));
                lines += 1;
                heard.fetch_add(1, Ordering::Relaxed);
            }
            line.clear();
        }
        killer.join().unwrap();
        runtime.block_on(check(folder.path(), &kept));
    }
    assert!(lines > ROUNDS, "the writers wrote: {lines}");
}

async fn check(folder: &Path, kept: &HashMap<String, (u64, usize)>) {
    let objects = Objects::open(folder).unwrap();
    let listing = match objects.list("b", &Query { limit: 1000, ..Query::default() }) {
        Err(ObjectError::NoSuchBucket) if kept.is_empty() => return,
        other => other.unwrap(),
    };
    let mut found = HashMap::new();
    for entry in &listing.entries {
        let Found { info, body } = objects.get("b", entry.name()).unwrap();
        let mut bytes = Vec::new();
        let mut chunks = body.chunks(0..info.size);
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        let version = u64::from_be_bytes(bytes[..8].try_into().unwrap());
        // Parts begin anew.
        let whole = content(version, bytes.len());
        assert!(bytes == whole, "{} is whole", entry.name());
        found.insert(entry.name().to_owned(), (version, bytes.len()));
    }
    for (key, (version, size)) in kept {
        let (newest, found_size) = found[key];
        // A later one may have been kept without our having heard. Versions of a key grow.
        let same = (newest, found_size) == (*version, *size);
        assert!(same || newest > *version, "{key} is {newest:x}, and {version:x} was kept");
    }
    let named = objects_on_disk(folder);
    assert!(named.1 == 0, "nothing half written stays: {named:?}");
}

/// Files below `blobs`, and below `tmp`.
fn objects_on_disk(folder: &Path) -> (usize, usize) {
    let count = |path: &Path| std::fs::read_dir(path).unwrap().count();
    let blobs = std::fs::read_dir(folder.join("blobs")).unwrap();
    (blobs.map(|folder| count(&folder.unwrap().path())).sum(), count(&folder.join("tmp")))
}
