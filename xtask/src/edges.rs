//! Which room may know which.

use crate::metadata::{Dependency, Metadata, Package};

/// A room and those that it may know. Whoever is not here (the test kit, tests, examples, fuzz
/// targets) may know any, and none of the rooms may know them but for tests.
const ROOMS: [(&str, &[&str]); 9] = [
    ("belljar-vpc", &[]),
    ("belljar-domain", &["belljar-vpc"]),
    ("belljar-audit", &["belljar-vpc", "belljar-domain"]),
    ("belljar-aws", &[]),
    ("belljar-store", &["belljar-domain", "belljar-vpc"]),
    ("belljar-linux", &["belljar-vpc"]),
    (
        "belljar-control",
        &["belljar-aws", "belljar-store", "belljar-domain", "belljar-vpc", "belljar-audit"],
    ),
    ("belljar-warden", &["belljar-linux", "belljar-domain", "belljar-vpc"]),
    (
        "belljar",
        &["belljar-control", "belljar-warden", "belljar-audit", "belljar-vpc", "belljar-domain"],
    ),
];

/// Rooms without files, clock, randomness or network, and all the crates that they may use.
const PURE: [&str; 3] = ["belljar-vpc", "belljar-domain", "belljar-audit"];
const PURE_MAY_USE: [&str; 6] = ["ipnet", "regex", "serde", "serde_json", "thiserror", "time"];

/// Every dependency that is not drawn, in words.
pub(crate) fn problems(metadata: &Metadata) -> Vec<String> {
    metadata.packages.iter().flat_map(of_package).collect()
}

fn of_package(package: &Package) -> Vec<String> {
    let Some((name, allowed)) = ROOMS.iter().find(|(name, _)| *name == package.name) else {
        let room = package.manifest_path.contains("/crates/");
        let text = || format!("{} is in crates/ and no room is drawn for it", package.name);
        return room.then(text).into_iter().collect();
    };
    let mut found = Vec::new();
    for dependency in &package.dependencies {
        let target = dependency.name.as_str();
        let ours = dependency.path.is_some();
        let room = ROOMS.iter().any(|(room, _)| *room == target);
        // Tests may use the test kit and any library, but no room that the code may not know.
        if is_dev(dependency) && !room {
            continue;
        }
        if ours && !allowed.contains(&target) {
            found.push(format!("{name} must not depend on {target}"));
        }
        if !ours && PURE.contains(name) && !PURE_MAY_USE.contains(&target) {
            found.push(format!("{name} is pure and must not depend on {target}"));
        }
    }
    found
}

fn is_dev(dependency: &Dependency) -> bool {
    dependency.kind.as_deref() == Some("dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(package: &str, dependency: &str, kind: Option<&str>, ours: bool) -> Metadata {
        let dependency = Dependency {
            name: dependency.to_owned(),
            kind: kind.map(str::to_owned),
            path: ours.then(|| "/x".to_owned()),
        };
        let package = Package {
            name: package.to_owned(),
            manifest_path: "/x/Cargo.toml".to_owned(),
            dependencies: vec![dependency],
        };
        Metadata { packages: vec![package] }
    }

    fn verdict(package: &str, dependency: &str, kind: Option<&str>, ours: bool) -> Vec<String> {
        problems(&workspace(package, dependency, kind, ours))
    }

    #[test]
    fn a_forbidden_edge_is_named() {
        // The last number: whether tests may not either.
        for (from, to, kinds) in [
            ("belljar-control", "belljar-linux", 3),
            ("belljar-control", "belljar-warden", 3),
            ("belljar-warden", "belljar-store", 3),
            ("belljar-warden", "belljar-control", 3),
            ("belljar-vpc", "belljar-domain", 3),
            ("belljar-domain", "belljar-testkit", 2),
            ("belljar-linux", "belljar-domain", 3),
        ] {
            let expected = format!("{from} must not depend on {to}");
            for kind in [None, Some("build"), Some("dev")].into_iter().take(kinds) {
                assert_eq!(verdict(from, to, kind, true).join(""), expected);
            }
        }
    }

    #[test]
    fn a_room_that_is_not_drawn_is_named() {
        let mut w = workspace("belljar-cellar", "serde", None, false);
        assert!(problems(&w).is_empty());
        w.packages[0].manifest_path = "/x/crates/cellar/Cargo.toml".to_owned();
        assert_eq!(problems(&w), ["belljar-cellar is in crates/ and no room is drawn for it"]);
    }

    #[test]
    fn a_drawn_edge_passes() {
        assert!(verdict("belljar", "belljar-warden", None, true).is_empty());
        assert!(verdict("belljar-warden", "belljar-linux", None, true).is_empty());
        assert!(verdict("belljar-warden", "tokio", None, false).is_empty());
        assert!(verdict("belljar-testkit", "belljar-control", None, true).is_empty());
        assert!(verdict("belljar-domain", "belljar-testkit", Some("dev"), true).is_empty());
    }

    #[test]
    fn a_pure_room_stays_pure() {
        assert!(verdict("belljar-domain", "regex", None, false).is_empty());
        for impure in ["tokio", "rand", "rustix", "tempfile"] {
            assert_eq!(verdict("belljar-domain", impure, None, false).len(), 1, "{impure}");
        }
    }
}
