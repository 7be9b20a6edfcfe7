//! EC2's codes and words for what is wrong with a request about networks (EC2 API Reference,
//! "Error codes").

use belljar_aws::AwsError;
use belljar_vpc::id::ResourceId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// For each kind of id, by its prefix: the code of one that is not there, without what is behind its
/// dot, and what EC2 calls the resource.
const KINDS: [(&str, &str, &str); 20] = [
    ("vpc-", "InvalidVpcID", "vpc ID"),
    ("vpc-cidr-assoc-", "InvalidVpcCidrBlockAssociationID", "vpc CIDR block association ID"),
    ("subnet-", "InvalidSubnetID", "subnet ID"),
    ("sg-", "InvalidGroup", "security group"),
    ("sgr-", "InvalidSecurityGroupRuleId", "security group rule ID"),
    ("acl-", "InvalidNetworkAclID", "networkAcl ID"),
    ("aclassoc-", "InvalidAssociationID", "association ID"),
    ("rtb-", "InvalidRouteTableID", "routeTable ID"),
    ("rtbassoc-", "InvalidAssociationID", "association ID"),
    ("igw-", "InvalidInternetGatewayID", "internetGateway ID"),
    ("eipalloc-", "InvalidAllocationID", "allocation ID"),
    ("eipassoc-", "InvalidAssociationID", "association ID"),
    ("eni-", "InvalidNetworkInterfaceID", "networkInterface ID"),
    ("vpce-", "InvalidVpcEndpointId", "Vpc Endpoint Id"),
    ("pl-", "InvalidPrefixListID", "prefix list ID"),
    ("pcx-", "InvalidVpcPeeringConnectionID", "vpcPeeringConnection ID"),
    ("dopt-", "InvalidDhcpOptionID", "dhcpOption ID"),
    ("fl-", "InvalidFlowLogId", "flow log ID"),
    ("nip-", "InvalidNetworkInsightsPathId", "network insights path ID"),
    ("nia-", "InvalidNetworkInsightsAnalysisId", "network insights analysis ID"),
];

/// A request that is refused.
pub(crate) fn refused(code: &'static str, text: impl Into<String>) -> AwsError {
    AwsError::new(400, code, text)
}

/// `InvalidParameterValue`.
pub(crate) fn invalid(text: impl Into<String>) -> AwsError {
    refused("InvalidParameterValue", text)
}

/// What else needs it.
pub(crate) fn dependency(text: impl Into<String>) -> AwsError {
    refused("DependencyViolation", text)
}

fn kind<I: ResourceId>() -> (&'static str, &'static str) {
    let found = KINDS.iter().find(|(prefix, ..)| *prefix == I::PREFIX);
    found.map_or(("InvalidID", I::WHAT), |(_, code, noun)| (code, noun))
}

/// There is no resource of this id.
pub(crate) fn not_found<I: ResourceId>(id: &I) -> AwsError {
    if I::PREFIX == "nat-" {
        return refused("NatGatewayNotFound", format!("The Nat Gateway {id} was not found"));
    }
    let (code, noun) = kind::<I>();
    AwsError::new(400, format!("{code}.NotFound"), format!("The {noun} '{id}' does not exist"))
}

/// The code of what is no id. EC2 writes most of them otherwise than that of an id that is not there.
fn malformed<I: ResourceId>() -> String {
    let code = match I::PREFIX {
        "nat-" => return "NatGatewayMalformed".into(),
        "sg-" => "InvalidGroupId",
        "acl-" => "InvalidNetworkAclId",
        "rtb-" => "InvalidRouteTableId",
        "igw-" => "InvalidInternetGatewayId",
        "eni-" => "InvalidNetworkInterfaceId",
        "pl-" => "InvalidPrefixListId",
        "pcx-" => "InvalidVpcPeeringConnectionId",
        "dopt-" => "InvalidDhcpOptionsId",
        _ => kind::<I>().0,
    };
    format!("{code}.Malformed")
}

/// Reads an id of one kind.
///
/// # Errors
/// If it is not of this kind.
pub(crate) fn id<I: ResourceId>(text: &str) -> Result<I, AwsError> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        let message = format!("Invalid id: \"{shown}\" (expecting \"{}...\")", I::PREFIX);
        AwsError::new(400, malformed::<I>(), message)
    })
}

/// The record of an id.
///
/// # Errors
/// If there is none.
pub(crate) fn get<'a, I: ResourceId, V>(
    map: &'a BTreeMap<I, Arc<V>>,
    id: &I,
) -> Result<&'a V, AwsError> {
    map.get(id).map(Arc::as_ref).ok_or_else(|| not_found(id))
}

/// The record of an id, to be changed.
///
/// # Errors
/// If there is none.
pub(crate) fn get_mut<'a, I: ResourceId, V: Clone>(
    map: &'a mut BTreeMap<I, Arc<V>>,
    id: &I,
) -> Result<&'a mut V, AwsError> {
    map.get_mut(id).map(Arc::make_mut).ok_or_else(|| not_found(id))
}

/// The id that a text is, and its record.
///
/// # Errors
/// If the text is no such id, or there is no such record.
pub(crate) fn named<'a, I: ResourceId, V>(
    map: &'a BTreeMap<I, Arc<V>>,
    text: &str,
) -> Result<(I, &'a V), AwsError> {
    let id = id(text)?;
    let record = get(map, &id)?;
    Ok((id, record))
}
