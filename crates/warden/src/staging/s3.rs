//! The S3 client: standard AWS environment, bounded retries, errors in plain words.

use super::limits;
use super::s3_interface::{Interface, NoWay};
use super::s3_socket::{self, Socket};
use crate::xml::{element, plain};
use belljar_domain::VpcLink;
use belljar_domain::fabric::Refusal;
use belljar_domain::spool::S3_SOCKET_VARIABLE;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// The host of the service, as seen through its socket.
const SOCKET_HOST: &str = "http://localhost";

/// How S3 is reached. Its `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: Option<String>,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Option<String>,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`.
    pub endpoint: Option<String>,
    /// `BELLJAR_S3_SOCKET`: the endpoint is behind this socket.
    pub socket: Option<Socket>,
    /// Of an instance in a VPC: everything goes by its interface, to the service's own S3.
    pub interface: Option<Interface>,
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("socket", &self.socket)
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

impl S3Settings {
    /// From the environment of this process. An empty variable counts as unset, as in the SDKs.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// From any source of variables.
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |names: &[&str]| names.iter().find_map(|n| lookup(n).filter(|v| !v.is_empty()));
        Self {
            access_key_id: get(&["AWS_ACCESS_KEY_ID"]),
            secret_access_key: get(&["AWS_SECRET_ACCESS_KEY"]),
            session_token: get(&["AWS_SESSION_TOKEN"]),
            region: get(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
            endpoint: get(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
            socket: get(&[S3_SOCKET_VARIABLE]).map(|path| Socket::new(path.into())),
            interface: None,
        }
    }

    /// The same by way of an instance's interface, if it has one.
    #[must_use]
    pub fn by(mut self, state: &Path, link: Option<&VpcLink>) -> Self {
        self.interface = link.map(|link| Interface { state: state.to_owned(), link: link.clone() });
        self
    }

    /// The same for work that somebody waits for: a service that is away is not waited for.
    #[must_use]
    pub fn impatient(mut self) -> Self {
        if let Some(socket) = &mut self.socket {
            socket.patience = s3_socket::SHORT_PATIENCE;
        }
        self
    }

    /// A client for one bucket. Nothing is sent yet.
    pub(super) fn bucket(&self, bucket: &str) -> Result<AmazonS3, S3Error> {
        let (Some(id), Some(secret)) = (&self.access_key_id, &self.secret_access_key) else {
            return Err(S3Error::NoCredentials);
        };
        // Whoever came first has installed the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut options = ClientOptions::new()
            .with_connect_timeout(limits::S3_CONNECT_TIMEOUT)
            .with_read_timeout(limits::S3_READ_TIMEOUT)
            .with_timeout_disabled();
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_access_key_id(id)
            .with_secret_access_key(secret)
            // One key a request: servers that look like S3 need not know DeleteObjects.
            .with_disable_bulk_delete(true)
            .with_region(self.region.as_deref().unwrap_or("us-east-1"))
            .with_retry(RetryConfig {
                max_retries: limits::S3_RETRIES,
                // A request that the service left unanswered may have been a long one.
                retry_timeout: self
                    .socket
                    .as_ref()
                    .map_or(limits::S3_RETRY_TIMEOUT, |socket| socket.patience),
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(50),
                    max_backoff: Duration::from_secs(1),
                    base: 2.0,
                },
            });
        if let Some(token) = &self.session_token {
            builder = builder.with_token(token);
        }
        if let Some(endpoint) = self.url()? {
            options = options.with_allow_http(endpoint.starts_with("http://"));
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        if let Some(interface) = &self.interface {
            builder = builder.with_http_connector(interface.clone());
        } else if let Some(socket) = &self.socket {
            builder = builder.with_http_connector(socket.clone());
        }
        builder
            .with_client_options(options)
            .build()
            .map_err(|e| self.error("prepare the client for", bucket, e))
    }

    /// Where requests are sent, if not to AWS.
    fn url(&self) -> Result<Option<String>, S3Error> {
        let endpoint = self.endpoint.clone();
        if self.interface.is_some() {
            if endpoint.is_some() || self.socket.is_none() {
                return Err(S3Error::OutsideVpc);
            }
            let region = self.region.as_deref().unwrap_or("us-east-1");
            return Ok(Some(format!("https://s3.{region}.amazonaws.com")));
        }
        let url = endpoint.or(self.socket.as_ref().map(|_| SOCKET_HOST.to_owned()));
        url.as_deref().map_or(Ok(()), check_endpoint)?;
        Ok(url)
    }

    /// Turns the library's error into one of ours. `what` is a URI.
    pub(super) fn error(
        &self,
        action: &'static str,
        what: &str,
        error: object_store::Error,
    ) -> S3Error {
        let what = what.to_owned();
        if let Some(refusal) = NoWay::behind(&error) {
            return S3Error::NoWay { refusal: refusal.clone() };
        }
        let text = self.redacted(&full_text(&error));
        if text.contains("NoSuchBucket") {
            return S3Error::NoBucket { what };
        }
        let denied = ["403 Forbidden", "401 Unauthorized"].iter().any(|s| text.contains(s))
            || matches!(
                error,
                object_store::Error::PermissionDenied { .. }
                    | object_store::Error::Unauthenticated { .. }
            );
        if denied {
            let said = element(&text, "Message").map(plain).filter(|said| said != NO_MORE);
            return S3Error::Denied { action, what, said };
        }
        match error {
            object_store::Error::InvalidPath { .. } => S3Error::Key { what, reason: text },
            object_store::Error::NotFound { .. } => S3Error::Gone { action, what },
            _ if unreachable(&text) => {
                S3Error::Unreachable { endpoint: self.place(), reason: text }
            }
            _ => S3Error::Other { action, what, reason: text },
        }
    }

    /// S3 repeats the access key in some of its errors.
    fn redacted(&self, text: &str) -> String {
        let secrets = [&self.access_key_id, &self.secret_access_key, &self.session_token];
        secrets.into_iter().flatten().fold(text.to_owned(), |t, s| t.replace(s, "[credential]"))
    }

    fn place(&self) -> String {
        let region = self.region.as_deref().unwrap_or("us-east-1");
        if let Some(interface) = &self.interface {
            return format!("S3, by {},", interface.link.interface);
        }
        match &self.socket {
            Some(socket) => format!("the service behind {}", socket.path.display()),
            None => self.endpoint.clone().unwrap_or_else(|| format!("S3 in {region}")),
        }
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), S3Error> {
    let wrong = |reason| Err(S3Error::Endpoint { reason });
    let Some(rest) = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"))
    else {
        return wrong("it must begin with http:// or https://");
    };
    if rest.contains('@') {
        return wrong("it must not hold a user name or password");
    }
    if rest.trim_end_matches('/').is_empty() {
        return wrong("it names no host");
    }
    Ok(())
}

/// An error and its causes, each once.
fn full_text(error: &object_store::Error) -> String {
    let text = crate::failure::chain(error);
    // One line: S3's answers are XML documents.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn unreachable(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["error sending request", "connect", "timed out", "dns"].iter().any(|w| lower.contains(w))
}

/// The real service's words about an S3 that cannot be reached from a VPC (training jobs; seen in
/// aws/amazon-sagemaker-operator-for-k8s issue 22), and what is in the way.
const NO_WAY: &str = "Please ensure that the subnet's route table has a route to an S3 VPC endpoint or a NAT device, and both the security groups and the subnet's network ACL allow outbound traffic to S3";

/// What S3 says where it says nothing.
const NO_MORE: &str = "Access Denied";

fn because(said: &Option<String>) -> String {
    said.as_ref().map_or_else(String::new, |said| format!(": {said}"))
}

fn no_way(refusal: &Refusal) -> String {
    format!("{NO_WAY} ({refusal})")
}

/// Why S3 did not do what it was asked. No text holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    /// `AWS_ACCESS_KEY_ID` or `AWS_SECRET_ACCESS_KEY` is not set.
    #[error("there are no AWS credentials in the environment")]
    NoCredentials,
    /// `AWS_ENDPOINT_URL_S3` is no such thing.
    #[error("AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL) is not valid: {reason}")]
    Endpoint {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// Nothing of what lies in between lets it through.
    #[error("{}", no_way(.refusal))]
    NoWay {
        /// What is in the way.
        refusal: Refusal,
    },
    /// A VPC leads to the service's own S3.
    #[error("there is no way from a VPC to an S3 that is not the service's own")]
    OutsideVpc,
    /// 404 `NoSuchBucket`.
    #[error("the bucket of {what} does not exist")]
    NoBucket {
        /// The URI.
        what: String,
    },
    /// 403 or 401.
    #[error("S3 denied access: cannot {action} {what}{}", because(.said))]
    Denied {
        /// A verb.
        action: &'static str,
        /// The URI.
        what: String,
        /// The server's words, if it says more than that.
        said: Option<String>,
    },
    /// A key that is no path.
    #[error("a key below {what} cannot be a file name: {reason}")]
    Key {
        /// The URI.
        what: String,
        /// Which key and why.
        reason: String,
    },
    /// 404 for an object.
    #[error("cannot {action} {what}: it is not there")]
    Gone {
        /// A verb.
        action: &'static str,
        /// The URI.
        what: String,
    },
    /// No connection, or no answer.
    #[error("{endpoint} cannot be reached: {reason}")]
    Unreachable {
        /// The endpoint, or the region.
        endpoint: String,
        /// The network's words.
        reason: String,
    },
    /// Anything else.
    #[error("cannot {action} {what}: {reason}")]
    Other {
        /// A verb.
        action: &'static str,
        /// The URI.
        what: String,
        /// The server's or library's words.
        reason: String,
    },
}

impl S3Error {
    pub(super) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoCredentials => {
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN); profiles and instance roles are not read: 'aws configure export-credentials --format env' prints them."
            }
            Self::Endpoint { .. } => "Set it to something like http://127.0.0.1:9000.",
            Self::NoBucket { .. } => "Check the bucket's name, the region and AWS_ENDPOINT_URL_S3.",
            Self::Denied { .. } => {
                "The credentials need s3:ListBucket on the bucket, s3:GetObject on inputs, and s3:PutObject and s3:AbortMultipartUpload on outputs; also check that they are not expired."
            }
            Self::Key { .. } => "Rename the object, or choose a prefix that leaves it out.",
            Self::Unreachable { .. } => {
                "Check AWS_ENDPOINT_URL_S3, AWS_REGION and this machine's network."
            }
            Self::OutsideVpc => "Leave VpcConfig out, or use the service's own S3.",
            Self::NoWay { refusal } => return refusal.fixes(),
            Self::Gone { .. } | Self::Other { .. } => return None,
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &'static [(&str, &str)]) -> S3Settings {
        S3Settings::from_lookup(|n| {
            pairs.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn the_special_endpoint_wins_and_empty_is_unset() {
        let s = settings(&[
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:2"),
            ("AWS_REGION", ""),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
        ]);
        assert_eq!(s.endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(s.region.as_deref(), Some("eu-west-1"));
        assert_eq!(s.bucket("bucket").err(), Some(S3Error::NoCredentials));
    }

    #[test]
    fn secrets_do_not_show() {
        let s =
            settings(&[("AWS_ACCESS_KEY_ID", "AKIASHOWN"), ("AWS_SECRET_ACCESS_KEY", "s3cr3t")]);
        let text = format!("{s:?}");
        assert!(!text.contains("AKIASHOWN") && !text.contains("s3cr3t"), "{text}");
    }

    #[test]
    fn endpoints_are_checked_without_being_repeated() {
        for bad in ["127.0.0.1:9000", "ftp://x", "http://user:word@x", "https://", "http:///"] {
            let error = check_endpoint(bad).unwrap_err();
            assert!(!error.to_string().contains("word@"), "{error}");
        }
        assert!(check_endpoint("http://127.0.0.1:9000/").is_ok());
    }
}
