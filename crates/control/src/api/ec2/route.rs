//! The routes of a table.

use super::block;
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::{NatGatewayId, RouteTableId, SubnetId, VpcId};
use belljar_vpc::network::{Origin, PeeringStatus, Route, RouteDestination, RouteTable, Target};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where no route leads: addresses of services of the host's (VPC User Guide, "Routing
/// considerations").
const RESERVED: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 168, 0), 22)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32)),
];

/// What a route is asked for by. Targets that are not listed here are not served.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Wanted {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
    gateway_id: Option<String>,
    nat_gateway_id: Option<String>,
    network_interface_id: Option<String>,
    vpc_peering_connection_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
}

/// The three ways in which a destination is written.
type Written<'a> = [Option<&'a str>; 3];

fn destination(of: Written<'_>) -> Result<RouteDestination, AwsError> {
    Ok(match of {
        [Some(v4), None, None] => {
            RouteDestination::Cidr(block::v4(v4, "destinationCidrBlock")?.into())
        }
        [None, Some(v6), None] => {
            RouteDestination::Cidr(block::v6(v6, "destinationIpv6CidrBlock")?.into())
        }
        [None, None, Some(list)] => RouteDestination::PrefixList(error::id(list)?),
        [None, None, None] => {
            return Err(super::request::missing_parameter("destinationCidrBlock"));
        }
        _ => {
            let text = "Exactly one destination may be specified.";
            return Err(refused("InvalidParameterCombination", text));
        }
    })
}

/// A destination as requests have it.
pub(super) fn written(destination: &RouteDestination) -> String {
    match destination {
        RouteDestination::Cidr(block) => block.to_string(),
        RouteDestination::PrefixList(id) => id.to_string(),
    }
}

impl Wanted {
    fn destination(&self) -> Result<RouteDestination, AwsError> {
        destination([
            self.destination_cidr_block.as_deref(),
            self.destination_ipv6_cidr_block.as_deref(),
            self.destination_prefix_list_id.as_deref(),
        ])
    }

    /// The target, which there must be, in the table's VPC.
    fn target(&self, d: &Description, table: &RouteTableId) -> Result<Target, AwsError> {
        let given = [
            &self.gateway_id,
            &self.nat_gateway_id,
            &self.network_interface_id,
            &self.vpc_peering_connection_id,
        ];
        if given.iter().filter(|of| of.is_some()).count() > 1 {
            let text = "Exactly one target may be specified.";
            return Err(refused("InvalidParameterCombination", text));
        }
        let vpc = &error::get(&d.route_tables, table)?.vpc;
        let other = |what: &str, id: &str| {
            let text = format!("route table {table} and {what} {id} belong to different networks");
            Err(invalid(text))
        };
        if let Some(id) = &self.gateway_id {
            if id.starts_with("vpce-") {
                let text = format!("The route of {id} is made by the endpoint itself.");
                return Err(invalid(text));
            }
            let (id, gateway) = error::named(&d.internet_gateways, id)?;
            if gateway.vpc.as_ref() != Some(vpc) {
                return other("network gateway", id.as_str());
            }
            return Ok(Target::Internet(id));
        }
        if let Some(id) = &self.nat_gateway_id {
            let (id, subnet) = nat(d, id)?;
            if d.subnets.get(subnet).is_none_or(|subnet| subnet.vpc != *vpc) {
                return other("NAT gateway", id.as_str());
            }
            return Ok(Target::Nat(id));
        }
        if let Some(id) = &self.network_interface_id {
            let (id, interface) = error::named(&d.interfaces, id)?;
            if d.subnets.get(&interface.subnet).is_none_or(|subnet| subnet.vpc != *vpc) {
                return other("interface", id.as_str());
            }
            return Ok(Target::Interface(id));
        }
        if let Some(id) = &self.vpc_peering_connection_id {
            let (id, peering) = error::named(&d.peerings, id)?;
            if peering.requester != *vpc && peering.accepter != *vpc {
                return other("VPC peering connection", id.as_str());
            }
            return Ok(Target::Peering(id));
        }
        Err(super::request::missing_parameter("gatewayId"))
    }
}

