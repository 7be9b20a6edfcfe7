//! The seal as it was read back from the kernel, and what it must be.

use crate::{Allowed, PeerLink};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What the kernel said of a container's process and network at one moment. Nothing here is
/// what Belljar meant to set up: every field was read back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SealReading {
    /// Interfaces of the network namespace, by name.
    pub interfaces: Vec<String>,
    /// Addresses on them, as `lo 127.0.0.1/8`.
    pub addresses: Vec<String>,
    /// Routes of all tables but the kernel's own `local`, as `default dev lo src 169.254.7.2`.
    pub routes: Vec<String>,
    /// The nftables rules, one line each, as `output: tcp -> log, reject with tcp reset`.
    pub rules: Vec<String>,
    /// Namespace kind (`net`, `user`, `mnt`, `pid`, `ipc`, `uts`, `cgroup`) to inode number.
    pub namespaces: BTreeMap<String, u64>,
    /// Kinds in which the container shares the host's namespace: must be empty.
    pub shared_with_host: Vec<String>,
    /// Capability sets of PID 1 (`inheritable`, `permitted`, `effective`, `bounding`,
    /// `ambient`), in hexadecimal as /proc has them.
    pub capabilities: BTreeMap<String, String>,
    /// `NoNewPrivs` of PID 1.
    pub no_new_privileges: bool,
    /// `Seccomp` of PID 1: 2 is "filter".
    pub seccomp_mode: u32,
    /// How many filters are stacked.
    pub seccomp_filters: u32,
    /// The user namespace's `uid_map`, one `inside outside count` a line.
    pub uid_map: Vec<String>,
    /// Mounts that the container sees, as `/path type flags`.
    pub mounts: Vec<String>,
}

impl SealReading {
    /// Every way in which this is not what it must be; empty if it holds. Where nothing is allowed,
    /// it must be a seal.
    #[must_use]
    pub fn breaches(&self, allowed: Allowed<'_>) -> Vec<String> {
        let mut found = self.breaches_after_exit(allowed);
        for kind in ["net", "user", "mnt", "pid", "ipc", "uts", "cgroup"] {
            if !self.namespaces.contains_key(kind) {
                found.push(format!("the {kind} namespace could not be read"));
            }
        }
        found
    }

    /// What of the network, the privileges and the filter is not as it was at `start`, when the
    /// container had not run an instruction. Nothing in a container can change them.
    #[must_use]
    pub fn changes_since(&self, start: &Self) -> Vec<String> {
        let same = [
            ("interfaces", self.interfaces == start.interfaces),
            ("addresses", self.addresses == start.addresses),
            ("routes", self.routes == start.routes),
            ("nftables rules", self.rules == start.rules),
            ("capabilities", self.capabilities == start.capabilities),
            ("seccomp filters", self.seccomp_filters >= start.seccomp_filters),
            (
                "namespaces",
                // Of a process that has ended the kernel tells only some.
                self.namespaces
                    .iter()
                    .all(|(kind, inode)| start.namespaces.get(kind) == Some(inode)),
            ),
        ];
        let changed = same.into_iter().filter(|(_, same)| !same);
        changed.map(|(what, _)| format!("the {what} are not what they were at the start")).collect()
    }

    /// As [`Self::breaches`], for a process that has ended: the kernel no longer tells all of its
    /// namespaces then, and none that it does not tell is held against it.
    #[must_use]
    pub fn breaches_after_exit(&self, allowed: Allowed<'_>) -> Vec<String> {
        let mut found = self.breaches_of_network(allowed);
        if self.rules.is_empty() {
            found.push("no nftables rule is loaded".to_owned());
        }
        for kind in &self.shared_with_host {
            found.push(format!("the {kind} namespace is the host's"));
        }
        for set in ["inheritable", "permitted", "effective", "bounding", "ambient"] {
            match self.capabilities.get(set) {
                None => found.push(format!("the {set} capabilities could not be read")),
                Some(hex) if hex.chars().any(|c| c != '0') => {
                    found.push(format!("the {set} capabilities are {hex}, must be none"));
                }
                Some(_) => {}
            }
        }
        if !self.no_new_privileges {
            found.push("new privileges are possible".to_owned());
        }
        if self.seccomp_mode != 2 || self.seccomp_filters < 2 {
            found.push(format!(
                "seccomp is mode {} with {} filters, must be 2 with at least 2",
                self.seccomp_mode, self.seccomp_filters
            ));
        }
        found
    }
}

impl SealReading {
    fn breaches_of_network(&self, allowed: Allowed<'_>) -> Vec<String> {
        let mut found = Vec::new();
        let must = allowed.interfaces();
        if self.interfaces != must {
            found.push(format!("interfaces are {:?}, must be {must:?} alone", self.interfaces));
        }
        let out = allowed.routes();
        for route in &self.routes {
            let into_lo = route.split(' ').any(|word| word == "lo");
            if !into_lo && !out.contains(route) {
                found.push(format!("route '{route}' leads out of lo"));
            }
        }
        for route in out.iter().filter(|r| !self.routes.contains(r)) {
            found.push(format!("there is no route '{route}'"));
        }
        found
    }
}

