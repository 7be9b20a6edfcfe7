//! How an image is named: the transports of containers-transports(5).

use super::digest::Digest;
use super::error::ImageError;
use super::limits::MAX_REFERENCE;
use super::registry_name::RegistryName;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where an image is and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// `NAME[:TAG][@DIGEST]`: taken from the store if it is there, else from its registry.
    Plain(RegistryName),
    /// `docker://NAME[:TAG][@DIGEST]`: a registry.
    Docker(RegistryName),
    /// `oci:DIR[:TAG | :@INDEX]`: a folder in OCI layout.
    OciLayout {
        /// The folder.
        path: PathBuf,
        /// Which image of it.
        pick: Pick,
    },
    /// `oci-archive:FILE[:TAG | :@INDEX]`: a tar of such a folder.
    OciArchive {
        /// The file.
        path: PathBuf,
        /// Which image of it.
        pick: Pick,
    },
    /// `docker-archive:FILE[:REF | :@INDEX]`: what `docker save` writes.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// Which image of it.
        pick: Pick,
    },
    /// `docker-daemon:NAME` or `docker-daemon:sha256:ID`: an image of the local Docker daemon.
    DockerDaemon(String),
}

/// Which image of several in one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pick {
    /// The only one.
    Only,
    /// The one of this tag or name.
    Named(String),
    /// The one at this place, counted from 0.
    At(usize),
}

const TRANSPORTS: [&str; 5] = ["docker", "oci", "oci-archive", "docker-archive", "docker-daemon"];
/// Transports of other tools: understood well enough to be refused by name.
const FOREIGN: [&str; 8] =
    ["dir", "containers-storage", "ostree", "sif", "tarball", "atomic", "http", "https"];

pub(super) fn refuse(text: &str, reason: impl Into<String>, hint: Option<String>) -> ImageError {
    ImageError::Reference { text: text.chars().take(200).collect(), reason: reason.into(), hint }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if text.is_empty() {
            return Err(refuse(text, "it is empty", None));
        }
        if text.len() > MAX_REFERENCE || text.chars().any(char::is_control) {
            return Err(refuse(text, "it is too long or holds control characters", None));
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return Ok(Self::Plain(RegistryName::parse(text)?));
        };
        match scheme {
            "docker" => match rest.strip_prefix("//") {
                Some(name) => Ok(Self::Docker(RegistryName::parse(name)?)),
                None => {
                    let rest = rest.trim_start_matches('/');
                    let hint = format!("did you mean docker://{rest}, or docker://docker:{rest}?");
                    Err(refuse(text, "the transport docker: needs two slashes", Some(hint)))
                }
            },
            "oci" => path_and_pick(text, rest).map(|(path, pick)| Self::OciLayout { path, pick }),
            "oci-archive" => {
                path_and_pick(text, rest).map(|(path, pick)| Self::OciArchive { path, pick })
            }
            "docker-archive" => {
                path_and_pick(text, rest).map(|(path, pick)| Self::DockerArchive { path, pick })
            }
            "docker-daemon" => daemon(text, rest),
            _ => match unknown_transport(text, scheme, rest) {
                Some(error) => Err(error),
                None => Ok(Self::Plain(RegistryName::parse(text)?)),
            },
        }
    }
}

/// `scheme` is no transport: is it meant as one? If not, it is a name with a tag or port.
fn unknown_transport(text: &str, scheme: &str, rest: &str) -> Option<ImageError> {
    let reason = format!("{scheme:?} is not a transport that Belljar reads");
    let all = "known are docker://, oci:, oci-archive:, docker-archive:, docker-daemon:";
    if FOREIGN.contains(&scheme) {
        let hint = if scheme.starts_with("http") {
            format!("did you mean docker://{}?", rest.trim_start_matches('/'))
        } else {
            all.to_owned()
        };
        return Some(refuse(text, reason, Some(hint)));
    }
    let near = TRANSPORTS.iter().find(|t| distance(scheme, t) <= t.len() / 5);
    let slashes = rest.starts_with('/');
    match near {
        Some(near) => {
            let slashes = if *near == "docker" { "//" } else { "" };
            let rest = rest.trim_start_matches(if slashes.is_empty() { "" } else { "/" });
            let hint = format!("did you mean {near}:{slashes}{rest}?");
            // `dockers:5000/x` is a registry; `docker-archve:x.tar` is surely no image.
            (slashes.is_empty() || text.contains("://")).then(|| refuse(text, reason, Some(hint)))
        }
        None => slashes.then(|| refuse(text, reason, Some(all.to_owned()))),
    }
}

/// Levenshtein's distance; the texts are short (a scheme longer than 20 is far from any).
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 20 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn path_and_pick(text: &str, rest: &str) -> Result<(PathBuf, Pick), ImageError> {
    let (path, pick) = match rest.split_once(':') {
        None => (rest, Pick::Only),
        Some((path, pick)) => match pick.strip_prefix('@') {
            Some(index) => {
                let index = index.parse().map_err(|_| {
                    refuse(text, "after @ stands the place of an image, counted from 0", None)
                })?;
                (path, Pick::At(index))
            }
            None if pick.is_empty() => return Err(refuse(text, "the tag is empty", None)),
            None => (path, Pick::Named(pick.to_owned())),
        },
    };
    if path.is_empty() {
        return Err(refuse(text, "the path is empty", None));
    }
    Ok((PathBuf::from(path), pick))
}

