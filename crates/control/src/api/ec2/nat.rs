//! NAT gateways.

use super::listing::{Filters, Listing};
use super::tags::{self, TagSpecification};
use super::{address, gone, token};
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, Topology, interfaces, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{AllocationId, NatGatewayId};
use belljar_vpc::network::NatGateway;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The kind of the notes that keep what a gateway was, when its subnet may be gone.
const KIND: &str = "nat-gateway-addresses";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    allocation_id: Option<String>,
    client_token: Option<String>,
    subnet_id: Option<String>,
    availability_mode: Option<String>,
    connectivity_type: Option<String>,
    private_ip_address: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "natgateway")?;
    if let Some(other) = input.availability_mode.as_ref().filter(|mode| *mode != "zonal") {
        let text = format!("Belljar does not serve AvailabilityMode {other} of CreateNatGateway.");
        return Err(refused("UnsupportedOperation", text));
    }
    let public = input.connectivity_type.as_deref() != Some("private");
    if public && input.allocation_id.is_none() {
        return Err(super::request::missing_parameter("AllocationId"));
    }
    if !public && input.allocation_id.is_some() {
        let text = "AllocationId is not supported for NAT gateways of the type private.";
        return Err(refused("InvalidParameterCombination", text));
    }
    let edit = service.network.edit(|draft| {
        gone::clear(draft);
        let token = input.client_token.as_deref();
        token::once(draft, ("CreateNatGateway", token), &input, |draft| {
            let id = input.make(draft)?;
            draft.tag(id.as_str(), tags);
            Ok(id)
        })
    });
    let (id, now) = edit.await?;
    let shown = shown(&now, &id, error::get(&now.nat_gateways, &id)?);
    Ok(json!({"NatGateway": shown, "ClientToken": input.client_token}))
}

impl Create {
    fn make(&self, draft: &mut Draft) -> Result<NatGatewayId, AwsError> {
        let subnet = self.subnet_id.as_deref();
        let subnet = subnet.ok_or_else(|| super::request::missing_parameter("SubnetId"))?;
        let (subnet, record) = error::named(&draft.subnets, subnet)?;
        let (zone, vpc) = (record.zone.clone(), record.vpc.clone());
        let in_zone = |g: &&Arc<NatGateway>| {
            g.available && draft.subnets.get(&g.subnet).is_some_and(|s| s.zone == zone)
        };
        if draft.nat_gateways.values().filter(in_zone).count() >= quotas::NAT_GATEWAYS {
            let text = format!(
                "Performing this operation would exceed the limit of {} NAT gateways",
                quotas::NAT_GATEWAYS
            );
            return Err(refused("NatGatewayLimitExceeded", text));
        }
        let id: NatGatewayId = draft.fresh();
        let text = format!("Interface for NAT Gateway {id}");
        let mut wanted = interfaces::Wanted::of(subnet.clone(), Vec::new(), id.as_str(), &text);
        wanted.kind = "natGateway";
        wanted.source_dest_check = false;
        wanted.more_v6 = Some(0);
        if let Some(address) = &self.private_ip_address {
            let wrong = |_| invalid(format!("Invalid IPv4 address: {address}"));
            wanted.addresses.push(address.parse().map_err(wrong)?);
        }
        let interface = interfaces::create(draft, wanted)?;
        let private = error::get(&draft.interfaces, &interface)?.primary();
        let private = private.ok_or_else(AwsError::internal)?;
        let mut address = json!({
            "NetworkInterfaceId": interface.as_str(),
            "PrivateIp": private,
            "IsPrimary": true,
            "Status": "succeeded",
        });
        let mut allocation: Option<AllocationId> = None;
        if let Some(text) = &self.allocation_id {
            let (of, elastic) = error::named(&draft.addresses, text)?;
            address["AllocationId"] = of.as_str().into();
            address["PublicIp"] = json!(elastic.public);
            // AWS makes a gateway that fails with these codes.
            let association = address::attach(draft, &of, (&interface, private), false)?;
            address["AssociationId"] = association.as_str().into();
            allocation = Some(of);
        }
        let note = json!({"vpc": vpc.as_str(), "addresses": [address]});
        draft.set_note(KIND, id.as_str(), note);
        let gateway = NatGateway { subnet, interface, allocation, available: true };
        draft.nat_gateways.insert(id.clone(), Arc::new(gateway));
        Ok(id)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    nat_gateway_id: String,
}

/// Its interface goes, and its address is free again; routes to it stay, as blackholes.
pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, gateway) = error::named(&draft.nat_gateways, &input.nat_gateway_id)?;
        if !gateway.available {
            return Ok(id);
        }
        let interface = gateway.interface.clone();
        interfaces::delete(draft, &interface)?;
        error::get_mut(&mut draft.nat_gateways, &id)?.available = false;
        gone::mark(draft, id.as_str());
        Ok(id)
    });
    let (id, _) = edit.await?;
    Ok(json!({"NatGatewayId": id.as_str()}))
}

const FILTERS: Filters = &[
    ("nat-gateway-id", "NatGatewayId"),
    ("state", "State"),
    ("subnet-id", "SubnetId"),
    ("vpc-id", "VpcId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let mut gateways = now.nat_gateways.clone();
    gateways.retain(|id, _| !gone::hidden(&now, service.now(), id.as_str()));
    listing.of("NatGateways", ("NatGatewayIds", &gateways), FILTERS, |id, g| shown(&now, id, g))
}

fn shown(now: &Topology, id: &NatGatewayId, gateway: &NatGateway) -> Value {
    let note = now.notes.get(&(KIND.to_owned(), id.to_string()));
    let note = note.map_or(Value::Null, |note| note.as_ref().clone());
    let seconds = |at: belljar_domain::Timestamp| at.millis() as f64 / 1000.0;
    let public = note["addresses"][0].get("AllocationId").is_some();
    json!({
        "NatGatewayId": id.as_str(),
        "State": if gateway.available { "available" } else { "deleted" },
        "SubnetId": gateway.subnet.as_str(),
        "VpcId": note["vpc"],
        "NatGatewayAddresses": note["addresses"],
        "ConnectivityType": if public { "public" } else { "private" },
        "AvailabilityMode": "zonal",
        "CreateTime": now.created.get(id.as_str()).copied().map(seconds),
        "DeleteTime": gone::since(now, id.as_str()).map(seconds),
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}
