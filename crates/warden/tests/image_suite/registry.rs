//! Pulling from a registry, honest and not.

use crate::server::{Behaviour, Server};
use crate::support::{Made, Tar, image, image_for, pull, run};
use belljar_warden::failure::{Explain, chain};
use belljar_warden::image::{Digest, ImageError, ImageStore, architecture};
use belljar_warden::progress::Silent;
use std::collections::HashMap;

fn tars() -> Vec<Vec<u8>> {
    let large = "x".repeat(700_000);
    vec![Tar::default().file("large", &large).end(), Tar::default().file("b", "2").end()]
}

fn files(images: &[&Made], tag: &[u8]) -> HashMap<String, Vec<u8>> {
    let mut files = HashMap::new();
    for (digest, bytes) in images.iter().flat_map(|m| m.all()) {
        files.insert(format!("/v2/team/demo/blobs/{digest}"), bytes.clone());
        files.insert(format!("/v2/team/demo/manifests/{digest}"), bytes.clone());
    }
    files.insert("/v2/team/demo/manifests/v1".to_owned(), tag.to_vec());
    files
}

fn index(entries: &[(&Made, &str)]) -> Vec<u8> {
    let manifests: Vec<_> = entries
        .iter()
        .map(|(made, architecture)| {
            serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": made.digest(), "size": made.manifest.len(),
                "platform": {"os": "linux", "architecture": architecture}})
        })
        .collect();
    serde_json::json!({"schemaVersion": 2, "manifests": manifests}).to_string().into_bytes()
}

#[test]
fn a_token_is_fetched_and_the_right_architecture_taken() {
    let at = tempfile::tempdir().unwrap();
    let (ours, other) = (image(&tars(), true), image_for(&tars()[..1], true, "riscv9"));
    let index = index(&[(&other, "riscv9"), (&ours, architecture())]);
    let how = Behaviour { token: true, ..Behaviour::default() };
    let server = Server::start(files(&[&ours, &other], &index), how);
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    let reference = format!("docker://{}/team/demo:v1", server.address);
    let image = pull(&store, &reference).unwrap();
    assert_eq!(image.digest, ours.digest().to_string());
    assert_eq!(std::fs::read_to_string(image.layers[1].path.join("b")).unwrap(), "2");
    let asked = server.asked.lock().unwrap().len();
    // From the store now, by either kind of name, without a word to the registry.
    for name in [reference, format!("{}/team/demo:v1", server.address)] {
        let again = run(store.resolve(&name.parse().unwrap(), &Silent)).unwrap();
        assert_eq!(again.digest, image.digest);
    }
    assert_eq!(server.asked.lock().unwrap().len(), asked);
}

#[test]
fn a_missing_architecture_names_those_that_exist() {
    let at = tempfile::tempdir().unwrap();
    let other = image_for(&tars(), false, "riscv9");
    let index = index(&[(&other, "riscv9")]);
    let server = Server::start(files(&[&other], &index), Behaviour::default());
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    let error = pull(&store, &format!("{}/team/demo:v1", server.address)).unwrap_err();
    assert!(error.to_string().ends_with("it has linux/riscv9"), "{error}");
}

#[test]
fn a_layer_that_breaks_off_is_fetched_again() {
    let at = tempfile::tempdir().unwrap();
    let made = image(&tars(), false);
    let path = format!("/v2/team/demo/blobs/{}", Digest::of(&made.blobs[0]));
    let how = Behaviour { break_once: vec![path.clone()], ..Behaviour::default() };
    let server = Server::start(files(&[&made], &made.manifest), how);
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    pull(&store, &format!("{}/team/demo:v1", server.address)).unwrap();
    assert_eq!(server.asked.lock().unwrap().iter().filter(|p| **p == path).count(), 2);
}

#[test]
fn lies_are_refused() {
    let at = tempfile::tempdir().unwrap();
    let made = image(&tars(), false);
    for (digest, bytes) in made.all() {
        let mut files = files(&[&made], &made.manifest);
        let mut bytes = bytes.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        files.insert(format!("/v2/team/demo/blobs/{digest}"), bytes.clone());
        files.insert(format!("/v2/team/demo/manifests/{digest}"), bytes);
        let server = Server::start(files, Behaviour::default());
        let store = ImageStore::open(&at.path().join(digest.hex())).unwrap();
        let name = format!("{}/team/demo@{}", server.address, made.digest());
        pull(&store, &name).unwrap_err();
        assert!(store.list().unwrap().is_empty());
    }
}

#[test]
fn an_endless_answer_is_cut() {
    let at = tempfile::tempdir().unwrap();
    let how = Behaviour { endless: true, ..Behaviour::default() };
    let server = Server::start(HashMap::new(), how);
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    let error = pull(&store, &format!("{}/team/demo:v1", server.address)).unwrap_err();
    assert!(chain(&error).contains("larger than 4194304 bytes"), "{error:?}");
}

#[test]
fn failures_say_what_to_do() {
    let at = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    let made = image(&tars(), false);
    let server = Server::start(files(&[&made], &made.manifest), Behaviour::default());
    let missing = pull(&store, &format!("{}/team/demo:none", server.address)).unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }), "{missing:?}");
    let how = Behaviour { token: true, ..Behaviour::default() };
    let server = Server::start(HashMap::new(), how);
    let denied = pull(&store, &format!("{}/private/x", server.address)).unwrap_err();
    assert!(matches!(denied, ImageError::Unauthorized { .. }), "{denied:?}");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = pull(&store, &format!("{free}/x")).unwrap_err();
    assert!(matches!(gone, ImageError::Contact { .. }), "{gone:?}");
    for error in [missing, denied, gone] {
        assert!(error.hint().is_some(), "{error}");
    }
}
