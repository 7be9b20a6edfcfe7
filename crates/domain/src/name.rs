//! Names that have passed SageMaker's patterns. A value of one of these types is valid.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not the name it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{value}' is not a valid {what}: {rule}")]
pub struct NameError {
    /// What the text was to be: "training job name", "channel name".
    pub what: &'static str,
    /// The text as it was given.
    pub value: String,
    /// The rule it breaks, for a person.
    pub rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(value: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(value) {
                    Ok(Self(value.to_owned()))
                } else {
                    Err(NameError { what: $what, value: value.to_owned(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(value: String) -> Result<Self, NameError> {
                value.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// `TrainingJobName`: `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`.
    JobName,
    "training job name",
    "it must be 1 to 63 letters, digits and hyphens, and begin and end with a letter or digit",
    is_job_name
);
name_type!(
    /// `ChannelName`: `[A-Za-z0-9\.\-_]+`, at most 64 bytes, and neither `.` nor `..`, because
    /// a channel is a folder below `/opt/ml/input/data`.
    ChannelName,
    "channel name",
    "it must be 1 to 64 letters, digits, dots, hyphens and underscores, and not '.' or '..'",
    is_channel_name
);
name_type!(
    /// The name of one container of a job, as its peers resolve it: `algo-1`, `algo-2`, ...
    HostName,
    "host name",
    "it must be 'algo-' and a number from 1, without leading zeros",
    is_host_name
);

name_type!(
    /// The name of another machine that has joined the service: `[a-z0-9]([a-z0-9-]*[a-z0-9])?`, at
    /// most 63 bytes.
    NodeName,
    "node name",
    "it must be 1 to 63 lower-case letters, digits and hyphens, and begin and end with a letter or digit",
    is_node_name
);

impl ChannelName {
    /// What evidence calls the model of a container that serves.
    #[must_use]
    pub fn model() -> Self {
        Self("model".to_owned())
    }

    /// What evidence calls the models that a multi-model container was given.
    #[must_use]
    pub fn models() -> Self {
        Self("models".to_owned())
    }
}

impl HostName {
    /// The name of the `index`-th instance, counted from 1.
    #[must_use]
    pub fn algo(index: std::num::NonZeroU32) -> Self {
        Self(format!("algo-{index}"))
    }
}

fn is_job_name(s: &str) -> bool {
    let bytes = s.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

fn is_node_name(s: &str) -> bool {
    is_job_name(s) && !s.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_channel_name(s: &str) -> bool {
    (1..=64).contains(&s.len())
        && s != "."
        && s != ".."
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn is_host_name(s: &str) -> bool {
    s.strip_prefix("algo-").is_some_and(|n| {
        !n.starts_with('0') && n.parse::<u32>().is_ok() && n.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_names_follow_the_service_model() {
        for good in ["a", "0", "digits-1", "A--b", &"x".repeat(63)] {
            assert!(good.parse::<JobName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a_b", "a/b", "ä", "..", &"x".repeat(64)] {
            assert!(bad.parse::<JobName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_channel_name_is_never_a_way_out_of_its_folder() {
        for good in ["train", "a.b", "_x", "...", "-"] {
            assert!(good.parse::<ChannelName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<ChannelName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_are_algo_and_a_number() {
        assert!("algo-1".parse::<HostName>().is_ok());
        for bad in ["algo-0", "algo-01", "algo-", "algo-+1", "host-1"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_from_json_is_checked() {
        assert!(serde_json::from_str::<JobName>("\"../../etc\"").is_err());
    }
}
