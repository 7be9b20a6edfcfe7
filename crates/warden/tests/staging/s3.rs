//! Staging from and to S3, against a small server on the loopback that speaks S3's XML.

use crate::fake_s3::FakeS3;
use belljar_domain::{Channel, DataType, JobName, OutputCompression};
use belljar_warden::failure::{Explain, chain};
use belljar_warden::progress::Silent;
use belljar_warden::staging::{
    InputError, S3Error, S3Settings, StageIn, StageOut, StageOutError, check_inputs,
    check_output_with, put_file_with, stage_in, stage_out_with, sweep_with,
};
use std::fs;
use std::time::{Duration, Instant};

fn settings(endpoint: &str) -> S3Settings {
    S3Settings {
        interface: None,
        access_key_id: Some("AKIDEXAMPLE".into()),
        secret_access_key: Some("s3cr3t".into()),
        session_token: Some("t0ken".into()),
        region: None,
        endpoint: Some(endpoint.to_owned()),
        socket: None,
    }
}

fn job() -> JobName {
    "job-1".parse().unwrap()
}

/// Stages `uri` and returns each path with its content.
async fn staged(server: &FakeS3, uri: &str) -> Result<Vec<(String, Vec<u8>)>, InputError> {
    staged_as(server, uri, DataType::S3Prefix).await
}

async fn staged_as(
    server: &FakeS3,
    uri: &str,
    data_type: DataType,
) -> Result<Vec<(String, Vec<u8>)>, InputError> {
    let data = tempfile::tempdir().unwrap();
    let channel = Channel { data_type, ..Channel::files("train".parse().unwrap(), uri) };
    let s = settings(&server.url());
    let request =
        StageIn { channels: &[channel], data_dir: data.path(), private: data.path(), owner: None };
    let channels = stage_in(&s, &request, &Silent).await.map_err(|e| e.source)?.channels;
    let read = |path: &str| fs::read(data.path().join("train").join(path)).unwrap();
    Ok(channels[0].files.iter().map(|f| (f.path.clone(), read(&f.path))).collect())
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|f| f.0.as_str()).collect()
}

#[tokio::test]
async fn file_mode_names() {
    let big = vec![9; 3_000_000];
    let server = FakeS3::start(&[
        ("in/code/", b""),
        ("in/code/train.py", b"print()"),
        ("in/code/sub/", b""),
        ("in/code/sub/x", &big),
        ("in/code/none/", b""),
        ("in/source.tar.gz", b"tar"),
        ("in/train-01/a", b"1"),
        ("in/empty", b""),
    ]);
    for uri in ["s3://bucket/in/code", "s3://bucket/in/code/"] {
        let files = staged(&server, uri).await.unwrap();
        assert_eq!(names(&files), ["sub/x", "train.py"], "{uri}");
        assert_eq!(files[0].1, big);
    }
    let single = staged(&server, "s3://bucket/in/source.tar.gz").await.unwrap();
    assert_eq!(single, [("source.tar.gz".to_owned(), b"tar".to_vec())]);
    let partial = staged(&server, "s3://bucket/in/tr").await.unwrap();
    assert_eq!(names(&partial), ["train-01/a"]);
    let empty = staged(&server, "s3://bucket/in/empty").await.unwrap();
    assert_eq!(empty, [("empty".to_owned(), vec![])]);
}

#[tokio::test]
async fn long_listings_are_read_to_their_end() {
    let keys: Vec<String> = (0..2500).map(|i| format!("p/{i:05}")).collect();
    let objects: Vec<(&str, &[u8])> = keys.iter().map(|k| (k.as_str(), b"x".as_slice())).collect();
    let server = FakeS3::start(&objects);
    assert_eq!(staged(&server, "s3://bucket/p").await.unwrap().len(), 2500);
}

#[tokio::test]
async fn keys_that_are_no_files_are_refused_by_name() {
    for (key, other, named_as) in
        [("p/a/../../x", "p/y", "p/a/../../x"), ("p//x", "p/y", "p//x"), ("p/a", "p/a/b", "'a'")]
    {
        let server = FakeS3::start(&[(key, b"1"), (other, b"2")]);
        let error = staged(&server, "s3://bucket/p/").await.unwrap_err();
        let named = matches!(
            error,
            InputError::Clash(_) | InputError::Name(_) | InputError::S3(S3Error::Key { .. })
        );
        assert!(named, "{error:?}");
        assert!(error.to_string().contains(named_as), "{error}");
    }
}

