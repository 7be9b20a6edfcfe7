//! The same image by every file transport.

use crate::support::{Made, Tar, gzip, image, image_for, pull, tar_of};
use belljar_warden::failure::Explain;
use belljar_warden::image::{Image, ImageError, ImageStore, user_of};
use std::path::Path;

fn tars() -> Vec<Vec<u8>> {
    let passwd = "root:x:0:0::/:/bin/sh\nada:x:1815:1852::/home:/bin/sh\n";
    vec![
        Tar::default()
            .dir("etc", 0o755)
            .file("etc/passwd", passwd)
            .file("etc/group", "staff:x:50:\n")
            .end(),
        Tar::default().file("etc/.wh.group", "").file("train", "#!").end(),
        Tar::default().file("third", "3").end(),
    ]
}

fn check(image: &Image, made: &Made) {
    assert_eq!(image.config.entrypoint, ["/train"]);
    assert_eq!(image.config.env, ["A=b"]);
    assert_eq!(image.config.working_dir, "/w");
    assert_eq!(image.config.labels["k"], "v");
    let ids: Vec<_> = image.layers.iter().map(|l| l.diff_id.clone()).collect();
    assert_eq!(ids, made.diff_ids);
    assert_eq!(std::fs::read_to_string(image.layers[2].path.join("third")).unwrap(), "3");
    assert_eq!(user_of(&image.config, &image.layers).unwrap(), (1815, 1852));
    let mut config = image.config.clone();
    config.user = "ada:staff".to_owned();
    // The second layer deletes /etc/group.
    assert!(user_of(&config, &image.layers).is_err());
    assert_eq!(user_of(&config, &image.layers[..1]).unwrap(), (1815, 50));
    config.user = "7".to_owned();
    assert_eq!(user_of(&config, &image.layers).unwrap(), (7, 0));
}

fn docker_save(made: &Made, dir: &Path, new_form: bool) {
    let layers: Vec<String> = (0..made.blobs.len())
        .map(|i| {
            if new_form {
                format!("blobs/sha256/{}", made.diff_ids[i].hex())
            } else {
                format!("{i}/layer.tar")
            }
        })
        .collect();
    for (name, tar) in layers.iter().zip(tars()) {
        std::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.join(name), tar).unwrap();
    }
    if !new_form {
        // Equal layers were links.
        std::fs::rename(dir.join("1/layer.tar"), dir.join("real.tar")).unwrap();
        std::os::unix::fs::symlink("../real.tar", dir.join("1/layer.tar")).unwrap();
    }
    let digest = belljar_warden::image::Digest::of(&made.config);
    let config = if new_form {
        format!("blobs/sha256/{}", digest.hex())
    } else {
        format!("{}.json", digest.hex())
    };
    std::fs::write(dir.join(&config), &made.config).unwrap();
    let manifest =
        serde_json::json!([{"Config": config, "RepoTags": ["demo:1"], "Layers": layers}]);
    std::fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
}

