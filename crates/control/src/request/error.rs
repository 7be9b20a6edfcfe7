//! Why a request is refused, each by name and with what to do.

use super::serve::MAX_INSTANCES as MOST;
use belljar_domain::assignment::MetricError;
use belljar_domain::cluster::MAX_INSTANCES;
use belljar_domain::size::{QuantityError, human_bytes};
use belljar_domain::{NameError, limits};

/// Why a training request is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A job or channel name breaks its pattern.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A metric definition is not valid.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A size or duration is not readable.
    #[error("{what} is not valid")]
    Quantity {
        /// The member.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: QuantityError,
    },
    /// The same key twice.
    #[error("{what} '{key}' is given twice")]
    Duplicate {
        /// "hyperparameter", "channel", ...
        what: &'static str,
        /// The key.
        key: String,
    },
    /// More entries than SageMaker takes.
    #[error("{count} {what} are given; SageMaker takes at most {limit}")]
    TooMany {
        /// The entries, in the plural.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// An entry is longer than SageMaker takes.
    #[error("{what} has {length} bytes; SageMaker takes at most {limit}")]
    TooLong {
        /// The entry.
        what: String,
        /// Its bytes.
        length: usize,
        /// The bytes allowed.
        limit: usize,
    },
    /// Empty where something must stand.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// A NUL byte cannot be passed to a program.
    #[error("{0} contains a NUL byte")]
    Nul(String),
    /// Outside `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("'{0}' is not a valid name of an environment variable")]
    EnvironmentName(String),
    /// A URI of a kind that Belljar does not read or write.
    #[error("'{uri}' is no place for {what}")]
    Uri {
        /// "channel 'train'" or "the output".
        what: String,
        /// As it was given.
        uri: String,
    },
    /// A local input is not there.
    #[error("channel '{channel}': there is nothing at {path}")]
    NoInput {
        /// The channel.
        channel: String,
        /// The path.
        path: String,
    },
    /// An option names a channel that there is not.
    #[error("{option}: there is no channel '{name}'")]
    NoChannel {
        /// As it was given.
        name: String,
        /// The option.
        option: &'static str,
    },
    /// A channel is for a group of instances that there is not.
    #[error("channel '{channel}' is for the instance group '{group}', which the job does not have")]
    NoGroup {
        /// The channel.
        channel: String,
        /// `InstanceGroupName`.
        group: String,
    },
    /// None, or too many. (AWS: `InstanceCount`.)
    #[error(
        "a job has 1 to {MAX_INSTANCES} instances, and each of its groups one at least; {0} are asked for"
    )]
    InstanceCount(u32),
    /// None, or too many, of `belljar serve`.
    #[error("a model is served by 1 to {MOST} instances; {0} are asked for")]
    Instances(u32),
    /// A local model is not there.
    #[error("there is no model at {0}")]
    NoModel(String),
    /// Channels that cannot be served so.
    #[error(transparent)]
    Channel(#[from] belljar_domain::data::ChannelError),
    /// Not in the table of instance types.
    #[error("'{name}' is not an instance type that Belljar knows")]
    InstanceType {
        /// As it was given.
        name: String,
        /// The names that look most like it.
        nearest: Vec<&'static str>,
    },
    /// An instance type already says how many CPUs and how much memory.
    #[error("an instance type cannot be combined with a number of CPUs or a memory size")]
    TypeAndSize,
    /// Not a number of CPUs.
    #[error("'{0}' is not a number of CPUs")]
    Cpus(String),
    /// Too little memory for any process.
    #[error("{} of memory is too little for a container", human_bytes(*.0))]
    LittleMemory(u64),
    /// More CPUs than there are.
    #[error("{wanted} CPUs are asked for; this machine has {has}")]
    NotEnoughCpus {
        /// Asked for.
        wanted: String,
        /// There.
        has: u64,
    },
    /// More memory than there is.
    #[error("{} of memory is asked for; this machine has {}", human_bytes(*.wanted), human_bytes(*.has))]
    NotEnoughMemory {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes there.
        has: u64,
    },
    /// Outside 1 second to 28 days.
    #[error("a maximum runtime of {0} s is outside what SageMaker allows")]
    MaxRuntime(u64),
}

impl RequestError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name(_) | Self::Metric(_) | Self::Quantity { .. } | Self::Empty(_) => {
                return None;
            }
            Self::NoChannel { .. } => "name a channel that --input gives".into(),
            Self::NoGroup { .. } => "name a group of ResourceConfig.InstanceGroups".into(),
            Self::InstanceCount(_) => format!("give a number from 1 to {MAX_INSTANCES}"),
            Self::Instances(_) => {
                format!("give --instances 1 to {MOST}")
            }
            Self::NoModel(_) => "check the path; a model is a .tar.gz, a folder or a file".into(),
            Self::Channel(_) => "give the channel another name, or leave --pipe out".into(),
            Self::Duplicate { .. } => "give each key once".into(),
            Self::TooMany { .. } => "put what is beyond it into a file in a channel".into(),
            Self::TooLong { .. } => "put long values into a file in a channel".into(),
            Self::Nul(_) => "no program can be given a NUL byte; leave it out".into(),
            Self::EnvironmentName(_) => {
                "a name has letters, digits and underscores, and no digit in front".into()
            }
            Self::Uri { .. } => "give a path, file:///absolute/path or s3://bucket/prefix".into(),
            Self::NoInput { .. } => "check the path; a channel is a folder or a file".into(),
            Self::InstanceType { nearest, .. } if nearest.is_empty() => {
                "give a type as in ml.m5.large, or --cpus and --memory".into()
            }
            Self::InstanceType { nearest, .. } => {
                format!("did you mean {}? Or give --cpus and --memory", nearest.join(" or "))
            }
            Self::TypeAndSize => {
                "give --instance-type alone, or --cpus and --memory without it".into()
            }
            Self::Cpus(_) => "give a number such as 2 or 0.5, with at most three decimals".into(),
            Self::LittleMemory(_) => "give at least 8M".into(),
            Self::NotEnoughCpus { has, .. } => {
                format!("ask for at most {has}, or leave --cpus out")
            }
            Self::NotEnoughMemory { has, .. } => {
                format!("ask for at most {}M, or leave --memory out", has >> 20)
            }
            Self::MaxRuntime(_) => format!(
                "give 1s to {}d; without it the limit is {}h",
                limits::MAX_MAX_RUNTIME_SECONDS / 86_400,
                limits::DEFAULT_MAX_RUNTIME_SECONDS / 3600
            ),
        })
    }

    /// Whether the request is good but too large for this machine.
    #[must_use]
    pub fn machine(&self) -> bool {
        matches!(self, Self::NotEnoughCpus { .. } | Self::NotEnoughMemory { .. })
    }
}
