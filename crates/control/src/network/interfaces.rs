//! Network interfaces: their addresses, and their comings and goings. Of `CreateNetworkInterface`,
//! and of whatever else brings an interface with it.

use super::error::{self, invalid, refused};
use super::{Draft, quotas};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::{GroupId, InterfaceId, SubnetId};
use belljar_vpc::network::{Attachment, Interface, PrivateAddress, Subnet, reserved};
use ipnet::Ipv6Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What an interface is to be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Its subnet.
    pub(crate) subnet: SubnetId,
    /// Its groups, of the subnet's VPC.
    pub(crate) groups: Vec<GroupId>,
    /// What is written beside it.
    pub(crate) description: String,
    /// `InterfaceType`.
    pub(crate) kind: &'static str,
    /// What it is attached to, if a service makes it for itself: it alone deletes it.
    pub(crate) owner: Option<String>,
    /// Whether packets must be from or to itself.
    pub(crate) source_dest_check: bool,
    /// IPv4 addresses that it is to have, the primary one first.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// How many more IPv4 addresses, beside the primary one.
    pub(crate) more: usize,
    /// IPv6 addresses that it is to have.
    pub(crate) addresses_v6: Vec<Ipv6Addr>,
    /// How many more IPv6 addresses. `None` is one if the subnet gives one to each.
    pub(crate) more_v6: Option<usize>,
}

impl Wanted {
    /// An ordinary one, that a service makes for `owner`.
    pub(crate) fn of(subnet: SubnetId, groups: Vec<GroupId>, owner: &str, text: &str) -> Self {
        Self {
            subnet,
            groups,
            description: text.into(),
            kind: "interface",
            owner: Some(owner.into()),
            source_dest_check: true,
            addresses: Vec::new(),
            more: 0,
            addresses_v6: Vec::new(),
            more_v6: None,
        }
    }
}

/// Makes an interface.
///
/// # Errors
/// If its subnet or a group is not there or of another VPC, an address is not to be had
/// (`InsufficientFreeAddressesInSubnet`), or a quota is reached.
pub(crate) fn create(draft: &mut Draft, wanted: Wanted) -> Result<InterfaceId, AwsError> {
    if draft.interfaces.len() >= quotas::INTERFACES {
        let text = "The maximum number of network interfaces has been reached.";
        return Err(refused("NetworkInterfaceLimitExceeded", text));
    }
    check_groups(draft, &wanted.subnet, &wanted.groups)?;
    let subnet = Arc::clone(
        draft.subnets.get(&wanted.subnet).ok_or_else(|| error::not_found(&wanted.subnet))?,
    );
    let id: InterfaceId = draft.fresh();
    let attachment = wanted.owner.map(|owner| Attachment { id: draft.fresh(), owner });
    let interface = Interface {
        subnet: wanted.subnet,
        addresses: Vec::new(),
        addresses_v6: Vec::new(),
        groups: each_once(wanted.groups),
        source_dest_check: wanted.source_dest_check,
        mac: mac(),
        description: wanted.description,
        kind: wanted.kind.into(),
        requester_managed: attachment.is_some(),
        attachment,
    };
    draft.interfaces.insert(id.clone(), Arc::new(interface));
    let primary = usize::from(wanted.addresses.is_empty());
    assign(draft, &id, &wanted.addresses, wanted.more + primary)?;
    let more_v6 = wanted.more_v6.unwrap_or(usize::from(
        subnet.assign_v6 && subnet.block_v6.is_some() && wanted.addresses_v6.is_empty(),
    ));
    assign_v6(draft, &id, &wanted.addresses_v6, more_v6)?;
    Ok(id)
}

/// Removes an interface; an elastic address that it had is free again.
///
/// # Errors
/// If it is not there.
pub(crate) fn delete(draft: &mut Draft, id: &InterfaceId) -> Result<(), AwsError> {
    draft.interfaces.remove(id).ok_or_else(|| error::not_found(id))?;
    release(draft, id, |_| true);
    Ok(())
}

/// Frees the elastic addresses of some of an interface's private addresses.
pub(crate) fn release(draft: &mut Draft, id: &InterfaceId, of: impl Fn(Ipv4Addr) -> bool) {
    for address in draft.addresses.values_mut() {
        if address.association.as_ref().is_some_and(|(_, i, private)| i == id && of(*private)) {
            Arc::make_mut(address).association = None;
        }
    }
}

/// Gives an interface IPv4 addresses: those that are named, and `more` that are free. Answers them.
///
/// # Errors
/// If one is in use or cannot be had, or too few are free.
pub(crate) fn assign(
    draft: &mut Draft,
    id: &InterfaceId,
    named: &[Ipv4Addr],
    more: usize,
) -> Result<Vec<Ipv4Addr>, AwsError> {
    let interface = error::get(&draft.interfaces, id)?;
    let subnet = error::get(&draft.subnets, &interface.subnet)?;
    if interface.addresses.len() + named.len() + more > quotas::ADDRESSES_OF_INTERFACE {
        let text = format!("The maximum number of private addresses of '{id}' has been reached.");
        return Err(refused("PrivateIpAddressLimitExceeded", text));
    }
    let mut used = used(draft, &interface.subnet);
    let mut given = Vec::new();
    for address in named {
        check_v4(subnet, *address)?;
        if !used.insert(*address) {
            return Err(refused("InvalidIPAddress.InUse", format!("Address {address} is in use.")));
        }
        given.push(*address);
    }
    // The first four and the last are AWS's.
    let free = subnet.block.hosts().skip(3).filter(|address| !used.contains(address));
    given.extend(free.filter(|a| !reserved(subnet.block, *a)).take(more));
    if given.len() < named.len() + more {
        let text = "The specified subnet does not have enough free addresses to satisfy the \
                    request.";
        return Err(refused("InsufficientFreeAddressesInSubnet", text));
    }
    let new = given.iter().map(|address| PrivateAddress { address: *address, public: None });
    error::get_mut(&mut draft.interfaces, id)?.addresses.extend(new);
    Ok(given)
}

