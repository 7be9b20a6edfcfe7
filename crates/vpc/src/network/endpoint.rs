//! VPC endpoints.

use crate::id::{GroupId, InterfaceId, RouteTableId, SubnetId, VpcId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A VPC endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Endpoint {
    /// Its VPC.
    pub vpc: VpcId,
    /// `ServiceName`: `com.amazonaws.us-east-1.s3`.
    pub service: String,
    /// How it is reached.
    pub kind: EndpointKind,
    /// Its policy, a JSON document as it was sent; `None` allows all.
    pub policy: Option<String>,
}

/// How an endpoint is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum EndpointKind {
    /// By routes to the service's prefix list.
    Gateway {
        /// The tables that have the route.
        route_tables: BTreeSet<RouteTableId>,
    },
    /// By an interface in each of its subnets.
    #[serde(rename_all = "camelCase")]
    Interface {
        /// The interfaces.
        interfaces: BTreeMap<SubnetId, InterfaceId>,
        /// What guards them.
        groups: Vec<GroupId>,
        /// `PrivateDnsEnabled`: whether the service's own names lead here.
        private_dns: bool,
    },
}

/// The last part of a service's name: `s3`, `sagemaker.api` of `com.amazonaws.us-east-1.…`. `None`
/// of a name that is not one of AWS's own services in a region.
#[must_use]
pub fn service(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("com.amazonaws.")?.split_once('.')
}
