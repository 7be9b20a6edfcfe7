use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

fn store() -> (tempfile::TempDir, Objects) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(&folder.path().join("objects")).unwrap();
    (folder, objects)
}

async fn received(objects: &Objects, bytes: &[u8], algorithms: &[Algorithm]) -> Received {
    let mut incoming = objects.receive(algorithms);
    for piece in bytes.chunks(10_000) {
        incoming.push(bytes::Bytes::copy_from_slice(piece)).await.unwrap();
    }
    incoming.finish().await.unwrap()
}

async fn put(objects: &Objects, key: &str, bytes: &[u8]) -> Info {
    let received = received(objects, bytes, &[Algorithm::Crc32]).await;
    let put = objects.put("b".into(), key.into(), received, Meta::default(), Condition::None);
    put.await.unwrap()
}

async fn all(body: Body, size: u64) -> Vec<u8> {
    let mut chunks = body.chunks(0..size);
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    bytes
}

async fn get(objects: &Objects, key: &str) -> Vec<u8> {
    let Found { info, body } = objects.get("b", key).unwrap();
    all(body, info.size).await
}

/// Bytes that differ everywhere.
fn bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

fn blobs(folder: &Path) -> usize {
    let folders = std::fs::read_dir(folder.join("objects/blobs")).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

#[tokio::test]
async fn what_is_put_is_got_at_every_size_that_matters() {
    let (folder, objects) = store();
    objects.create_bucket("b".into()).await.unwrap();
    for size in [0, 1, MAX_INLINE - 1, MAX_INLINE, MAX_INLINE + 1, 3_000_000] {
        let bytes = bytes(size, size as u64);
        let info = put(&objects, "k", &bytes).await;
        assert_eq!(info.size, size as u64);
        assert!(get(&objects, "k").await == bytes, "{size}");
        assert_eq!(blobs(folder.path()), usize::from(size > MAX_INLINE), "{size}");
    }
    objects.delete("b".into(), "k".into(), Condition::None).await.unwrap();
    assert!(matches!(objects.get("b", "k"), Err(ObjectError::NoSuchKey)));
    assert_eq!(blobs(folder.path()), 0);
}

#[tokio::test]
async fn a_reader_keeps_what_it_began_to_read() {
    let (folder, objects) = store();
    objects.create_bucket("b".into()).await.unwrap();
    let first = bytes(2_000_000, 1);
    put(&objects, "k", &first).await;
    let found = objects.get("b", "k").unwrap();
    put(&objects, "k", &bytes(2_000_000, 2)).await;
    objects.delete("b".into(), "k".into(), Condition::None).await.unwrap();
    assert_eq!(blobs(folder.path()), 1, "what is read stays, what is not goes");
    assert!(all(found.body, 2_000_000).await == first);
    assert_eq!(blobs(folder.path()), 0, "it goes with its last reader");
}

#[tokio::test]
async fn a_range_is_those_bytes() {
    let (_folder, objects) = store();
    objects.create_bucket("b".into()).await.unwrap();
    for size in [1000_usize, 1_500_000] {
        let bytes = bytes(size, 3);
        put(&objects, "k", &bytes).await;
        for range in [0..size, 0..1, 10..20, size - 1..size, size / 3..size / 3 * 2, 5..5] {
            let body = objects.get("b", "k").unwrap().body;
            let mut chunks = body.chunks(range.start as u64..range.end as u64);
            let mut got = Vec::new();
            while let Some(chunk) = chunks.next().await {
                got.extend_from_slice(&chunk.unwrap());
            }
            assert!(got == bytes[range.clone()], "{size} {range:?}");
        }
    }
}

#[tokio::test]
async fn conditions_of_writes() {
    let (_folder, objects) = store();
    objects.create_bucket("b".into()).await.unwrap();
    let put = async |condition| {
        let received = received(&objects, b"x", &[]).await;
        objects.put("b".into(), "k".into(), received, Meta::default(), condition).await
    };
    let etag = |text: &str| Condition::Matches(text.to_owned());
    assert!(matches!(put(etag("*")).await, Err(ObjectError::NoSuchKey)));
    let info = put(Condition::Absent).await.unwrap();
    assert!(matches!(put(Condition::Absent).await, Err(ObjectError::Precondition(_))));
    assert!(matches!(put(etag("other")).await, Err(ObjectError::Precondition(_))));
    put(etag(&info.etag)).await.unwrap();
    put(etag("*")).await.unwrap();
    let (a, b) = (objects.clone(), objects.clone());
    objects.delete("b".into(), "k".into(), Condition::None).await.unwrap();
    let race = async |objects: Objects| {
        let received = received(&objects, b"x", &[]).await;
        let put = objects.put("b".into(), "k".into(), received, Meta::default(), Condition::Absent);
        put.await.is_ok()
    };
    let (a, b) = tokio::join!(race(a), race(b));
    assert!(a != b, "one of two wins");
}

#[tokio::test]
async fn a_copy_shares_the_bytes() {
    let (folder, objects) = store();
    objects.create_bucket("b".into()).await.unwrap();
    let large = bytes(500_000, 4);
    put(&objects, "large", &large).await;
    put(&objects, "small", b"small").await;
    let copy = async |from: &str, to: &str| {
        let (from, to) = (("b".into(), from.into()), ("b".into(), to.into()));
        let change = |info: &Info| Ok::<_, ObjectError>(info.meta.clone());
        objects.copy(from, to, Condition::None, change).await
    };
    copy("large", "large2").await.unwrap();
    copy("large", "large").await.unwrap();
    copy("small", "small2").await.unwrap();
    assert_eq!(blobs(folder.path()), 1);
    for key in ["large", "small"] {
        objects.delete("b".into(), key.into(), Condition::None).await.unwrap();
    }
    assert!(get(&objects, "large2").await == large);
    assert_eq!(get(&objects, "small2").await, b"small");
    assert!(matches!(copy("gone", "x").await, Err(ObjectError::NoSuchKey)));
    objects.delete("b".into(), "large2".into(), Condition::None).await.unwrap();
    assert_eq!(blobs(folder.path()), 0);
}

async fn part(objects: &Objects, id: &str, number: u32, bytes: &[u8]) -> String {
    let mut incoming = objects.receive_part(&[Algorithm::Crc64Nvme]);
    incoming.push(bytes::Bytes::copy_from_slice(bytes)).await.unwrap();
    let received = incoming.finish().await.unwrap();
    let etag = received.etag();
    let upload = ("b".to_owned(), "k".to_owned(), id.to_owned());
    objects.put_part(upload, number, received).await.unwrap();
    etag
}

#[tokio::test]
async fn an_upload_in_parts() {
    let (folder, objects) = store();
    objects.create_bucket("b".into()).await.unwrap();
    put(&objects, "k", b"before").await;
    let meta = Meta { algorithm: Some(Algorithm::Crc64Nvme), ..Meta::default() };
    let id = objects.create_upload("b".into(), "k".into(), meta).await.unwrap();
    let size = usize::try_from(MIN_PART).unwrap();
    let (one, two) = (bytes(size, 5), bytes(10, 6));
    part(&objects, &id, 1, b"replaced").await;
    let first = part(&objects, &id, 1, &one).await;
    let unused = part(&objects, &id, 2, b"unused").await;
    let last = part(&objects, &id, 7, &two).await;
    assert_eq!(get(&objects, "k").await, b"before", "not yet visible");
    assert_eq!(blobs(folder.path()), 3);

    let complete = async |parts: &[(u32, &String)]| {
        let parts = parts.iter().map(|(n, etag)| (*n, (*etag).clone(), BTreeMap::new())).collect();
        let upload = ("b".to_owned(), "k".to_owned(), id.clone());
        objects.complete_upload(upload, Completion { parts, ..Completion::default() }).await
    };
    assert!(matches!(complete(&[(1, &last)]).await, Err(ObjectError::InvalidPart(1))));
    assert!(matches!(complete(&[(3, &last)]).await, Err(ObjectError::InvalidPart(3))));
    let small = complete(&[(2, &unused), (7, &last)]).await;
    assert!(matches!(small, Err(ObjectError::PartTooSmall(2))));

    let info = complete(&[(1, &first), (7, &last)]).await.unwrap();
    assert!(info.etag.ends_with("-2"));
    let whole = [one, two].concat();
    let mut hasher = sums::Hasher::new(&[Algorithm::Crc64Nvme]);
    hasher.update(&whole);
    let sum = base64(&hasher.finish().1[&Algorithm::Crc64Nvme]);
    assert_eq!(info.meta.sums[&Algorithm::Crc64Nvme], sum, "of the whole, from the parts");
    assert!(get(&objects, "k").await == whole);
    assert_eq!(blobs(folder.path()), 2, "what was not joined is gone");
    assert_eq!(complete(&[(1, &first)]).await.unwrap(), info, "once more");
    let body = objects.get("b", "k").unwrap().body;
    assert_eq!(body.part(7), Some(MIN_PART..MIN_PART + 10));
    assert_eq!(body.part(2), None);

    let other = objects.create_upload("b".into(), "k".into(), Meta::default()).await.unwrap();
    part(&objects, &other, 1, b"x").await;
    assert_eq!(blobs(folder.path()), 3);
    objects.abort_upload("b".into(), "k".into(), other.clone()).await.unwrap();
    assert_eq!(blobs(folder.path()), 2);
    assert!(matches!(objects.upload("b", "k", &other), Err(ObjectError::NoSuchUpload)));
}

#[tokio::test]
async fn buckets_go_only_empty() {
    let (_folder, objects) = store();
    assert!(matches!(objects.list("b", &Query::default()), Err(ObjectError::NoSuchBucket)));
    objects.create_bucket("b".into()).await.unwrap();
    assert!(matches!(objects.create_bucket("b".into()).await, Err(ObjectError::BucketExists)));
    put(&objects, "k", b"").await;
    assert!(matches!(objects.delete_bucket("b".into()).await, Err(ObjectError::BucketNotEmpty)));
    objects.delete("b".into(), "k".into(), Condition::None).await.unwrap();
    objects.delete_bucket("b".into()).await.unwrap();
    assert!(matches!(objects.bucket_exists("b"), Err(ObjectError::NoSuchBucket)));
}

#[tokio::test]
async fn a_start_sweeps_what_no_row_names() {
    let (folder, objects) = store();
    objects.create_bucket("b".into()).await.unwrap();
    let kept = bytes(100_000, 7);
    put(&objects, "k", &kept).await;
    // Durable, but the row never came; and one that was still being written.
    let blob = received(&objects, &bytes(100_000, 8), &[]).await;
    blob.keep();
    let (_, file) = objects.blobs.create().unwrap();
    drop((objects, file));
    let root = folder.path().join("objects");
    assert_eq!(blobs(folder.path()), 2);
    let foreign = root.join("blobs/00/README");
    std::fs::write(&foreign, "not ours").unwrap();
    let objects = Objects::open(&root).unwrap();
    std::fs::remove_file(&foreign).unwrap();
    assert_eq!(blobs(folder.path()), 1);
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0);
    assert!(get(&objects, "k").await == kept);
}

