//! `docker://`, a registry that speaks the OCI distribution specification 1.1.
//!
//! Written on `reqwest` rather than on a registry library because of the limits: the libraries at
//! hand read manifests, token answers and error texts of any size into memory.

use super::auth::{Challenge, Credentials};
use super::{Description, check_digest, description, manifest_only, through_index};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::limits::{CONNECT_SECONDS, MAX_ANSWER, MAX_DOCUMENT, SILENCE_SECONDS};
use crate::image::registry_name::RegistryName;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, Url};
use std::error::Error;
use std::io::{self, Read};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Buffers between the network and the thread that unpacks.
const BUFFERS: usize = 4;

pub(in crate::image) struct Registry {
    name: RegistryName,
    client: Client,
    /// `https://host/v2/path`.
    base: String,
    /// What is sent as `Authorization`, once the registry has asked for it.
    authorization: Mutex<Option<HeaderValue>>,
}

/// A client for one pull: TLS by *ring*, no redirect from TLS to none.
pub(super) fn client(loopback: bool) -> Result<Client, reqwest::Error> {
    // An error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let policy = reqwest::redirect::Policy::custom(|attempt| {
        let secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if attempt.previous().len() > 5 {
            attempt.error("too many redirects")
        } else if secure && attempt.url().scheme() != "https" {
            attempt.error("a redirect from TLS to plain HTTP is not followed")
        } else {
            attempt.follow()
        }
    });
    let builder = || {
        Client::builder()
            .user_agent(concat!("belljar/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
            .read_timeout(Duration::from_secs(SILENCE_SECONDS))
    };
    match builder().redirect(policy).build() {
        // No root certificate on this machine matters only to TLS.
        Err(_) if loopback => builder().no_proxy().tls_certs_only([]).build(),
        built => built,
    }
}

/// A client for a daemon behind a Unix socket.
pub(super) fn unix_client(socket: &std::path::Path) -> Result<Client, reqwest::Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .unix_socket(socket.to_owned())
        .read_timeout(Duration::from_secs(SILENCE_SECONDS))
        .build()
}

impl Registry {
    pub(super) fn new(name: &RegistryName) -> Result<Self, ImageError> {
        let loopback = name.is_loopback();
        let client = client(loopback).map_err(|e| contact(&name.registry, e))?;
        let scheme = if loopback { "http" } else { "https" };
        // Docker's own registry answers elsewhere than it is called.
        let host = match name.registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let base = format!("{scheme}://{host}/v2/{}", name.repository);
        Ok(Self { name: name.clone(), client, base, authorization: Mutex::new(None) })
    }

    pub(super) async fn describe(&self) -> Result<Description, ImageError> {
        let name = self.name.to_string();
        let wanted = match (&self.name.digest, &self.name.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        };
        let mut manifest = self.manifest(&wanted, self.name.digest.as_ref()).await?;
        if let Some((digest, _)) = through_index(&name, &manifest)? {
            manifest = self.manifest(digest.as_str(), Some(&digest)).await?;
        }
        let digest = manifest_only(&name, &manifest)?.config.digest;
        let what = format!("the configuration of {name}");
        let response = self.get(&format!("blobs/{digest}"), &what).await?;
        let config = self.small(&what, response).await?;
        check_digest(&what, &config, Some(&digest))?;
        description(&name, manifest, config)
    }

    async fn manifest(&self, wanted: &str, digest: Option<&Digest>) -> Result<Vec<u8>, ImageError> {
        let what = format!("the manifest of {}", self.name);
        let response = self.get(&format!("manifests/{wanted}"), &what).await?;
        let bytes = self.small(&what, response).await?;
        check_digest(&what, &bytes, digest)?;
        Ok(bytes)
    }

    /// A layer's stream, moved from the event loop to the caller's thread.
    pub(super) async fn blob(&self, digest: &Digest) -> Result<Box<dyn Read + Send>, ImageError> {
        let what = format!("layer {digest}");
        let mut response = self.get(&format!("blobs/{digest}"), &what).await?;
        let (sender, receiver) = mpsc::channel(BUFFERS);
        tokio::spawn(async move {
            loop {
                let message = match response.chunk().await {
                    Ok(Some(bytes)) => Ok(bytes),
                    Ok(None) => break,
                    Err(error) => Err(io::Error::other(error)),
                };
                let failed = message.is_err();
                if sender.send(Some(message)).await.is_err() || failed {
                    return;
                }
            }
            // Without this, a task that was killed would look like the end of the stream.
            let _ = sender.send(None).await;
        });
        Ok(Box::new(Incoming { receiver, current: None, ended: false }))
    }

