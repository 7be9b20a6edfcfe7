//! Credentials for registries, as `docker login` and `skopeo login` leave them.

use crate::image::error::ImageError;
use crate::image::limits::MAX_CREDENTIALS;
use crate::image::registry_name::RegistryName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a 401 asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Bearer { realm: String, service: Option<String> },
    Basic,
}

/// A user and password, if there are any for a registry.
#[derive(Default)]
pub(super) struct Credentials {
    pair: Option<(String, String)>,
    /// A helper program that would have them.
    pub(super) helper: Option<String>,
}

/// `config.json` of Docker, `auth.json` of containers-auth.json(5).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthFile {
    #[serde(default)]
    auths: HashMap<String, Auth>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: Option<String>,
}

impl Credentials {
    /// Looks through the usual files; the first that knows the registry counts.
    pub(super) fn find(name: &RegistryName) -> Result<Self, ImageError> {
        let mut helper = None;
        for (path, required) in files() {
            let Some(file) = read(&path, required)? else { continue };
            let found = file.lookup(name).map_err(|reason| ImageError::Credentials {
                path: path.clone(),
                reason: reason.to_owned(),
            })?;
            if found.pair.is_some() {
                return Ok(found);
            }
            helper = helper.or(found.helper);
        }
        Ok(Self { pair: None, helper })
    }

    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let (user, password) = self.pair.as_ref()?;
        let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        sensitive(&text)
    }
}

/// `REGISTRY_AUTH_FILE` alone if it is set, else where podman and Docker look.
fn files() -> Vec<(PathBuf, bool)> {
    let from = |name: &str, rest: &str| {
        std::env::var_os(name).filter(|v| !v.is_empty()).map(|v| PathBuf::from(v).join(rest))
    };
    if let Some(path) = std::env::var_os("REGISTRY_AUTH_FILE").filter(|v| !v.is_empty()) {
        return vec![(PathBuf::from(path), true)];
    }
    let docker =
        from("DOCKER_CONFIG", "config.json").or_else(|| from("HOME", ".docker/config.json"));
    [from("XDG_RUNTIME_DIR", "containers/auth.json"), docker]
        .into_iter()
        .flatten()
        .map(|path| (path, false))
        .collect()
}

fn read(path: &Path, required: bool) -> Result<Option<AuthFile>, ImageError> {
    // Never the file's text: it holds secrets.
    let failed = |reason: String| ImageError::Credentials { path: path.to_owned(), reason };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !required => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_CREDENTIALS).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| failed(format!("it is not valid JSON at line {}", e.line())))
}

impl AuthFile {
    fn lookup(&self, name: &RegistryName) -> Result<Credentials, &'static str> {
        // From the most special key (a repository) to the registry.
        let mut keys = Vec::new();
        let mut key = name.name();
        loop {
            keys.push(key.clone());
            match key.rsplit_once('/') {
                Some((shorter, _)) => key = shorter.to_owned(),
                None => break,
            }
        }
        if name.registry == "docker.io" {
            keys.push("index.docker.io".to_owned());
        }
        for wanted in &keys {
            let entry = self.auths.iter().find(|(key, _)| bare(key) == wanted);
            if let Some(text) = entry.and_then(|(_, a)| a.auth.as_deref()).filter(|t| !t.is_empty())
            {
                let decoded = STANDARD.decode(text).map_err(|_| "an \"auth\" is not base64")?;
                let decoded = String::from_utf8(decoded).map_err(|_| "an \"auth\" is not UTF-8")?;
                let (user, password) =
                    decoded.split_once(':').ok_or("an \"auth\" has no colon in it")?;
                let pair = Some((user.to_owned(), password.trim_matches('\0').to_owned()));
                return Ok(Credentials { pair, helper: None });
            }
        }
        let helper =
            keys.iter().find_map(|k| self.cred_helpers.get(k)).or(self.creds_store.as_ref());
        Ok(Credentials { pair: None, helper: helper.filter(|h| !h.is_empty()).cloned() })
    }
}

/// A key without scheme and version: `https://index.docker.io/v1/` is `index.docker.io`.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

/// The token of a token server's answer, as a header.
pub(super) fn bearer(answer: &[u8]) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let token = answer.token.or(answer.access_token).filter(|t| !t.is_empty())?;
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Challenge {
    /// Reads `Bearer realm="...",service="..."` or `Basic ...`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        let mut rest = rest.trim_start_matches([' ', ',']);
        while let Some((key, value)) = rest.split_once('=') {
            let (value, tail) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => value.split_once(',').unwrap_or((value, "")),
            };
            match key.trim() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = tail.trim_start_matches([' ', ',']);
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_real_registries() {
        let text = r#"Bearer realm="https://auth.example.com/token",service="a, b",scope="repository:x:pull""#;
        let parsed = Challenge::parse(text).unwrap();
        let realm = "https://auth.example.com/token".to_owned();
        assert_eq!(parsed, Challenge::Bearer { realm, service: Some("a, b".to_owned()) });
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer realm=\"open"), None);
    }

    fn lookup(file: &str, name: &str) -> Result<Credentials, &'static str> {
        let file: AuthFile = serde_json::from_str(file).unwrap();
        file.lookup(&RegistryName::parse(name).unwrap())
    }

    #[test]
    fn the_most_special_credentials_win() {
        let file = r#"{"auths":{"r.example.com":{"auth":"YTpi"},"r.example.com/team":{"auth":"YzpkOmU="},
            "https://index.docker.io/v1/":{"auth":"eDp5"}}}"#;
        let pair = |name| lookup(file, name).unwrap().pair.unwrap();
        assert_eq!(pair("r.example.com/x"), ("a".to_owned(), "b".to_owned()));
        assert_eq!(pair("r.example.com/team/x"), ("c".to_owned(), "d:e".to_owned()));
        assert_eq!(pair("alpine"), ("x".to_owned(), "y".to_owned()));
        assert!(lookup(file, "other.example.com/x").unwrap().pair.is_none());
    }

    #[test]
    fn helpers_are_named_not_run() {
        let file = r#"{"auths":{"r.example.com":{}},"credsStore":"desktop","credHelpers":{"s.example.com":"ecr-login"}}"#;
        assert_eq!(lookup(file, "r.example.com/x").unwrap().helper.unwrap(), "desktop");
        assert_eq!(lookup(file, "s.example.com/x").unwrap().helper.unwrap(), "ecr-login");
    }

    #[test]
    fn secrets_are_not_shown() {
        let value = lookup(r#"{"auths":{"r.example.com":{"auth":"YTpi"}}}"#, "r.example.com/x");
        let header = value.unwrap().basic().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic YTpi");
        assert_eq!(format!("{header:?}"), "Sensitive");
    }
}
