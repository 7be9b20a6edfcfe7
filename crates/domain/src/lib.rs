//! The nouns of Belljar: training job, channel, instance, [`Assignment`] and [`Report`].
//!
//! Pure: no files, no clock, no randomness, no async. Whoever needs the time passes it in.
//! **Invariant**: control and warden know each other only by the types of this crate, so either
//! can be replaced, restarted or run on another host without the other noticing.
//!
//! Facts about SageMaker come from AWS's service model (botocore) and Developer Guide; each item
//! names its section.

pub mod access;
pub mod arn;
pub mod assignment;
pub mod attempt;
pub mod aws_names;
pub mod cluster;
pub mod config_files;
pub mod data;
pub mod endpoint;
pub mod event;
pub mod evidence;
pub mod fabric;
pub mod failure;
pub mod fleet;
pub mod instance;
pub mod limits;
pub mod metrics;
pub mod name;
pub mod node;
pub mod plan;
pub mod preflight;
pub mod proxy;
pub mod report;
pub mod seal;
pub mod serving;
pub mod shares;
pub mod size;
pub mod spool;
pub mod status;
pub mod timestamp;
pub mod training_job;
pub mod vpc_config;
pub mod vpc_link;

pub use access::{Access, Allowed};
pub use assignment::{Assignment, MetricDefinition, Resources, StopPolicy};
pub use attempt::{Attempt, Protocol};
pub use cluster::{Cluster, Instance, PeerLink, Shard, Site};
pub use data::{
    Channel, Checkpoints, Compression, DataType, InputMode, OutputCompression, RecordWrapper,
};
pub use event::{Event, Stage, StageState, Stream};
pub use evidence::{Predicate, Statement};
pub use name::{ChannelName, HostName, JobName, NameError, NodeName};
pub use report::{
    Artifact, Exit, Outcome, PipedChannel, PipedEpoch, Report, StagedChannel, StagedFile,
    SyncedCheckpoints,
};
pub use seal::SealReading;
pub use serving::Serving;
pub use status::{SecondaryStatus, TrainingJobStatus, Transition};
pub use timestamp::Timestamp;
pub use training_job::TrainingJob;
pub use vpc_config::{VpcConfig, VpcConfigError, VpcPlacement};
pub use vpc_link::VpcLink;
