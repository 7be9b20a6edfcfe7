//! S3 over the service's unix socket. The service may be away for a while (it was killed, or is
//! being replaced): requests wait for it, and one that it left unanswered is sent again.

use async_trait::async_trait;
use belljar_domain::spool::S3_ABSENCE_SECONDS;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::limits;

/// How often it is looked whether the service is back.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a request may wait for the service.
pub(super) const PATIENCE: Duration = Duration::from_secs(S3_ABSENCE_SECONDS);
/// The same for work that somebody waits for.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_secs(5);

/// The way to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// The socket.
    pub path: PathBuf,
    /// How long the service may be away.
    pub patience: Duration,
}

impl Socket {
    /// With the patience of a job.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, patience: PATIENCE }
    }
}

impl HttpConnector for Socket {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .unix_socket(self.path.clone())
            .no_proxy()
            .connect_timeout(limits::S3_CONNECT_TIMEOUT)
            .read_timeout(limits::S3_READ_TIMEOUT)
            .build()
            .map_err(|e| object_store::Error::Generic { store: "S3", source: Box::new(e) })?;
        Ok(HttpClient::new(Patient { client, patience: self.patience }))
    }
}

#[derive(Debug)]
struct Patient {
    client: reqwest::Client,
    patience: Duration,
}

#[async_trait]
impl HttpService for Patient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let began = Instant::now();
        loop {
            match self.client.call(request.clone()).await {
                // Nobody listens: the request was not sent.
                Err(e) if e.kind() == HttpErrorKind::Connect && began.elapsed() < self.patience => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                result => return result,
            }
        }
    }
}
