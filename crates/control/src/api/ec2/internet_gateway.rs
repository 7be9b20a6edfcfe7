//! Internet gateways.

use super::listing::{Filters, Listing};
use super::places;
use super::tags::{self, TagSpecification};
use crate::network::error::{self, dependency, invalid, refused};
use crate::network::{Topology, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::InternetGatewayId;
use belljar_vpc::network::InternetGateway;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "internet-gateway")?;
    let edit = service.network.edit(|draft| {
        if draft.internet_gateways.len() >= quotas::INTERNET_GATEWAYS {
            let text = "The maximum number of internet gateways has been reached.";
            return Err(refused("InternetGatewayLimitExceeded", text));
        }
        let id: InternetGatewayId = draft.fresh();
        draft.internet_gateways.insert(id.clone(), Arc::default());
        draft.tag(id.as_str(), tags);
        Ok(id)
    });
    let (id, now) = edit.await?;
    let gateway = error::get(&now.internet_gateways, &id)?;
    Ok(json!({"InternetGateway": shown(service, &now, &id, gateway)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    internet_gateway_id: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, gateway) = error::named(&draft.internet_gateways, &input.internet_gateway_id)?;
        if gateway.vpc.is_some() {
            let text =
                format!("The internetGateway '{id}' has dependencies and cannot be deleted.");
            return Err(dependency(text));
        }
        draft.internet_gateways.remove(&id);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Pair {
    internet_gateway_id: String,
    vpc_id: String,
}

pub(super) async fn attach(service: &Service, _: &Caller, input: Pair) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, gateway) = error::named(&draft.internet_gateways, &input.internet_gateway_id)?;
        let (vpc, _) = error::named(&draft.vpcs, &input.vpc_id)?;
        if let Some(other) = &gateway.vpc {
            let text = format!("resource {id} is already attached to network {other}");
            return Err(refused("Resource.AlreadyAssociated", text));
        }
        if draft.internet_gateways.values().any(|g| g.vpc.as_ref() == Some(&vpc)) {
            let text = format!("Network {vpc} already has an internet gateway attached");
            return Err(invalid(text));
        }
        error::get_mut(&mut draft.internet_gateways, &id)?.vpc = Some(vpc);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

pub(super) async fn detach(service: &Service, _: &Caller, input: Pair) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, gateway) = error::named(&draft.internet_gateways, &input.internet_gateway_id)?;
        let (vpc, _) = error::named(&draft.vpcs, &input.vpc_id)?;
        if gateway.vpc.as_ref() != Some(&vpc) {
            let text = format!("resource {id} is not attached to network {vpc}");
            return Err(refused("Gateway.NotAttached", text));
        }
        let mapped = draft.addresses.values().filter_map(|a| a.association.as_ref()).any(|a| {
            let interface = draft.interfaces.get(&a.1);
            let subnet = interface.and_then(|i| draft.subnets.get(&i.subnet));
            subnet.is_some_and(|subnet| subnet.vpc == vpc)
        });
        if mapped {
            let text = format!(
                "Network {vpc} has some mapped public address(es). Please unmap those public \
                 address(es) before detaching the gateway."
            );
            return Err(dependency(text));
        }
        error::get_mut(&mut draft.internet_gateways, &id)?.vpc = None;
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

const FILTERS: Filters = &[
    ("attachment.state", "Attachments.State"),
    ("attachment.vpc-id", "Attachments.VpcId"),
    ("internet-gateway-id", "InternetGatewayId"),
    ("owner-id", "OwnerId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let of = ("InternetGatewayIds", &now.internet_gateways);
    listing.of("InternetGateways", of, FILTERS, |id, gateway| shown(service, &now, id, gateway))
}

fn shown(
    service: &Service,
    now: &Topology,
    id: &InternetGatewayId,
    gateway: &InternetGateway,
) -> Value {
    let attached = gateway.vpc.iter();
    // What EC2 writes of an attached one, though its model has other words for attachments.
    let attached = attached.map(|vpc| json!({"VpcId": vpc.as_str(), "State": "available"}));
    json!({
        "InternetGatewayId": id.as_str(),
        "OwnerId": places::account(service),
        "Attachments": attached.collect::<Vec<_>>(),
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}
