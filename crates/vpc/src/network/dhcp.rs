//! DHCP options.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The value of `domain-name-servers` that means the VPC's own resolver.
pub const PROVIDED: &str = "AmazonProvidedDNS";

/// A DHCP options set; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DhcpOptions {
    /// By option: `domain-name`, `domain-name-servers`, `ntp-servers`, ...
    pub options: BTreeMap<String, Vec<String>>,
}
