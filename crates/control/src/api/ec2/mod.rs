//! EC2, as far as it is about networks.
//!
//! A handler edits the [`crate::network`] and shows what came of it; what is shown is also what
//! filters look at. `request` has what all operations begin with, `listing` what all that list do.

mod block;
mod listing;
mod places;
mod request;
mod tags;
mod token;
mod vpc;
mod vpc_block;

use crate::service::table::Entry;
use request::ec2;

/// What is served.
pub(crate) const OPERATIONS: &[Entry] = &[
    ec2!("AssociateVpcCidrBlock", vpc_block::associate),
    ec2!("CreateDefaultVpc", vpc::create_default),
    ec2!("CreateTags", tags::create),
    ec2!("CreateVpc", vpc::create),
    ec2!("DeleteTags", tags::delete),
    ec2!("DeleteVpc", vpc::delete),
    ec2!("DescribeAccountAttributes", places::attributes),
    ec2!("DescribeAvailabilityZones", places::zones),
    ec2!("DescribeRegions", places::regions),
    ec2!("DescribeTags", tags::describe),
    ec2!("DescribeVpcAttribute", vpc::attribute),
    ec2!("DescribeVpcs", vpc::describe),
    ec2!("DisassociateVpcCidrBlock", vpc_block::disassociate),
    ec2!("ModifyVpcAttribute", vpc::modify),
];
