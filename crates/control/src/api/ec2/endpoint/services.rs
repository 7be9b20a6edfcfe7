//! `DescribeVpcEndpointServices`.

use super::offered;
use crate::api::ec2::listing::{Filters, Listing};
use crate::network::error::refused;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::services::{SERVICES, Service as Offered};
use serde_json::{Value, json};

const FILTERS: Filters = &[
    ("owner", "Owner"),
    ("service-name", "ServiceName"),
    ("service-region", "ServiceRegion"),
    ("service-type", "ServiceType.ServiceType"),
    ("supported-ip-address-types", "SupportedIpAddressTypes"),
];

pub(in crate::api::ec2) async fn describe(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let names: Vec<String> = listing.take("ServiceNames")?;
    let regions: Vec<String> = listing.take("ServiceRegions")?;
    if let Some(other) = regions.iter().find(|region| **region != service.config.region) {
        let text = format!("Belljar does not serve the region {other}.");
        return Err(refused("UnsupportedOperation", text));
    }
    let mut wanted = Vec::new();
    for name in &names {
        wanted.push(offered(service, name)?);
    }
    let mut details = Vec::new();
    for one in SERVICES.iter().filter(|one| names.is_empty() || wanted.contains(one)) {
        for kind in ["Gateway", "Interface"] {
            if kind == "Interface" || one.gateway {
                let name = one.full_name(&service.config.region);
                details.push((format!("{name}\n{kind}"), shown(service, one, kind)));
            }
        }
    }
    let mut answer = listing.answer("ServiceDetails", details.into_iter(), FILTERS)?;
    let mut names: Vec<Value> = Vec::new();
    for detail in answer["ServiceDetails"].as_array().into_iter().flatten() {
        if !names.contains(&detail["ServiceName"]) {
            names.push(detail["ServiceName"].clone());
        }
    }
    answer["ServiceNames"] = names.into();
    Ok(answer)
}

fn shown(service: &Service, one: &Offered, kind: &str) -> Value {
    let region = &service.config.region;
    let mut shown = json!({
        "ServiceName": one.full_name(region),
        // Of 17 digits, as those of AWS; the same for all who ask.
        "ServiceId": format!("vpce-svc-{:017x}", number(one.name, kind)),
        "ServiceType": [{"ServiceType": kind}],
        "ServiceRegion": region,
        "AvailabilityZones": service.config.zones,
        "Owner": "amazon",
        "VpcEndpointPolicySupported": true,
        "AcceptanceRequired": false,
        "ManagesVpcEndpoints": false,
        "SupportedIpAddressTypes": ["ipv4"],
    });
    if kind == "Interface" {
        let names = one.private_names(region);
        shown["BaseEndpointDnsNames"] = json!([one.base_name(region)]);
        shown["PrivateDnsName"] = json!(names.last());
        let names: Vec<Value> = names.iter().map(|n| json!({"PrivateDnsName": n})).collect();
        shown["PrivateDnsNames"] = names.into();
        shown["PrivateDnsNameVerificationState"] = "verified".into();
    } else {
        shown["BaseEndpointDnsNames"] = json!([format!("{}.{region}.amazonaws.com", one.name)]);
    }
    shown
}

fn number(name: &str, kind: &str) -> u64 {
    let bytes = name.bytes().chain(kind.bytes());
    bytes.fold(17, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}
