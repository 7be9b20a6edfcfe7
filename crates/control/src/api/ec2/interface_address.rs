//! The addresses of a network interface beside its first.

use super::interface::{own, v4, v6};
use crate::network::Draft;
use crate::network::error::{self, invalid, refused};
use crate::network::interfaces;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::InterfaceId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Assign {
    network_interface_id: String,
    #[serde(default)]
    private_ip_addresses: Vec<String>,
    secondary_private_ip_address_count: Option<usize>,
    #[serde(default)]
    allow_reassignment: bool,
}

pub(super) async fn assign(
    service: &Service,
    _: &Caller,
    input: Assign,
) -> Result<Value, AwsError> {
    let named: Vec<Ipv4Addr> =
        input.private_ip_addresses.iter().map(|text| v4(text)).collect::<Result<_, _>>()?;
    let more = input.secondary_private_ip_address_count;
    exclusive(named.len(), more, "privateIpAddresses", "secondaryPrivateIpAddressCount")?;
    let edit = service.network.edit(|draft| {
        let (id, _) = own(draft, &input.network_interface_id)?;
        if input.allow_reassignment {
            take_away(draft, &id, &named);
        }
        let given = interfaces::assign(draft, &id, &named, more.unwrap_or_default())?;
        Ok((id, given))
    });
    let ((id, given), _) = edit.await?;
    let given = given.iter().map(|address| json!({"PrivateIpAddress": address.to_string()}));
    Ok(json!({
        "NetworkInterfaceId": id.as_str(),
        "AssignedPrivateIpAddresses": given.collect::<Vec<_>>(),
    }))
}

/// Either addresses are named or their number is.
fn exclusive(named: usize, more: Option<usize>, one: &str, other: &str) -> Result<(), AwsError> {
    match (named, more) {
        (0, None | Some(0)) => Err(super::request::missing_parameter(one)),
        (0, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => {
            let text = format!("Only one of {one} and {other} may be specified.");
            Err(refused("InvalidParameterCombination", text))
        }
    }
}

/// Takes secondary addresses away from the other interfaces of the subnet.
fn take_away(draft: &mut Draft, id: &InterfaceId, addresses: &[Ipv4Addr]) {
    let Some(subnet) = draft.interfaces.get(id).map(|of| of.subnet.clone()) else { return };
    let losers: Vec<InterfaceId> = draft
        .interfaces
        .iter()
        .filter(|(of, i)| {
            let secondary = i.addresses.iter().skip(1);
            *of != id
                && i.subnet == subnet
                && !i.requester_managed
                && secondary.into_iter().any(|a| addresses.contains(&a.address))
        })
        .map(|(of, _)| of.clone())
        .collect();
    for loser in losers {
        remove(draft, &loser, addresses);
    }
}

/// Removes secondary addresses, and frees the elastic ones that led to them.
fn remove(draft: &mut Draft, id: &InterfaceId, addresses: &[Ipv4Addr]) {
    let Some(interface) = draft.interfaces.get_mut(id).map(Arc::make_mut) else { return };
    let primary = interface.primary();
    let goes = |address: Ipv4Addr| Some(address) != primary && addresses.contains(&address);
    interface.addresses.retain(|of| !goes(of.address));
    interfaces::release(draft, id, goes);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Unassign {
    network_interface_id: String,
    private_ip_addresses: Option<Vec<String>>,
}

pub(super) async fn unassign(
    service: &Service,
    _: &Caller,
    input: Unassign,
) -> Result<Value, AwsError> {
    let texts = input.private_ip_addresses.unwrap_or_default();
    let named: Vec<Ipv4Addr> = texts.iter().map(|text| v4(text)).collect::<Result<_, _>>()?;
    if named.is_empty() {
        return Err(super::request::missing_parameter("privateIpAddresses"));
    }
    let edit = service.network.edit(|draft| {
        let (id, interface) = own(draft, &input.network_interface_id)?;
        let secondary: Vec<_> = interface.addresses.iter().skip(1).map(|a| a.address).collect();
        all_of(&id, &named, &secondary)?;
        remove(draft, &id, &named);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

fn all_of<T: Display + PartialEq>(
    id: &InterfaceId,
    named: &[T],
    has: &[T],
) -> Result<(), AwsError> {
    if named.iter().all(|address| has.contains(address)) {
        return Ok(());
    }
    let named: Vec<String> = named.iter().map(ToString::to_string).collect();
    Err(invalid(format!("Some of [{}] are not assigned to interface {id}", named.join(", "))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct AssignV6 {
    network_interface_id: String,
    #[serde(default)]
    ipv6_addresses: Vec<String>,
    ipv6_address_count: Option<usize>,
}

pub(super) async fn assign_v6(
    service: &Service,
    _: &Caller,
    input: AssignV6,
) -> Result<Value, AwsError> {
    let named: Vec<Ipv6Addr> =
        input.ipv6_addresses.iter().map(|text| v6(text)).collect::<Result<_, _>>()?;
    let more = input.ipv6_address_count;
    exclusive(named.len(), more, "ipv6Addresses", "ipv6AddressCount")?;
    let edit = service.network.edit(|draft| {
        let (id, _) = own(draft, &input.network_interface_id)?;
        let given = interfaces::assign_v6(draft, &id, &named, more.unwrap_or_default())?;
        Ok((id, given))
    });
    let ((id, given), _) = edit.await?;
    Ok(json!({"NetworkInterfaceId": id.as_str(), "AssignedIpv6Addresses": given}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct UnassignV6 {
    network_interface_id: String,
    ipv6_addresses: Option<Vec<String>>,
}

pub(super) async fn unassign_v6(
    service: &Service,
    _: &Caller,
    input: UnassignV6,
) -> Result<Value, AwsError> {
    let texts = input.ipv6_addresses.unwrap_or_default();
    let named: Vec<Ipv6Addr> = texts.iter().map(|text| v6(text)).collect::<Result<_, _>>()?;
    if named.is_empty() {
        return Err(super::request::missing_parameter("ipv6Addresses"));
    }
    let edit = service.network.edit(|draft| {
        let (id, interface) = own(draft, &input.network_interface_id)?;
        all_of(&id, &named, &interface.addresses_v6)?;
        let interface = error::get_mut(&mut draft.interfaces, &id)?;
        interface.addresses_v6.retain(|address| !named.contains(address));
        Ok(id)
    });
    let (id, _) = edit.await?;
    Ok(json!({"NetworkInterfaceId": id.as_str(), "UnassignedIpv6Addresses": named}))
}
