//! The store: sharing, leases, removal, remnants, several at once.

use crate::support::{Made, Tar, image, listing, pull, run};
use belljar_warden::image::{ImageError, ImageStore, ImportConfig, Reference};
use belljar_warden::progress::Silent;
use std::path::Path;

fn folders(store: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(store.join("layers/sha256"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| !n.ends_with(".json"))
        .collect();
    names.sort();
    names
}

#[test]
fn layers_are_shared_and_collected_but_never_while_in_use() {
    let at = tempfile::tempdir().unwrap();
    let base = Tar::default().file("base", "x").end();
    let one = image(&[base.clone(), Tar::default().file("one", "1").end()], false);
    let two = image(&[base, Tar::default().file("two", "2").end()], true);
    Made::layout(&at.path().join("l"), &[("one", &one), ("two", &two)]);
    let root = at.path().join("store");
    let store = ImageStore::open(&root).unwrap();
    let layout = format!("oci:{}", at.path().join("l").display());
    let reference: Reference = format!("{layout}:one").parse().unwrap();
    let held = run(store.pull(&reference, Some("mine:1"), &Silent)).unwrap();
    pull(&store, &format!("{layout}:two")).unwrap();
    assert_eq!(folders(&root).len(), 3, "the base is there once");
    assert_eq!(store.list().unwrap().len(), 2);
    assert_eq!(store.inspect("mine:1").unwrap().summary.names, ["docker.io/library/mine:1"]);

    let clone = held.clone();
    drop(held);
    // Another opener stands for another process: locks belong to open files.
    let other = ImageStore::open(&root).unwrap();
    assert!(matches!(other.remove("mine:1"), Err(ImageError::InUse { .. })));
    other.remove(&format!("{layout}:two")).unwrap();
    assert_eq!(folders(&root).len(), 2);
    assert_eq!(std::fs::read_to_string(clone.layers[1].path.join("one")).unwrap(), "1");
    drop(clone);
    other.remove(one.digest().as_str()).unwrap();
    assert_eq!(listing(&root.join("layers/sha256")), []);
    assert_eq!(listing(&root.join("tags")), []);
    assert!(matches!(other.remove("mine:1"), Err(ImageError::NotStored { .. })));
}

#[test]
fn a_stored_name_needs_no_registry() {
    let at = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    let tree = at.path().join("tree");
    std::fs::create_dir_all(tree.join("bin")).unwrap();
    std::fs::write(tree.join("bin/train"), "#!/bin/sh").unwrap();
    std::fs::hard_link(tree.join("bin/train"), tree.join("bin/serve")).unwrap();
    std::os::unix::fs::symlink("/abs//target", tree.join("link")).unwrap();
    let long = "n".repeat(200);
    std::fs::create_dir(tree.join(&long)).unwrap();
    std::fs::write(tree.join(&long).join(&long), "deep").unwrap();
    let config = ImportConfig {
        entrypoint: vec!["/bin/train".to_owned()],
        user: Some("5:6".to_owned()),
        ..ImportConfig::default()
    };
    let first = store.import(&tree, "demo", &config, &Silent).unwrap();
    let again = store.import(&tree, "again", &config, &Silent).unwrap();
    assert_eq!(first.digest, again.digest, "the same folder is the same image");
    let found = run(store.resolve(&"demo".parse().unwrap(), &Silent)).unwrap();
    assert_eq!(found.digest, first.digest);
    assert_eq!(found.config.entrypoint, ["/bin/train"]);
    assert_eq!(listing(&found.layers[0].path), listing(&tree));
    let by_digest: Reference = format!("demo@{}", first.digest).parse().unwrap();
    assert_eq!(run(store.resolve(&by_digest, &Silent)).unwrap().digest, first.digest);
    let linked = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(found.layers[0].path.join(name)).unwrap().ino()
    };
    assert_eq!(linked("bin/train"), linked("bin/serve"));
    // Two names: the first goes alone.
    store.remove("demo").unwrap();
    assert_eq!(store.list().unwrap()[0].names, ["docker.io/library/again:latest"]);
    std::fs::write(tree.join(".wh.x"), "").unwrap();
    let refused = store.import(&tree, "evil", &config, &Silent).unwrap_err();
    assert!(matches!(refused, ImageError::Import { .. }), "{refused:?}");
    let missing = store.import(&at.path().join("none"), "x", &config, &Silent).unwrap_err();
    assert!(matches!(missing, ImageError::Import { .. }), "{missing:?}");
}

