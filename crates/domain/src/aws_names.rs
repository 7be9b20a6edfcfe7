//! The host names that are AWS's own. `belljar exec` answers for them, and its certificate
//! authority can vouch for no other.

/// The suffixes of the endpoints that the SDKs build, of every partition that the internet can
/// see (botocore's `partitions.json`: `dnsSuffix` and `dualStackDnsSuffix`).
pub const SUFFIXES: [&str; 6] = [
    "amazonaws.com",
    "api.aws",
    "amazonaws.com.cn",
    "api.amazonwebservices.com.cn",
    "amazonaws.eu",
    "api.amazonwebservices.eu",
];

/// Whether a host name, absolute or not, in whatever case, is one of AWS's.
#[must_use]
pub fn is_aws(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    SUFFIXES.iter().any(|suffix| {
        let Some((front, back)) = name.split_at_checked(name.len().saturating_sub(suffix.len()))
        else {
            return false;
        };
        back.eq_ignore_ascii_case(suffix.as_bytes())
            && (front.is_empty() || (front.len() > 1 && front.ends_with(b".")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_and_what_is_below_it() {
        for name in [
            "sts.us-east-1.amazonaws.com",
            "sts.us-east-1.amazonaws.com.",
            "AMAZONAWS.COM",
            "my.dotted.bucket.s3.eu-west-1.AmazonAWS.com",
            "sts.cn-north-1.amazonaws.com.cn",
            "s3.dualstack.eu-west-1.amazonaws.com",
            "sagemaker.us-east-1.api.aws",
        ] {
            assert!(is_aws(name), "{name}");
        }
    }

    #[test]
    fn nothing_that_only_looks_like_it() {
        for name in [
            "",
            ".",
            ".amazonaws.com",
            "notamazonaws.com",
            "amazonaws.com.example.com",
            "amazonaws.comx",
            "example.com",
            "aws",
            "com",
            "aws.amazon.com",
        ] {
            assert!(!is_aws(name), "{name}");
        }
    }
}
