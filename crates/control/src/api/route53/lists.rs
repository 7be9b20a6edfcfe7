//! Lists of zones.

use super::zones::shown;
use super::{bare, invalid, name, not_served};
use crate::service::{Caller, Service};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use belljar_aws::AwsError;
use belljar_vpc::id::{VpcId, ZoneId};
use belljar_vpc::network::HostedZone;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Zones, and record sets, of one page at most.
const MAX_ZONES: usize = 100;
pub(super) const MAX_RECORDS: usize = 300;

/// `MaxItems`, a text; more than there can be is taken as that.
pub(super) fn items(given: Option<&str>, most: usize) -> Result<usize, AwsError> {
    let Some(given) = given else { return Ok(most) };
    let wanted: Option<usize> = given.parse().ok().filter(|wanted| *wanted > 0);
    let wrong = || invalid(format!("Invalid request: MaxItems is not valid: '{given}'"));
    Ok(wanted.ok_or_else(wrong)?.min(most))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct All {
    marker: Option<String>,
    max_items: Option<String>,
    /// Private zones are all that there are.
    #[serde(rename = "HostedZoneType")]
    _hosted_zone_type: Option<String>,
}

pub(super) async fn all(service: &Service, _: &Caller, input: All) -> Result<Value, AwsError> {
    let topology = service.network.current();
    let most = items(input.max_items.as_deref(), MAX_ZONES)?;
    let marker = input.marker.unwrap_or_default();
    let mut zones: Vec<_> =
        topology.zones.iter().filter(|(id, _)| id.as_str() >= bare(&marker)).collect();
    let next = zones.get(most).map(|(id, _)| id.to_string());
    zones.truncate(most);
    let mut answer = json!({
        "HostedZones": zones.iter().map(|(id, zone)| shown(id, zone)).collect::<Vec<_>>(),
        "Marker": marker,
        "IsTruncated": next.is_some(),
        "MaxItems": most.to_string(),
    });
    if let Some(next) = next {
        answer["NextMarker"] = next.into();
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct ByName {
    #[serde(rename = "DNSName")]
    name: Option<String>,
    hosted_zone_id: Option<String>,
    max_items: Option<String>,
}

pub(super) async fn by_name(
    service: &Service,
    _: &Caller,
    input: ByName,
) -> Result<Value, AwsError> {
    let most = items(input.max_items.as_deref(), MAX_ZONES)?;
    if input.name.is_none() && input.hosted_zone_id.is_some() {
        return Err(invalid("Invalid request: a hosted zone ID needs a DNS name."));
    }
    let wrong = |e: name::NameError| super::error("InvalidDomainName", e.to_string());
    let start = input.name.as_deref().map(name::normal).transpose().map_err(wrong)?;
    let start_id = input.hosted_zone_id.as_deref().map(bare).unwrap_or_default();
    let topology = service.network.current();
    let mut zones: Vec<(&ZoneId, &Arc<HostedZone>)> = topology.zones.iter().collect();
    zones.sort_by(|a, b| name::order(&a.1.name, &b.1.name).then_with(|| a.0.cmp(b.0)));
    if let Some(start) = &start {
        let reached = |id: &ZoneId, zone: &HostedZone| {
            let order = name::order(&zone.name, start);
            order.then_with(|| id.as_str().cmp(start_id)).is_ge()
        };
        zones.retain(|(id, zone)| reached(id, zone));
    }
    let next = zones.get(most).copied();
    zones.truncate(most);
    let mut answer = json!({
        "HostedZones": zones.iter().map(|(id, zone)| shown(id, zone)).collect::<Vec<_>>(),
        "DNSName": input.name,
        "HostedZoneId": input.hosted_zone_id,
        "IsTruncated": next.is_some(),
        "MaxItems": most.to_string(),
    });
    if let Some((id, zone)) = next {
        answer["NextDNSName"] = name::shown(&zone.name).into();
        answer["NextHostedZoneId"] = id.as_str().into();
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByVpc {
    #[serde(rename = "VPCId")]
    vpc: String,
    #[serde(rename = "VPCRegion")]
    region: String,
    #[serde(rename = "MaxItems")]
    max_items: Option<String>,
    #[serde(rename = "NextToken")]
    next_token: Option<String>,
}

pub(super) async fn by_vpc(
    service: &Service,
    caller: &Caller,
    input: ByVpc,
) -> Result<Value, AwsError> {
    if input.region != service.config.region {
        return Err(not_served(format!("VPCs of the region {}", input.region)));
    }
    let most = items(input.max_items.as_deref(), MAX_ZONES)?;
    let topology = service.network.current();
    let vpc: Option<VpcId> = input.vpc.parse().ok();
    let Some(vpc) = vpc.filter(|vpc| topology.vpcs.contains_key(vpc)) else {
        return Err(invalid(format!(
            "The VPC {} in region {} does not exist.",
            input.vpc, input.region
        )));
    };
    let start = input.next_token.as_deref().map_or(Some(String::new()), |token| {
        String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()
    });
    let wrong = || super::error("InvalidPaginationToken", "The pagination token is not valid.");
    let start = start.ok_or_else(wrong)?;
    let of_vpc = |(id, zone): &(&ZoneId, &Arc<HostedZone>)| {
        id.as_str() >= start.as_str() && zone.vpcs.contains(&vpc)
    };
    let mut zones: Vec<_> = topology.zones.iter().filter(of_vpc).collect();
    let next = zones.get(most).map(|(id, _)| BASE64_URL_SAFE_NO_PAD.encode(id.as_str()));
    zones.truncate(most);
    let summary = |(id, zone): &(&ZoneId, &Arc<HostedZone>)| {
        json!({
            "HostedZoneId": id.as_str(),
            "Name": name::shown(&zone.name),
            "Owner": {"OwningAccount": caller.account},
        })
    };
    Ok(json!({
        "HostedZoneSummaries": zones.iter().map(summary).collect::<Vec<_>>(),
        "MaxItems": most.to_string(),
        "NextToken": next,
    }))
}