#[test]
fn every_file_transport_gives_the_same_image() {
    let at = tempfile::tempdir().unwrap();
    let made = image(&tars(), false);
    let layout = at.path().join("layout");
    Made::layout(&layout, &[("v1", &made)]);
    let archive = at.path().join("image.tar");
    tar_of(&layout, &archive);
    let packed = at.path().join("image.tar.gz");
    std::fs::write(&packed, gzip(&std::fs::read(&archive).unwrap())).unwrap();
    let references = [
        format!("oci:{}", layout.display()),
        format!("oci:{}:v1", layout.display()),
        format!("oci:{}:@0", layout.display()),
        format!("oci-archive:{}", archive.display()),
        format!("oci-archive:{}:v1", packed.display()),
    ];
    for reference in references {
        // A fresh store each time: everything is read through this transport.
        let store = ImageStore::open(&at.path().join("store")).unwrap();
        let image = pull(&store, &reference).unwrap();
        check(&image, &made);
        assert_eq!(image.digest, made.digest().to_string());
        drop(image);
        store.remove(&reference).unwrap();
        assert!(store.list().unwrap().is_empty());
        std::fs::remove_dir_all(at.path().join("store")).unwrap();
    }
    let mut digests = Vec::new();
    for new_form in [false, true] {
        let dir = at.path().join(format!("save-{new_form}"));
        std::fs::create_dir(&dir).unwrap();
        docker_save(&made, &dir, new_form);
        let file = at.path().join("save.tar");
        tar_of(&dir, &file);
        let store = ImageStore::open(&at.path().join(format!("store-{new_form}"))).unwrap();
        for pick in ["", ":demo:1", ":@0"] {
            let image = pull(&store, &format!("docker-archive:{}{pick}", file.display())).unwrap();
            check(&image, &made);
            digests.push(image.digest);
        }
        let missing = pull(&store, &format!("docker-archive:{}:other", file.display()));
        let text = missing.unwrap_err().to_string();
        assert!(text.ends_with("it has demo:1"), "{text}");
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "both forms are the same image");
}

#[test]
fn a_layout_with_several_images_must_be_told_which() {
    let at = tempfile::tempdir().unwrap();
    let (one, two) = (image(&tars(), false), image(&tars()[..1], true));
    Made::layout(at.path(), &[("one", &one), ("two", &two)]);
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    let error = pull(&store, &format!("oci:{}", at.path().display())).unwrap_err();
    assert!(error.to_string().ends_with("it has one, two"), "{error}");
    assert!(error.hint().is_some());
    let image = pull(&store, &format!("oci:{}:two", at.path().display())).unwrap();
    assert_eq!(image.digest, two.digest().to_string());
}

#[test]
fn another_architecture_is_named() {
    let at = tempfile::tempdir().unwrap();
    Made::layout(at.path(), &[("x", &image_for(&tars(), false, "riscv9"))]);
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    let error = pull(&store, &format!("oci:{}", at.path().display())).unwrap_err();
    assert!(matches!(error, ImageError::Architecture { .. }));
    assert!(error.to_string().contains("linux/riscv9"), "{error}");
}

#[test]
fn changed_bytes_are_noticed() {
    let at = tempfile::tempdir().unwrap();
    let made = image(&tars(), false);
    for (digest, bytes) in made.all() {
        let layout = at.path().join(digest.hex());
        Made::layout(&layout, &[("x", &made)]);
        let mut bytes = bytes.clone();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        let store = ImageStore::open(&layout.join("store")).unwrap();
        let error = pull(&store, &format!("oci:{}", layout.display())).unwrap_err();
        let text = belljar_warden::failure::chain(&error);
        assert!(text.contains("corrupt") || text.contains("cannot read"), "{text}");
        assert!(store.list().unwrap().is_empty());
    }
}

#[test]
fn what_is_no_archive_is_said_so() {
    let at = tempfile::tempdir().unwrap();
    let file = at.path().join("text");
    std::fs::write(&file, "hello ".repeat(500)).unwrap();
    let empty = at.path().join("empty.tar");
    std::fs::write(&empty, [0; 1024]).unwrap();
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    for reference in [
        format!("oci:{}", at.path().display()),
        format!("oci-archive:{}", file.display()),
        format!("docker-archive:{}", file.display()),
        format!("oci-archive:{}", empty.display()),
        format!("docker-archive:{}", empty.display()),
        "docker-archive:/dev/null".to_owned(),
    ] {
        let error = pull(&store, &reference).unwrap_err();
        assert!(matches!(error, ImageError::NotAnArchive { .. }), "{reference}: {error:?}");
        assert!(error.hint().is_some());
    }
    let error = pull(&store, "oci-archive:/nowhere/x.tar").unwrap_err();
    assert!(matches!(error, ImageError::ReadSource { .. }), "{error:?}");
}