fn daemon(text: &str, rest: &str) -> Result<Reference, ImageError> {
    if rest.parse::<Digest>().is_ok() {
        return Ok(Reference::DockerDaemon(rest.to_owned()));
    }
    let name = RegistryName::parse(rest)
        .map_err(|_| refuse(text, "docker-daemon: takes an image name or sha256:ID", None))?;
    Ok(Reference::DockerDaemon(name.familiar()))
}

impl fmt::Display for Pick {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Named(name) => write!(out, ":{name}"),
            Self::At(index) => write!(out, ":@{index}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(name) => name.fmt(out),
            Self::Docker(name) => write!(out, "docker://{name}"),
            Self::OciLayout { path, pick } => write!(out, "oci:{}{pick}", path.display()),
            Self::OciArchive { path, pick } => write!(out, "oci-archive:{}{pick}", path.display()),
            Self::DockerArchive { path, pick } => {
                write!(out, "docker-archive:{}{pick}", path.display())
            }
            Self::DockerDaemon(name) => write!(out, "docker-daemon:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        assert_eq!(full("alpine"), "docker.io/library/alpine:latest");
        assert_eq!(full("team/app:1.2"), "docker.io/team/app:1.2");
        assert_eq!(full("index.docker.io/alpine"), "docker.io/library/alpine:latest");
        assert_eq!(full("r.example.com/a/b__c/d-e"), "r.example.com/a/b__c/d-e:latest");
        assert_eq!(full("localhost:5000/x"), "localhost:5000/x:latest");
        assert_eq!(full("[::1]:5000/x"), "[::1]:5000/x:latest");
        let digest = Digest::of(b"");
        assert_eq!(full(&format!("x@{digest}")), format!("docker.io/library/x@{digest}"));
        assert_eq!(full(&format!("x:1@{digest}")), format!("docker.io/library/x:1@{digest}"));
        assert_eq!(full("docker://alpine:3"), "docker://docker.io/library/alpine:3");
        assert_eq!(full("docker-daemon:alpine"), "docker-daemon:alpine:latest");
        assert_eq!(
            full("docker-daemon:docker.io/localhost/x:1"),
            "docker-daemon:docker.io/localhost/x:1"
        );
    }

    #[test]
    fn transports_take_paths() {
        let parse = |text: &str| text.parse::<Reference>().unwrap();
        let path = PathBuf::from("/a b");
        let pick = Pick::Named("v1".to_owned());
        assert_eq!(parse("oci:/a b:v1"), Reference::OciLayout { path: path.clone(), pick });
        let pick = Pick::At(2);
        assert_eq!(
            parse("oci-archive:/a b:@2"),
            Reference::OciArchive { path: path.clone(), pick }
        );
        let pick = Pick::Named("x/y:1".to_owned());
        assert_eq!(parse("docker-archive:/a b:x/y:1"), Reference::DockerArchive { path, pick });
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_guess() {
        for (text, guess) in [
            ("docker-archve:x.tar", "did you mean docker-archive:x.tar?"),
            ("oci-archiv:x.tar", "did you mean oci-archive:x.tar?"),
            ("dcker://x", "did you mean docker://x?"),
            ("docker:x", "did you mean docker://x, or docker://docker:x?"),
            ("https://r.example.com/x", "did you mean docker://r.example.com/x?"),
            ("Alpine", "names are lower case: alpine"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            let hint = crate::failure::Explain::hint(&error);
            assert_eq!(hint.as_deref(), Some(guess), "{text}: {error}");
        }
        for text in [
            "",
            "oci:",
            "oci:x:",
            "oci:x:@y",
            "a//b",
            "a_-b",
            "x:",
            "x:-1",
            "x@sha256:0",
            "-x",
            "x/",
            "localhost:99999/x",
            "a..b",
            "dir:/x",
            "foo:/x",
            "x\n",
            "docker-daemon:",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
        assert!("a".repeat(300).parse::<Reference>().is_err());
    }

    /// The gate's short form of the fuzzer.
    #[test]
    fn whatever_is_read_is_written_the_same() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let digest = Digest::of(b"").to_string();
        let parts = [
            "docker",
            "://",
            "oci",
            ":",
            "/",
            "@",
            "-archive:",
            "-daemon:",
            "a",
            "B",
            ".",
            "_",
            "-",
            "localhost",
            "5000",
            "library",
            "docker.io",
            digest.as_str(),
            "[::1]",
            "\u{e4}",
        ];
        let mut accepted = 0;
        for _ in 0..20_000 {
            let text: String =
                (0..=next() % 8).map(|_| parts[(next() % parts.len() as u64) as usize]).collect();
            let Ok(reference) = text.parse::<Reference>() else { continue };
            accepted += 1;
            let written = reference.to_string();
            let again: Reference = written.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(again, reference, "{text} became {written}");
        }
        assert!(accepted > 500, "only {accepted} were accepted");
    }
}
