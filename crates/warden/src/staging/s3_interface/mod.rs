//! S3 by way of an instance's network interface: connections that the fabric makes in the
//! interface's namespace, to the name that AWS has for S3, in TLS. What does not let them through
//! there (a group, a network ACL, a missing endpoint) fails the request at once.

mod body;

use super::limits;
use super::s3_socket::PATIENCE;
use crate::fabric::client::{self, AskError};
use async_trait::async_trait;
use belljar_domain::VpcLink;
use belljar_domain::fabric::{AUTHORITY, Ask, FOLDER, Refusal};
use body::Timed;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

const HTTPS: u16 = 443;
/// How often it is looked whether fabric and service are back.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a connection that nobody uses is kept; the service closes it later.
const KEPT: Duration = Duration::from_secs(20);
/// How many of them.
const MAX_KEPT: usize = 64;

/// The way by an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The state folder, of which the fabric is.
    pub state: PathBuf,
    /// The interface.
    pub link: VpcLink,
}

/// Why no connection comes about: what lies between interface and S3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoWay(pub(super) Refusal);

impl NoWay {
    /// The refusal behind an error, if that is what it comes from.
    pub(super) fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Refusal> {
        let mut next = Some(error);
        while let Some(one) = next {
            if let Some(Self(refusal)) = one.downcast_ref() {
                return Some(refusal);
            }
            next = one.source();
        }
        None
    }
}

impl HttpConnector for Interface {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |e: io::Error| object_store::Error::Generic { store: "S3", source: e.into() };
        let tls = trusting(&self.state.join(AUTHORITY)).map_err(failed)?;
        let (folder, interface) = (self.state.join(FOLDER), self.link.interface.clone());
        Ok(HttpClient::new(Client { folder, interface, tls, kept: Arc::default() }))
    }
}

/// TLS that trusts the service's own authority, and no other.
fn trusting(path: &Path) -> io::Result<TlsConnector> {
    let certificate = CertificateDer::from_pem_file(path).map_err(io::Error::other)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

type Sender = SendRequest<HttpRequestBody>;
type Kept = Arc<Mutex<Vec<(Instant, Sender)>>>;

#[derive(Clone)]
struct Client {
    folder: PathBuf,
    interface: belljar_vpc::id::InterfaceId,
    tls: TlsConnector,
    kept: Kept,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("interface", &self.interface).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let began = Instant::now();
        loop {
            match self.try_once(request.clone()).await {
                // The service or the fabric is away: the request was not sent.
                Err(e) if e.kind() == HttpErrorKind::Connect && began.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                result => return result,
            }
        }
    }
}

impl Client {
    async fn try_once(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (request, host) = for_origin(request)?;
        while let Some(sender) = self.take() {
            match self.send(sender, request.clone()).await {
                // It was closed while nobody used it.
                Err(Broken::Hyper(e)) if e.is_canceled() || e.is_closed() => {}
                result => return result.map_err(HttpError::from),
            }
        }
        let sender = self.open(&host).await?;
        Ok(self.send(sender, request).await?)
    }

    fn take(&self) -> Option<Sender> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(since, sender)| since.elapsed() < KEPT && !sender.is_closed());
        kept.pop().map(|(_, sender)| sender)
    }

    async fn send(&self, mut sender: Sender, request: HttpRequest) -> Result<HttpResponse, Broken> {
        let sent = tokio::time::timeout(limits::S3_READ_TIMEOUT, sender.send_request(request));
        let (parts, body) = sent.await.map_err(|_| Broken::Silent)??.into_parts();
        let kept = Arc::clone(&self.kept);
        tokio::spawn(async move {
            // It can be used again once the body was read to its end.
            if sender.ready().await.is_ok() {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < MAX_KEPT {
                    kept.push((Instant::now(), sender));
                }
            }
        });
        let body = Timed::new(body, limits::S3_READ_TIMEOUT).map_err(HttpError::from);
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }

    async fn open(&self, host: &str) -> Result<Sender, HttpError> {
        let (interface, host) = (self.interface.clone(), host.to_owned());
        let name = ServerName::try_from(host.clone());
        let ask = Ask::Connect { interface, host, port: HTTPS };
        let stream = client::connect(&self.folder, &ask).await.map_err(|e| match e {
            AskError::Refused(refusal) => HttpError::new(HttpErrorKind::Unknown, NoWay(refusal)),
            e @ AskError::Away(_) => HttpError::new(HttpErrorKind::Connect, e),
            e @ AskError::Failed(_) => HttpError::new(HttpErrorKind::Unknown, e),
        })?;
        let name = name.map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))?;
        let connecting = async {
            let stream = self.tls.connect(name, stream).await?;
            handshake(stream).await.map_err(io::Error::other)
        };
        let connected = tokio::time::timeout(limits::S3_CONNECT_TIMEOUT, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        // Nothing of the request was sent.
        connected.map_err(|e| HttpError::new(HttpErrorKind::Connect, e))
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> hyper::Result<Sender> {
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // How it ends is told to whoever uses it.
        let _ = driver.await;
    });
    Ok(sender)
}

/// Why a request that was sent, or an answer, broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("nothing came for {} s", limits::S3_READ_TIMEOUT.as_secs())]
    Silent,
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

impl From<Broken> for HttpError {
    /// Whether it is sent again is decided by the kind.
    fn from(e: Broken) -> Self {
        let kind = match &e {
            Broken::Silent => HttpErrorKind::Timeout,
            Broken::Hyper(e) if e.is_closed() || e.is_canceled() || e.is_incomplete_message() => {
                HttpErrorKind::Request
            }
            Broken::Hyper(e) if e.is_parse() => HttpErrorKind::Decode,
            Broken::Hyper(_) => HttpErrorKind::Interrupted,
        };
        Self::new(kind, e)
    }
}

/// A request as it is sent to the host that it names, and that host.
fn for_origin(mut request: HttpRequest) -> Result<(HttpRequest, String), HttpError> {
    let wrong =
        |text: &str| HttpError::new(HttpErrorKind::Unknown, io::Error::other(text.to_owned()));
    let uri = request.uri().clone();
    let host = uri.host().ok_or_else(|| wrong("the request names no host"))?.to_owned();
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    *request.uri_mut() = path.parse().map_err(|_| wrong("the request has no path"))?;
    if !request.headers().contains_key(HOST) {
        let value = HeaderValue::from_str(&host).map_err(|_| wrong("the host is none"))?;
        request.headers_mut().insert(HOST, value);
    }
    Ok((request, host))
}
