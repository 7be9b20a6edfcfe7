//! Conditions of requests.

use super::error::{custom, invalid_argument, precondition};
use belljar_store::objects::{Condition, Info};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3Result};
use std::time::{Duration, SystemTime};

/// The conditions of a read, or of a copy's source.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_match: Option<ETagCondition>,
    pub(super) modified: Option<Timestamp>,
    pub(super) unmodified: Option<Timestamp>,
}

/// Why a read does not happen.
pub(super) enum Unmet {
    /// 412, by the header's name.
    Failed(&'static str),
    /// 304.
    NotModified,
}

fn equal(condition: &ETagCondition, etag: &str) -> bool {
    condition.as_etag().is_none_or(|wanted| wanted.value() == etag)
}

/// Seconds since the Unix epoch as S3's timestamp.
pub(super) fn time(seconds: i64) -> Timestamp {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH).into()
}

impl Conditions {
    /// In the order of RFC 9110 13.2.2, as S3 does: an `ETag` that is right outweighs a date.
    pub(super) fn check(&self, info: &Info) -> Result<(), Unmet> {
        let modified = time(info.modified);
        match (&self.matches, &self.unmodified) {
            (Some(wanted), _) if !equal(wanted, &info.etag) => {
                return Err(Unmet::Failed("If-Match"));
            }
            (None, Some(since)) if modified > *since => {
                return Err(Unmet::Failed("If-Unmodified-Since"));
            }
            _ => {}
        }
        match (&self.none_match, &self.modified) {
            (Some(unwanted), _) if equal(unwanted, &info.etag) => Err(Unmet::NotModified),
            (None, Some(since)) if modified <= *since => Err(Unmet::NotModified),
            _ => Ok(()),
        }
    }
}

impl Unmet {
    /// The answer to a read.
    pub(super) fn of_read(self, info: &Info) -> S3Error {
        match self {
            Self::Failed(header) => precondition(header),
            Self::NotModified => {
                let mut error = custom(StatusCode::NOT_MODIFIED, "NotModified", "Not Modified");
                let mut headers = HeaderMap::new();
                if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", info.etag)) {
                    headers.insert(header::ETAG, etag);
                }
                error.set_headers(headers);
                error
            }
        }
    }

    /// The answer to a copy, whose source does not meet them.
    pub(super) fn of_copy(&self) -> S3Error {
        match self {
            Self::Failed(header) => precondition(&format!("x-amz-copy-source-{header}")),
            Self::NotModified => precondition("x-amz-copy-source-If-None-Match"),
        }
    }
}

/// The condition of a write.
pub(super) fn of_write(
    matches: Option<&ETagCondition>,
    none_match: Option<&ETagCondition>,
) -> S3Result<Condition> {
    match (matches, none_match) {
        (None, None) => Ok(Condition::None),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(condition), None) => Ok(Condition::Matches(match condition {
            ETagCondition::Any => "*".to_owned(),
            ETagCondition::ETag(etag) => etag.value().to_owned(),
        })),
        (None, Some(_)) => Err(custom(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "A header you provided implies functionality that is not implemented: If-None-Match \
             of a write takes only *.",
        )),
        (Some(_), Some(_)) => {
            Err(invalid_argument("If-Match and If-None-Match exclude each other in a write"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_store::objects::Meta;
    use s3s::dto::ETag;

    fn etag(value: &str) -> Option<ETagCondition> {
        Some(ETagCondition::ETag(ETag::Strong(value.to_owned())))
    }

    #[test]
    fn an_etag_outweighs_a_date() {
        let info = Info { size: 0, etag: "a".into(), modified: 1000, meta: Meta::default() };
        let (before, at) = (Some(time(999)), Some(time(1000)));
        let answer = |matches, unmodified, none_match, modified| match (Conditions {
            matches,
            none_match,
            modified,
            unmodified,
        })
        .check(&info)
        {
            Ok(()) => 200,
            Err(Unmet::Failed(_)) => 412,
            Err(Unmet::NotModified) => 304,
        };
        assert_eq!(answer(None, None, None, None), 200);
        assert_eq!(answer(etag("a"), before.clone(), None, None), 200);
        assert_eq!(answer(etag("b"), at.clone(), None, None), 412);
        assert_eq!(answer(Some(ETagCondition::Any), None, None, None), 200);
        assert_eq!(answer(None, before.clone(), None, None), 412);
        assert_eq!(answer(None, at.clone(), None, None), 200);
        assert_eq!(answer(None, None, etag("a"), before.clone()), 304);
        assert_eq!(answer(None, None, etag("b"), at.clone()), 200);
        assert_eq!(answer(None, None, None, at), 304);
        assert_eq!(answer(None, None, None, before), 200);
    }
}
