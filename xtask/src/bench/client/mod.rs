//! A client that costs as little as possible, so that two cores measure the servers: signed
//! requests over HTTP/1.1 on plain sockets, from one thread.

mod connection;
pub(crate) mod load;
mod signer;

pub(crate) use connection::{Connection, Response};
pub(crate) use signer::Signer;

use serde_json::Value;
use std::fmt;

/// Where a server listens, and a key that it knows.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// `127.0.0.1:4747`.
    pub(crate) address: String,
    pub(crate) region: String,
    pub(crate) access_key: String,
    pub(crate) secret: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.address, self.region)
    }
}

/// One request before it is signed. Its path needs no escapes and has no query.
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) target: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// An operation of a service that speaks JSON 1.1.
    pub(crate) fn json(service: &'static str, target: &str, input: &Value) -> Self {
        Self {
            service,
            method: "POST",
            path: "/".to_owned(),
            content_type: Some("application/x-amz-json-1.1"),
            target: Some(target.to_owned()),
            body: input.to_string().into_bytes(),
        }
    }

    /// An operation of a service that takes a form, already escaped.
    pub(crate) fn form(service: &'static str, form: &str) -> Self {
        Self {
            service,
            method: "POST",
            path: "/".to_owned(),
            content_type: Some("application/x-www-form-urlencoded; charset=utf-8"),
            target: None,
            body: form.as_bytes().to_vec(),
        }
    }

    /// A request to S3.
    pub(crate) fn s3(method: &'static str, path: &str, body: Vec<u8>) -> Self {
        let path = path.to_owned();
        Self { service: "s3", method, path, content_type: None, target: None, body }
    }
}

impl Endpoint {
    /// That of a server that does not listen yet.
    pub(crate) fn nowhere() -> Self {
        let none = String::new;
        Self { address: none(), region: none(), access_key: none(), secret: none() }
    }

    /// Makes one request on a connection of its own; an error answer is an error.
    pub(crate) fn call(&self, call: &Call) -> Result<String, String> {
        let mut connection = Connection::new(&self.address);
        let mut signer = Signer::new(self);
        connection.send(&signer.request(call))?;
        let answer = connection.receive()?;
        let text = String::from_utf8_lossy(answer.body).into_owned();
        if answer.status == 200 {
            return Ok(text);
        }
        let what = call.target.as_deref().unwrap_or(&call.path);
        Err(format!("{} {what}: status {}: {}", call.method, answer.status, text.trim()))
    }

    /// Makes one request of a JSON service and reads its answer.
    pub(crate) fn json(
        &self,
        service: &'static str,
        target: &str,
        input: &Value,
    ) -> Result<Value, String> {
        let text = self.call(&Call::json(service, target, input))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|e| format!("{target} answers no JSON: {e}"))
    }
}
