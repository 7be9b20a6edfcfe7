//! What a warden says while it works: one JSON object a line on its standard output, and the
//! lines of `belljar train --json`.

use crate::cluster::Endpoint;
use crate::metrics::MetricDatum;
use crate::{Attempt, Exit, HostName, PeerLink, Report, SealReading, SecondaryStatus, Timestamp};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "event")]
pub enum Event {
    /// A stage begins, ends, fails or is undone.
    Stage {
        /// Which.
        stage: Stage,
        /// What happened.
        state: StageState,
        /// When.
        at: Timestamp,
    },
    /// The job's secondary status changed.
    Status {
        /// The new status.
        status: SecondaryStatus,
        /// Text for a person.
        message: String,
        /// When.
        at: Timestamp,
    },
    /// How far a long stage is.
    Progress {
        /// Which.
        stage: Stage,
        /// What it works on: a layer's digest, a channel.
        item: String,
        /// Bytes done.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// A line that the container wrote.
    Log {
        /// Where to.
        stream: Stream,
        /// The line without its newline, bytes that are not UTF-8 replaced.
        line: String,
        /// The line's bytes, where they are not UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<Vec<u8>>,
        /// When it was read.
        at: Timestamp,
    },
    /// A value that a metric definition found.
    Metric(MetricDatum),
    /// The container tried to reach a new target. (Further tries are in the report.)
    Attempt(Attempt),
    /// The seal as read back, before the container's first instruction.
    Sealed {
        /// What the kernel said.
        seal: Box<SealReading>,
        /// The link to its peers that the reading allows; `None` for an instance that has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peers: Option<Box<PeerLink>>,
    },
    /// What one instance of several tells. Its log lines, attempts and stages are in here; what
    /// concerns the job as a whole is told outside.
    Instance {
        /// Which.
        host: HostName,
        /// What.
        told: Box<Event>,
    },
    /// An instance offers its peers its end of an encrypted link.
    Offer(Endpoint),
    /// The container of an instance has ended. Its report follows once what it left is seen to.
    Exited {
        /// How.
        exit: Exit,
    },
    /// An instance is sealed and waits for the word to start.
    Ready,
    /// A container that serves began to answer `/ping` as it must, or ceased to.
    Health {
        /// Whether it may be given requests.
        healthy: bool,
        /// Why not, a sentence; empty if it may.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// Something a person should know.
    Warning {
        /// A sentence.
        message: String,
    },
    /// The end.
    Report(Box<Report>),
}

/// The stages of a warden, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Pull and unpack the image.
    Image,
    /// Make the folders, mount the root file system, check the command.
    Root,
    /// Download the channels.
    StageIn,
    /// Make the network namespace and its rules.
    Network,
    /// Start the container, read back the seal, run it to its end.
    Container,
    /// Run all instances of a job that has several.
    Instances,
    /// Archive and upload the artifacts.
    StageOut,
    /// Sign and store the evidence.
    Evidence,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 7] = [
        Self::Image,
        Self::Root,
        Self::StageIn,
        Self::Network,
        Self::Container,
        Self::StageOut,
        Self::Evidence,
    ];

    /// The stage's name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Root => "root",
            Self::StageIn => "stage-in",
            Self::Network => "network",
            Self::Container => "container",
            Self::Instances => "instances",
            Self::StageOut => "stage-out",
            Self::Evidence => "evidence",
        }
    }
}

/// What happened to a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageState {
    /// It begins.
    Begun,
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// What it had made is gone again.
    Undone,
}

/// One of the container's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
