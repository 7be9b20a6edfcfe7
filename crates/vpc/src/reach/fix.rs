//! What would mend a blocker: as changes of the description, and as lines of the AWS CLI.

use crate::id::{
    AclId, AddressAssociationId, AllocationId, EndpointId, GroupId, GroupRuleId, InterfaceId,
    InternetGatewayId, PeeringId, PrefixListId, RouteTableId, VpcId,
};
use crate::network::{
    AclEntry, Change, Description, Direction, GroupRule, Record, Route, RouteDestination,
};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The least that mends one blocker.
///
/// Its edits touch single rules, so that fixes of several blockers that meet in one record hold
/// together: a [`Change`], which replaces a whole record, would take the others back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Fix {
    /// In order.
    pub edits: Vec<Edit>,
    /// The same as lines of the AWS CLI.
    pub cli: Vec<String>,
}

/// A change of a part of a record, or a new record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Edit {
    /// One more rule of a security group.
    AddGroupRule(GroupId, GroupRuleId, GroupRule),
    /// An entry of a network ACL, in the place of one with its number.
    SetAclEntry(AclId, Direction, u16, AclEntry),
    /// A route, in the place of one with its destination and origin.
    SetRoute(RouteTableId, Route),
    /// No route to a destination.
    RemoveRoute(RouteTableId, RouteDestination),
    /// A gateway endpoint in a further route table: the route, too.
    JoinEndpoint(EndpointId, RouteTableId, PrefixListId),
    /// An internet gateway attached to a VPC.
    AttachGateway(InternetGatewayId, VpcId),
    /// An elastic address for an interface's private one.
    AssociateAddress(AllocationId, AddressAssociationId, InterfaceId, Ipv4Addr),
    /// A peering connection accepted.
    AcceptPeering(PeeringId),
    /// The source/destination check of an interface switched off.
    Forward(InterfaceId),
    /// Both DNS attributes of a VPC switched on.
    EnableDns(VpcId),
    /// `PrivateDnsEnabled` of an interface endpoint.
    EnablePrivateDns(EndpointId),
    /// An endpoint's policy.
    SetPolicy(EndpointId, String),
    /// A record that is new.
    Create(Record),
}

impl Fix {
    /// What it changes of a description, whose records it may not know of.
    #[must_use]
    pub fn changes(&self, description: &Description) -> Vec<Change> {
        let mut mended = description.clone();
        self.apply(&mut mended);
        description.changes_to(&mended)
    }

    /// Carries it out.
    pub fn apply(&self, description: &mut Description) {
        for edit in &self.edits {
            edit.apply(description);
        }
    }
}
