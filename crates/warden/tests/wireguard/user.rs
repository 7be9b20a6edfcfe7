//! The same again as an ordinary user, once with a TUN device that everybody may open, as udev makes
//! it, and once with one that only root may.

use crate::Outcome;
use std::process::{Command, Output};

const USER: u32 = 61234;

/// Runs this program's other tests as that user; what is mounted for it, the host does not see.
fn again(mode: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(USER), Some(USER)).unwrap();
    // The build's folder may be closed to others.
    let program = home.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let script = format!(
        "mount -t tmpfs none /dev/net && mknod -m {mode} /dev/net/tun c 10 200 && \
         exec setpriv --reuid={USER} --regid={USER} --clear-groups \"$0\" --nocapture"
    );
    Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(&program)
        .env("TMPDIR", home.path())
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap()
}

pub(crate) fn the_same() -> Outcome {
    let output = again("666");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("what_is_said_is_nowhere_in_clear"), "{text}");
    assert!(!text.contains("refused: "), "{text}");
    Ok(())
}

pub(crate) fn refused() -> Outcome {
    let output = again("600");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("refused: open /dev/net/tun"), "{text}");
    Ok(())
}