#[tokio::test]
async fn who_gives_up_leaves_nothing() {
    let (folder, objects) = store();
    objects.create_bucket("b".into()).await.unwrap();
    drop(received(&objects, &bytes(100_000, 9), &[]).await);
    let gone = received(&objects, &bytes(100_000, 9), &[]).await;
    let put = objects.put("no".into(), "k".into(), gone, Meta::default(), Condition::None);
    assert!(matches!(put.await, Err(ObjectError::NoSuchBucket)));
    let mut incoming = objects.receive(&[]);
    incoming.push(bytes::Bytes::from(vec![0; 3 << 20])).await.unwrap();
    drop(incoming);
    tokio::task::spawn_blocking(|| ()).await.unwrap();
    assert_eq!(blobs(folder.path()), 0);
}

/// What S3 says a listing is, in the plainest words: everything is listed, then cut.
fn reference(keys: &BTreeSet<String>, query: &Query) -> Vec<String> {
    let after = |key: &String| match &query.from {
        Some(Bound::Included(from)) => key.as_bytes() >= from.as_slice(),
        Some(Bound::Excluded(from)) => key.as_bytes() > from.as_slice(),
        _ => true,
    };
    let fold = |key: &String| {
        let rest = &key[query.prefix.len()..];
        match rest.find(&query.delimiter) {
            Some(at) if !query.delimiter.is_empty() => {
                key[..query.prefix.len() + at + query.delimiter.len()].to_owned()
            }
            _ => key.clone(),
        }
    };
    let matching = keys.iter().filter(|key| key.starts_with(&query.prefix) && after(key));
    let mut names: Vec<String> = matching.map(fold).collect();
    names.dedup();
    names
}

