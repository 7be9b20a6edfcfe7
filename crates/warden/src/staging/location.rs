//! Where data comes from and goes to: a path, `file://` or `s3://`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place that can be staged from or to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local file or folder, as given (not made absolute).
    Path(PathBuf),
    /// Objects whose keys begin with `prefix`.
    S3 {
        /// The bucket's name, valid by S3's rules.
        bucket: String,
        /// May be empty; never begins with `/`.
        prefix: String,
    },
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing there.
    #[error("an empty text is no path and no s3:// URI")]
    Empty,
    /// `https://`, `hdfs://`, ...
    #[error("'{uri}' has the scheme '{scheme}', which is not supported")]
    Scheme {
        /// As it was given.
        uri: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// `file://host/...`.
    #[error("'{0}' names another host")]
    FileHost(String),
    /// `%20` and the like.
    #[error("'{0}' has percent-encoded characters, which are not decoded")]
    Encoded(String),
    /// Breaks S3's rules for bucket names.
    #[error("'{bucket}' in '{uri}' is not a valid bucket name")]
    Bucket {
        /// As it was given.
        uri: String,
        /// The offending part.
        bucket: String,
    },
    /// `..`, an empty segment or NUL.
    #[error("'{0}' has an empty or a '.' or '..' segment, or a NUL")]
    Segment(String),
}

impl LocationError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::FileHost(_) => "Write file:///absolute/path, with three slashes.",
            Self::Encoded(_) => "Give the path itself, without 'file://'.",
            Self::Bucket { .. } => {
                "A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens."
            }
            Self::Segment(_) => "Write the keys' beginning, as in s3://bucket/folder/.",
            Self::Empty | Self::Scheme { .. } => "Give a path, file:///path or s3://bucket/prefix.",
        }
        .to_owned()
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(uri: &str) -> Result<Self, LocationError> {
        if uri.is_empty() {
            return Err(LocationError::Empty);
        }
        if uri.contains('\0') {
            return Err(LocationError::Segment(uri.replace('\0', "\\0")));
        }
        let Some((scheme, rest)) = uri.split_once("://").filter(|(s, _)| is_scheme(s)) else {
            return Ok(Self::Path(PathBuf::from(uri)));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" if !rest.starts_with('/') => Err(LocationError::FileHost(uri.to_owned())),
            "file" if rest.contains('%') => Err(LocationError::Encoded(uri.to_owned())),
            "file" => Ok(Self::Path(PathBuf::from(rest))),
            "s3" => s3(uri, rest),
            _ => Err(LocationError::Scheme { uri: uri.to_owned(), scheme: scheme.to_owned() }),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn s3(uri: &str, rest: &str) -> Result<Location, LocationError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_bucket(bucket) {
        return Err(LocationError::Bucket { uri: uri.to_owned(), bucket: bucket.to_owned() });
    }
    let folded = prefix.strip_suffix('/').unwrap_or(prefix);
    let bad = |s: &str| s.is_empty() || s == "." || s == "..";
    if !prefix.is_empty() && folded.split('/').any(bad) {
        return Err(LocationError::Segment(uri.to_owned()));
    }
    Ok(Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// S3 User Guide, "General purpose bucket naming rules".
fn is_bucket(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    (3..=63).contains(&name.len())
        && edge(name.chars().next())
        && edge(name.chars().next_back())
        && !name.contains("..")
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_uris() {
        let path = |p: &str| Ok(Location::Path(p.into()));
        let s3 = |b: &str, p: &str| Ok(Location::S3 { bucket: b.into(), prefix: p.into() });
        for (text, wanted) in [
            ("data", path("data")),
            ("/a b/c%20", path("/a b/c%20")),
            ("file:///a/b", path("/a/b")),
            ("a:b", path("a:b")),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/", s3("bucket", "")),
            ("s3://my.bucket-1/a/b/", s3("my.bucket-1", "a/b/")),
            ("S3://bucket/k", s3("bucket", "k")),
        ] {
            assert_eq!(text.parse::<Location>(), wanted, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_by_name_with_a_hint() {
        for bad in [
            "",
            "https://example.com/x",
            "hdfs://x/y",
            "file://host/x",
            "file:///a%20b",
            "s3://",
            "s3://B/x",
            "s3://a..b/x",
            "s3://bucket/../x",
            "s3://bucket//x",
            "s3://bucket/a/./b",
            "a\0b",
        ] {
            let error = bad.parse::<Location>().unwrap_err();
            assert!(error.to_string().contains(&bad.replace('\0', "\\0")) || bad.is_empty());
            assert!(error.hint().len() > 10);
        }
    }
}