/// Gives an interface IPv6 addresses, as [`assign`] does IPv4 ones; those not named are by chance.
///
/// # Errors
/// If the subnet has no IPv6 block, or one is in use or not of it.
pub(crate) fn assign_v6(
    draft: &mut Draft,
    id: &InterfaceId,
    named: &[Ipv6Addr],
    more: usize,
) -> Result<Vec<Ipv6Addr>, AwsError> {
    if named.is_empty() && more == 0 {
        return Ok(Vec::new());
    }
    let interface = error::get(&draft.interfaces, id)?;
    let subnet = error::get(&draft.subnets, &interface.subnet)?;
    let Some(block) = subnet.block_v6 else {
        let text = format!("The subnet '{}' has no IPv6 CIDR block.", interface.subnet);
        return Err(invalid(text));
    };
    if interface.addresses_v6.len() + named.len() + more > quotas::ADDRESSES_OF_INTERFACE {
        let text = format!("The maximum number of IPv6 addresses of '{id}' has been reached.");
        return Err(refused("PrivateIpAddressLimitExceeded", text));
    }
    let here = draft.interfaces.values().filter(|i| i.subnet == interface.subnet);
    let mut used: BTreeSet<Ipv6Addr> = here.flat_map(|i| i.addresses_v6.iter().copied()).collect();
    let mut given = Vec::new();
    for address in named {
        if !block.contains(address) {
            let text = format!("The address {address} is not in the subnet's block {block}.");
            return Err(invalid(text));
        }
        if reserved_v6(block, *address) {
            return Err(invalid(RESERVED));
        }
        if !used.insert(*address) {
            return Err(refused("InvalidIPAddress.InUse", format!("Address {address} is in use.")));
        }
        given.push(*address);
    }
    while given.len() < named.len() + more {
        let host = u128::from(fastrand::u64(4..u64::MAX));
        let address = Ipv6Addr::from_bits(block.network().to_bits() | host);
        if used.insert(address) {
            given.push(address);
        }
    }
    error::get_mut(&mut draft.interfaces, id)?.addresses_v6.extend(&given);
    Ok(given)
}

/// How many addresses each subnet's interfaces have.
pub(crate) fn counts(d: &Description) -> BTreeMap<&SubnetId, usize> {
    let mut counts = BTreeMap::new();
    for interface in d.interfaces.values() {
        *counts.entry(&interface.subnet).or_default() += interface.addresses.len();
    }
    counts
}

/// Whether an interface of this subnet may have these groups.
///
/// # Errors
/// If one is not there or of another VPC, or they are too many.
pub(crate) fn check_groups(
    d: &Description,
    subnet: &SubnetId,
    groups: &[GroupId],
) -> Result<(), AwsError> {
    let vpc = &error::get(&d.subnets, subnet)?.vpc;
    for group in groups {
        if error::get(&d.groups, group)?.vpc != *vpc {
            let text =
                format!("Security group {group} and subnet {subnet} belong to different networks.");
            return Err(refused("InvalidParameter", text));
        }
    }
    if groups.len() > quotas::GROUPS_OF_INTERFACE {
        let text = "The maximum number of security groups per interface has been reached.";
        return Err(refused("SecurityGroupsPerInterfaceLimitExceeded", text));
    }
    Ok(())
}

/// The groups of an interface in the order in which they were named, none of them twice.
pub(crate) fn each_once(groups: Vec<GroupId>) -> Vec<GroupId> {
    let mut seen = BTreeSet::new();
    groups.into_iter().filter(|id| seen.insert(id.clone())).collect()
}

fn used(d: &Description, subnet: &SubnetId) -> BTreeSet<Ipv4Addr> {
    let here = d.interfaces.values().filter(|interface| interface.subnet == *subnet);
    here.flat_map(|interface| interface.addresses.iter().map(|a| a.address)).collect()
}

const RESERVED: &str = "Address is in subnet's reserved address range";

/// The first four of a subnet's IPv6 addresses and the last one are AWS's (VPC User Guide, "VPC and
/// subnet sizing for IPv6").
fn reserved_v6(block: Ipv6Net, address: Ipv6Addr) -> bool {
    let (first, last) = (block.network().to_bits(), block.broadcast());
    address.to_bits().wrapping_sub(first) < 4 || address == last
}

fn check_v4(subnet: &Subnet, address: Ipv4Addr) -> Result<(), AwsError> {
    if !subnet.block.contains(&address) {
        return Err(invalid("Address does not fall within the subnet's address range"));
    }
    if reserved(subnet.block, address) {
        return Err(invalid(RESERVED));
    }
    Ok(())
}

/// An Ethernet address of those that are nobody's.
fn mac() -> String {
    let n = fastrand::u64(..).to_be_bytes();
    format!("02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", n[0], n[1], n[2], n[3], n[4])
}
