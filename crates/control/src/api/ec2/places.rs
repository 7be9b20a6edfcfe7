//! The region, its zones, and the account.

use super::listing::{Filters, Listing};
use crate::network::error::invalid;
use crate::network::quotas;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use serde_json::{Value, json};

/// The account.
pub(crate) fn account(service: &Service) -> &str {
    &service.config.account
}

/// The region.
pub(crate) fn region(service: &Service) -> &str {
    &service.config.region
}

/// The ARN of a resource of EC2: `subnet`, `subnet-…`.
pub(crate) fn arn(service: &Service, kind: &str, id: &str) -> String {
    format!("arn:aws:ec2:{}:{}:{kind}/{id}", region(service), account(service))
}

/// `use1-az1`: the name of a zone that is the same in all accounts. `None` of a zone that is no more.
pub(crate) fn zone_id(service: &Service, zone: &str) -> Option<String> {
    let number = service.config.zones.iter().position(|of| of == zone)? + 1;
    Some(format!("{}-az{number}", short(region(service))))
}

/// `us-east-1` is `use1`, `ap-southeast-2` is `apse2`.
fn short(region: &str) -> String {
    region
        .split('-')
        .enumerate()
        .map(|(place, word)| match (place, word) {
            (0, word) => word,
            (_, "northeast") => "ne",
            (_, "northwest") => "nw",
            (_, "southeast") => "se",
            (_, "southwest") => "sw",
            (_, word) => word.get(..1).unwrap_or_default(),
        })
        .collect()
}

/// The zone that a name or an id is.
///
/// # Errors
/// If it is none.
pub(crate) fn zone(
    service: &Service,
    (name, id): (Option<&str>, Option<&str>),
) -> Result<String, AwsError> {
    let zones = &service.config.zones;
    let found = match (name, id) {
        (Some(name), _) => zones.iter().find(|zone| *zone == name),
        (None, Some(id)) => zones.iter().find(|z| zone_id(service, z).as_deref() == Some(id)),
        (None, None) => zones.first(),
    };
    found.cloned().ok_or_else(|| {
        let (value, parameter) = match (name, id) {
            (None, Some(id)) => (id, "availabilityZoneId"),
            (name, _) => (name.unwrap_or_default(), "availabilityZone"),
        };
        let shown: String = value.chars().take(64).collect();
        invalid(format!(
            "Value ({shown}) for parameter {parameter} is invalid. Subnets can currently only be \
             created in the following availability zones: {}.",
            zones.join(", ")
        ))
    })
}

const ZONES: Filters = &[
    ("group-name", "GroupName"),
    ("message", "Messages.Message"),
    ("opt-in-status", "OptInStatus"),
    ("parent-zone-id", "ParentZoneId"),
    ("parent-zone-name", "ParentZoneName"),
    ("region-name", "RegionName"),
    ("state", "State"),
    ("zone-id", "ZoneId"),
    ("zone-name", "ZoneName"),
    ("zone-type", "ZoneType"),
];

pub(super) async fn zones(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let names: Vec<String> = listing.take("ZoneNames")?;
    let ids: Vec<String> = listing.take("ZoneIds")?;
    // Every zone here is one that is always on.
    let _: bool = listing.take("AllAvailabilityZones")?;
    for name in &names {
        if !service.config.zones.contains(name) {
            return Err(invalid(format!("Invalid availability zone: [{name}]")));
        }
    }
    let all = service.config.zones.iter().map(|zone| {
        let id = zone_id(service, zone);
        let shown = json!({
            "ZoneName": zone,
            "ZoneId": id,
            "ZoneType": "availability-zone",
            "RegionName": region(service),
            "GroupName": format!("{}-zg-1", region(service)),
            "NetworkBorderGroup": region(service),
            "OptInStatus": "opt-in-not-required",
            "State": "available",
            "Messages": [],
        });
        (zone.clone(), shown)
    });
    let wanted = all.filter(|(name, shown)| {
        (names.is_empty() || names.contains(name))
            && (ids.is_empty() || ids.iter().any(|id| shown["ZoneId"] == *id))
    });
    listing.answer("AvailabilityZones", wanted, ZONES)
}

const REGIONS: Filters =
    &[("endpoint", "Endpoint"), ("opt-in-status", "OptInStatus"), ("region-name", "RegionName")];

/// There is one: that which this service is.
pub(super) async fn regions(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let names: Vec<String> = listing.take("RegionNames")?;
    let _: bool = listing.take("AllRegions")?;
    let region = region(service);
    if let Some(name) = names.iter().find(|name| *name != region) {
        return Err(invalid(format!("Invalid region: [{name}]")));
    }
    let shown = json!({
        "RegionName": region,
        "Endpoint": format!("ec2.{region}.amazonaws.com"),
        "OptInStatus": "opt-in-not-required",
    });
    listing.answer("Regions", std::iter::once((region.to_owned(), shown)), REGIONS)
}

pub(super) async fn attributes(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let wanted: Vec<String> = listing.take("AttributeNames")?;
    let now = service.network.current();
    let default = now.vpcs.iter().find(|(_, vpc)| vpc.is_default);
    let default = default.map_or("none".to_owned(), |(id, _)| id.to_string());
    let groups = quotas::GROUPS_OF_INTERFACE.to_string();
    let all = [
        ("default-vpc", vec![default]),
        ("supported-platforms", vec!["VPC".to_owned()]),
        ("vpc-max-security-groups-per-interface", vec![groups]),
    ];
    let unknown = |name: &&String| !all.iter().any(|(of, _)| of == *name);
    if let Some(other) = wanted.iter().find(unknown) {
        return Err(invalid(format!("Belljar does not serve the account attribute {other}.")));
    }
    let shown = all
        .into_iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|of| of == name))
        .map(|(name, values)| {
            let values: Vec<Value> =
                values.into_iter().map(|value| json!({"AttributeValue": value})).collect();
            (name.to_owned(), json!({"AttributeName": name, "AttributeValues": values}))
        });
    listing.answer("AccountAttributes", shown, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_awss_short_names() {
        for (region, of) in [
            ("us-east-1", "use1"),
            ("eu-central-1", "euc1"),
            ("ap-southeast-2", "apse2"),
            ("us-gov-west-1", "usgw1"),
        ] {
            assert_eq!(short(region), of);
        }
    }
}
