//! A namespace outside of any seal, in which everything that the probe asks for answers: its `lo`
//! has the addresses, and the probe itself serves them. Nothing leaves it.

use crate::inside::{Lines, read};
use belljar_testkit::{As, Scene};
use std::path::Path;

/// Every address that `probe attempts` tries.
const ADDRESSES: &str = "192.0.2.1 192.0.2.53 10.0.0.1 169.254.169.254 169.254.170.2 172.17.0.1 \
                         2001:db8::1 2001:db8::53 fd00:ec2::254";

/// Brings the addresses up, lets everyone ping (the kernel's default lets nobody), and asks the
/// resolver in it. `$1` is a folder to be seen as `/etc`.
const PREPARE: &str = r#"set -e
mount --bind "$1" /etc
ip link set lo up
for a in $ADDRESSES; do
    case $a in *:*) ip -6 addr add "$a/128" dev lo nodad ;; *) ip addr add "$a/32" dev lo ;; esac
done
echo 0 0 > /proc/sys/net/ipv4/ping_group_range
shift
"$@"
"#;

/// What the probe gets in that world: as root with every privilege, as a user with those that
/// the root of a user namespace has.
pub(crate) fn attempts(scene: &Scene) -> Lines {
    scene.file("etc/resolv.conf", "nameserver 192.0.2.53\noptions timeout:5 attempts:2\n");
    scene.file("etc/nsswitch.conf", "hosts: files dns\n");
    let mut command = scene.command(Path::new("/usr/bin/unshare"));
    if scene.who() == As::User {
        command.args(["--user", "--map-root-user"]);
    }
    // A pid namespace, so that process 1 is one that this user may join and read.
    command.args(["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc"]);
    command.args(["--kill-child", "sh", "-c", PREPARE, "sh"]).arg(scene.dir("etc"));
    command.arg(scene.tools().probe()).args(["attempts", "--world"]);
    let output = command.env("ADDRESSES", ADDRESSES).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    read(std::str::from_utf8(&output.stdout).unwrap().lines())
}
