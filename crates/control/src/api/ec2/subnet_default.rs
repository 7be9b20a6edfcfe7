//! The default VPC's default subnets, which can be deleted and made again.

use super::{places, subnet};
use crate::network::error::{self, refused};
use crate::network::{defaults, interfaces, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    #[serde(default)]
    ipv6_native: bool,
}

/// In a zone that has none: of `/20`, with public addresses for what begins there (VPC User Guide,
/// "Create a default subnet").
pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    if input.ipv6_native {
        let text = "Belljar does not serve Ipv6Native of CreateDefaultSubnet.";
        return Err(refused("UnsupportedOperation", text));
    }
    let named = (input.availability_zone.as_deref(), input.availability_zone_id.as_deref());
    if named == (None, None) {
        return Err(super::request::missing_parameter("availabilityZone"));
    }
    let zone = places::zone(service, named)?;
    let edit = service.network.edit(|draft| {
        let default = draft.vpcs.iter().find(|(_, vpc)| vpc.is_default);
        let vpc = default.map(|(id, _)| id.clone()).ok_or_else(|| {
            let text = "There is no default VPC in which to carry out the request.";
            refused("DefaultVpcDoesNotExist", text)
        })?;
        let mut own = draft.subnets.iter().filter(|(_, s)| s.vpc == vpc);
        if let Some((id, _)) = own.clone().find(|(_, s)| s.default_for_zone && s.zone == zone) {
            let text = format!("'{id}' is already the default subnet in {zone}.");
            return Err(refused("DefaultSubnetAlreadyExistsInAvailabilityZone", text));
        }
        if own.by_ref().count() >= quotas::SUBNETS {
            let text = "The maximum number of subnets has been reached.";
            return Err(refused("SubnetLimitExceeded", text));
        }
        defaults::default_subnet(draft, &vpc, &zone).ok_or_else(|| {
            let text = "The default VPC has no free block for a default subnet.";
            refused("InsufficientCidrBlocks", text)
        })
    });
    let (id, now) = edit.await?;
    let counts = interfaces::counts(&now);
    let shown = subnet::shown(service, (&now, &counts), &id, error::get(&now.subnets, &id)?);
    Ok(json!({"Subnet": shown}))
}
