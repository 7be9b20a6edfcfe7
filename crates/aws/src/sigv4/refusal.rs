//! Why a signature is refused, in AWS's words and under the codes of each family of protocols.

use super::format_date;
use crate::error::AwsError;
use crate::limits;
use crate::model::Protocol;
use crate::service::Service;
use time::OffsetDateTime;

/// Why a request is not taken for signed.
#[derive(Debug)]
pub(super) enum Refusal {
    NoSignature,
    Incomplete(String),
    Algorithm(String),
    BadDate(String),
    OtherRegion { given: String },
    OtherService { wanted: &'static str },
    OtherDay { scope: String, date: String },
    Late { at: OffsetDateTime, now: OffsetDateTime, limit: OffsetDateTime, minutes: i64 },
    NotYet { at: OffsetDateTime, now: OffsetDateTime, limit: OffsetDateTime, minutes: i64 },
    UnknownKey,
    BadToken,
    ExpiredKey,
    OtherBody,
    DoesNotMatch,
}

/// The codes for one refusal: of the query protocol, of the `JSON` protocols, of S3.
struct Codes(&'static str, &'static str, &'static str);

impl Refusal {
    /// A rule that is broken, and what the request has.
    pub(super) fn incomplete(rule: &str, given: &str) -> Self {
        if given.is_empty() {
            return Self::Incomplete(rule.to_owned());
        }
        let shown: String = given.chars().take(limits::SHOWN).collect();
        Self::Incomplete(format!("{rule} '{}'", shown.escape_debug()))
    }

    pub(super) fn error(&self, service: Service) -> AwsError {
        let Codes(query, json, s3) = self.codes();
        let (status, code) = match service.model().protocol() {
            Protocol::Query | Protocol::Ec2 if query == "IncompleteSignature" => (400, query),
            Protocol::Query | Protocol::Ec2 => (403, query),
            Protocol::Json => (400, json),
            Protocol::RestJson => (403, json),
            Protocol::RestXml => (403, s3),
        };
        AwsError::new(status, code, self.message(service))
    }

    fn codes(&self) -> Codes {
        match self {
            Self::NoSignature => Codes(
                "MissingAuthenticationToken",
                "MissingAuthenticationTokenException",
                "AccessDenied",
            ),
            Self::Incomplete(_) | Self::Algorithm(_) | Self::BadDate(_) => Codes(
                "IncompleteSignature",
                "IncompleteSignatureException",
                "AuthorizationHeaderMalformed",
            ),
            Self::OtherRegion { .. } | Self::OtherService { .. } | Self::OtherDay { .. } => Codes(
                "SignatureDoesNotMatch",
                "InvalidSignatureException",
                "AuthorizationHeaderMalformed",
            ),
            Self::Late { .. } | Self::NotYet { .. } => {
                Codes("SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed")
            }
            Self::UnknownKey | Self::BadToken => {
                Codes("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId")
            }
            Self::ExpiredKey => Codes("ExpiredToken", "ExpiredTokenException", "ExpiredToken"),
            Self::OtherBody | Self::DoesNotMatch => {
                Codes("SignatureDoesNotMatch", "InvalidSignatureException", "SignatureDoesNotMatch")
            }
        }
    }

    fn message(&self, service: Service) -> String {
        match self {
            Self::NoSignature => match service.model().protocol() {
                Protocol::Query | Protocol::Ec2 => "Request is missing Authentication Token".into(),
                _ => "Missing Authentication Token".into(),
            },
            Self::Incomplete(text) => text.clone(),
            Self::Algorithm(given) => {
                let shown: String = given.chars().take(64).collect();
                format!("Unsupported AWS 'algorithm': '{}'.", shown.escape_debug())
            }
            Self::BadDate(given) => {
                let shown: String = given.chars().take(64).collect();
                format!("Date must be in ISO-8601 'basic format'. Got '{}'.", shown.escape_debug())
            }
            Self::OtherRegion { given } => {
                let shown: String = given.chars().take(64).collect();
                format!(
                    "Credential should be scoped to a valid region, not '{}'. ",
                    shown.escape_debug()
                )
            }
            Self::OtherService { wanted } => {
                format!("Credential should be scoped to correct service: '{wanted}'. ")
            }
            Self::OtherDay { scope, date } => format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{}', from '{date}'.",
                scope.escape_debug(),
                date.get(..8).unwrap_or(date),
            ),
            Self::Late { at, now, limit, minutes } => format!(
                "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
                format_date(*at),
                format_date(*limit),
                format_date(*now),
            ),
            Self::NotYet { at, now, limit, minutes } => format!(
                "Signature not yet current: {} is still later than {} ({} + {minutes} min.)",
                format_date(*at),
                format_date(*limit),
                format_date(*now),
            ),
            Self::UnknownKey | Self::BadToken => {
                "The security token included in the request is invalid.".into()
            }
            Self::ExpiredKey => "The security token included in the request is expired".into(),
            Self::OtherBody => {
                "The value of the header x-amz-content-sha256 is not the SHA-256 of the body."
                    .into()
            }
            Self::DoesNotMatch => {
                "The request signature we calculated does not match the signature \
                you provided. Check your AWS Secret Access Key and signing method. Consult the \
                service documentation for details."
                    .into()
            }
        }
    }
}
