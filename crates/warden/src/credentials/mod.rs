//! The role's credentials for a container that is not isolated, where every SDK of AWS looks for
//! them: at the address of container credentials (169.254.170.2, as ECS has it) and at that of the
//! instance's metadata (169.254.169.254, version 2 only).
//!
//! Both are listeners of this process that were made in the container's network namespace, at
//! addresses that its `lo` must have. Nothing of AWS is reached: the keys come from the service, by
//! its socket, for a warden's own key.
//!
//! Sources: ECS Developer Guide, "Task IAM role"; EC2 User Guide, "Use the Instance Metadata
//! Service", "Instance metadata categories"; SDKs and Tools Reference Guide, "Container credential
//! provider", "IMDS credential provider".

mod answer;
mod held;
mod metadata;
mod sts;
mod tokens;

use crate::failure::Explain;
use answer::Answers;
use belljar_domain::failure::Blame;
use belljar_linux::netns::NetNs;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

pub use belljar_vpc::open::{CREDENTIALS as CONTAINER, METADATA};

/// The port of both.
const HTTP: u16 = 80;
/// What tells SDKs of the first.
const VARIABLE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";

/// Connections that are answered at once at each address; others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a head may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may last. It is for one request.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing is accepted after the kernel refused.
const PAUSE: Duration = Duration::from_millis(20);

/// What a container may know of itself. What is `None` is not there to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its execution role.
    pub role_arn: String,
    /// The region.
    pub region: String,
    /// The zone that it is in.
    pub zone: Option<String>,
    /// The instance's type.
    pub instance_type: Option<String>,
    /// Its address in a VPC.
    pub address: Option<Ipv4Addr>,
    /// The interface's Ethernet address.
    pub mac: Option<String>,
}

impl About {
    /// A container of which no more is known.
    #[must_use]
    pub fn new(role_arn: String, region: String) -> Self {
        Self { role_arn, region, zone: None, instance_type: None, address: None, mac: None }
    }
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The environment names no service, or no key for it.
    #[error("there is no service of which the role's credentials could be asked")]
    NoService,
    /// The role is none.
    #[error("{0} is no role's ARN")]
    Role(String),
    /// The kernel gives no random numbers.
    #[error("there are no random numbers")]
    NoRandomness,
    /// An address cannot be listened at.
    #[error(transparent)]
    Listen(#[from] belljar_linux::Error),
    /// The same.
    #[error("listen for those who ask for credentials")]
    Socket(#[from] io::Error),
}

impl Explain for CredentialsError {
    fn blame(&self) -> Blame {
        Blame::Internal
    }

    fn machine(&self) -> bool {
        true
    }
}

/// The listeners, for as long as this lives.
#[derive(Debug)]
pub struct Served {
    uri: String,
    tasks: Vec<JoinHandle<()>>,
}

impl Served {
    /// What the container's environment must have.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![(VARIABLE.to_owned(), self.uri.clone())]
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Serves credentials in the namespace of a container, whose `lo` has [`CONTAINER`] and
/// [`METADATA`]. The service and the key are those of this process's environment.
///
/// # Errors
/// If there are none, or an address cannot be listened at.
pub fn serve(ns: &NetNs, about: &About) -> Result<Served, CredentialsError> {
    serve_with(ns, about, |name| std::env::var(name).ok())
}

/// [`serve`] with variables from elsewhere.
///
/// # Errors
/// As [`serve`].
pub fn serve_with(
    ns: &NetNs,
    about: &About,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Served, CredentialsError> {
    let source = sts::Sts::from_lookup(about, lookup).ok_or(CredentialsError::NoService)?;
    let answers = Answers::new(about, source)?;
    let listen = |ip: Ipv4Addr| -> Result<TcpListener, CredentialsError> {
        let address = SocketAddr::new(IpAddr::V4(ip), HTTP);
        Ok(TcpListener::from_std(ns.listen(address)?)?)
    };
    Ok(start(answers, listen(CONTAINER)?, listen(METADATA)?))
}

fn start(answers: Answers, container: TcpListener, metadata: TcpListener) -> Served {
    let uri = answers.uri().to_owned();
    let answers = Arc::new(answers);
    let both = [(container, answer::Place::Container), (metadata, answer::Place::Metadata)];
    let tasks =
        both.map(|(listener, place)| tokio::spawn(accept(listener, Arc::clone(&answers), place)));
    Served { uri, tasks: tasks.into() }
}

/// Takes connections for ever. They end with the task.
async fn accept(listener: TcpListener, answers: Arc<Answers>, place: answer::Place) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut talking = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        while talking.try_join_next().is_some() {}
        let answers = Arc::clone(&answers);
        talking.spawn(async move {
            // How a conversation ends is the client's affair.
            let _ = tokio::time::timeout(PATIENCE, converse(stream, &answers, place)).await;
            drop(permit);
        });
    }
}

async fn converse(
    stream: TcpStream,
    answers: &Answers,
    place: answer::Place,
) -> Result<(), hyper::Error> {
    let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
        let (head, _) = request.into_parts();
        Ok::<Response<Full<Bytes>>, Infallible>(answers.answer(place, &head).await)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

#[cfg(test)]
mod tests;