impl PeerLink {
    /// The only routes that lead out of `lo`: one to each peer.
    #[must_use]
    pub fn routes(&self) -> Vec<String> {
        let Self { interface, address, .. } = self;
        let to = |peer: &Ipv4Addr| format!("{peer}/32 dev {interface} src {address}");
        self.peers.values().map(to).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Access;

    pub(crate) fn sealed() -> SealReading {
        let kinds = ["net", "user", "mnt", "pid", "ipc", "uts", "cgroup"];
        let sets = ["inheritable", "permitted", "effective", "bounding", "ambient"];
        SealReading {
            interfaces: vec!["lo".into()],
            routes: vec!["default dev lo src 169.254.7.2".into()],
            rules: vec!["output: log, reject".into()],
            namespaces: kinds.iter().map(|k| ((*k).to_owned(), 1)).collect(),
            capabilities: sets
                .iter()
                .map(|s| ((*s).to_owned(), "0000000000000000".into()))
                .collect(),
            no_new_privileges: true,
            seccomp_mode: 2,
            seccomp_filters: 2,
            ..SealReading::default()
        }
    }

    #[test]
    fn a_seal_has_no_breach_and_nothing_read_is_no_seal() {
        assert_eq!(sealed().breaches(Allowed::default()), Vec::<String>::new());
        assert!(SealReading::default().breaches(Allowed::default()).len() > 10);
    }

    #[test]
    fn a_change_is_noticed_and_a_stricter_filter_is_none() {
        let start = sealed();
        let mut end = sealed();
        end.namespaces.remove("mnt");
        end.seccomp_filters += 1;
        assert_eq!(end.changes_since(&start), Vec::<String>::new());
        end.rules.pop();
        end.namespaces.insert("net".into(), 2);
        assert_eq!(end.changes_since(&start).len(), 2);
    }

    #[test]
    fn each_hole_is_named() {
        type Damage = fn(&mut SealReading);
        let cases: [(Damage, &str); 8] = [
            (|s| s.interfaces.push("eth0".into()), "interfaces"),
            (|s| s.routes.push("default via 10.0.0.1 dev eth0".into()), "route"),
            (|s| s.rules.clear(), "nftables"),
            (|s| s.shared_with_host.push("net".into()), "net namespace is the host's"),
            (|s| s.namespaces.retain(|k, _| k != "pid"), "pid namespace"),
            (
                |s| drop(s.capabilities.insert("bounding".into(), "0000000000000020".into())),
                "bounding",
            ),
            (|s| s.no_new_privileges = false, "privileges"),
            (|s| s.seccomp_filters = 0, "seccomp"),
        ];
        for (damage, word) in cases {
            let mut s = sealed();
            damage(&mut s);
            let b = s.breaches(Allowed::default());
            assert!(b.len() == 1 && b[0].contains(word), "{b:?}");
        }
    }

    #[test]
    fn a_link_to_peers_is_no_breach_and_anything_more_is() {
        let address = |n: u8| Ipv4Addr::new(100, 127, 7, n);
        let link = PeerLink {
            interface: "eth0".into(),
            driver: crate::cluster::Driver::Veth,
            address: address(1),
            peers: [("algo-2".parse().unwrap(), address(2))].into(),
            public_keys: BTreeMap::new(),
        };
        let joined = Allowed { peers: Some(&link), access: None };
        let mut s = sealed();
        assert_eq!(s.breaches(joined).len(), 2, "no interface, no route");
        s.interfaces.insert(0, "eth0".into());
        s.routes.push("100.127.7.2/32 dev eth0 src 100.127.7.1".into());
        assert_eq!(s.breaches(joined), Vec::<String>::new());
        assert_eq!(s.breaches(Allowed::default()).len(), 2, "a single instance has no such link");
        for route in ["default dev eth0", "100.127.7.3/32 dev eth0 src 100.127.7.1"] {
            let mut more = s.clone();
            more.routes.push(route.into());
            assert_eq!(more.breaches(joined).len(), 1, "{route}");
        }
    }

    #[test]
    fn an_interface_of_a_vpc_is_no_breach_only_where_it_was_asked_for() {
        let access = Access::Vpc(Box::new(crate::vpc_link::tests::link()));
        let allowed = Allowed { peers: None, access: Some(&access) };
        let mut s = sealed();
        assert_eq!(s.breaches(allowed).len(), 2, "no interface, no route");
        s.interfaces = vec!["eth0".into(), "lo".into()];
        s.routes = vec!["default via 10.0.1.1 dev eth0".into()];
        assert_eq!(s.breaches(allowed), Vec::<String>::new());
        assert_eq!(s.breaches(Allowed::default()).len(), 2);
        let internet = Allowed { peers: None, access: Some(&Access::Internet) };
        assert_eq!(s.breaches(internet).len(), 2, "the internet is reached without an interface");
        s.routes.push("10.0.0.0/8 dev eth0".into());
        assert_eq!(s.breaches(allowed).len(), 1);
    }
}