#[test]
fn what_a_killed_process_left_is_swept() {
    let at = tempfile::tempdir().unwrap();
    let root = at.path().join("store");
    ImageStore::open(&root).unwrap();
    let stale = root.join("layers/sha256/.tmp-00000000deadbeef");
    std::fs::create_dir_all(stale.join("closed/deep")).unwrap();
    std::fs::write(stale.join("closed/deep/file"), "half").unwrap();
    let closed: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(stale.join("closed"), closed).unwrap();
    std::fs::create_dir(root.join("images/sha256/.tmp-1")).unwrap();
    std::fs::write(root.join("tags/.tmp-2"), "{").unwrap();
    // Somebody works on this one.
    let live = root.join("layers/sha256/.tmp-00000000cafecafe");
    std::fs::create_dir(&live).unwrap();
    let held = std::fs::File::open(&live).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let store = ImageStore::open(&root).unwrap();
    assert_eq!(folders(&root), [".tmp-00000000cafecafe"]);
    assert_eq!(listing(&root.join("images")), [("sha256".to_owned(), "/".to_owned())]);
    assert_eq!(listing(&root.join("tags")), []);
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn many_pulls_of_one_image_at_once_agree() {
    let at = tempfile::tempdir().unwrap();
    let tars: Vec<Vec<u8>> = (0..6)
        .map(|l| (0..50).fold(Tar::default(), |t, f| t.file(&format!("{l}/{f}"), "x")).end())
        .collect();
    let made = image(&tars, false);
    Made::layout(&at.path().join("l"), &[("x", &made)]);
    let root = at.path().join("store");
    let layout = format!("oci:{}", at.path().join("l").display());
    let digests: Vec<String> = std::thread::scope(|scope| {
        let work = || pull(&ImageStore::open(&root).unwrap(), &layout).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|t| t.join().unwrap().digest).collect()
    });
    assert!(digests.iter().all(|d| *d == made.digest().to_string()));
    assert_eq!(folders(&root).len(), 6, "one folder a layer, nothing temporary");
}

#[test]
fn a_layer_that_hides_all_below_comes_first() {
    let at = tempfile::tempdir().unwrap();
    let tars = [
        Tar::default().file("old", "x").end(),
        Tar::default().file(".wh..wh..opq", "").file("new", "x").end(),
        Tar::default().file("top", "x").end(),
    ];
    Made::layout(&at.path().join("l"), &[("x", &image(&tars, false))]);
    let store = ImageStore::open(&at.path().join("store")).unwrap();
    let image = pull(&store, &format!("oci:{}", at.path().join("l").display())).unwrap();
    let names: Vec<_> = image.layers.iter().map(|l| listing(&l.path)[0].0.clone()).collect();
    assert_eq!(names, ["new", "top"]);
}

#[test]
fn a_damaged_record_is_not_believed() {
    let at = tempfile::tempdir().unwrap();
    let made = image(&[Tar::default().file("x", "x").end()], false);
    Made::layout(&at.path().join("l"), &[("x", &made)]);
    let root = at.path().join("store");
    let store = ImageStore::open(&root).unwrap();
    pull(&store, &format!("oci:{}", at.path().join("l").display())).unwrap();
    let config = root.join("images/sha256").join(made.digest().hex()).join("config.json");
    let text = std::fs::read_to_string(&config).unwrap().replace("/train", "/evils");
    std::fs::write(&config, text).unwrap();
    let error = store.inspect(made.digest().as_str()).unwrap_err();
    assert!(matches!(error, ImageError::DamagedStore { .. }), "{error:?}");
}
