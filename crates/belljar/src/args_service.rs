//! What can be typed about the service: `belljar up`, `exec`, `keys` and `node`.

use belljar_control::request::Mirror;
use belljar_control::service::{Capacity, DEFAULT_LISTEN};
use belljar_domain::NodeName;
use clap::{ArgAction, Args, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// `belljar up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = DEFAULT_LISTEN)]
    pub(crate) listen: SocketAddr,
    /// The region that the service is
    #[arg(long, value_name = "REGION", default_value = "us-east-1", value_parser = region)]
    pub(crate) region: String,
    /// The account that the service is
    #[arg(long, value_name = "ID", default_value = "123456789012", value_parser = account)]
    pub(crate) account: String,
    /// Zones over which the instances of an endpoint are spread [default: three of the region]
    #[arg(long, value_name = "ZONE", value_delimiter = ',', value_parser = zone)]
    pub(crate) zones: Vec<String>,
    /// An instance type larger than this machine: clamp gives the job what there is, strict lets it
    /// fail with CapacityError
    #[arg(long, value_name = "HOW", default_value = "clamp", hide_possible_values = true)]
    pub(crate) capacity: CapacityArg,
    /// Refuse jobs and endpoints without EnableNetworkIsolation, which could reach the internet or
    /// their VPC
    #[arg(long)]
    pub(crate) require_isolation: bool,
    /// Use another S3 in place of the own one, as http://127.0.0.1:9000, with the keys that the
    /// environment has for it
    #[arg(long, value_name = "URL")]
    pub(crate) s3_endpoint: Option<String>,
    /// Get images whose names begin with FROM as if they began with TO (may be repeated)
    #[arg(long, value_name = "FROM=TO", action = ArgAction::Append)]
    pub(crate) registry_mirror: Vec<Mirror>,
}

/// `--capacity`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CapacityArg {
    /// What there is
    Clamp,
    /// All or nothing
    Strict,
}

impl From<CapacityArg> for Capacity {
    fn from(given: CapacityArg) -> Self {
        match given {
            CapacityArg::Clamp => Self::Clamp,
            CapacityArg::Strict => Self::Strict,
        }
    }
}

/// `belljar keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is shown this once
    Create,
    /// List the keys
    List,
    /// Take a key's right to call the service away, at once
    Revoke {
        /// The access key, as AKIA...
        id: String,
    },
}

/// `belljar node`.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Let another machine join the running service, and make its ticket, a secret
    Add {
        /// What to call it
        name: NodeName,
        /// The ticket's file, which must not be there yet [default: NAME.ticket]
        #[arg(long, value_name = "FILE")]
        ticket: Option<PathBuf>,
    },
    /// Join the service that gave the ticket, and run instances for it until Ctrl-C
    Join {
        /// The file that `belljar node add` made
        ticket: PathBuf,
        /// This machine's address, at which the other ones reach it
        #[arg(long, value_name = "IP")]
        address: IpAddr,
    },
    /// List the machines that may join
    List,
    /// Take a machine's right to join away
    Remove {
        /// Its name
        name: NodeName,
    },
}

/// `belljar exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

fn region(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match (1..=32).contains(&text.len()) && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("write a region as us-east-1".to_owned()),
    }
}

fn zone(text: &str) -> Result<String, String> {
    region(text).map_err(|_| "write zones as us-east-1a,us-east-1b".to_owned())
}

fn account(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an account has twelve digits".to_owned()),
    }
}