fn nat<'a>(d: &'a Description, text: &str) -> Result<(NatGatewayId, &'a SubnetId), AwsError> {
    let id: NatGatewayId = error::id(text)?;
    let found = d.nat_gateways.get(&id).filter(|gateway| gateway.available);
    let subnet = found.map(|gateway| &gateway.subnet).ok_or_else(|| {
        let text = format!("The natGateway ID '{id}' does not exist");
        refused("InvalidNatGatewayID.NotFound", text)
    })?;
    Ok((id, subnet))
}

/// Refuses a NAT gateway, which translates IPv4 alone, for IPv6.
fn no_nat(target: &Target, to: &str) -> Result<(), AwsError> {
    if matches!(target, Target::Nat(_)) {
        let text = format!("A NAT gateway cannot be the target of the IPv6 {to}.");
        return Err(invalid(text));
    }
    Ok(())
}

/// Whether a table may have a route.
fn check(
    d: &Description,
    vpc: &VpcId,
    destination: &RouteDestination,
    target: &Target,
) -> Result<(), AwsError> {
    let to = match destination {
        RouteDestination::PrefixList(id) => {
            let v6 = error::get(&d.prefix_lists, id)?.v6;
            return if v6 { no_nat(target, &format!("list {id}")) } else { Ok(()) };
        }
        RouteDestination::Cidr(to) => to,
    };
    if RESERVED.iter().any(|reserved| reserved.contains(to)) {
        return Err(invalid(format!("The destination CIDR block {to} is not supported.")));
    }
    if matches!(to, IpNet::V6(_)) {
        no_nat(target, &format!("block {to}"))?;
    }
    let local = |c: &&belljar_vpc::network::VpcCidr| c.block.contains(to);
    let Some(local) = error::get(&d.vpcs, vpc)?.cidrs.iter().find(local) else { return Ok(()) };
    if local.block == *to || !matches!(target, Target::Nat(_) | Target::Interface(_)) {
        return Err(invalid(format!(
            "The destination CIDR block {to} is equal to or more specific than one of this VPC's \
             CIDR blocks. This route can target only an interface or an instance."
        )));
    }
    let whole = d.subnets.values().filter(|subnet| subnet.vpc == *vpc).any(|subnet| {
        IpNet::V4(subnet.block) == *to || subnet.block_v6.map(IpNet::V6) == Some(*to)
    });
    if whole {
        return Ok(());
    }
    Err(invalid("Route destination doesn't match any subnet CIDR blocks."))
}

/// How many of a table's routes there are of a family: a prefix list counts as all it may have.
fn weight(d: &Description, routes: &[Route], v6: bool) -> usize {
    let of = |route: &Route| match &route.destination {
        RouteDestination::Cidr(to) => usize::from(matches!(to, IpNet::V6(_)) == v6),
        // The route of an endpoint, of a list of AWS's, is one.
        RouteDestination::PrefixList(_) if matches!(route.target, Target::Endpoint(_)) => {
            usize::from(!v6)
        }
        RouteDestination::PrefixList(id) => d
            .prefix_lists
            .get(id)
            .filter(|list| list.v6 == v6)
            .map_or(0, |list| usize::from(list.max_entries)),
    };
    routes.iter().map(of).sum()
}

