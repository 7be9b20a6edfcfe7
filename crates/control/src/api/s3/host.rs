//! Which bucket a `Host` header names, if any.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// Hosts that are no bucket: what is before one of them is.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    configured: Vec<String>,
}

impl Hosts {
    pub(super) fn new(configured: &[String]) -> Self {
        let lower = |host: &String| host.trim_matches('.').to_ascii_lowercase();
        Self { configured: configured.iter().map(lower).collect() }
    }

    /// The bucket before a known host.
    fn bucket<'a>(&self, host: &'a str) -> Option<&'a str> {
        let known = self.configured.iter().map(String::as_str).chain(["localhost"]);
        for base in known {
            if let Some(before) = host.strip_suffix(base)
                && let Some(bucket) = before.strip_suffix('.')
            {
                return (bucket != "s3").then_some(bucket);
            }
        }
        let before = host.strip_suffix(".amazonaws.com")?;
        // BUCKET.s3, BUCKET.s3.REGION, BUCKET.s3.dualstack.REGION or BUCKET.s3-REGION; a bucket
        // may have dots, and no region has.
        let (rest, last) = before.rsplit_once('.')?;
        if last == "s3" || last.starts_with("s3-") {
            return Some(rest);
        }
        let rest = rest.strip_suffix(".dualstack").unwrap_or(rest);
        rest.strip_suffix(".s3")
    }
}

/// A host without its port.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = without_port(host);
        if name.parse::<std::net::IpAddr>().is_ok() || name.starts_with('[') {
            return Ok(VirtualHost::new(host));
        }
        let lower = name.to_ascii_lowercase();
        Ok(match self.bucket(&lower) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket.to_owned()),
            None => VirtualHost::new(host),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_what_stands_before_a_known_host() {
        let hosts = Hosts::new(&["belljar.example.com".to_owned()]);
        let bucket =
            |host: &str| hosts.parse_host_header(host).unwrap().bucket().map(str::to_owned);
        for (host, expected) in [
            ("b.localhost:4566", Some("b")),
            ("a.b.localhost", Some("a.b")),
            ("b.s3.amazonaws.com", Some("b")),
            ("b.s3.eu-west-1.amazonaws.com", Some("b")),
            ("a.b.s3.dualstack.eu-west-1.amazonaws.com", Some("a.b")),
            ("b.s3-eu-west-1.amazonaws.com", Some("b")),
            ("B.Belljar.Example.com:443", Some("b")),
            ("s3.amazonaws.com", None),
            ("s3.us-east-1.amazonaws.com", None),
            ("s3.localhost:4566", None),
            ("localhost:4566", None),
            ("belljar.example.com", None),
            ("elsewhere.example.org", None),
            ("127.0.0.1:80", None),
            ("[::1]:80", None),
        ] {
            assert_eq!(bucket(host).as_deref(), expected, "{host}");
        }
    }
}
