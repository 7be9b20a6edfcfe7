//! Models from S3.

use crate::fake_s3::FakeS3;
use belljar_domain::StagedFile;
use belljar_domain::serving::{ModelData, ModelForm};
use belljar_warden::progress::Silent;
use belljar_warden::staging::{ModelError, ModelIn, check_model, stage_model};
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

async fn staged(
    server: &FakeS3,
    key: &str,
    form: ModelForm,
    target: &Path,
) -> Result<Vec<StagedFile>, ModelError> {
    let data = ModelData { uri: format!("s3://bucket/{key}"), form };
    check_model(&server.settings(), &data, target).await?;
    let request = ModelIn { data: &data, target, owner: None, seconds: 20 };
    stage_model(&server.settings(), &request, &Silent).await
}

#[tokio::test]
async fn an_archive_an_object_and_a_prefix() {
    let noise: Vec<u8> = (0..2_000_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
    let tar = archive(&[("weights", &noise), ("code/x.py", b"print()")]);
    let server = FakeS3::start(&[
        ("m/model.tar.gz", &tar),
        ("m/model.tar.gz.old", b"not this one"),
        ("p/a", b"1"),
        ("p/b/c", b"2"),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let files = staged(&server, "m/model.tar.gz", ModelForm::Archive, dir.path()).await.unwrap();
    assert_eq!(fs::read(dir.path().join("weights")).unwrap(), noise);
    assert_eq!(fs::read(dir.path().join("code/x.py")).unwrap(), b"print()");
    let sha256: String = Sha256::digest(&tar).iter().map(|b| format!("{b:02x}")).collect();
    let size = tar.len() as u64;
    assert_eq!(files, [StagedFile { path: "model.tar.gz".into(), size, sha256 }]);
    let dir = tempfile::tempdir().unwrap();
    let files = staged(&server, "m/model.tar.gz", ModelForm::Object, dir.path()).await.unwrap();
    assert_eq!((files.len(), fs::read_dir(dir.path()).unwrap().count()), (1, 1));
    let dir = tempfile::tempdir().unwrap();
    let files = staged(&server, "p/", ModelForm::Prefix, dir.path()).await.unwrap();
    assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a", "b/c"]);
    assert_eq!(fs::read(dir.path().join("b/c")).unwrap(), b"2");
}

/// A connection that breaks is taken up again; the archive is whole.
#[tokio::test]
async fn an_archive_that_comes_in_pieces() {
    let noise: Vec<u8> = (0..500_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
    let server = FakeS3::start(&[("m.tar.gz", &archive(&[("weights", &noise)]))]);
    server.cut_bodies_at(400_000);
    let dir = tempfile::tempdir().unwrap();
    staged(&server, "m.tar.gz", ModelForm::Archive, dir.path()).await.unwrap();
    assert_eq!(fs::read(dir.path().join("weights")).unwrap(), noise);
}

#[tokio::test]
async fn the_true_cause_comes_first() {
    let server = FakeS3::start(&[("m.tar.gz", b"no gzip"), ("other", b"")]);
    for (key, form, cause) in [
        (
            "none.tar.gz",
            ModelForm::Archive,
            "cannot download s3://bucket/none.tar.gz: it is not there",
        ),
        ("m.tar.gz", ModelForm::Archive, "its archive is malformed: it is not compressed by gzip"),
        ("none/", ModelForm::Prefix, "there is nothing at 's3://bucket/none/'"),
        ("m/", ModelForm::Object, "there is nothing at 's3://bucket/m/'"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let error = staged(&server, key, form, dir.path()).await.unwrap_err().to_string();
        assert!(error.starts_with(cause), "{key}: {error}");
        assert!(error.contains(&format!("model data from URL \"s3://bucket/{key}\"")), "{error}");
    }
}

#[tokio::test]
async fn a_model_has_its_time() {
    let server = FakeS3::start(&[("m.tar.gz", &archive(&[("a", b"b")]))]);
    let data = ModelData { uri: "s3://bucket/m.tar.gz".into(), form: ModelForm::Archive };
    let dir = tempfile::tempdir().unwrap();
    let request = ModelIn { data: &data, target: dir.path(), owner: None, seconds: 0 };
    let late = stage_model(&server.settings(), &request, &Silent).await.unwrap_err();
    assert!(matches!(late, ModelError::Late { .. }), "{late}");
}