/// Whether a table may have these routes.
pub(super) fn check_weight(d: &Description, routes: &[Route]) -> Result<(), AwsError> {
    if [false, true].iter().all(|v6| weight(d, routes, *v6) <= quotas::ROUTES) {
        return Ok(());
    }
    Err(refused("RouteLimitExceeded", "The maximum number of routes has been reached."))
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Wanted,
) -> Result<Value, AwsError> {
    let destination = input.destination()?;
    let edit = service.network.edit(|draft| {
        let (id, table) = error::named(&draft.route_tables, &input.route_table_id)?;
        let target = input.target(draft, &id)?;
        check(draft, &table.vpc, &destination, &target)?;
        if table.routes.iter().any(|route| route.destination == destination) {
            let text = format!("The route identified by {} already exists.", written(&destination));
            return Err(refused("RouteAlreadyExists", text));
        }
        let route = Route { destination, target, origin: Origin::CreateRoute };
        let mut routes = table.routes.clone();
        routes.push(route);
        check_weight(draft, &routes)?;
        error::get_mut(&mut draft.route_tables, &id)?.routes = routes;
        Ok(())
    });
    edit.await?;
    Ok(json!({"Return": true}))
}

pub(super) async fn replace(
    service: &Service,
    _: &Caller,
    input: Wanted,
) -> Result<Value, AwsError> {
    let destination = input.destination()?;
    let edit = service.network.edit(|draft| {
        let (id, table) = error::named(&draft.route_tables, &input.route_table_id)?;
        let target = input.target(draft, &id)?;
        check(draft, &table.vpc, &destination, &target)?;
        let missing = || {
            invalid(format!(
                "There is no route defined for '{}' in the route table. Use CreateRoute instead.",
                written(&destination)
            ))
        };
        own(draft, &id, &destination)?.ok_or_else(missing)?.target = target;
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let destination = destination([
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
        input.destination_prefix_list_id.as_deref(),
    ])?;
    let edit = service.network.edit(|draft| {
        let (id, table) = error::named(&draft.route_tables, &input.route_table_id)?;
        if let RouteDestination::Cidr(to) = &destination
            && error::get(&draft.vpcs, &table.vpc)?.cidrs.iter().any(|c| c.block == *to)
        {
            return Err(invalid(format!("cannot remove local route {to} in route table {id}")));
        }
        if own(draft, &id, &destination)?.is_none() {
            let text = format!(
                "no route with destination-cidr-block {} in route table {id}",
                written(&destination)
            );
            return Err(refused("InvalidRoute.NotFound", text));
        }
        let table = error::get_mut(&mut draft.route_tables, &id)?;
        table.routes.retain(|route| route.destination != destination);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

/// The route to a destination, unless it is an endpoint's.
fn own<'a>(
    draft: &'a mut Draft,
    id: &RouteTableId,
    destination: &RouteDestination,
) -> Result<Option<&'a mut Route>, AwsError> {
    let table = error::get_mut(&mut draft.route_tables, id)?;
    let found = table.routes.iter_mut().find(|route| route.destination == *destination);
    match found {
        Some(Route { target: Target::Endpoint(_), .. }) => {
            let text = format!("cannot remove VPC endpoint route {}", written(destination));
            Err(invalid(text))
        }
        found => Ok(found),
    }
}

/// All routes of a table, the local ones first.
pub(super) fn shown(d: &Description, table: &RouteTable) -> Vec<Value> {
    let blocks = d.vpcs.get(&table.vpc).into_iter().flat_map(|vpc| &vpc.cidrs);
    let local = blocks.map(|c| {
        let (name, block) = of_block(&c.block);
        json!({
            name: block, "GatewayId": "local", "Origin": "CreateRouteTable", "State": "active",
        })
    });
    local.chain(table.routes.iter().map(|route| of_route(d, &table.vpc, route))).collect()
}

fn of_block(block: &IpNet) -> (&'static str, String) {
    let name = match block {
        IpNet::V4(_) => "DestinationCidrBlock",
        IpNet::V6(_) => "DestinationIpv6CidrBlock",
    };
    (name, block.to_string())
}

fn of_route(d: &Description, vpc: &VpcId, route: &Route) -> Value {
    let (to, block) = match &route.destination {
        RouteDestination::Cidr(block) => of_block(block),
        RouteDestination::PrefixList(id) => ("DestinationPrefixListId", id.to_string()),
    };
    let (by, id) = match &route.target {
        Target::Internet(id) => ("GatewayId", id.as_str()),
        Target::Endpoint(id) => ("GatewayId", id.as_str()),
        Target::Nat(id) => ("NatGatewayId", id.as_str()),
        Target::Peering(id) => ("VpcPeeringConnectionId", id.as_str()),
        Target::Interface(id) => ("NetworkInterfaceId", id.as_str()),
    };
    let origin = match route.origin {
        Origin::CreateRoute => "CreateRoute",
        Origin::Propagated => "EnableVgwRoutePropagation",
    };
    let state = if leads(d, vpc, &route.target) { "active" } else { "blackhole" };
    json!({to: block, by: id, "Origin": origin, "State": state})
}

/// Whether a target is there. A route to one that is gone stays, and leads nowhere.
fn leads(d: &Description, vpc: &VpcId, target: &Target) -> bool {
    match target {
        Target::Internet(id) => {
            d.internet_gateways.get(id).is_some_and(|g| g.vpc.as_ref() == Some(vpc))
        }
        Target::Nat(id) => d.nat_gateways.get(id).is_some_and(|g| g.available),
        Target::Endpoint(id) => d.endpoints.contains_key(id),
        Target::Peering(id) => {
            d.peerings.get(id).is_some_and(|p| p.status == PeeringStatus::Active)
        }
        Target::Interface(id) => d.interfaces.contains_key(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nat_gateway_is_for_ipv4_alone() {
        let text = "vpc vpc-a 10.0.0.0/16\nlist pl-a ours 111122223333 9.0.0.0/8\n";
        let mut d = belljar_vpc::sample::read(text).unwrap();
        let vpc = "vpc-a".parse().unwrap();
        let nat = Target::Nat("nat-a".parse().unwrap());
        let list: belljar_vpc::id::PrefixListId = "pl-a".parse().unwrap();
        let by_list = RouteDestination::PrefixList(list.clone());
        assert!(check(&d, &vpc, &by_list, &nat).is_ok());
        std::sync::Arc::make_mut(d.prefix_lists.get_mut(&list).unwrap()).v6 = true;
        for to in [by_list, RouteDestination::Cidr("2600::/16".parse().unwrap())] {
            let refused = check(&d, &vpc, &to, &nat).unwrap_err();
            assert!(refused.message.contains("cannot be the target of the IPv6"), "{refused:?}");
        }
    }

    #[test]
    fn case_04_a_table_has_fifty_routes_and_a_list_is_as_many_as_it_may_have() {
        let text = "vpc vpc-a 10.0.0.0/16\nlist pl-s3 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15\n\
            list pl-a ours 111122223333 9.0.0.0/8\n";
        let mut d = belljar_vpc::sample::read(text).unwrap();
        let list = d.prefix_lists.get_mut(&"pl-a".parse().unwrap()).unwrap();
        std::sync::Arc::make_mut(list).max_entries = 10;
        let fits = |blocks: u8, more: &[&str]| {
            let blocks = (0..blocks).map(|n| format!("11.{n}.0.0/16 igw-a"));
            let more = more.iter().map(|text| (*text).to_owned());
            let routes: Vec<Route> = blocks.chain(more).map(|r| r.parse().unwrap()).collect();
            check_weight(&d, &routes).is_ok()
        };
        assert!(fits(50, &[]) && !fits(51, &[]));
        // Those of IPv6 are counted apart.
        assert!(fits(50, &["::/0 igw-a"]));
        assert!(fits(40, &["pl-a pcx-a"]) && !fits(41, &["pl-a pcx-a"]));
        assert!(fits(49, &["pl-s3 vpce-a"]) && !fits(50, &["pl-s3 vpce-a"]));
    }
}
