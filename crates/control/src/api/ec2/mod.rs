//! EC2, as far as it is about networks.
//!
//! A handler edits the [`crate::network`] and shows what came of it; what is shown is also what
//! filters look at. `request` has what all operations begin with, `listing` what all that list do.

mod acl;
mod acl_entry;
mod address;
mod block;
mod dhcp;
mod endpoint;
mod flow_log;
mod flow_log_destination;
mod gone;
mod group;
mod group_rule;
mod group_rule_edit;
mod group_rule_shown;
mod insights;
mod interface;
mod interface_address;
mod interface_shown;
mod internet_gateway;
mod listing;
mod nat;
mod peering;
mod peering_state;
mod permission;
mod places;
mod prefix_list;
mod prefix_list_shown;
mod prefix_list_versions;
mod request;
mod route;
mod route_table;
mod subnet;
mod subnet_default;
mod tags;
mod token;
mod traffic;
mod unsuccessful;
mod vpc;
mod vpc_block;
mod vpn;

use crate::service::table::Entry;
pub(crate) use flow_log_destination::may_deliver;
pub(crate) use places::zone_id;
use request::ec2;

/// What is served.
pub(crate) const OPERATIONS: &[Entry] = &[
    ec2!("AcceptVpcPeeringConnection", peering::accept),
    ec2!("AllocateAddress", address::allocate),
    ec2!("AssignIpv6Addresses", interface_address::assign_v6),
    ec2!("AssignPrivateIpAddresses", interface_address::assign),
    ec2!("AssociateAddress", address::associate),
    ec2!("AssociateDhcpOptions", dhcp::associate),
    ec2!("AssociateRouteTable", route_table::associate),
    ec2!("AssociateSubnetCidrBlock", subnet::associate),
    ec2!("AssociateVpcCidrBlock", vpc_block::associate),
    ec2!("AttachInternetGateway", internet_gateway::attach),
    ec2!("AuthorizeSecurityGroupEgress", group_rule::authorize_egress),
    ec2!("AuthorizeSecurityGroupIngress", group_rule::authorize_ingress),
    ec2!("CreateDefaultSubnet", subnet_default::create),
    ec2!("CreateDefaultVpc", vpc::create_default),
    ec2!("CreateDhcpOptions", dhcp::create),
    ec2!("CreateFlowLogs", flow_log::create),
    ec2!("CreateInternetGateway", internet_gateway::create),
    ec2!("CreateManagedPrefixList", prefix_list::create),
    ec2!("CreateNatGateway", nat::create),
    ec2!("CreateNetworkAcl", acl::create),
    ec2!("CreateNetworkAclEntry", acl_entry::create),
    ec2!("CreateNetworkInsightsPath", insights::create),
    ec2!("CreateNetworkInterface", interface::create),
    ec2!("CreateRoute", route::create),
    ec2!("CreateRouteTable", route_table::create),
    ec2!("CreateSecurityGroup", group::create),
    ec2!("CreateSubnet", subnet::create),
    ec2!("CreateTags", tags::create),
    ec2!("CreateVpc", vpc::create),
    ec2!("CreateVpcEndpoint", endpoint::create),
    ec2!("CreateVpcPeeringConnection", peering::create),
    ec2!("DeleteDhcpOptions", dhcp::delete),
    ec2!("DeleteFlowLogs", flow_log::delete),
    ec2!("DeleteInternetGateway", internet_gateway::delete),
    ec2!("DeleteManagedPrefixList", prefix_list::delete),
    ec2!("DeleteNatGateway", nat::delete),
    ec2!("DeleteNetworkAcl", acl::delete),
    ec2!("DeleteNetworkAclEntry", acl_entry::delete),
    ec2!("DeleteNetworkInsightsAnalysis", insights::delete_analysis),
    ec2!("DeleteNetworkInsightsPath", insights::delete_path),
    ec2!("DeleteNetworkInterface", interface::delete),
    ec2!("DeleteRoute", route::delete),
    ec2!("DeleteRouteTable", route_table::delete),
    ec2!("DeleteSecurityGroup", group::delete),
    ec2!("DeleteSubnet", subnet::delete),
    ec2!("DeleteTags", tags::delete),
    ec2!("DeleteVpc", vpc::delete),
    ec2!("DeleteVpcEndpoints", endpoint::delete),
    ec2!("DeleteVpcPeeringConnection", peering::delete),
    ec2!("DescribeAccountAttributes", places::attributes),
    ec2!("DescribeAddresses", address::describe),
    ec2!("DescribeAddressesAttribute", address::attribute),
    ec2!("DescribeAvailabilityZones", places::zones),
    ec2!("DescribeDhcpOptions", dhcp::describe),
    ec2!("DescribeFlowLogs", flow_log::describe),
    ec2!("DescribeInternetGateways", internet_gateway::describe),
    ec2!("DescribeManagedPrefixLists", prefix_list_shown::describe),
    ec2!("DescribeNatGateways", nat::describe),
    ec2!("DescribeNetworkAcls", acl::describe),
    ec2!("DescribeNetworkInsightsAnalyses", insights::describe_analyses),
    ec2!("DescribeNetworkInsightsPaths", insights::describe_paths),
    ec2!("DescribeNetworkInterfaceAttribute", interface::attribute),
    ec2!("DescribeNetworkInterfaces", interface_shown::describe),
    ec2!("DescribePrefixLists", prefix_list_shown::describe_services),
    ec2!("DescribeRegions", places::regions),
    ec2!("DescribeRouteTables", route_table::describe),
    ec2!("DescribeSecurityGroupRules", group_rule_shown::describe),
    ec2!("DescribeSecurityGroups", group::describe),
    ec2!("DescribeSubnets", subnet::describe),
    ec2!("DescribeTags", tags::describe),
    ec2!("DescribeVpcAttribute", vpc::attribute),
    ec2!("DescribeVpcEndpointServices", endpoint::describe_services),
    ec2!("DescribeVpcEndpoints", endpoint::describe),
    ec2!("DescribeVpcPeeringConnections", peering::describe),
    ec2!("DescribeVpcs", vpc::describe),
    ec2!("DescribeVpnGateways", vpn::describe),
    ec2!("DetachInternetGateway", internet_gateway::detach),
    ec2!("DisassociateAddress", address::disassociate),
    ec2!("DisassociateRouteTable", route_table::disassociate),
    ec2!("DisassociateSubnetCidrBlock", subnet::disassociate),
    ec2!("DisassociateVpcCidrBlock", vpc_block::disassociate),
    ec2!("GetManagedPrefixListAssociations", prefix_list_versions::associations),
    ec2!("GetManagedPrefixListEntries", prefix_list_versions::get),
    ec2!("ModifyManagedPrefixList", prefix_list::modify),
    ec2!("ModifyNetworkInterfaceAttribute", interface::modify),
    ec2!("ModifySecurityGroupRules", group_rule_edit::modify),
    ec2!("ModifySubnetAttribute", subnet::modify),
    ec2!("ModifyVpcAttribute", vpc::modify),
    ec2!("ModifyVpcEndpoint", endpoint::modify),
    ec2!("ModifyVpcPeeringConnectionOptions", peering::modify),
    ec2!("RejectVpcPeeringConnection", peering::reject),
    ec2!("ReleaseAddress", address::release),
    ec2!("ReplaceNetworkAclAssociation", acl::replace),
    ec2!("ReplaceNetworkAclEntry", acl_entry::replace),
    ec2!("ReplaceRoute", route::replace),
    ec2!("ReplaceRouteTableAssociation", route_table::replace),
    ec2!("RestoreManagedPrefixListVersion", prefix_list_versions::restore),
    ec2!("RevokeSecurityGroupEgress", group_rule::revoke_egress),
    ec2!("RevokeSecurityGroupIngress", group_rule::revoke_ingress),
    ec2!("StartNetworkInsightsAnalysis", insights::start),
    ec2!("UnassignIpv6Addresses", interface_address::unassign_v6),
    ec2!("UnassignPrivateIpAddresses", interface_address::unassign),
    ec2!("UpdateSecurityGroupRuleDescriptionsEgress", group_rule_edit::describe_egress),
    ec2!("UpdateSecurityGroupRuleDescriptionsIngress", group_rule_edit::describe_ingress),
];

#[cfg(test)]
mod tests {
    use super::OPERATIONS;
    use belljar_aws::Service;

    #[test]
    fn every_operation_of_the_model_has_a_handler() {
        let served: Vec<&str> = Service::Ec2.model().operations().map(|o| o.name()).collect();
        assert_eq!(OPERATIONS.iter().map(|entry| entry.name).collect::<Vec<_>>(), served);
    }
}
