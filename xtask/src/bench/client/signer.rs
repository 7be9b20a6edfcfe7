//! AWS Signature Version 4 in the headers, as the SDKs sign.

use super::{Call, Endpoint};
use ring::digest::{SHA256, digest};
use ring::hmac;
use std::fmt::Write as _;
use std::time::SystemTime;
use time::OffsetDateTime;

/// Signs requests of one user to one server.
pub(crate) struct Signer {
    host: String,
    region: String,
    access_key: String,
    secret: String,
    /// The service, the day and the key for both.
    key: Option<(&'static str, String, hmac::Key)>,
    /// The second that `stamp` tells.
    second: i64,
    stamp: String,
}

impl Signer {
    /// Signs with the endpoint's key.
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        Self {
            host: endpoint.address.clone(),
            region: endpoint.region.clone(),
            access_key: endpoint.access_key.clone(),
            secret: endpoint.secret.clone(),
            key: None,
            second: i64::MIN,
            stamp: String::new(),
        }
    }

    /// The bytes of the request, signed now.
    pub(crate) fn request(&mut self, call: &Call) -> Vec<u8> {
        let body_hash = hex(digest(&SHA256, &call.body).as_ref());
        self.request_with(call, &body_hash)
    }

    /// The same for a body whose hash is known.
    pub(crate) fn request_with(&mut self, call: &Call, body_hash: &str) -> Vec<u8> {
        self.look_at(OffsetDateTime::from(SystemTime::now()));
        self.signed(call, body_hash)
    }

    fn signed(&mut self, call: &Call, body_hash: &str) -> Vec<u8> {
        let (headers, names) = self.headers(call, body_hash);
        let canonical =
            format!("{}\n{}\n\n{headers}\n{names}\n{body_hash}", call.method, call.path);
        let day = self.stamp.get(..8).unwrap_or_default().to_owned();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, call.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.stamp,
            hex(digest(&SHA256, canonical.as_bytes()).as_ref())
        );
        let signature = hex(hmac::sign(self.key(call.service, &day), to_sign.as_bytes()).as_ref());
        let mut request = Vec::with_capacity(1024 + call.body.len());
        let head = format!(
            "{} {} HTTP/1.1\r\n{}authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, \
             SignedHeaders={names}, Signature={signature}\r\ncontent-length: {}\r\n\r\n",
            call.method,
            call.path,
            headers.replace('\n', "\r\n"),
            self.access_key,
            call.body.len()
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(&call.body);
        request
    }

    /// The signed headers in canonical form, and their names.
    fn headers(&self, call: &Call, body_hash: &str) -> (String, String) {
        let headers = [
            ("content-type", call.content_type),
            ("host", Some(self.host.as_str())),
            ("x-amz-content-sha256", Some(body_hash)),
            ("x-amz-date", Some(self.stamp.as_str())),
            ("x-amz-target", call.target.as_deref()),
        ];
        let (mut lines, mut names) = (String::with_capacity(256), String::with_capacity(80));
        for (name, value) in headers.iter().filter_map(|(n, v)| Some((n, (*v)?))) {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{name}:{value}");
            let _ = write!(names, "{}{name}", if names.is_empty() { "" } else { ";" });
        }
        (lines, names)
    }

    fn look_at(&mut self, now: OffsetDateTime) {
        if now.unix_timestamp() != self.second {
            self.second = now.unix_timestamp();
            let (date, time) = (now.date(), now.time());
            self.stamp = format!(
                "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
                date.year(),
                u8::from(date.month()),
                date.day(),
                time.hour(),
                time.minute(),
                time.second()
            );
        }
    }

    fn key(&mut self, service: &'static str, day: &str) -> &hmac::Key {
        let known = self.key.take().filter(|(s, d, _)| *s == service && d == day);
        let key = known.unwrap_or_else(|| {
            let mut key = format!("AWS4{}", self.secret).into_bytes();
            for part in [day, &self.region, service, "aws4_request"] {
                let signing = hmac::Key::new(hmac::HMAC_SHA256, &key);
                key = hmac::sign(&signing, part.as_bytes()).as_ref().to_vec();
            }
            (service, day.to_owned(), hmac::Key::new(hmac::HMAC_SHA256, &key))
        });
        &self.key.insert(key).2
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The signatures are those of botocore's `SigV4Auth` for the same requests and moment.
    #[test]
    fn signs_as_botocore_does() {
        let endpoint = Endpoint {
            address: "127.0.0.1:4747".to_owned(),
            region: "us-east-1".to_owned(),
            access_key: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI".to_owned(),
        };
        let mut signer = Signer::new(&endpoint);
        signer.look_at(OffsetDateTime::from_unix_timestamp(1_767_323_045).unwrap());
        let mut signature = |call: &Call| {
            let hash = hex(digest(&SHA256, &call.body).as_ref());
            let request = String::from_utf8(signer.signed(call, &hash)).unwrap();
            let (_, rest) = request.split_once("Signature=").unwrap();
            rest.split_once("\r\n").unwrap().0.to_owned()
        };
        assert_eq!(
            signature(&Call::s3("PUT", "/bench/objects/0001", b"hello".to_vec())),
            "12146904bbae837a16e86ccdbc75055f1bba67a707446b804854ce9baf092bf4"
        );
        assert_eq!(
            signature(&Call::json("sagemaker", "SageMaker.DescribeTrainingJob", &json!({}))),
            "515513c5301456edeb83a879080b39fda7f2067357795b37c30791424eaab586"
        );
    }
}
