//! The DSSE envelope, version 1 (DSSE `protocol.md` and `envelope.md`), with exactly one signature.

use super::account::Account;
use super::canonical::{self, CanonicalError};
use super::key::{HostKey, PublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belljar_domain::Statement;
use belljar_domain::evidence::{JOB_PREDICATE_TYPE, PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE};
use serde::{Deserialize, Serialize};

/// Bytes of an envelope that is read: the digests of a million inputs, and room.
pub const MAX_ENVELOPE: usize = 512 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

/// Why an envelope is refused. Whatever the reason: nothing in it may be believed.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than [`MAX_ENVELOPE`].
    #[error("the file is too large for evidence")]
    Large,
    /// Not an envelope in Belljar's spelling.
    #[error("this is not an envelope of Belljar's, or it was changed")]
    Envelope(#[source] CanonicalError),
    /// Not a statement in Belljar's spelling.
    #[error("the envelope's payload is not a statement of Belljar's, or it was changed")]
    Statement(#[source] CanonicalError),
    /// `payload` or `sig` is not base64.
    #[error("the envelope's {0} is not base64 in its canonical form")]
    Base64(&'static str),
    /// Another type than Belljar writes.
    #[error("the {what} is '{found}', must be '{expected}'")]
    Type {
        /// `payloadType`, `_type` or `predicateType`.
        what: &'static str,
        /// As it stands there.
        found: String,
        /// As it must be.
        expected: &'static str,
    },
    /// None, or more than one.
    #[error("the envelope has {0} signatures, must have 1")]
    Signatures(usize),
    /// Says to be of another key.
    #[error("the envelope is signed by the key {found}, not by {expected}")]
    OtherKey {
        /// `keyid` of the envelope.
        found: String,
        /// Identity of the key that was given.
        expected: String,
    },
    /// The signature does not fit the payload.
    #[error("the signature does not fit: the evidence was changed, or never signed by {0}")]
    Forged(String),
}

/// DSSE's pre-authentication encoding: what is signed.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Signs a statement; returns the envelope's JSON. The same statement and key give the same bytes.
///
/// # Errors
/// If the statement cannot be written as canonical JSON.
pub fn sign<P: Serialize>(
    statement: &Statement<P>,
    key: &HostKey,
) -> Result<Vec<u8>, CanonicalError> {
    let payload = canonical::write(statement)?;
    let signature = key.sign(&pre_authentication_encoding(PAYLOAD_TYPE, &payload));
    canonical::write(&Envelope {
        payload: BASE64_STANDARD.encode(payload),
        payload_type: PAYLOAD_TYPE.to_owned(),
        signatures: vec![Signature {
            keyid: key.public().id(),
            sig: BASE64_STANDARD.encode(signature),
        }],
    })
}

/// An envelope that was opened.
#[derive(Debug)]
pub struct Opened {
    /// What was signed.
    pub account: Account,
    /// The key that the envelope names. Without a key to check against, a mere claim.
    pub keyid: String,
    /// Whether the signature was checked, with a key that the caller trusts.
    pub authentic: bool,
}

/// Opens an envelope. With keys, the signature must be one of theirs; without, nothing is known of
/// where it came from.
///
/// # Errors
/// If anything in it is not exactly as Belljar writes it, or the signature does not fit.
pub fn open(bytes: &[u8], keys: &[PublicKey]) -> Result<Opened, EnvelopeError> {
    if bytes.len() > MAX_ENVELOPE {
        return Err(EnvelopeError::Large);
    }
    let envelope: Envelope = canonical::read(bytes).map_err(EnvelopeError::Envelope)?;
    expect("payloadType", &envelope.payload_type, PAYLOAD_TYPE)?;
    let [signature] = envelope.signatures.as_slice() else {
        return Err(EnvelopeError::Signatures(envelope.signatures.len()));
    };
    let decode = |text, what| BASE64_STANDARD.decode(text).map_err(|_| EnvelopeError::Base64(what));
    let payload = decode(&envelope.payload, "payload")?;
    let sig = decode(&signature.sig, "signature")?;
    if !keys.is_empty() {
        let Some(key) = keys.iter().find(|key| key.id() == signature.keyid) else {
            let found = super::show::printable(&signature.keyid);
            let expected = keys.iter().map(PublicKey::id).collect::<Vec<_>>().join(" or ");
            return Err(EnvelopeError::OtherKey { found, expected });
        };
        if !key.verifies(&pre_authentication_encoding(&envelope.payload_type, &payload), &sig) {
            return Err(EnvelopeError::Forged(key.id()));
        }
    }
    let account = account(&payload)?;
    Ok(Opened { account, keyid: signature.keyid.clone(), authentic: !keys.is_empty() })
}

/// What a statement is, which is read first.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(rename = "predicateType")]
    predicate: String,
}

fn account(payload: &[u8]) -> Result<Account, EnvelopeError> {
    let wrong = EnvelopeError::Statement;
    let Kind { kind, predicate } =
        serde_json::from_slice(payload).map_err(|e| wrong(CanonicalError::Json(e)))?;
    expect("_type", &kind, STATEMENT_TYPE)?;
    if predicate == JOB_PREDICATE_TYPE {
        return Ok(Account::Job(Box::new(canonical::read(payload).map_err(wrong)?)));
    }
    expect("predicateType", &predicate, PREDICATE_TYPE)?;
    Ok(Account::Run(Box::new(canonical::read(payload).map_err(wrong)?)))
}

fn expect(what: &'static str, found: &str, expected: &'static str) -> Result<(), EnvelopeError> {
    if found == expected {
        return Ok(());
    }
    Err(EnvelopeError::Type { what, found: super::show::printable(found), expected })
}
