//! Ids of network resources, as EC2 and Route 53 write them: `vpc-0123456789abcdef0`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not the id it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{value}' is not the id of a {what}: it must be '{prefix}' and up to 32 letters and digits"
)]
pub struct IdError {
    /// What the text was to name: "VPC", "subnet".
    pub what: &'static str,
    /// What such an id begins with.
    pub prefix: &'static str,
    /// The text as it was given.
    pub value: String,
}

/// An id of any kind.
pub trait ResourceId: Clone + Ord + fmt::Display + FromStr<Err = IdError> {
    /// What it begins with.
    const PREFIX: &'static str;
    /// What it names, for a person.
    const WHAT: &'static str;

    /// The id of a number, of which the lowest 68 bits become the 17 hexadecimal digits that EC2
    /// writes behind a prefix.
    fn numbered(number: u128) -> Self;
}

/// Characters behind the prefix, at most.
const MAX_TAIL: usize = 32;

macro_rules! ids {
    ($($(#[$doc:meta])* $type:ident, $prefix:literal, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// What such an id begins with.
            pub const PREFIX: &'static str = $prefix;
            /// What it names, for a person.
            pub const WHAT: &'static str = $what;

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ResourceId for $type {
            const PREFIX: &'static str = $prefix;
            const WHAT: &'static str = $what;

            fn numbered(number: u128) -> Self {
                Self(format!("{}{:017x}", $prefix, number & ((1 << 68) - 1)).into())
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(value: &str) -> Result<Self, IdError> {
                let tail = value.strip_prefix($prefix).unwrap_or_default();
                let plain = tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                if plain && (1..=MAX_TAIL).contains(&tail.len()) {
                    return Ok(Self(value.into()));
                }
                Err(IdError { what: $what, prefix: $prefix, value: value.to_owned() })
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(value: String) -> Result<Self, IdError> {
                value.parse()
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A VPC.
    VpcId, "vpc-", "VPC";
    /// The association of a CIDR block with a VPC.
    CidrAssociationId, "vpc-cidr-assoc-", "CIDR block association";
    /// A subnet.
    SubnetId, "subnet-", "subnet";
    /// A security group.
    GroupId, "sg-", "security group";
    /// A rule of a security group.
    GroupRuleId, "sgr-", "security group rule";
    /// A network ACL.
    AclId, "acl-", "network ACL";
    /// The association of a network ACL with a subnet.
    AclAssociationId, "aclassoc-", "network ACL association";
    /// A route table.
    RouteTableId, "rtb-", "route table";
    /// The association of a route table with a subnet, or with its VPC as the main one.
    RouteAssociationId, "rtbassoc-", "route table association";
    /// An internet gateway.
    InternetGatewayId, "igw-", "internet gateway";
    /// A NAT gateway.
    NatGatewayId, "nat-", "NAT gateway";
    /// The allocation of an elastic address.
    AllocationId, "eipalloc-", "elastic address";
    /// The association of an elastic address with an interface.
    AddressAssociationId, "eipassoc-", "elastic address association";
    /// A network interface (ENI).
    InterfaceId, "eni-", "network interface";
    /// The attachment of a network interface.
    AttachmentId, "eni-attach-", "network interface attachment";
    /// A VPC endpoint, of either kind.
    EndpointId, "vpce-", "VPC endpoint";
    /// A prefix list.
    PrefixListId, "pl-", "prefix list";
    /// A peering connection.
    PeeringId, "pcx-", "VPC peering connection";
    /// A set of DHCP options.
    DhcpOptionsId, "dopt-", "DHCP options set";
    /// A flow log.
    FlowLogId, "fl-", "flow log";
    /// A path of Network Insights.
    InsightsPathId, "nip-", "network insights path";
    /// An analysis of such a path.
    InsightsAnalysisId, "nia-", "network insights analysis";
    /// A hosted zone of Route 53.
    ZoneId, "Z", "hosted zone";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_makes_an_id_of_17_digits() {
        let id = SubnetId::numbered(u128::MAX);
        assert_eq!(id.as_str(), "subnet-fffffffffffffffff");
        assert_eq!(SubnetId::numbered(1).as_str().parse(), Ok(SubnetId::numbered(1)));
    }

    #[test]
    fn ids_have_their_prefix() {
        let id: VpcId = "vpc-0123456789abcdef0".parse().unwrap();
        assert_eq!(id.to_string(), "vpc-0123456789abcdef0");
        for bad in ["", "vpc-", "subnet-1", "vpc-a b", &format!("vpc-{}", "x".repeat(33))] {
            assert!(bad.parse::<VpcId>().is_err(), "{bad}");
        }
        let e = "x".parse::<SubnetId>().unwrap_err().to_string();
        assert!(e.starts_with("'x' is not the id of a subnet"), "{e}");
    }
}