    /// Asks, and once more with credentials if the registry wants them.
    async fn get(&self, path: &str, what: &str) -> Result<Response, ImageError> {
        let url = format!("{}/{path}", self.base);
        let known = self.authorization.lock().await.clone();
        let mut response = self.send(&url, known).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let fresh = self.authorize(&response).await?;
            *self.authorization.lock().await = Some(fresh.clone());
            response = self.send(&url, Some(fresh)).await?;
        }
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND => Err(ImageError::NotFound {
                source_name: self.name.registry.clone(),
                name: what.strip_prefix("the manifest of ").unwrap_or(what).to_owned(),
                found: Vec::new(),
            }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let reason = text_of(response).await;
                Err(self.unauthorized(reason, None))
            }
            status => Err(ImageError::Answer {
                server: self.name.registry.clone(),
                status: status.as_u16(),
                what: what.to_owned(),
                text: text_of(response).await,
            }),
        }
    }

    async fn send(
        &self,
        url: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, ImageError> {
        let mut request = self.client.get(url).header(ACCEPT, MANIFESTS);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.send().await.map_err(|e| contact(&self.name.registry, e))
    }

    /// Answers the challenge of a 401: a token from the registry's token server, or the
    /// credentials themselves.
    async fn authorize(&self, response: &Response) -> Result<HeaderValue, ImageError> {
        let credentials = Credentials::find(&self.name)?;
        let challenges: Vec<Challenge> = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?))
            .collect();
        let helper = credentials.helper.clone();
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service } => Some((realm, service.as_deref())),
            Challenge::Basic => None,
        });
        if let Some((realm, service)) = bearer {
            return self.token(realm, service, &credentials).await;
        }
        if challenges.contains(&Challenge::Basic) {
            return credentials
                .basic()
                .ok_or_else(|| self.unauthorized("it wants a login".to_owned(), helper));
        }
        Err(self.unauthorized("it wants a login of an unknown kind".to_owned(), helper))
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        credentials: &Credentials,
    ) -> Result<HeaderValue, ImageError> {
        let refuse = |reason: &str| self.unauthorized(reason.to_owned(), None);
        let mut url = Url::parse(realm).map_err(|_| refuse("its token server has no valid URL"))?;
        if url.scheme() != "https" && !(self.name.is_loopback() && is_loopback(&url)) {
            return Err(refuse("its token server does not use TLS"));
        }
        url.query_pairs_mut()
            .append_pair("scope", &format!("repository:{}:pull", self.name.repository));
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let server = url.host_str().unwrap_or_default().to_owned();
        let mut request = self.client.get(url);
        if let Some(value) = credentials.basic() {
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(|e| contact(&server, e))?;
        let status = response.status();
        if !status.is_success() {
            let text = text_of(response).await;
            let reason = format!("its token server answered {}: {text}", status.as_u16());
            return Err(self.unauthorized(reason, credentials.helper.clone()));
        }
        let bytes = bounded(response, MAX_ANSWER).await.map_err(|e| contact(&server, e))?;
        super::auth::bearer(&bytes).ok_or_else(|| refuse("its token server gave no token"))
    }

    fn unauthorized(&self, reason: String, helper: Option<String>) -> ImageError {
        ImageError::Unauthorized {
            registry: self.name.registry.clone(),
            name: self.name.repository.clone(),
            reason,
            helper,
        }
    }

    async fn small(&self, what: &str, response: Response) -> Result<Vec<u8>, ImageError> {
        bounded(response, MAX_DOCUMENT)
            .await
            .map_err(|e| ImageError::Document { what: what.to_owned(), reason: e.to_string() })
    }
}

pub(super) fn contact(server: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> ImageError {
    ImageError::Contact { server: server.to_owned(), source: error.into() }
}

fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// The whole body, if it is small.
pub(super) async fn bounded(mut response: Response, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(io::Error::other)? {
        if (bytes.len() + part.len()) as u64 > limit {
            return Err(io::Error::other(format!("the answer is larger than {limit} bytes")));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// The start of an error's text, fit for a terminal.
pub(super) async fn text_of(response: Response) -> String {
    match bounded(response, MAX_ANSWER).await {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            text.trim().chars().filter(|c| !c.is_control()).take(200).collect()
        }
        Err(error) => error.to_string(),
    }
}

type Message = Option<io::Result<bytes::Bytes>>;

/// A body that arrives on the event loop, read on another thread.
struct Incoming {
    receiver: mpsc::Receiver<Message>,
    current: Option<bytes::Bytes>,
    ended: bool,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.as_ref().is_none_or(|c| c.is_empty()) {
            if self.ended {
                return Ok(0);
            }
            match self.receiver.blocking_recv() {
                Some(Some(bytes)) => self.current = Some(bytes?),
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let Some(current) = &mut self.current else { return Ok(0) };
        let count = current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&current.split_to(count));
        Ok(count)
    }
}
