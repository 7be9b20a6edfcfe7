//! What the command sees in the place of the host's files: how names are resolved, and whom to
//! trust. All else is the host's own.

use crate::trust::SYSTEM;
use belljar_linux::jar::Face;
use std::path::{Path, PathBuf};

/// Sockets of the host's own resolvers, which C libraries ask before they look at resolv.conf.
const RESOLVERS: [&str; 4] = [
    "/run/nscd/socket",
    "/var/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/avahi-daemon/socket",
];
/// The time-out is for a resolver that answers nothing, which this one does not do.
const RESOLV_CONF: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

/// All of them.
pub(super) fn all(ca: &Path) -> Vec<(PathBuf, Face)> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let switch = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let mut all = vec![
        ("/etc/resolv.conf".into(), Face::Content(RESOLV_CONF.to_owned())),
        ("/etc/hosts".into(), Face::Content(hosts(&host))),
        ("/etc/nsswitch.conf".into(), Face::Content(through_dns(&switch))),
    ];
    // Certificates that are not there vouch for hosts that cannot be reached.
    all.extend(SYSTEM.map(|path| (path.into(), Face::File(ca.to_owned()))));
    all.extend(RESOLVERS.map(|path| (path.into(), Face::Nothing)));
    all
}

fn hosts(host: &str) -> String {
    format!("127.0.0.1 localhost {host}\n::1 localhost ip6-localhost ip6-loopback\n")
}

/// Hosts are looked up in the file and by DNS, and in no other way; the rest stays.
fn through_dns(switch: &str) -> String {
    let others = switch.lines().filter(|l| !l.trim_start().starts_with("hosts:"));
    let mut text: String = others.map(|l| format!("{l}\n")).collect();
    text.push_str("hosts: files dns\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_how_hosts_are_found_is_changed() {
        let text = through_dns("passwd: files sss\nhosts: resolve [!UNAVAIL=return] files\n");
        assert_eq!(text, "passwd: files sss\nhosts: files dns\n");
        assert_eq!(through_dns(""), "hosts: files dns\n");
    }
}
