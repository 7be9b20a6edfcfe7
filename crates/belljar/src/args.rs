//! What can be typed.

use crate::args_network::{ExplainArgs, NetworkCommand};
use crate::args_service::{ExecArgs, KeysCommand, NodeCommand, UpArgs};
use belljar_control::request::TrainRequest;
use belljar_control::request::serve::ServeRequest;
use belljar_domain::OutputCompression;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Trains and serves machine-learning models in containers sealed off the network, behind the
/// SageMaker container contract, with signed evidence of it.
#[derive(Debug, Parser)]
#[command(name = "belljar", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 completed, 1 the job failed or something else did not succeed, \
                  2 wrong usage, 3 stopped or out of time, 4 this machine cannot, 70 a bug."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Where jobs and images are kept [default: /var/lib/belljar for root, else
    /// ~/.local/share/belljar; or $BELLJAR_STATE]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) state: Option<PathBuf>,
    /// Say nothing but errors; the container's lines still come
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what happens in detail
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Colour what Belljar says: auto, always or never; auto heeds NO_COLOR
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        hide_possible_values = true
    )]
    pub(crate) color: Color,
}

/// `--color`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Even into a file
    Always,
    /// Not at all
    Never,
}

impl Color {
    pub(crate) fn choice(self) -> anstream::ColorChoice {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a training job in a sealed container
    Train(Box<TrainArgs>),
    /// Serve a model from sealed containers, on a local address
    Serve(Box<ServeArgs>),
    /// Serve SageMaker, S3, EC2's networks, Route 53, logs and identity on this machine
    Up(UpArgs),
    /// Print what a shell needs to reach the service: eval "$(belljar env)"
    Env,
    /// Run a command where all of AWS is the running service, and nothing else can be reached
    #[command(
        override_usage = "belljar exec [OPTIONS] -- COMMAND [ARGUMENT]...",
        after_help = "\
Every name of AWS leads to the service, with TLS that the command trusts; every other name does \
not exist, and every other address refuses at once. What was tried is told at the end. The command \
keeps its user, files and terminal. Its exit code is the command's (128 and the signal's number if \
it was killed by one); 126: it cannot be executed, 127: it is not there."
    )]
    Exec(ExecArgs),
    /// Make, list and revoke access keys of the service
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Use further machines for jobs with several instances
    #[command(subcommand)]
    Node(NodeCommand),
    /// Say whether a job, an endpoint or an address reaches another in the VPC, and what mends it
    #[command(after_help = "\
Every place on the way is shown with the rule that decided there, for the request and its reply; \
then all that is in the way, each with AWS's code and the lines of the AWS CLI that mend it. Exit \
code 0: it passes, 1: it does not, 2: that cannot be said. A sealed container reaches nothing; what \
is staged for it goes by its interface, and is what --to s3 explains.")]
    Explain(ExplainArgs),
    /// Show the network: as a tree, or drawn
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Get, list and remove images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Read and check the signed evidence of a job
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Say what this machine can do, and what to change
    Doctor,
    /// Train an example in a sealed container, ask it, and show the proof
    Quickstart(QuickstartArgs),
}

/// `--output-compression`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CompressionArg {
    /// Archives
    Gzip,
    /// Single files
    None,
}

impl From<CompressionArg> for OutputCompression {
    fn from(given: CompressionArg) -> Self {
        match given {
            CompressionArg::Gzip => Self::Gzip,
            CompressionArg::None => Self::None,
        }
    }
}

/// `belljar image`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Get an image into the store; every digest is verified
    Pull {
        /// As for `belljar train --image`
        reference: String,
        /// Keep it under this name
        #[arg(long, value_name = "NAME")]
        tag: Option<String>,
    },
    /// List the store's images
    List,
    /// Print what is known of an image, as JSON
    Inspect {
        /// A tag, or as for `belljar train --image`
        reference: String,
    },
    /// Remove an image, and the layers that no other image uses
    Remove {
        /// A tag, or as for `belljar train --image`
        reference: String,
    },
    /// Make an image of a root file system folder
    Import(ImportArgs),
}

