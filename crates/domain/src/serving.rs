//! A container that serves a model: what its warden is told besides, and how the service reaches
//! into it. Source: Developer Guide, "Use your own inference code with hosting services" and
//! "Build your own container for multi-model endpoints".

use serde::{Deserialize, Serialize};

/// The port of a container's HTTP server.
pub const PORT: u16 = 8080;
/// Ports that a container of several may use besides (`SAGEMAKER_SAFE_PORT_RANGE`).
pub const SAFE_PORTS: (u16, u16) = (9000, 9999);
/// Seconds between TERM and KILL (Developer Guide; a training job's are 120).
pub const STOP_GRACE_SECONDS: u64 = 30;
/// Milliseconds in which a container must accept a connection.
pub const CONNECT_MILLIS: u64 = 250;
/// Seconds in which `/ping` must be answered.
pub const PING_SECONDS: u64 = 2;
/// `ContainerStartupHealthCheckTimeoutInSeconds` if none is given.
pub const STARTUP_SECONDS: u64 = 480;
/// `ModelDataDownloadTimeoutInSeconds` if none is given.
pub const DOWNLOAD_SECONDS: u64 = 900;
/// The folder of a multi-model container's models, each in a folder of its own.
pub const MODELS: &str = "/opt/ml/models";

/// The unix socket in an instance's folder through which connections to its container are handed
/// out; see [`Ask`].
pub const DOOR: &str = "door";
/// The folder in the state folder with the folders of containers that serve.
pub const FOLDER: &str = "endpoints";
/// Bytes of a line that goes through a door.
pub const MAX_DOOR_LINE: usize = 16 << 10;

/// What makes a container one that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Serving {
    /// The endpoint's name, as logs and evidence have it.
    pub endpoint: String,
    /// `VariantName`.
    pub variant: String,
    /// The container's name: `ContainerHostname`, which it also has as host name, or one that
    /// stands in for it.
    pub container: String,
    /// `SAGEMAKER_BIND_TO_PORT`, given where an instance has several containers.
    pub bind_to_port: Option<u16>,
    /// What `/opt/ml/model` holds; `None` where the image brings its own.
    pub model: Option<ModelData>,
    /// The prefix (`s3://…/`) of the models of a multi-model container.
    pub models: Option<String>,
    /// `ModelDataDownloadTimeoutInSeconds`.
    pub download_seconds: u64,
    /// `ContainerStartupHealthCheckTimeoutInSeconds`.
    pub startup_seconds: u64,
}

impl Serving {
    /// The port of the container's server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.bind_to_port.unwrap_or(PORT)
    }

    /// The container's name as its host name, if it can be one (RFC 1123, 2.1).
    #[must_use]
    pub fn host_name(&self) -> Option<&str> {
        let name = self.container.as_str();
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let edges = name.starts_with('-') || name.ends_with('-');
        (plain && !edges && (1..=63).contains(&name.len())).then_some(name)
    }

    /// `FailureReason` of a container that never answered `/ping` as it must (the real service's
    /// words).
    #[must_use]
    pub fn never_healthy(&self) -> String {
        format!(
            "The {} container for production variant {} did not pass the ping health check. Please check CloudWatch logs for this endpoint.",
            self.container, self.variant
        )
    }
}

/// `FailureReason` of model data that cannot be reached (the real service's words).
#[must_use]
pub fn model_unreachable(url: &str) -> String {
    format!(
        "Failed to download model data from URL \"{url}\". Please ensure that an S3 VPC endpoint exists in route table or NAT gateway for the VPC mode and the URL is reachable from within the subnets provided."
    )
}

/// What is brought into `/opt/ml/model`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ModelData {
    /// `s3://…`, or of `belljar serve` a path.
    pub uri: String,
    /// What is there.
    pub form: ModelForm,
}

/// What a model's URI names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelForm {
    /// A `.tar.gz`, which is unpacked (`ModelDataUrl`; `ModelDataSource` with `Gzip`).
    Archive,
    /// Every object below a prefix, or every file of a folder, as it is.
    Prefix,
    /// One object or file, as it is.
    Object,
}

/// One line (JSON) that is said at an instance's door: a connection to the unix socket [`DOOR`]
/// asks once, is answered with one line, an [`Answer`], and closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "ask")]
pub enum Ask {
    /// A TCP connection to the container's server. Its descriptor comes along with
    /// [`Answer::Done`] (`SCM_RIGHTS`, in the same message): a socket that was made inside the
    /// container's network namespace, and that is connected.
    Connect,
    /// Bring a model of a multi-model container to `/opt/ml/models/<name>/model`. One that is
    /// there stays.
    Model {
        /// Its folder: lower-case hexadecimal, made of its key by whoever asks.
        name: String,
        /// `TargetModel`: what follows the prefix; a `.tar.gz` is unpacked.
        key: String,
    },
    /// Remove a model's folder.
    Forget {
        /// As it was brought.
        name: String,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "answer")]
pub enum Answer {
    /// It is done.
    Done,
    /// The container does not accept connections, or not in time.
    Closed {
        /// Why, a sentence.
        why: String,
    },
    /// It cannot be done: no such model, a full disk.
    Failed {
        /// Why, a sentence.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_called_what_can_be_a_host_name() {
        let named = |name: &str| Serving {
            endpoint: "e".into(),
            variant: "v".into(),
            container: name.into(),
            bind_to_port: None,
            model: None,
            models: None,
            download_seconds: 1,
            startup_seconds: 1,
        };
        for good in ["primary", "container-1", "A1", &"x".repeat(63)] {
            assert_eq!(named(good).host_name(), Some(good));
        }
        for bad in ["", "-a", "a-", "a.b", "a b", "a\n", &"x".repeat(64)] {
            assert_eq!(named(bad).host_name(), None, "{bad}");
        }
    }
}
