//! Flow logs.

use crate::id::{InterfaceId, SubnetId, VpcId};
use serde::{Deserialize, Serialize};

/// A flow log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FlowLog {
    /// Whose packets.
    pub of: Monitored,
    /// Which of them.
    pub traffic: TrafficType,
    /// Where the records go.
    pub destination: Destination,
    /// `LogFormat`: `${version} ${account-id} …`.
    pub format: String,
    /// `MaxAggregationInterval` in seconds: 60 or 600.
    pub interval: u16,
    /// `DeliverLogsPermissionArn`.
    pub role: Option<String>,
}

/// Whose packets a flow log is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Monitored {
    /// All interfaces of a VPC.
    Vpc(VpcId),
    /// All interfaces of a subnet.
    Subnet(SubnetId),
    /// One interface.
    Interface(InterfaceId),
}

/// Which packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TrafficType {
    /// What passed.
    Accept,
    /// What was refused.
    Reject,
    /// Both.
    All,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Destination {
    /// A group of CloudWatch Logs, by name.
    Logs(String),
    /// A bucket and folder of S3, `arn:aws:s3:::bucket/folder/`.
    S3(String),
}