/// `belljar image import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The folder
    pub(crate) dir: PathBuf,
    /// The image's name
    #[arg(long, value_name = "NAME")]
    pub(crate) tag: String,
    /// The image's entry point; several make its arguments
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, action = ArgAction::Append)]
    pub(crate) entrypoint: Vec<String>,
    /// The image's default command
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, action = ArgAction::Append)]
    pub(crate) cmd: Vec<String>,
    /// An environment variable
    #[arg(long, value_name = "K=V", value_parser = pair, action = ArgAction::Append)]
    pub(crate) env: Vec<(String, String)>,
    /// The working directory
    #[arg(long, value_name = "DIR")]
    pub(crate) working_dir: Option<String>,
    /// Who runs it, as USER[:GROUP]
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
}

/// `belljar evidence`.
#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Print the signed statement in readable form; checks nothing
    Show {
        /// The envelope, as algo-1.intoto.json
        file: PathBuf,
    },
    /// Check the signature and say what is proved and what is not
    Verify {
        /// The envelope, as algo-1.intoto.json
        file: PathBuf,
        /// The public key that must have signed it [default: this machine's own]; may be repeated:
        /// each machine of a job with several has its own
        #[arg(long, value_name = "FILE", action = ArgAction::Append)]
        key: Vec<PathBuf>,
    },
}

/// `belljar quickstart`.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// The example's static program [default: found beside the build]
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// The folder of train.csv and test.csv [default: examples/digits/data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// `belljar train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The image: a registry name, docker://NAME, oci:DIR[:TAG], oci-archive:FILE,
    /// docker-archive:FILE, docker-daemon:NAME, or a tag of `belljar image list`
    #[arg(long, value_name = "REF")]
    pub(crate) image: String,
    /// Where artifacts and evidence go: a path, file:// or s3://bucket/prefix
    #[arg(long, value_name = "URI")]
    pub(crate) output: String,
    /// The job's name, used once [default: belljar-DATE-XXXX]
    #[arg(long, value_name = "NAME")]
    pub(crate) job_name: Option<String>,
    /// A channel (may be repeated): its files are in /opt/ml/input/data/CHANNEL
    #[arg(long, value_name = "CHANNEL=URI", value_parser = pair, action = ArgAction::Append)]
    pub(crate) input: Vec<(String, String)>,
    /// Streams a channel (may be repeated): a FIFO /opt/ml/input/data/CHANNEL_N for each epoch N
    #[arg(long, value_name = "CHANNEL", action = ArgAction::Append)]
    pub(crate) pipe: Vec<String>,
    /// Where checkpoints are kept: brought to /opt/ml/checkpoints, and kept while the job runs
    #[arg(long, value_name = "URI")]
    pub(crate) checkpoints: Option<String>,
    /// gzip makes archives, none puts every file by itself
    #[arg(long, value_name = "HOW", default_value = "gzip", hide_possible_values = true)]
    pub(crate) output_compression: CompressionArg,
    /// A hyperparameter (may be repeated)
    #[arg(long, value_name = "K=V", value_parser = pair, action = ArgAction::Append)]
    pub(crate) hyperparameter: Vec<(String, String)>,
    /// An environment variable of the container (may be repeated)
    #[arg(long, value_name = "K=V", value_parser = pair, action = ArgAction::Append)]
    pub(crate) env: Vec<(String, String)>,
    /// Replaces the image's entry point; several make its arguments
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, action = ArgAction::Append)]
    pub(crate) entrypoint: Vec<String>,
    /// Replaces the argument `train`; several are passed in order
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, action = ArgAction::Append)]
    pub(crate) argument: Vec<String>,
    /// How many containers, which reach each other and nothing else [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) instances: Option<u32>,
    /// Encrypt what the instances say to each other; without it the job does not start
    #[arg(long)]
    pub(crate) encrypt_inter_container_traffic: bool,
    /// Gives each instance a part of a channel's files (may be repeated), as ShardedByS3Key
    #[arg(long, value_name = "CHANNEL", action = ArgAction::Append)]
    pub(crate) shard: Vec<String>,
    /// Limits like those of a SageMaker instance, as ml.m5.large
    #[arg(long, value_name = "TYPE", conflicts_with_all = ["cpus", "memory"])]
    pub(crate) instance_type: Option<String>,
    /// CPUs that the container may use, as 2 or 0.5
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<String>,
    /// Memory that the container may use, as 512M or 4G
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Stop the job after this time, as 90s, 10m or 24h [default: 24h]
    #[arg(long, value_name = "TIME")]
    pub(crate) max_runtime: Option<String>,
    /// A metric (may be repeated): the first group of REGEX in what the container prints is its value
    #[arg(long, value_name = "NAME=REGEX", value_parser = pair, action = ArgAction::Append)]
    pub(crate) metric: Vec<(String, String)>,
    /// Print events, one JSON object a line, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

