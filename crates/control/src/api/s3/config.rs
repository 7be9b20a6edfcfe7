//! How the S3 service is set up, and the S3 outside that can stand in its place.

use s3s::config::{S3Config, S3ConfigProvider, StaticConfigProvider};
use std::fmt;
use std::sync::Arc;

/// The largest XML body of a request, in bytes: a completion of 10 000 parts with checksums.
const MAX_XML: usize = 4 << 20;
/// How far a request's time may lie from ours, in seconds (S3's limit).
const MAX_SKEW: u32 = 15 * 60;

/// How Belljar's own S3 presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The region that buckets are in.
    pub region: String,
    /// The account that owns them.
    pub account: String,
    /// Hosts besides `localhost` and those of AWS before which a bucket may stand
    /// (`BUCKET.HOST`): names without ports.
    pub hosts: Vec<String>,
}

impl Config {
    /// The canonical id of the account: S3 shows one of 64 digits.
    pub(super) fn owner(&self) -> String {
        format!("{:0>64}", self.account)
    }
}

pub(super) fn limits() -> Arc<dyn S3ConfigProvider> {
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_XML;
    config.presigned_url_max_skew_time_secs = MAX_SKEW;
    // Forms are refused before they are read.
    config.form_max_field_size = 0;
    config.form_max_fields_size = 0;
    config.form_max_parts = 0;
    config.post_object_max_file_size = 0;
    Arc::new(StaticConfigProvider::new(Arc::new(config)))
}

/// An S3 elsewhere (AWS, MinIO) that is used instead of Belljar's own: jobs read and write it
/// directly.
#[derive(Clone, PartialEq, Eq)]
pub struct Outside {
    /// `http://` or `https://`, a host, maybe a port.
    pub endpoint: String,
    /// Of the signature; `AWS_REGION`, else `AWS_DEFAULT_REGION`, else `us-east-1`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
}

/// Why an S3 elsewhere cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutsideError {
    /// The endpoint is no address of a service.
    #[error("the S3 endpoint {0:?} is not http:// or https:// with a host and nothing after it")]
    Endpoint(String),
    /// A credential is missing.
    #[error("{0} is not set: an S3 endpoint needs credentials from the environment")]
    Missing(&'static str),
}

impl Outside {
    /// The service at `endpoint`, with credentials from the environment that `variable` reads.
    ///
    /// # Errors
    /// If the endpoint is none, or a credential is missing.
    pub fn from_environment(
        endpoint: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, OutsideError> {
        let invalid = || OutsideError::Endpoint(endpoint.to_owned());
        let uri: http::Uri = endpoint.parse().map_err(|_| invalid())?;
        let whole = matches!(uri.path_and_query().map(|p| p.as_str()), None | Some("/"));
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if !matches!(uri.scheme_str(), Some("http" | "https")) || !whole || !plain {
            return Err(invalid());
        }
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let must = |name: &'static str| set(name).ok_or(OutsideError::Missing(name));
        let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            access_key: must("AWS_ACCESS_KEY_ID")?,
            secret_key: must("AWS_SECRET_ACCESS_KEY")?,
            session_token: set("AWS_SESSION_TOKEN"),
        })
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(endpoint: &str, missing: &str) -> Result<Outside, OutsideError> {
        Outside::from_environment(endpoint, |name| {
            (name != missing && name != "AWS_REGION").then(|| format!("{name}-value"))
        })
    }

    #[test]
    fn an_outside_needs_an_endpoint_and_credentials() {
        let found = outside("https://s3.example.com:9000/", "").unwrap();
        assert_eq!(found.endpoint, "https://s3.example.com:9000");
        assert_eq!(found.region, "AWS_DEFAULT_REGION-value");
        let shown = format!("{found:?}");
        assert!(!shown.contains("SECRET") && !shown.contains("TOKEN"), "{shown}");
        for missing in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            assert_eq!(outside("http://h", missing), Err(OutsideError::Missing(missing)));
        }
        for endpoint in ["", "h:1", "ftp://h", "http://h/path", "http://u:p@h", "http://h?x"] {
            assert!(outside(endpoint, "").is_err(), "{endpoint}");
        }
    }
}