#[tokio::test]
async fn a_manifest_names_its_objects() {
    let manifest = br#"[{"prefix": "s3://bucket/in/tr"}, "ain/a", "ain/sub/b"]"#;
    let server = FakeS3::start(&[
        ("m.json", manifest),
        ("in/train/a", b"1"),
        ("in/train/sub/b", b"22"),
        ("in/train/not-named", b"3"),
        ("gone.json", br#"[{"prefix": "s3://bucket/"}, "not/there"]"#),
        ("clash.json", br#"[{"prefix": "s3://bucket/in/train/"}, "a", "a"]"#),
        ("out.json", br#"[{"prefix": "s3://bucket/in/train/"}, "../train/a"]"#),
        ("local.json", br#"[{"prefix": "/etc/"}, "hostname"]"#),
        ("none.json", b"{}"),
    ]);
    let files = staged_as(&server, "s3://bucket/m.json", DataType::ManifestFile).await.unwrap();
    assert_eq!(files, [("ain/a".into(), b"1".to_vec()), ("ain/sub/b".into(), b"22".to_vec())]);
    for (key, reason) in [
        ("gone.json", "not/there: it is not there"),
        ("clash.json", "'a' would be two things"),
        ("out.json", "'..' segment"),
        ("local.json", "must begin with s3://"),
        ("none.json", "must be an array"),
        ("missing.json", "nothing at 's3://bucket/missing.json'"),
    ] {
        let uri = format!("s3://bucket/{key}");
        let error = staged_as(&server, &uri, DataType::ManifestFile).await.unwrap_err();
        assert!(chain(&error).contains(reason), "{key}: {}", chain(&error));
    }
}

#[tokio::test]
async fn missing_things_have_errors_of_their_own() {
    let server = FakeS3::start(&[("a", b"1")]);
    let nothing = staged(&server, "s3://bucket/zzz").await.unwrap_err();
    assert!(matches!(nothing, InputError::Nothing(_)), "{nothing:?}");
    let bucket = staged(&server, "s3://no-such-bucket/a").await.unwrap_err();
    assert!(matches!(bucket, InputError::S3(S3Error::NoBucket { .. })), "{bucket:?}");
    let denied = staged(&server, "s3://denied/a").await.unwrap_err();
    assert!(matches!(denied, InputError::S3(S3Error::Denied { .. })), "{denied:?}");
    let says = "S3 denied access: cannot list s3://denied/a: no";
    assert!(chain(&denied).ends_with(says), "{denied}");
    for error in [nothing, bucket, denied] {
        let text = format!("{error:?} {}", chain(&error));
        for secret in ["s3cr3t", "t0ken", "AKIDEXAMPLE"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn an_object_that_changes_is_not_taken() {
    let server = FakeS3::start(&[("a", b"before")]);
    server.lie_about_size("a", 7);
    let error = staged(&server, "s3://bucket/a").await.unwrap_err();
    assert!(matches!(error, InputError::Changed { expected: 7, .. }), "{error:?}");
}

#[tokio::test]
async fn an_endpoint_that_nobody_answers_fails_at_once_with_a_hint() {
    let channel = Channel::files("train".parse().unwrap(), "s3://bucket/a");
    let begun = Instant::now();
    let s = settings("http://127.0.0.1:1");
    let error = check_inputs(&s, &[channel], std::path::Path::new("/nowhere")).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20), "it must not hang");
    let unreachable = matches!(error.source, InputError::S3(S3Error::Unreachable { .. }));
    assert!(unreachable, "{error:?}");
    assert!(error.hint().unwrap().contains("AWS_ENDPOINT_URL_S3"));
}

struct Job {
    ml: tempfile::TempDir,
    journal: tempfile::TempDir,
}

impl Job {
    /// A model of 12 MiB that does not compress: three parts.
    fn new() -> Self {
        let job = Self { ml: tempfile::tempdir().unwrap(), journal: tempfile::tempdir().unwrap() };
        fs::create_dir_all(job.ml.path().join("model")).unwrap();
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(12 << 20)
        .collect();
        fs::write(job.ml.path().join("model/weights"), noise).unwrap();
        job
    }

    async fn run(&self, server: &FakeS3) -> Result<Vec<belljar_domain::Artifact>, StageOutError> {
        let request = StageOut {
            ml_dir: self.ml.path(),
            destination: "s3://bucket/out/",
            job: &job(),
            compression: OutputCompression::Gzip,
            journal: self.journal.path(),
        };
        Ok(stage_out_with(&settings(&server.url()), &request, &Silent).await?.0)
    }
}

#[tokio::test]
async fn a_model_of_several_parts_arrives_whole() {
    let (server, bench) = (FakeS3::start(&[]), Job::new());
    let s = settings(&server.url());
    check_output_with(&s, "s3://bucket/out/", &job()).await.unwrap();
    let artifacts = bench.run(&server).await.unwrap();
    assert_eq!(artifacts[0].uri, "s3://bucket/out/job-1/output/model.tar.gz");
    let object = server.object("out/job-1/output/model.tar.gz").unwrap();
    assert_eq!(object.len() as u64, artifacts[0].size);
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&object);
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, artifacts[0].sha256);
    assert_eq!(server.open_uploads(), 0);
    assert_eq!(fs::read_dir(bench.journal.path()).unwrap().count(), 0);
    let error = check_output_with(&s, "s3://bucket/out/", &job()).await.unwrap_err();
    assert!(matches!(error, StageOutError::Exists(_)));
    let below = "job-1/evidence/algo-1.intoto.json";
    let uri = put_file_with(&s, "s3://bucket/out", below, b"{}".to_vec()).await.unwrap();
    assert_eq!(uri, format!("s3://bucket/out/{below}"));
    assert_eq!(server.object(&format!("out/{below}")).unwrap(), b"{}");
}

#[tokio::test]
async fn an_upload_that_fails_is_aborted() {
    let (server, bench) = (FakeS3::start(&[]), Job::new());
    server.fail_parts_from(2);
    bench.run(&server).await.unwrap_err();
    assert_eq!(server.object("out/job-1/output/model.tar.gz"), None);
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn an_upload_of_a_killed_warden_is_swept() {
    let (server, bench) = (FakeS3::start(&[]), Job::new());
    server.stall_parts_from(2);
    // A dropped future is as abrupt as a kill: nothing after its last await happens.
    let stalled = async {
        while server.stalled() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        done = bench.run(&server) => panic!("{done:?}"),
        () = stalled => {}
    }
    assert_eq!(server.open_uploads(), 1);
    server.fail_parts_from(usize::MAX);
    let s = settings(&server.url());
    for _ in 0..2 {
        sweep_with(&s, "s3://bucket/out/", &job(), bench.journal.path()).await.unwrap();
        assert_eq!(server.open_uploads(), 0);
    }
    assert_eq!(fs::read_dir(bench.journal.path()).unwrap().count(), 0);
}
