//! What is in `/opt/ml/model`.

use crate::health::reason;
use crate::inside::scene;
use belljar_domain::Report;
use belljar_domain::serving::{ModelData, ModelForm};
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Scene, Server};
use flate2::write::GzEncoder;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// Kind, path, and content or the link's target.
pub(crate) type Entry<'a> = (EntryType, &'a str, &'a str);

/// An archive of such entries. Paths go in as they are, which honest writers refuse.
pub(crate) fn archive(scene: &Scene, name: &str, entries: &[Entry<'_>]) -> PathBuf {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (kind, path, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(4321);
        header.set_gid(4321);
        header.set_mtime(0);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        let data = if *kind == EntryType::Regular { content.as_bytes() } else { &[] };
        if data.is_empty() {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        tar.append(&header, data).unwrap();
    }
    scene.file(name, tar.into_inner().unwrap().finish().unwrap())
}

fn serve(scene: &Scene, id: &str, uri: &Path, form: ModelForm) -> Server {
    let mut with = serving();
    with.model = Some(ModelData { uri: uri.display().to_string(), form });
    Server::start(scene, &assignment(scene, id, &[], with), &[])
}

fn refused(scene: &Scene, id: &str, uri: &Path, form: ModelForm) -> Report {
    serve(scene, id, uri, form).end()
}

#[test]
fn an_archive_is_unpacked_and_is_the_containers() {
    for who in As::all() {
        let scene = scene(who);
        let entries = [
            (EntryType::Directory, "./", ""),
            (EntryType::Regular, "./weights", "wise"),
            (EntryType::Regular, "code/deep/x.py", "print"),
            (EntryType::Regular, ".wh.weights", "no whiteout here"),
            (EntryType::Symlink, "code/link", "../weights"),
            (EntryType::Link, "again", "weights"),
        ];
        let path = archive(&scene, "model.tar.gz", &entries);
        let mut server = serve(&scene, "i-1-1", &path, ModelForm::Archive);
        server.until_healthy();
        let files = ["weights", "code/link", "again"].map(|f| format!("/opt/ml/model/{f}"));
        assert_eq!(server.invoke(&format!("cat {}", files.join(" "))).1, "wisewisewise", "{who:?}");
        assert_eq!(server.invoke("cat /opt/ml/model/.wh.weights").1, "no whiteout here");
        assert_eq!(server.invoke("fill /opt/ml/model/code/new 10").0, 200, "{who:?}: writable");
        let report = server.stop();
        let [input] = report.inputs.as_slice() else { panic!("{report:?}") };
        assert_eq!(
            (input.channel.as_str(), input.files[0].path.as_str()),
            ("model", "model.tar.gz")
        );
        let digest = <sha2::Sha256 as sha2::Digest>::digest(std::fs::read(&path).unwrap());
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(input.files[0].sha256, hex);
    }
}

#[test]
fn a_folder_and_a_file_are_brought_as_they_are() {
    let scene = scene(As::User);
    scene.file("models/a/one", "1");
    let two = scene.file("models/two", "2");
    let folder = scene.path().join("models");
    for (id, uri, form, cat) in
        [("i-2-1", &folder, ModelForm::Prefix, "12"), ("i-3-1", &two, ModelForm::Object, "2")]
    {
        let mut server = serve(&scene, id, uri, form);
        server.until_healthy();
        let files = if cat == "12" { "a/one /opt/ml/model/two" } else { "two" };
        assert_eq!(server.invoke(&format!("cat /opt/ml/model/{files}")).1, cat);
        let _report = server.stop();
    }
}

#[test]
fn what_would_leave_the_folder_is_refused() {
    for who in As::all() {
        let scene = scene(who);
        let outside = scene.path().join("outside");
        let absolute = outside.to_str().unwrap().to_owned();
        let cases: [(&str, Vec<Entry<'_>>, &str); 8] = [
            ("up", vec![(EntryType::Regular, "../outside", "x")], "leads out"),
            ("up-deep", vec![(EntryType::Regular, "a/../../outside", "x")], "leads out"),
            ("link-up", vec![(EntryType::Symlink, "l", "../outside")], "leads out"),
            ("link-abs", vec![(EntryType::Symlink, "l", "/etc/passwd")], "leads out"),
            (
                "through",
                vec![(EntryType::Symlink, "l", "."), (EntryType::Symlink, "l/../m", "x")],
                "leads out",
            ),
            ("hard", vec![(EntryType::Link, "h", "../../../../etc/passwd")], "leads out"),
            ("fifo", vec![(EntryType::Fifo, "f", "")], "neither a file"),
            ("device", vec![(EntryType::Char, "d", "")], "neither a file"),
        ];
        for (i, (name, entries, word)) in cases.into_iter().enumerate() {
            let path = archive(&scene, &format!("{name}.tar.gz"), &entries);
            let report = refused(&scene, &format!("i-{i}-1"), &path, ModelForm::Archive);
            let said = reason(&report.outcome);
            assert!(said.contains(word), "{who:?} {name}: {said}");
            assert!(said.ends_with(&format!("from URL \"{}\".", path.display())), "{said}");
            assert!(!outside.exists(), "{who:?} {name}");
        }
        // An absolute path is one below the folder, as a container sees it.
        let path = archive(&scene, "abs.tar.gz", &[(EntryType::Regular, &absolute, "x")]);
        let mut server = serve(&scene, "i-20-1", &path, ModelForm::Archive);
        server.until_healthy();
        assert!(!outside.exists(), "{who:?}");
        assert_eq!(server.invoke(&format!("cat /opt/ml/model{absolute}")).1, "x");
        let _report = server.stop();
    }
}

#[test]
fn bombs_and_what_is_no_archive_are_refused() {
    let scene = scene(As::User);
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), flate2::Compression::best()));
    let mut header = Header::new_gnu();
    header.set_size(1 << 30);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_path("zeros").unwrap();
    header.set_cksum();
    tar.append(&header, std::io::Read::take(std::io::repeat(0), 1 << 30)).unwrap();
    let bomb = scene.file("bomb.tar.gz", tar.into_inner().unwrap().finish().unwrap());
    let plain = scene.file("plain.tar.gz", "no archive");
    let whole = archive(&scene, "whole.tar.gz", &[(EntryType::Regular, "x", "y")]);
    let bytes = std::fs::read(whole).unwrap();
    let cut = scene.file("cut.tar.gz", &bytes[..bytes.len() / 2]);
    let missing = scene.path().join("missing.tar.gz");
    for (id, path, word) in [
        ("i-1-1", &bomb, "bomb?"),
        ("i-2-1", &plain, "not compressed by gzip"),
        ("i-3-1", &cut, "cannot read it"),
        ("i-4-1", &missing, "there is nothing at"),
    ] {
        let report = refused(&scene, id, path, ModelForm::Archive);
        let said = reason(&report.outcome);
        assert!(said.contains(word), "{id}: {said}");
    }
}

/// Only where nothing answers are those the words.
#[test]
fn a_model_that_cannot_be_reached_is_failed_in_the_services_words() {
    let scene = scene(As::User);
    let mut with = serving();
    let uri = "s3://bucket/model.tar.gz".to_owned();
    with.model = Some(ModelData { uri, form: ModelForm::Archive });
    let given = assignment(&scene, "i-9-1", &[], with);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let key = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let variables = [key[0], key[1], ("AWS_ENDPOINT_URL_S3", closed.as_str())];
    let report = Server::start(&scene, &given, &variables).end();
    assert_eq!(
        reason(&report.outcome),
        "Failed to download model data from URL \"s3://bucket/model.tar.gz\". Please ensure that an S3 VPC endpoint exists in route table or NAT gateway for the VPC mode and the URL is reachable from within the subnets provided."
    );
    let given = assignment(&scene, "i-10-1", &[], given.serving.map(|s| *s).unwrap());
    let report = Server::start(&scene, &given, &[]).end();
    assert!(reason(&report.outcome).starts_with("there are no AWS credentials"), "{report:?}");
}
