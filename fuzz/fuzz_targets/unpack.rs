//! Any bytes are a layer or an error; nothing beside the layer's folder is touched.
#![no_main]

use belljar_warden::image::unpack::{Promise, unpack};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

fuzz_target!(|bytes: &[u8]| {
    let at = tempfile::tempdir().expect("a folder");
    fs::write(at.path().join("victim"), "intact").expect("a victim");
    fs::create_dir(at.path().join("layer")).expect("a layer");
    let folder = fs::File::open(at.path().join("layer")).expect("the layer");
    let stop = AtomicBool::new(false);
    // Refusing is as good as unpacking.
    let _ = unpack(Box::new(bytes), &Promise::default(), folder.as_fd(), &|_| {}, &stop);
    let victim = fs::read_to_string(at.path().join("victim")).expect("the victim");
    assert_eq!(victim, "intact");
    assert_eq!(fs::read_dir(at.path()).expect("the folder").count(), 2);
});
