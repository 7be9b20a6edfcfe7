//! Policies of VPC endpoints: read whole or refused, and what they decide.
//!
//! Sources: IAM User Guide, "IAM JSON policy elements reference" and "Policy evaluation logic";
//! VPC Guide, "Control access to VPC endpoints using endpoint policies".

mod condition;
mod document;

pub use document::Document;

use std::collections::BTreeMap;

/// Characters of an endpoint policy, at most (Amazon VPC quotas).
pub const MAX_CHARACTERS: usize = 20_480;

/// Why a text is not a policy that can be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is too long.
    #[error("the policy has {0} characters; {MAX_CHARACTERS} are allowed")]
    TooLong(usize),
    /// It is no JSON, or no policy.
    #[error("the policy cannot be read: {0}")]
    Syntax(String),
    /// A statement lacks what it must have, or has two that exclude each other.
    #[error("a statement of the policy must have {0}")]
    Missing(&'static str),
    /// An operator of a condition is not served.
    #[error("Belljar does not serve the condition operator '{0}'")]
    Operator(String),
    /// A value of a condition is not what the operator is about.
    #[error("'{value}' is no value for the condition operator '{operator}'")]
    Value {
        /// The operator.
        operator: String,
        /// The value.
        value: String,
    },
    /// A policy variable is not served.
    #[error("Belljar does not serve policy variables here: {0}")]
    Variable(String),
}

/// What a policy is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// `s3:GetObject`.
    pub action: String,
    /// `arn:aws:s3:::bucket/key`, or `*`.
    pub resource: String,
    /// The ARN of who asks; empty if nobody signed it.
    pub principal: String,
    /// The account of who asks.
    pub account: String,
    /// Whether it comes by a gateway endpoint, to which an account is its root user alone (VPC Guide,
    /// "Principals for gateway endpoints").
    pub gateway: bool,
    /// Condition keys and their values: `aws:SourceIp`, `aws:SourceVpce`. Keys are compared
    /// without regard to case.
    pub context: BTreeMap<String, Vec<String>>,
}

/// Whether an endpoint's policy lets a request pass; no policy lets all pass.
///
/// # Errors
/// If the policy cannot be read; one that was checked when it was set can.
pub fn allows(policy: Option<&str>, request: &Request) -> Result<bool, PolicyError> {
    policy.map_or(Ok(true), |text| Ok(Document::read(text)?.allows(request)))
}

/// `*` stands for anything, `?` for one character. In the time of the texts' lengths multiplied.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += width(text[t]);
            }
            Some(b) if *b == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                // The last star takes one more.
                let Some((at, from)) = star else { return false };
                t = from + width(text[from]);
                star = Some((at, t));
                p = at + 1;
            }
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// The bytes of a character that begins with this one (UTF-8, RFC 3629).
const fn width(first: u8) -> usize {
    match first {
        0..=0xbf => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0.. => 4,
    }
}

#[cfg(test)]
mod tests;
