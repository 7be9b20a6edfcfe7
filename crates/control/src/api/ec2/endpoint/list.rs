//! Endpoints as they are shown, and their end.

use super::{edit, policy};
use crate::api::ec2::listing::{Filters, Listing};
use crate::api::ec2::{places, tags, unsuccessful};
use crate::network::error;
use crate::network::{Draft, Topology, interfaces};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::EndpointId;
use belljar_vpc::network::{Endpoint, EndpointKind};
use serde::Deserialize;
use serde_json::{Value, json};

const FILTERS: Filters = &[
    ("ip-address-type", "IpAddressType"),
    ("service-name", "ServiceName"),
    ("service-region", "ServiceRegion"),
    ("vpc-endpoint-id", "VpcEndpointId"),
    ("vpc-endpoint-state", "State"),
    ("vpc-endpoint-type", "VpcEndpointType"),
    ("vpc-id", "VpcId"),
];

pub(in crate::api::ec2) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    listing.of("VpcEndpoints", ("VpcEndpointIds", &now.endpoints), FILTERS, |id, endpoint| {
        shown(service, &now, id, endpoint)
    })
}

/// An endpoint as answers have it.
pub(super) fn shown(
    service: &Service,
    now: &Topology,
    id: &EndpointId,
    endpoint: &Endpoint,
) -> Value {
    let created = now.created.get(id.as_str()).map(|at| at.millis() as f64 / 1000.0);
    let mut shown = json!({
        "VpcEndpointId": id.as_str(),
        "VpcId": endpoint.vpc.as_str(),
        "ServiceName": endpoint.service,
        "ServiceRegion": service.config.region,
        // What the API answers, whatever its model says.
        "State": "available",
        "PolicyDocument": endpoint.policy.as_deref().unwrap_or(policy::ALL),
        "RequesterManaged": false,
        "CreationTimestamp": created,
        "OwnerId": places::account(service),
        "Tags": tags::shown(&now.tags, id.as_str()),
    });
    let more = match &endpoint.kind {
        EndpointKind::Gateway { route_tables } => json!({
            "VpcEndpointType": "Gateway",
            "RouteTableIds": route_tables.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
            "SubnetIds": [],
            "Groups": [],
            "PrivateDnsEnabled": false,
            "NetworkInterfaceIds": [],
            "DnsEntries": [],
        }),
        EndpointKind::Interface { interfaces, groups, private_dns } => {
            let group = |id| {
                let name = now.groups.get(id).map(|group| group.name.as_str());
                json!({"GroupId": id.as_str(), "GroupName": name})
            };
            json!({
                "VpcEndpointType": "Interface",
                "RouteTableIds": [],
                "SubnetIds": interfaces.keys().map(|id| id.as_str()).collect::<Vec<_>>(),
                "Groups": groups.iter().map(group).collect::<Vec<_>>(),
                "IpAddressType": "ipv4",
                "DnsOptions": {"DnsRecordIpType": "ipv4"},
                "PrivateDnsEnabled": private_dns,
                "NetworkInterfaceIds":
                    interfaces.values().map(|id| id.as_str()).collect::<Vec<_>>(),
                "DnsEntries": dns_entries(service, now, id, endpoint),
            })
        }
    };
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

fn dns_entries(
    service: &Service,
    now: &Topology,
    id: &EndpointId,
    endpoint: &Endpoint,
) -> Vec<Value> {
    let region = &service.config.region;
    let EndpointKind::Interface { interfaces, private_dns, .. } = &endpoint.kind else {
        return Vec::new();
    };
    let Some(offered) = belljar_vpc::services::find(&endpoint.service, region) else {
        return Vec::new();
    };
    let zones = interfaces.keys().filter_map(|subnet| now.subnets.get(subnet));
    let zones: Vec<&str> = zones.map(|subnet| subnet.zone.as_str()).collect();
    let own = offered.endpoint_names(id, region, &zones);
    let private = private_dns.then(|| offered.private_names(region)).into_iter().flatten();
    // AWS names the zone of each; here they have none that could be asked for.
    own.into_iter().chain(private).map(|name| json!({"DnsName": name})).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(in crate::api::ec2) struct Delete {
    vpc_endpoint_ids: Vec<String>,
}

pub(in crate::api::ec2) async fn delete(
    service: &Service,
    _: &Caller,
    input: Delete,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        Ok(unsuccessful::each(&input.vpc_endpoint_ids, |text| {
            delete_one(draft, text).map_err(|mut e| {
                // In a list this error has another code than anywhere else.
                if e.code == "InvalidVpcEndpointId.NotFound" {
                    e.code = "InvalidVpcEndpoint.NotFound".into();
                }
                e
            })
        }))
    });
    let (failed, _) = edit.await?;
    Ok(json!({"Unsuccessful": failed}))
}

fn delete_one(draft: &mut Draft, text: &str) -> Result<(), AwsError> {
    let (id, endpoint) = error::named(&draft.endpoints, text)?;
    match endpoint.kind.clone() {
        EndpointKind::Gateway { route_tables } => {
            route_tables.iter().for_each(|table| edit::leave(draft, &id, table));
        }
        EndpointKind::Interface { interfaces, .. } => {
            for interface in interfaces.values() {
                interfaces::delete(draft, interface)?;
            }
        }
    }
    draft.endpoints.remove(&id);
    Ok(())
}
