//! The requests of a node.

use belljar_domain::node::{Beat, Orders, PREFIX, Place, Received, Ticket, Work};
use belljar_domain::{NodeName, Report};
use bytes::Bytes;
use reqwest::{Body, Certificate, Method, RequestBuilder, Response, StatusCode};
use std::path::Path;
use std::time::Duration;

/// For a connection, and between two parts of an answer. An answer that is held back takes 10 s.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);
/// Below the time after which a silent node is given up: one that hangs is tried again.
const BEAT: Duration = Duration::from_secs(5);

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The service refuses it: asking again does not help.
    #[error("the service refuses: {0}")]
    Refused(String),
    /// It cannot be reached, or failed; it may be back soon.
    #[error("the service does not answer")]
    Away(#[from] reqwest::Error),
    /// What is to be sent cannot be read.
    #[error("what is to be sent cannot be read")]
    Read(#[from] std::io::Error),
    /// It answered that it failed.
    #[error("the service failed: {0}")]
    Failed(StatusCode),
}

/// Knows where the service is, and trusts its certificate alone.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    node: NodeName,
    token: String,
}

impl Client {
    pub(super) fn new(ticket: &Ticket) -> Result<Self, reqwest::Error> {
        // An error says that there is a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = Certificate::from_pem(ticket.certificate.as_bytes())?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .https_only(true)
            .tls_certs_only([certificate])
            // Its certificate is for the name by which the machine calls itself.
            .resolve("localhost", ticket.service)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()?;
        let base = format!("https://localhost:{}{PREFIX}", ticket.service.port());
        Ok(Self { http, base, node: ticket.node.clone(), token: ticket.token.clone() })
    }

    pub(super) async fn beat(&self, beat: &Beat) -> Result<Orders, ClientError> {
        let url = format!("{}/nodes/{}", self.base, self.node);
        let request = self.http.post(url).bearer_auth(&self.token).timeout(BEAT).json(beat);
        Ok(send(request).await?.json().await?)
    }

    fn of(&self, work: &Work, method: Method, what: &str) -> RequestBuilder {
        let url = format!("{}{}/{what}", self.base, Place::of(&work.assignment).path());
        let token = format!("{}:{}", work.access_key_id, work.secret_access_key);
        self.http.request(method, url).bearer_auth(token)
    }

    /// Sends events from byte `from` on; returns how many bytes the service has.
    pub(super) async fn out(
        &self,
        work: &Work,
        from: u64,
        chunk: Bytes,
    ) -> Result<u64, ClientError> {
        let request = self.of(work, Method::POST, &format!("out/{from}")).body(chunk);
        let received: Received = send(request).await?.json().await?;
        Ok(received.bytes)
    }

    /// What the instance is told from byte `from` on; empty after a while in which nothing is.
    pub(super) async fn told(&self, work: &Work, from: u64) -> Result<Bytes, ClientError> {
        let request = self.of(work, Method::GET, &format!("in/{from}"));
        Ok(send(request).await?.bytes().await?)
    }

    /// Sends the tar of what the instance left.
    pub(super) async fn left(&self, work: &Work, tar: &Path) -> Result<(), ClientError> {
        let file = tokio::fs::File::open(tar).await?;
        send(self.of(work, Method::PUT, "left").body(Body::from(file))).await.map(drop)
    }

    pub(super) async fn report(&self, work: &Work, report: &Report) -> Result<(), ClientError> {
        send(self.of(work, Method::PUT, "report").json(report)).await.map(drop)
    }

    pub(super) async fn lost(&self, work: &Work) -> Result<(), ClientError> {
        send(self.of(work, Method::PUT, "lost")).await.map(drop)
    }
}

async fn send(request: RequestBuilder) -> Result<Response, ClientError> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_client_error() {
        let text = response.text().await.unwrap_or_default();
        return Err(ClientError::Refused(text.chars().take(200).collect()));
    }
    Err(ClientError::Failed(status))
}