impl TrainArgs {
    /// The request, and whether events are wanted.
    pub(crate) fn request(self) -> TrainRequest {
        TrainRequest {
            job_name: self.job_name,
            image: self.image,
            output: self.output,
            inputs: self.input,
            pipes: self.pipe,
            checkpoints: self.checkpoints,
            output_compression: self.output_compression.into(),
            hyperparameters: self.hyperparameter,
            environment: self.env,
            entrypoint: self.entrypoint,
            arguments: self.argument,
            instances: self.instances,
            encrypted: self.encrypt_inter_container_traffic,
            shards: self.shard,
            instance_type: self.instance_type,
            cpus: self.cpus,
            memory: self.memory,
            max_runtime: self.max_runtime,
            metrics: self.metric,
        }
    }
}

/// `belljar serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The image: as for `belljar train --image`; it is started with `serve`
    #[arg(long, value_name = "REF")]
    pub(crate) image: String,
    /// What /opt/ml/model holds: a .tar.gz, which is unpacked, a folder or a file; a path or s3://
    #[arg(long, value_name = "URI")]
    pub(crate) model: Option<String>,
    /// How many containers, among which requests are shared out [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) instances: Option<u32>,
    /// The port of 127.0.0.1 at which /invocations is answered; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = belljar_domain::serving::PORT)]
    pub(crate) port: u16,
    /// What to call it in evidence [default: belljar-DATE-XXXX]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where evidence goes: a path, file:// or s3:// [default: `evidence/NAME` in the state folder]
    #[arg(long, value_name = "URI")]
    pub(crate) evidence: Option<String>,
    /// An environment variable of the container (may be repeated)
    #[arg(long, value_name = "K=V", value_parser = pair, action = ArgAction::Append)]
    pub(crate) env: Vec<(String, String)>,
    /// Replaces the image's entry point; several make its arguments
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, action = ArgAction::Append)]
    pub(crate) entrypoint: Vec<String>,
    /// Replaces the argument `serve`; several are passed in order
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, action = ArgAction::Append)]
    pub(crate) argument: Vec<String>,
    /// Limits like those of a SageMaker instance, as ml.m5.large
    #[arg(long, value_name = "TYPE", conflicts_with_all = ["cpus", "memory"])]
    pub(crate) instance_type: Option<String>,
    /// CPUs that each container may use, as 2 or 0.5
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<String>,
    /// Memory that each container may use, as 512M or 4G
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Print events, one JSON object a line, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

impl ServeArgs {
    /// The request.
    pub(crate) fn request(self) -> ServeRequest {
        ServeRequest {
            name: self.name,
            image: self.image,
            model: self.model,
            evidence: self.evidence,
            environment: self.env,
            entrypoint: self.entrypoint,
            arguments: self.argument,
            instances: self.instances,
            instance_type: self.instance_type,
            cpus: self.cpus,
            memory: self.memory,
        }
    }
}

/// `K=V`; the value may hold further equals signs.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("there is nothing before the equals sign".to_owned()),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("write a name, an equals sign and a value".to_owned()),
    }
}
