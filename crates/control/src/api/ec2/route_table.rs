//! Route tables and what they are associated with. Their routes are in `route`.

use super::listing::{Filters, Listing};
use super::tags::{self, TagSpecification};
use super::{places, route, token};
use crate::network::error::{self, dependency, invalid, refused};
use crate::network::{Draft, Topology, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{RouteAssociationId, RouteTableId, SubnetId};
use belljar_vpc::network::{EndpointKind, RouteTable};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    vpc_id: String,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    #[serde(skip_serializing)]
    client_token: Option<String>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "route-table")?;
    let token = input.client_token.as_deref();
    let edit = service.network.edit(|draft| {
        token::once(draft, ("CreateRouteTable", token), &input, |draft| {
            let (vpc, _) = error::named(&draft.vpcs, &input.vpc_id)?;
            if draft.route_tables.values().filter(|t| t.vpc == vpc).count() >= quotas::ROUTE_TABLES
            {
                let text = "The maximum number of route tables has been reached.";
                return Err(refused("RouteTableLimitExceeded", text));
            }
            let id: RouteTableId = draft.fresh();
            let (associations, routes) = (BTreeMap::new(), Vec::new());
            let table = RouteTable { vpc, main: None, associations, routes };
            draft.route_tables.insert(id.clone(), Arc::new(table));
            draft.tag(id.as_str(), tags);
            Ok(id)
        })
    });
    let (id, now) = edit.await?;
    let table = shown(service, &now, &id, error::get(&now.route_tables, &id)?);
    Ok(json!({"RouteTable": table, "ClientToken": token}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    route_table_id: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, table) = error::named(&draft.route_tables, &input.route_table_id)?;
        if table.main.is_some() || !table.associations.is_empty() {
            let text = format!("The routeTable '{id}' has dependencies and cannot be deleted.");
            return Err(dependency(text));
        }
        draft.route_tables.remove(&id);
        for endpoint in draft.endpoints.values_mut() {
            if let EndpointKind::Gateway { route_tables } = &endpoint.kind
                && route_tables.contains(&id)
                && let EndpointKind::Gateway { route_tables } = &mut Arc::make_mut(endpoint).kind
            {
                route_tables.remove(&id);
            }
        }
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Associate {
    route_table_id: String,
    subnet_id: Option<String>,
}

pub(super) async fn associate(
    service: &Service,
    _: &Caller,
    input: Associate,
) -> Result<Value, AwsError> {
    let subnet = input.subnet_id.ok_or_else(|| super::request::missing_parameter("subnetId"))?;
    let edit = service.network.edit(|draft| {
        let (id, _) = error::named(&draft.route_tables, &input.route_table_id)?;
        let (subnet, _) = error::named(&draft.subnets, &subnet)?;
        let has = draft.route_tables.iter().find(|(_, t)| t.associations.contains_key(&subnet));
        match has {
            Some((of, table)) if *of == id => Ok(table.associations[&subnet].clone()),
            Some(_) => {
                let text = format!(
                    "the specified association for route table {id} conflicts with an existing \
                     association"
                );
                Err(refused("Resource.AlreadyAssociated", text))
            }
            None => give(draft, &id, subnet),
        }
    });
    let (association, _) = edit.await?;
    let state = json!({"State": "associated"});
    Ok(json!({"AssociationId": association.as_str(), "AssociationState": state}))
}

/// Gives a subnet a table.
fn give(
    draft: &mut Draft,
    table: &RouteTableId,
    subnet: SubnetId,
) -> Result<RouteAssociationId, AwsError> {
    let association: RouteAssociationId = draft.fresh();
    let vpc = error::get(&draft.subnets, &subnet)?.vpc.clone();
    let record = error::get_mut(&mut draft.route_tables, table)?;
    if record.vpc != vpc {
        let text = format!("Route table {table} and subnet {subnet} belong to different networks");
        return Err(invalid(text));
    }
    record.associations.insert(subnet, association.clone());
    Ok(association)
}

/// Whose association an id is: the table, and the subnet if it is not the VPC's main one.
fn find(
    draft: &Draft,
    text: &str,
) -> Result<(RouteAssociationId, RouteTableId, Option<SubnetId>), AwsError> {
    let association: RouteAssociationId = error::id(text)?;
    let found = draft.route_tables.iter().find_map(|(id, table)| {
        if table.main.as_ref() == Some(&association) {
            return Some((id.clone(), None));
        }
        let subnet = table.associations.iter().find(|(_, of)| **of == association)?.0;
        Some((id.clone(), Some(subnet.clone())))
    });
    let (table, subnet) = found.ok_or_else(|| error::not_found(&association))?;
    Ok((association, table, subnet))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Disassociate {
    association_id: String,
}

pub(super) async fn disassociate(
    service: &Service,
    _: &Caller,
    input: Disassociate,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (association, table, subnet) = find(draft, &input.association_id)?;
        let subnet = subnet.ok_or_else(|| {
            let text =
                format!("cannot disassociate the main route table association {association}");
            invalid(text)
        })?;
        error::get_mut(&mut draft.route_tables, &table)?.associations.remove(&subnet);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Replace {
    association_id: String,
    route_table_id: String,
}

pub(super) async fn replace(
    service: &Service,
    _: &Caller,
    input: Replace,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (_, old, subnet) = find(draft, &input.association_id)?;
        let (new, record) = error::named(&draft.route_tables, &input.route_table_id)?;
        let same = record.vpc == error::get(&draft.route_tables, &old)?.vpc;
        if let Some(subnet) = subnet {
            error::get_mut(&mut draft.route_tables, &old)?.associations.remove(&subnet);
            return give(draft, &new, subnet);
        }
        if !same {
            let text = format!("Route tables {old} and {new} belong to different networks");
            return Err(invalid(text));
        }
        let association: RouteAssociationId = draft.fresh();
        error::get_mut(&mut draft.route_tables, &old)?.main = None;
        error::get_mut(&mut draft.route_tables, &new)?.main = Some(association.clone());
        Ok(association)
    });
    let (association, _) = edit.await?;
    let state = json!({"State": "associated"});
    Ok(json!({"NewAssociationId": association.as_str(), "AssociationState": state}))
}

const FILTERS: Filters = &[
    ("association.gateway-id", "Associations.GatewayId"),
    ("association.main", "Associations.Main"),
    ("association.route-table-association-id", "Associations.RouteTableAssociationId"),
    ("association.route-table-id", "Associations.RouteTableId"),
    ("association.subnet-id", "Associations.SubnetId"),
    ("owner-id", "OwnerId"),
    ("route-table-id", "RouteTableId"),
    ("route.destination-cidr-block", "Routes.DestinationCidrBlock"),
    ("route.destination-ipv6-cidr-block", "Routes.DestinationIpv6CidrBlock"),
    ("route.destination-prefix-list-id", "Routes.DestinationPrefixListId"),
    ("route.egress-only-internet-gateway-id", "Routes.EgressOnlyInternetGatewayId"),
    ("route.gateway-id", "Routes.GatewayId"),
    ("route.instance-id", "Routes.InstanceId"),
    ("route.nat-gateway-id", "Routes.NatGatewayId"),
    ("route.origin", "Routes.Origin"),
    ("route.state", "Routes.State"),
    ("route.transit-gateway-id", "Routes.TransitGatewayId"),
    ("route.vpc-peering-connection-id", "Routes.VpcPeeringConnectionId"),
    ("vpc-id", "VpcId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let of = ("RouteTableIds", &now.route_tables);
    listing.of("RouteTables", of, FILTERS, |id, table| shown(service, &now, id, table))
}

fn shown(service: &Service, now: &Topology, id: &RouteTableId, table: &RouteTable) -> Value {
    let association = |of: &RouteAssociationId, subnet: Option<&SubnetId>| {
        json!({
            "RouteTableAssociationId": of.as_str(),
            "RouteTableId": id.as_str(),
            "SubnetId": subnet.map(SubnetId::as_str),
            "Main": subnet.is_none(),
            "AssociationState": {"State": "associated"},
        })
    };
    let main = table.main.iter().map(|of| association(of, None));
    let others = table.associations.iter().map(|(subnet, of)| association(of, Some(subnet)));
    json!({
        "RouteTableId": id.as_str(),
        "VpcId": table.vpc.as_str(),
        "OwnerId": places::account(service),
        "Associations": main.chain(others).collect::<Vec<_>>(),
        "PropagatingVgws": [],
        "Routes": route::shown(now, table),
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}
