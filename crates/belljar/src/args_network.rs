//! What can be typed about the network: `belljar explain` and `belljar network`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `belljar explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Who begins: the name or ARN of a training job or endpoint, a network interface (eni-...), or
    /// an address: a private one of the network, or a host's on the internet
    #[arg(long, value_name = "WHO")]
    pub(crate) from: String,
    /// Where to: a service (s3, sagemaker.api, sagemaker.runtime, logs, sts, ecr.api, ecr.dkr), an
    /// address, a host name or a network interface; each may be followed by :PORT
    #[arg(long, value_name = "WHERE[:PORT]")]
    pub(crate) to: String,
    /// tcp, udp or icmp (an echo, as of ping)
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp", hide_possible_values = true)]
    pub(crate) protocol: ProtocolArg,
    /// Print the explanation as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolArg {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// An echo request
    Icmp,
}

/// `belljar network`.
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Print VPCs as a tree: zones, subnets with their routes and interfaces, gateways, endpoints
    Show {
        /// The VPC's id, or its tag Name [default: all of them]
        vpc: Option<String>,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Draw a VPC as SVG, with arrows for who may reach whom
    Map {
        /// The VPC's id, or its tag Name [default: the only one that is not the default VPC]
        vpc: Option<String>,
        /// The TCP port that the arrows are about
        #[arg(long, value_name = "PORT", default_value_t = 443,
              value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
        /// Where to [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
