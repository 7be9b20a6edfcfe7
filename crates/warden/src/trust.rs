//! Whom a container trusts that is not isolated: AWS's names lead to the service, by TLS for which
//! the service's own authority vouches.
//!
//! The container gets a file with the certificates that its image has, and the authority's; and the
//! variables that tell programs of it, none of which goes before what image and request say.

use belljar_linux::root::Root;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The file's name in `/etc`.
const NAME: &str = "belljar-ca-bundle.pem";
/// And its path.
const PATH: &str = "/etc/belljar-ca-bundle.pem";
/// Where images keep the certificates that their programs trust.
pub(crate) const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Bytes of that file: public ones have a quarter of a million.
const MOST: u64 = 4 << 20;
/// Variables for AWS's SDKs alone, or that add to what is trusted (Node).
const AWS: [&str; 2] = ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
/// Variables that stand in the place of all that is trusted: Python's requests, OpenSSL, curl.
const ALL: [&str; 3] = ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"];

/// What the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The image's certificates too.
    Whole,
    /// The authority's alone. Programs that bring certificates of their own (Python's certifi) must
    /// go on trusting those.
    Authority,
}

/// Why there is no such file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The service's certificate cannot be read.
    #[error("read the service's certificate")]
    Authority(#[from] io::Error),
    /// The file cannot be made.
    #[error(transparent)]
    Root(#[from] belljar_linux::Error),
}

/// Puts the file into a root. `authority` is the certificate in PEM.
pub(crate) fn put(root: &Root, authority: &Path) -> Result<Trust, TrustError> {
    let authority = std::fs::read(authority)?;
    let own = SYSTEM.iter().find_map(|path| root.read_file(path, MOST)).filter(|f| !f.is_empty());
    let trust = if own.is_some() { Trust::Whole } else { Trust::Authority };
    root.write_etc(NAME, bundle(own.unwrap_or_default(), &authority))?;
    Ok(trust)
}

fn bundle(mut own: Vec<u8>, authority: &[u8]) -> Vec<u8> {
    if own.last().is_some_and(|last| *last != b'\n') {
        own.push(b'\n');
    }
    own.extend_from_slice(authority);
    own
}

impl Trust {
    /// Says so in an environment, but for what it says itself.
    pub(crate) fn tell(self, environment: &mut BTreeMap<String, String>) {
        let all: &[&str] = if self == Self::Whole { &ALL } else { &[] };
        for name in AWS.iter().chain(all) {
            environment.entry((*name).to_owned()).or_insert_with(|| PATH.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_added_and_nothing_that_was_said_is_overridden() {
        assert_eq!(bundle(b"a".to_vec(), b"b\n"), b"a\nb\n");
        assert_eq!(bundle(Vec::new(), b"b\n"), b"b\n");
        let mut whole = BTreeMap::from([("SSL_CERT_FILE".to_owned(), "mine".to_owned())]);
        Trust::Whole.tell(&mut whole);
        assert_eq!((whole.len(), &*whole["SSL_CERT_FILE"]), (5, "mine"));
        assert_eq!(whole["AWS_CA_BUNDLE"], PATH);
        let mut bare = BTreeMap::new();
        Trust::Authority.tell(&mut bare);
        assert_eq!(bare.into_keys().collect::<Vec<_>>(), AWS);
    }
}
