//! EC2, as far as it is about networks.
//!
//! A handler edits the [`crate::network`] and shows what came of it; what is shown is also what
//! filters look at. `request` has what all operations begin with, `listing` what all that list do.

mod address;
mod block;
mod dhcp;
mod endpoint;
mod flow_log;
mod flow_log_destination;
mod gone;
mod insights;
mod listing;
mod nat;
mod peering;
mod places;
mod prefix_list;
mod prefix_list_versions;
mod request;
mod tags;
mod token;
mod unsuccessful;
mod vpc;
mod vpc_block;

use crate::service::table::Entry;
use request::ec2;

/// What is served.
pub(crate) const OPERATIONS: &[Entry] = &[
    ec2!("AcceptVpcPeeringConnection", peering::accept),
    ec2!("AllocateAddress", address::allocate),
    ec2!("AssociateAddress", address::associate),
    ec2!("AssociateDhcpOptions", dhcp::associate),
    ec2!("AssociateVpcCidrBlock", vpc_block::associate),
    ec2!("CreateDefaultVpc", vpc::create_default),
    ec2!("CreateDhcpOptions", dhcp::create),
    ec2!("CreateFlowLogs", flow_log::create),
    ec2!("CreateManagedPrefixList", prefix_list::create),
    ec2!("CreateNatGateway", nat::create),
    ec2!("CreateNetworkInsightsPath", insights::create),
    ec2!("CreateTags", tags::create),
    ec2!("CreateVpc", vpc::create),
    ec2!("CreateVpcEndpoint", endpoint::create),
    ec2!("CreateVpcPeeringConnection", peering::create),
    ec2!("DeleteDhcpOptions", dhcp::delete),
    ec2!("DeleteFlowLogs", flow_log::delete),
    ec2!("DeleteManagedPrefixList", prefix_list::delete),
    ec2!("DeleteNatGateway", nat::delete),
    ec2!("DeleteNetworkInsightsAnalysis", insights::delete_analysis),
    ec2!("DeleteNetworkInsightsPath", insights::delete_path),
    ec2!("DeleteTags", tags::delete),
    ec2!("DeleteVpc", vpc::delete),
    ec2!("DeleteVpcEndpoints", endpoint::delete),
    ec2!("DeleteVpcPeeringConnection", peering::delete),
    ec2!("DescribeAccountAttributes", places::attributes),
    ec2!("DescribeAddresses", address::describe),
    ec2!("DescribeAvailabilityZones", places::zones),
    ec2!("DescribeDhcpOptions", dhcp::describe),
    ec2!("DescribeFlowLogs", flow_log::describe),
    ec2!("DescribeManagedPrefixLists", prefix_list::describe),
    ec2!("DescribeNatGateways", nat::describe),
    ec2!("DescribeNetworkInsightsAnalyses", insights::describe_analyses),
    ec2!("DescribeNetworkInsightsPaths", insights::describe_paths),
    ec2!("DescribePrefixLists", prefix_list::describe_services),
    ec2!("DescribeRegions", places::regions),
    ec2!("DescribeTags", tags::describe),
    ec2!("DescribeVpcAttribute", vpc::attribute),
    ec2!("DescribeVpcEndpointServices", endpoint::describe_services),
    ec2!("DescribeVpcEndpoints", endpoint::describe),
    ec2!("DescribeVpcPeeringConnections", peering::describe),
    ec2!("DescribeVpcs", vpc::describe),
    ec2!("DisassociateAddress", address::disassociate),
    ec2!("DisassociateVpcCidrBlock", vpc_block::disassociate),
    ec2!("GetManagedPrefixListAssociations", prefix_list_versions::associations),
    ec2!("GetManagedPrefixListEntries", prefix_list_versions::get),
    ec2!("ModifyManagedPrefixList", prefix_list::modify),
    ec2!("ModifyVpcAttribute", vpc::modify),
    ec2!("ModifyVpcEndpoint", endpoint::modify),
    ec2!("ModifyVpcPeeringConnectionOptions", peering::modify),
    ec2!("RejectVpcPeeringConnection", peering::reject),
    ec2!("ReleaseAddress", address::release),
    ec2!("RestoreManagedPrefixListVersion", prefix_list_versions::restore),
    ec2!("StartNetworkInsightsAnalysis", insights::start),
];
