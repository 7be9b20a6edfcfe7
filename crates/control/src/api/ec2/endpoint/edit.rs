//! The parts of an endpoint: routes of one kind, interfaces of the other.

use super::wrong;
use crate::network::error::{self, refused};
use crate::network::{Draft, interfaces};
use belljar_aws::AwsError;
use belljar_vpc::id::{
    EndpointId, GroupId, InterfaceId, PrefixListId, RouteTableId, SubnetId, VpcId,
};
use belljar_vpc::network::{Origin, Route, RouteDestination, Target};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The prefix list of a service, which AWS manages.
fn prefix_list(draft: &Draft, service: &str) -> Result<PrefixListId, AwsError> {
    let mut lists = draft.prefix_lists.iter();
    let found = lists.find(|(_, list)| list.owner == "AWS" && list.name == service);
    let gone = || wrong(format!("The service {service} has no prefix list."));
    Ok(found.ok_or_else(gone)?.0.clone())
}

/// Puts the route of a gateway endpoint into a table.
pub(super) fn join(
    draft: &mut Draft,
    (endpoint, service): (&EndpointId, &str),
    vpc: &VpcId,
    table: &RouteTableId,
) -> Result<(), AwsError> {
    let list = prefix_list(draft, service)?;
    let destination = RouteDestination::PrefixList(list.clone());
    let record = error::get_mut(&mut draft.route_tables, table)?;
    if record.vpc != *vpc {
        let text = format!("Route table {table} does not belong to VPC {vpc}");
        return Err(wrong(text));
    }
    if record.routes.iter().any(|route| route.destination == destination) {
        let text = format!(
            "route table {table} already has a route with destination-prefix-list-id {list}"
        );
        return Err(refused("RouteAlreadyExists", text));
    }
    record.routes.push(Route {
        destination,
        target: Target::Endpoint(endpoint.clone()),
        origin: Origin::CreateRoute,
    });
    Ok(())
}

/// Takes a gateway endpoint's route out of a table.
pub(super) fn leave(draft: &mut Draft, endpoint: &EndpointId, table: &RouteTableId) {
    let target = Target::Endpoint(endpoint.clone());
    if let Some(table) = draft.route_tables.get_mut(table) {
        Arc::make_mut(table).routes.retain(|route| route.target != target);
    }
}

/// Makes the interfaces of an endpoint in further subnets: one for each, of different zones.
pub(super) fn add_interfaces(
    draft: &mut Draft,
    (endpoint, vpc): (&EndpointId, &VpcId),
    subnets: &[(SubnetId, Option<Ipv4Addr>)],
    groups: &[GroupId],
    into: &mut BTreeMap<SubnetId, InterfaceId>,
) -> Result<(), AwsError> {
    for (subnet, address) in subnets {
        let record = error::get(&draft.subnets, subnet)?;
        if record.vpc != *vpc {
            return Err(wrong(format!("Subnet {subnet} does not belong to VPC {vpc}")));
        }
        let zone = |id: &SubnetId| draft.subnets.get(id).map(|subnet| subnet.zone.as_str());
        if into.keys().any(|other| zone(other) == Some(record.zone.as_str())) {
            let text =
                format!("Found another VPC endpoint subnet in the availability zone of {subnet}");
            return Err(refused("DuplicateSubnetsInSameZone", text));
        }
        let text = format!("VPC Endpoint Interface {endpoint}");
        let mut wanted =
            interfaces::Wanted::of(subnet.clone(), groups.to_vec(), endpoint.as_str(), &text);
        wanted.kind = "vpc_endpoint";
        wanted.addresses.extend(address);
        wanted.more_v6 = Some(0);
        let interface = interfaces::create(draft, wanted)?;
        into.insert(subnet.clone(), interface);
    }
    Ok(())
}

/// The groups of an endpoint's interfaces: those named, or the VPC's default one.
pub(super) fn groups(
    draft: &Draft,
    vpc: &VpcId,
    named: &[String],
) -> Result<Vec<GroupId>, AwsError> {
    if named.is_empty() {
        let default = draft.groups.iter().find(|(_, g)| g.vpc == *vpc && g.name == "default");
        return Ok(default.into_iter().map(|(id, _)| id.clone()).collect());
    }
    let mut groups: Vec<GroupId> = Vec::new();
    for text in named {
        let (id, group) = error::named(&draft.groups, text)?;
        if group.vpc != *vpc {
            let text = format!("Security group {id} does not belong to VPC {vpc}");
            return Err(wrong(text));
        }
        if !groups.contains(&id) {
            groups.push(id);
        }
    }
    Ok(groups)
}
