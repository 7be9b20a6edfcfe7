//! What a request says of its own signature, in a header or in the query string.

use super::refusal::Refusal;
use crate::{form, limits};
use http::request::Parts;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Where the signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    Header,
    Query,
}

/// A signature, taken apart.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) via: Via,
    pub(super) access_key: String,
    /// The scope's date, `YYYYMMDD`.
    pub(super) day: String,
    pub(super) region: String,
    pub(super) service: String,
    /// In the order given, which must be sorted.
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: Vec<u8>,
    /// `YYYYMMDDTHHMMSSZ`.
    pub(super) date: String,
    /// Seconds that a presigned request is valid.
    pub(super) expires: Option<i64>,
    pub(super) token: Option<String>,
}

/// The text `AKID/date/region/service/aws4_request`, wherever it is, not checked.
pub(super) fn credential(parts: &Parts) -> Option<String> {
    if let Some(header) = parts.headers.get("authorization") {
        let (_, rest) = header.to_str().ok()?.split_once("Credential=")?;
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        return rest.get(..end).map(str::to_owned);
    }
    let pairs = form::pairs(parts.uri.query()?.as_bytes(), false)?;
    pairs.into_iter().find_map(|(name, value)| (name == "X-Amz-Credential").then_some(value))
}

impl Authorization {
    pub(super) fn of(parts: &Parts) -> Result<Self, Refusal> {
        if let Some(header) = parts.headers.get("authorization") {
            let text = header.to_str().map_err(|_| Refusal::incomplete("not ASCII", ""))?;
            return Self::of_header(text, parts);
        }
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form::pairs(query.as_bytes(), false).unwrap_or_default();
        if pairs.iter().any(|(name, _)| name.starts_with("X-Amz-")) {
            return Self::of_query(&pairs);
        }
        Err(Refusal::NoSignature)
    }

    fn of_header(text: &str, parts: &Parts) -> Result<Self, Refusal> {
        let (algorithm, fields) = text.split_once(' ').unwrap_or((text, ""));
        if algorithm != ALGORITHM {
            return Err(Refusal::Algorithm(algorithm.to_owned()));
        }
        let field = |wanted: &str| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            fields.find_map(|(name, value)| (name == wanted).then(|| value.to_owned()))
        };
        let need = |name: &str| {
            let missing = || {
                Refusal::incomplete(
                    &format!("Authorization header requires '{name}' parameter."),
                    "",
                )
            };
            field(name).ok_or_else(missing)
        };
        let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
        let no_date = || {
            let text = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.";
            Refusal::incomplete(text, "")
        };
        let mut auth = Self::empty(Via::Header);
        auth.set_credential(&need("Credential")?)?;
        auth.set_signature(&need("Signature")?)?;
        auth.set_headers(&need("SignedHeaders")?)?;
        auth.date = header("x-amz-date").ok_or_else(no_date)?.to_owned();
        auth.token = header("x-amz-security-token").map(str::to_owned);
        Ok(auth)
    }

    fn of_query(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let find = |wanted: &str| {
            let mut found = pairs.iter().filter(|(name, _)| name == wanted);
            let first = found.next().map(|(_, value)| value.as_str());
            // Twice could mean two things to two readers.
            if found.next().is_some() { None } else { first }
        };
        let need = |name: &str| {
            let missing = || {
                Refusal::incomplete(
                    &format!("AWS query-string parameters must include '{name}'."),
                    "",
                )
            };
            find(name).ok_or_else(missing)
        };
        let algorithm = need("X-Amz-Algorithm")?;
        if algorithm != ALGORITHM {
            return Err(Refusal::Algorithm(algorithm.to_owned()));
        }
        let mut auth = Self::empty(Via::Query);
        auth.set_credential(need("X-Amz-Credential")?)?;
        auth.set_signature(need("X-Amz-Signature")?)?;
        auth.set_headers(need("X-Amz-SignedHeaders")?)?;
        need("X-Amz-Date")?.clone_into(&mut auth.date);
        let expires = match find("X-Amz-Expires") {
            // Services other than S3 then allow what they allow a header.
            None => limits::SKEW,
            Some(text) => {
                text.parse().ok().filter(|s| (1..=limits::PRESIGNED).contains(s)).ok_or_else(
                    || Refusal::incomplete("X-Amz-Expires must be a number from 1 to 604800", text),
                )?
            }
        };
        auth.expires = Some(expires);
        auth.token = find("X-Amz-Security-Token").map(str::to_owned);
        Ok(auth)
    }

    fn empty(via: Via) -> Self {
        Self {
            via,
            access_key: String::new(),
            day: String::new(),
            region: String::new(),
            service: String::new(),
            signed_headers: Vec::new(),
            signature: Vec::new(),
            date: String::new(),
            expires: None,
            token: None,
        }
    }

    fn set_credential(&mut self, text: &str) -> Result<(), Refusal> {
        let parts: Vec<&str> = text.split('/').collect();
        let [key, day, region, service, "aws4_request"] = parts.as_slice() else {
            let rule = "Credential must have exactly 5 slash-delimited elements, e.g. \
                        keyid/date/region/service/term, got";
            return Err(Refusal::incomplete(rule, text));
        };
        (*key).clone_into(&mut self.access_key);
        (*day).clone_into(&mut self.day);
        (*region).clone_into(&mut self.region);
        (*service).clone_into(&mut self.service);
        Ok(())
    }

    fn set_signature(&mut self, text: &str) -> Result<(), Refusal> {
        let digits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let decoded: Option<Vec<u8>> = digits.then(|| {
            text.as_bytes()
                .chunks(2)
                .filter_map(|pair| {
                    let pair = std::str::from_utf8(pair).ok()?;
                    u8::from_str_radix(pair, 16).ok()
                })
                .collect()
        });
        self.signature = decoded.ok_or(Refusal::DoesNotMatch)?;
        Ok(())
    }

    fn set_headers(&mut self, text: &str) -> Result<(), Refusal> {
        let names: Vec<String> = text.split(';').map(str::to_owned).collect();
        let named = |name: &String| !name.is_empty() && *name == name.to_ascii_lowercase();
        if names.len() > limits::SIGNED_HEADERS || !names.is_sorted() || !names.iter().all(named) {
            let rule = "SignedHeaders must be sorted names in lower case, got";
            return Err(Refusal::incomplete(rule, text));
        }
        self.signed_headers = names;
        Ok(())
    }

    pub(super) fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }

    /// Refuses a request in which a header that means something is not signed.
    pub(super) fn check_signed_headers(&self, parts: &Parts) -> Result<(), Refusal> {
        let signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        if !signed("host") && !signed(":authority") {
            let rule = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
            return Err(Refusal::incomplete(rule, ""));
        }
        // The one that browsers' clients add afterwards; nothing here reads it.
        let unsigned = parts.headers.keys().map(http::HeaderName::as_str).find(|name| {
            name.starts_with("x-amz-") && *name != "x-amz-user-agent" && !signed(name)
        });
        match unsigned {
            None => Ok(()),
            Some(name) => {
                let rule = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
                Err(Refusal::incomplete(&rule, ""))
            }
        }
    }
}
