//! Names of images in registries: Docker's grammar and its completion of short names.

use super::digest::Digest;
use super::error::ImageError;
use super::limits::{MAX_NAME_TOTAL, MAX_REFERENCE};
use super::reference::refuse;
use std::fmt;

/// A repository of a registry with a tag or digest, in Docker's full form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryName {
    /// Host and perhaps port: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// Path: `library/alpine`.
    pub repository: String,
    /// `latest` if neither tag nor digest is given; `None` if only a digest is.
    pub tag: Option<String>,
    /// Wins over the tag.
    pub digest: Option<Digest>,
}

impl RegistryName {
    /// Reads `[HOST[:PORT]/]PATH[:TAG][@DIGEST]` and completes it as Docker does.
    ///
    /// # Errors
    /// [`ImageError::Reference`] if a part breaks the grammar of the distribution specification.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        if text.len() > MAX_REFERENCE {
            return Err(refuse(text, "it is too long", None));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|e| refuse(text, format!("{e}"), None))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon after the last slash begins the tag; any other one a port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if let Some(tag) = tag
            && !valid_tag(tag)
        {
            return Err(refuse(text, format!("{tag:?} is not a tag"), None));
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => (host, path.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let path = match path.as_str() {
            short if registry == "docker.io" && !short.contains('/') => format!("library/{short}"),
            _ => path,
        };
        if !valid_host(registry) {
            return Err(refuse(
                text,
                format!("{registry:?} is not a registry's host[:port]"),
                None,
            ));
        }
        if let Some(bad) = path.split('/').find(|part| !valid_component(part)) {
            let hint = if valid_component(&bad.to_lowercase()) {
                format!("names are lower case: {}", text.to_lowercase())
            } else {
                "a name is lower-case letters and digits, with '.', '_' or '-' between them, and parts after '/'".to_owned()
            };
            let hint = Some(hint);
            return Err(refuse(text, format!("{bad:?} is not part of an image name"), hint));
        }
        if registry.len() + 1 + path.len() > MAX_NAME_TOTAL {
            return Err(refuse(text, format!("the name has over {MAX_NAME_TOTAL} bytes"), None));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, None) => Some("latest".to_owned()),
            (None, Some(_)) => None,
        };
        Ok(Self { registry: registry.to_owned(), repository: path, tag, digest })
    }

    /// Without what Docker adds (`docker.io/library/`), with the tag.
    #[must_use]
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let Some(short) = full.strip_prefix("docker.io/") else { return full };
        let short = short.strip_prefix("library/").filter(|s| !s.contains('/')).unwrap_or(short);
        match short.split_once('/') {
            // `docker.io/localhost/x` cut short would be another registry's.
            Some((first, _)) if is_host(first) => full,
            _ => short.to_owned(),
        }
    }

    /// `registry/repository`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Whether the registry is this very machine: only then is it spoken to without TLS.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = match self.registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.registry,
        };
        matches!(host, "localhost" | "127.0.0.1" | "[::1]")
    }
}

/// Docker's rule for what is a host rather than the first part of a path.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.chars().any(|c| c.is_ascii_uppercase())
}

fn valid_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_ok = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n > 0) && !p.starts_with('+'));
    let host_ok = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    port_ok && host_ok
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn valid_component(text: &str) -> bool {
    let mut separator = String::new();
    let mut seen = false;
    for c in text.chars() {
        match c {
            'a'..='z' | '0'..='9' => {
                let between = matches!(separator.as_str(), "" | "." | "_" | "__")
                    || separator.bytes().all(|b| b == b'-');
                if !between || (!seen && !separator.is_empty()) {
                    return false;
                }
                separator.clear();
                seen = true;
            }
            '.' | '_' | '-' => separator.push(c),
            _ => return false,
        }
    }
    seen && separator.is_empty()
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn valid_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

impl fmt::Display for RegistryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(out, "@{digest}")?;
        }
        Ok(())
    }
}
