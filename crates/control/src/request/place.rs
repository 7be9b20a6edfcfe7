//! Where things come from and go to. An Assignment holds no relative path: a warden may start in
//! any directory.

use super::{Mirror, RequestError, mirrored};
use belljar_domain::ChannelName;
use std::path::{Path, PathBuf};

/// Transports whose names begin with a path.
const PATH_TRANSPORTS: [&str; 3] = ["oci:", "oci-archive:", "docker-archive:"];

/// An image's name; the path in it, if it has one, is made absolute.
#[must_use]
pub fn image_name(name: &str, directory: &Path) -> String {
    for transport in PATH_TRANSPORTS {
        if let Some(path) = name.strip_prefix(transport) {
            return format!("{transport}{}", directory.join(path).display());
        }
    }
    name.to_owned()
}

/// Beginnings of names that are no name of an image store or registry: transports that read files
/// of this machine, and those of other tools.
const TRANSPORTS: [&str; 13] = [
    "oci:",
    "oci-archive:",
    "docker-archive:",
    "docker-daemon:",
    "dir:",
    "containers-storage:",
    "ostree:",
    "sif:",
    "tarball:",
    "atomic:",
    "file:",
    "http:",
    "https:",
];

/// A name of the image store or of a registry, through the mirrors; `None` if it is neither: what a
/// client of the service names must not read this machine's files.
pub(super) fn registry_name(given: &str, mirrors: &[Mirror]) -> Option<String> {
    let name = given.strip_prefix("docker://").unwrap_or(given);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_/:@[]+".contains(c);
    let local = name.starts_with(['/', '.', '-', ':', '@'])
        || TRANSPORTS.iter().any(|t| name.starts_with(t))
        || !name.chars().all(plain);
    (!local).then(|| mirrored(mirrors, name))
}

/// Whether it is `s3://bucket`, with or without a key.
pub(super) fn is_in_s3(uri: &str) -> bool {
    let bucket = uri.strip_prefix("s3://").and_then(|rest| rest.split('/').next());
    bucket.is_some_and(is_bucket) && !uri.chars().any(char::is_control)
}

/// Checks and completes a channel's URI; a path must exist, so that a slip of the pen is told
/// before an image is pulled.
pub(super) fn input(
    channel: &ChannelName,
    uri: &str,
    directory: &Path,
) -> Result<String, RequestError> {
    let wrong = || RequestError::Uri { what: format!("channel '{channel}'"), uri: uri.to_owned() };
    match place(uri, directory).ok_or_else(wrong)? {
        Place::Object(uri) => Ok(uri),
        Place::Path(path) if path.exists() => {
            path.into_os_string().into_string().map_err(|_| wrong())
        }
        Place::Path(path) => Err(RequestError::NoInput {
            channel: channel.to_string(),
            path: path.display().to_string(),
        }),
    }
}

/// Checks and completes the URI of something that is written: `what`, as in "the output".
pub(super) fn output(what: &str, uri: &str, directory: &Path) -> Result<String, RequestError> {
    let wrong = || RequestError::Uri { what: what.to_owned(), uri: uri.to_owned() };
    match place(uri, directory).ok_or_else(wrong)? {
        Place::Object(uri) => Ok(uri),
        Place::Path(path) => path.into_os_string().into_string().map_err(|_| wrong()),
    }
}

enum Place {
    Path(PathBuf),
    Object(String),
}

fn place(uri: &str, directory: &Path) -> Option<Place> {
    if uri.is_empty() || uri.contains('\0') {
        return None;
    }
    if let Some(path) = uri.strip_prefix("file://") {
        return path.starts_with('/').then(|| Place::Path(PathBuf::from(path)));
    }
    if let Some(rest) = uri.strip_prefix("s3://") {
        let bucket = rest.split('/').next().unwrap_or_default();
        return is_bucket(bucket).then(|| Place::Object(uri.to_owned()));
    }
    if uri.contains("://") {
        return None;
    }
    // As a person would write it: `components` leaves out every `.`.
    Some(Place::Path(directory.join(uri).components().collect()))
}

/// An S3 bucket's name: 3 to 63 lower-case letters, digits, dots, hyphens (and the underscores
/// and capitals of the oldest), a letter or digit at both ends.
fn is_bucket(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    (3..=63).contains(&bytes.len())
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_objects_stay() {
        let here = Path::new("/here");
        assert_eq!(output("the output", "out", here).unwrap(), "/here/out");
        assert_eq!(output("the output", "/out", here).unwrap(), "/out");
        assert_eq!(output("the output", "file:///out", here).unwrap(), "/out");
        assert_eq!(output("the output", "s3://my-bucket/a/b", here).unwrap(), "s3://my-bucket/a/b");
        for bad in ["", "file://out", "s3://", "s3:///x", "s3://-x-/y", "https://x/y", "a\0"] {
            assert!(output("the output", bad, here).is_err(), "{bad}");
        }
        assert_eq!(image_name("oci:layout:1", here), "oci:/here/layout:1");
        assert_eq!(image_name("docker-archive:/x.tar", here), "docker-archive:/x.tar");
        assert_eq!(image_name("alpine:3", here), "alpine:3");
    }

    #[test]
    fn an_input_that_is_not_there_is_told_at_once() {
        let train: ChannelName = "train".parse().unwrap();
        let e = input(&train, "no-such-folder", Path::new("/here")).unwrap_err();
        assert!(e.to_string().contains("/here/no-such-folder"), "{e}");
        assert_eq!(input(&train, "./.", Path::new("/tmp")).unwrap(), "/tmp");
        assert!(input(&train, "s3://my-bucket/x", Path::new("/")).is_ok());
    }
}
