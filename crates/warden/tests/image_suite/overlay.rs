//! Whiteouts and opaque directories, judged by the kernel's own overlayfs.

use crate::support::{Tar, listing, unpack_to};
use std::path::Path;
use std::process::Command;

/// What a container would see: the layers mounted in a user namespace, as in production.
fn mounted(at: &Path, layers: &[&str]) -> String {
    let lower: Vec<String> =
        layers.iter().rev().map(|l| at.join(l).display().to_string()).collect();
    let view = at.join("view");
    std::fs::create_dir_all(&view).unwrap();
    let script = format!(
        "mount -t overlay overlay -o userxattr,lowerdir={} {view} && cd {view} && find . -printf '%P=%y\\n' | sort",
        lower.join(":"),
        view = view.display(),
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn layers(at: &Path) {
    let lower = Tar::default()
        .dir("keep", 0o755)
        .file("keep/a", "lower")
        .file("keep/b", "lower")
        .dir("opaque", 0o755)
        .file("opaque/hidden", "lower")
        .dir("again", 0o755)
        .file("again/old", "lower")
        .dir("late", 0o755)
        .file("late/old", "lower")
        .dir("parent", 0o755)
        .file("parent/old", "lower")
        .file("file", "lower")
        .file("becomes-dir", "lower")
        .end();
    let upper = Tar::default()
        // A whiteout hides lower entries, not one of its own layer, wherever it stands.
        .file("keep/.wh.a", "")
        .file("file", "upper")
        .file(".wh.file", "")
        .dir("opaque", 0o755)
        .file("opaque/before", "upper")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/after", "upper")
        // Deleted and made again: nothing of the old one may show through.
        .file(".wh.again", "")
        .dir("again", 0o755)
        .file("again/new", "upper")
        .dir("late", 0o755)
        .file("late/new", "upper")
        .file(".wh.late", "")
        .file(".wh.parent", "")
        .file("parent/new", "upper")
        .dir("becomes-dir", 0o500)
        .file("becomes-dir/x", "upper")
        .end();
    unpack_to(at, "lower", &lower).unwrap();
    unpack_to(at, "upper", &upper).unwrap();
}

#[test]
fn layers_lie_over_each_other_as_the_specification_says() {
    let at = tempfile::tempdir().unwrap();
    layers(at.path());
    let seen = mounted(at.path(), &["lower", "upper"]);
    let expected = "=d\nagain/new=f\nagain=d\nbecomes-dir/x=f\nbecomes-dir=d\nfile=f\nkeep/b=f\n\
        keep=d\nlate/new=f\nlate=d\nopaque/after=f\nopaque/before=f\nopaque=d\nparent/new=f\nparent=d\n";
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&seen), sorted(expected));
}

#[test]
fn modes_and_times_are_the_archives() {
    use std::os::unix::fs::MetadataExt;
    let at = tempfile::tempdir().unwrap();
    let tar = Tar::default()
        .dir("./", 0o555)
        .dir("closed", 0o500)
        .file("closed/f", "x")
        .dir("none", 0)
        .dir("none/deep", 0o711)
        .file("none/deep/f", "x")
        .dir("tmp", 0o1777)
        .pax(&[("mtime", b"1234567890.123456789")])
        .entry(b'0', "fine", "", b"", 0o604)
        .end();
    unpack_to(at.path(), "l", &tar).unwrap();
    let look = |name: &str| std::fs::symlink_metadata(at.path().join("l").join(name)).unwrap();
    assert_eq!(look("closed").mode() & 0o7777, 0o500);
    assert_eq!(look("tmp").mode() & 0o7777, 0o1777);
    assert_eq!(look("none").mode() & 0o7777, 0);
    assert_eq!(look("closed").mtime(), 1_000_000_000);
    assert_eq!((look("fine").mtime(), look("fine").mtime_nsec()), (1_234_567_890, 123_456_789));
    assert_eq!(look("fine").mode() & 0o7777, 0o604);
    // The layer's root stays open to its owner.
    assert_eq!(look("").mode() & 0o7777, 0o755);
}

#[test]
fn a_directory_of_another_layer_is_not_needed() {
    let at = tempfile::tempdir().unwrap();
    unpack_to(at.path(), "l", &Tar::default().file("a/b/c", "x").end()).unwrap();
    let names: Vec<String> =
        listing(&at.path().join("l")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "a/b", "a/b/c"]);
}

/// The same, without privilege. As root this test starts the two above again as somebody else.
#[test]
fn an_ordinary_user_gets_the_same() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let user = 61234;
    std::os::unix::fs::chown(home.path(), Some(user), Some(user)).unwrap();
    // The build's folder may be closed to others.
    let program = home.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new("setpriv")
        .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"])
        .arg(&program)
        .args(["overlay::layers_lie", "overlay::modes", "hostile::", "store::"])
        .args(["--skip", "a_bomb"])
        .env("TMPDIR", home.path())
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("layers_lie_over_each_other_as_the_specification_says ... ok"), "{text}");
}
