//! DHCP options.

use super::listing::{Filters, Listing};
use super::places;
use super::tags::{self, TagSpecification};
use crate::network::Topology;
use crate::network::error::{self, dependency, invalid};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::DhcpOptionsId;
use belljar_vpc::network::{DhcpOptions, PROVIDED};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Servers of one option (VPC User Guide, "DHCP option sets").
const MAX_SERVERS: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    dhcp_configurations: Vec<Configuration>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Configuration {
    key: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "dhcp-options")?;
    let mut options = BTreeMap::new();
    for Configuration { key, values } in input.dhcp_configurations {
        let key = key.ok_or_else(|| super::request::missing_parameter("Key"))?;
        check(&key, &values)?;
        if options.insert(key.clone(), values).is_some() {
            return Err(invalid(format!("The option {key} is there twice.")));
        }
    }
    if options.is_empty() {
        return Err(super::request::missing_parameter("DhcpConfiguration"));
    }
    let edit = service.network.edit(|draft| {
        let id: DhcpOptionsId = draft.fresh();
        draft.dhcp_options.insert(id.clone(), Arc::new(DhcpOptions { options }));
        draft.tag(id.as_str(), tags);
        Ok(id)
    });
    let (id, now) = edit.await?;
    let shown = shown(service, &now, &id, error::get(&now.dhcp_options, &id)?);
    Ok(json!({"DhcpOptions": shown}))
}

fn check(key: &str, values: &[String]) -> Result<(), AwsError> {
    let wrong = |value: &str, why: &str| {
        let value: String = value.chars().take(64).collect();
        invalid(format!("Value ({value}) for parameter {key} is invalid. {why}"))
    };
    if values.is_empty() {
        return Err(wrong("", "It has no value."));
    }
    let most = match key {
        "domain-name-servers" | "ntp-servers" | "netbios-name-servers" => MAX_SERVERS,
        "domain-name" | "netbios-node-type" | "ipv6-address-preferred-lease-time" => 1,
        _ => return Err(invalid(format!("Value ({key}) for parameter key is invalid."))),
    };
    if let Some(value) = values.get(most) {
        return Err(wrong(value, &format!("It has at most {most}.")));
    }
    for value in values {
        let v4 = value.parse::<std::net::Ipv4Addr>().is_ok();
        let right = match key {
            "domain-name-servers" if value == PROVIDED => values.len() == 1,
            "domain-name-servers" | "ntp-servers" => value.parse::<IpAddr>().is_ok(),
            "netbios-name-servers" => v4,
            "netbios-node-type" => matches!(value.as_str(), "1" | "2" | "4" | "8"),
            "ipv6-address-preferred-lease-time" => {
                value.parse::<u32>().is_ok_and(|s| (140..=2_147_483_647).contains(&s))
            }
            _ => is_domain(value),
        };
        if !right {
            return Err(wrong(value, "It is no value of this option."));
        }
    }
    Ok(())
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(label)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    dhcp_options_id: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, _) = error::named(&draft.dhcp_options, &input.dhcp_options_id)?;
        if draft.vpcs.values().any(|vpc| vpc.dhcp_options.as_ref() == Some(&id)) {
            let text = format!("The dhcpOptions '{id}' has dependencies and cannot be deleted.");
            return Err(dependency(text));
        }
        draft.dhcp_options.remove(&id);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Associate {
    dhcp_options_id: String,
    vpc_id: String,
}

pub(super) async fn associate(
    service: &Service,
    _: &Caller,
    input: Associate,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let options = match input.dhcp_options_id.as_str() {
            "default" => None,
            text => Some(error::named(&draft.dhcp_options, text)?.0),
        };
        let vpc = error::id(&input.vpc_id)?;
        error::get_mut(&mut draft.vpcs, &vpc)?.dhcp_options = options;
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

const FILTERS: Filters = &[
    ("dhcp-options-id", "DhcpOptionsId"),
    ("key", "DhcpConfigurations.Key"),
    ("owner-id", "OwnerId"),
    ("value", "DhcpConfigurations.Values.Value"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    listing.of("DhcpOptions", ("DhcpOptionsIds", &now.dhcp_options), FILTERS, |id, options| {
        shown(service, &now, id, options)
    })
}

fn shown(service: &Service, now: &Topology, id: &DhcpOptionsId, options: &DhcpOptions) -> Value {
    let option = |(key, values): (&String, &Vec<String>)| {
        let values: Vec<Value> = values.iter().map(|value| json!({"Value": value})).collect();
        json!({"Key": key, "Values": values})
    };
    json!({
        "DhcpOptionsId": id.as_str(),
        "DhcpConfigurations": options.options.iter().map(option).collect::<Vec<_>>(),
        "OwnerId": places::account(service),
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_values_of_their_kind() {
        let check = |key: &str, values: &[&str]| {
            let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
            super::check(key, &values).map_err(|e| e.message)
        };
        for (key, values) in [
            ("domain-name-servers", &[PROVIDED][..]),
            ("domain-name-servers", &["10.0.0.2", "fd00::1"]),
            ("domain-name", &["corp.example.com"]),
            ("netbios-node-type", &["2"]),
            ("ipv6-address-preferred-lease-time", &["140"]),
        ] {
            check(key, values).unwrap();
        }
        for (key, values) in [
            ("domain-name-servers", &[PROVIDED, "10.0.0.2"][..]),
            ("domain-name-servers", &["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5"]),
            ("domain-name", &["a..b"]),
            ("netbios-node-type", &["3"]),
            ("netbios-name-servers", &["fd00::1"]),
            ("domain-name", &[]),
            ("colour", &["red"]),
        ] {
            check(key, values).unwrap_err();
        }
    }
}