fn names(listing: &Listing) -> Vec<String> {
    listing.entries.iter().map(|entry| entry.name().to_owned()).collect()
}

/// Replaces all keys of the bucket.
async fn fill(objects: &Objects, keys: BTreeSet<String>) {
    let rows = move |c: &Connection, _: &mut Vec<BlobId>| {
        let bucket = bucket_id(c, "b")?;
        c.execute("DELETE FROM objects", [])?;
        for key in keys {
            let insert = "INSERT INTO objects VALUES (?1, ?2, 0, 0, '', 0, NULL)";
            c.execute(insert, (bucket, key.as_bytes()))?;
        }
        Ok(())
    };
    objects.write(rows).await.unwrap();
}

/// All names, page by page; `next` turns a page into where the next one begins.
fn paged(
    objects: &Objects,
    mut query: Query,
    next: impl Fn(&mut Query, Vec<u8>, &str),
) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let listing = objects.list("b", &query).unwrap();
        all.extend(names(&listing));
        let Some(from) = listing.next else { return all };
        assert_eq!(listing.entries.len(), query.limit, "only the last page is short");
        next(&mut query, from, all.last().unwrap());
    }
}

#[test]
fn a_listing_is_what_the_reference_says() {
    let (_folder, objects) = store();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(objects.create_bucket("b".into())).unwrap();
    let input = (
        prop::collection::btree_set("[ab/\u{e4}\u{10ffff}.]{1,6}", 0..40),
        "[ab/\u{e4}]{0,2}",
        prop::sample::select(vec!["", "/", "a", "b/", "\u{10ffff}"]),
        "[ab/\u{e4}]{0,3}",
        1..8_usize,
    );
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) };
    let check =
        |(keys, prefix, delimiter, marker, limit): (BTreeSet<String>, _, &str, String, _)| {
            runtime.block_on(fill(&objects, keys.clone()));
            let from = (!marker.is_empty()).then(|| Bound::Excluded(marker.into_bytes()));
            let query = Query { prefix, delimiter: delimiter.to_owned(), from, limit: MAX_LISTED };
            let expected = reference(&keys, &query);
            prop_assert_eq!(names(&objects.list("b", &query).unwrap()), expected.clone());
            let by_token = |query: &mut Query, next: Vec<u8>, _: &str| {
                query.from = Some(Bound::Included(next));
            };
            let pages = Query { limit, ..query.clone() };
            prop_assert_eq!(paged(&objects, pages, by_token), expected);
            let pages = Query { limit, from: None, ..query };
            let expected = reference(&keys, &pages);
            let by_marker = |query: &mut Query, _: Vec<u8>, last: &str| query.after_marker(last);
            prop_assert_eq!(paged(&objects, pages, by_marker), expected);
            Ok(())
        };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner.run(&input, check).unwrap();
}

/// A copy of the first format, with one of everything, as it was written by the first version.
#[test]
fn the_first_format_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("objects.db");
    let golden = include_str!("golden/objects-1.sql");
    rusqlite::Connection::open(&path).unwrap().execute_batch(golden).unwrap();
    let objects = Objects::open(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!(get(&objects, "small").await, b"bytes");
        let info = objects.head("b", "small").unwrap();
        assert_eq!(info.meta.user["name"], "value");
        assert_eq!(info.meta.tags, [("tag".to_owned(), "value".to_owned())]);
        let (info, parts) = objects.head_with_parts("b", "parts").unwrap();
        assert_eq!((info.size, parts.len()), (8, 2));
        assert!(info.meta.composite);
        assert_eq!(objects.bucket_tags("b").unwrap().len(), 1);
        let page = objects.uploads("b", &UploadQuery { limit: 9, ..Default::default() }).unwrap();
        assert_eq!(page.uploads.len(), 1);
        let new = put(&objects, "new", b"x").await;
        assert_eq!(objects.head("b", "new").unwrap(), new);
    });
}
