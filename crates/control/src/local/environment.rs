//! What of the user's environment a warden is given: what it needs to reach registries and
//! object stores, and nothing that could steer it otherwise.

use std::ffi::{OsStr, OsString};

const NAMES: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
const PREFIXES: [&str; 3] = ["XDG_", "AWS_", "BELLJAR_"];

/// The variables that go on.
pub fn for_warden(
    all: impl IntoIterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    all.into_iter().filter(|(name, _)| passes(name))
}

fn passes(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name == "RUST_LOG" || NAMES.contains(&name) || PREFIXES.iter().any(|p| name.starts_with(p))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_goes_on() {
        let of = |names: &[&str]| -> Vec<String> {
            for_warden(names.iter().map(|n| (OsString::from(n), OsString::new())))
                .map(|(n, _)| n.into_string().unwrap())
                .collect()
        };
        assert_eq!(
            of(&["PATH", "LD_PRELOAD", "AWS_PROFILE", "GITHUB_TOKEN", "BELLJAR_X", "XDG_X"]),
            ["PATH", "AWS_PROFILE", "BELLJAR_X", "XDG_X"]
        );
    }
}
