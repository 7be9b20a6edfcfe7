//! What is shown of network interfaces.

use super::listing::{Filters, Listing};
use super::{places, tags};
use crate::network::Topology;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::InterfaceId;
use belljar_vpc::network::{Interface, PrivateAddress, Subnet};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

const FILTERS: Filters = &[
    ("addresses.association.owner-id", "PrivateIpAddresses.Association.IpOwnerId"),
    ("addresses.association.public-ip", "PrivateIpAddresses.Association.PublicIp"),
    ("addresses.primary", "PrivateIpAddresses.Primary"),
    ("addresses.private-ip-address", "PrivateIpAddresses.PrivateIpAddress"),
    ("association.allocation-id", "Association.AllocationId"),
    ("association.association-id", "Association.AssociationId"),
    ("association.ip-owner-id", "Association.IpOwnerId"),
    ("association.public-ip", "Association.PublicIp"),
    ("association.public-dns-name", "Association.PublicDnsName"),
    ("attachment.attachment-id", "Attachment.AttachmentId"),
    ("attachment.delete-on-termination", "Attachment.DeleteOnTermination"),
    ("attachment.device-index", "Attachment.DeviceIndex"),
    ("attachment.instance-id", "Attachment.InstanceId"),
    ("attachment.instance-owner-id", "Attachment.InstanceOwnerId"),
    ("attachment.status", "Attachment.Status"),
    ("availability-zone", "AvailabilityZone"),
    ("availability-zone-id", "AvailabilityZoneId"),
    ("description", "Description"),
    ("group-id", "Groups.GroupId"),
    ("group-name", "Groups.GroupName"),
    ("interface-type", "InterfaceType"),
    ("ipv6-addresses.ipv6-address", "Ipv6Addresses.Ipv6Address"),
    ("mac-address", "MacAddress"),
    ("network-interface-id", "NetworkInterfaceId"),
    ("owner-id", "OwnerId"),
    ("private-dns-name", "PrivateDnsName"),
    ("private-ip-address", "PrivateIpAddress"),
    ("requester-id", "RequesterId"),
    ("requester-managed", "RequesterManaged"),
    ("source-dest-check", "SourceDestCheck"),
    ("status", "Status"),
    ("subnet-id", "SubnetId"),
    ("vpc-id", "VpcId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let of = ("NetworkInterfaceIds", &now.interfaces);
    listing.of("NetworkInterfaces", of, FILTERS, |id, i| shown(service, &now, id, i))
}

pub(super) fn shown(
    service: &Service,
    now: &Topology,
    id: &InterfaceId,
    interface: &Interface,
) -> Value {
    let subnet = now.subnets.get(&interface.subnet);
    let zone = subnet.map(|subnet| subnet.zone.as_str());
    let addresses = interface.addresses.iter().enumerate().map(|(place, address)| {
        json!({
            "PrivateIpAddress": address.address.to_string(),
            "PrivateDnsName": dns_name(service, now, subnet, address.address),
            "Primary": place == 0,
            "Association": association(service, now, id, address),
        })
    });
    let addresses_v6 = interface.addresses_v6.iter().map(|of| json!({"Ipv6Address": of}));
    let addresses: Vec<Value> = addresses.collect();
    let attached = interface.attachment.as_ref();
    json!({
        "NetworkInterfaceId": id.as_str(),
        "SubnetId": interface.subnet.as_str(),
        "VpcId": subnet.map(|subnet| subnet.vpc.as_str()),
        "AvailabilityZone": zone,
        "AvailabilityZoneId": zone.and_then(|zone| places::zone_id(service, zone)),
        "OwnerId": places::account(service),
        "Description": interface.description,
        "InterfaceType": interface.kind,
        "MacAddress": interface.mac,
        "PrivateIpAddress": addresses.first().map(|of| &of["PrivateIpAddress"]),
        "PrivateDnsName": addresses.first().map(|of| &of["PrivateDnsName"]),
        "Association": addresses.first().map(|of| &of["Association"]),
        "PrivateIpAddresses": addresses,
        "Ipv6Address": interface.addresses_v6.first(),
        "Ipv6Addresses": addresses_v6.collect::<Vec<_>>(),
        "Groups": groups(now, interface),
        "SourceDestCheck": interface.source_dest_check,
        "RequesterManaged": interface.requester_managed,
        "RequesterId": attached.filter(|_| interface.requester_managed).map(|of| &of.owner),
        "Attachment": attachment(now, id, interface),
        "Status": if attached.is_some() { "in-use" } else { "available" },
        "TagSet": tags::shown(&now.tags, id.as_str()),
    })
}

/// `ip-10-0-0-4.ec2.internal`: the name that the VPC's resolver gives it, if it gives names.
fn dns_name(
    service: &Service,
    now: &Topology,
    subnet: Option<&std::sync::Arc<Subnet>>,
    address: Ipv4Addr,
) -> Option<String> {
    let vpc = now.vpcs.get(&subnet?.vpc)?;
    let domain = match places::region(service) {
        "us-east-1" => "ec2.internal".to_owned(),
        other => format!("{other}.compute.internal"),
    };
    let [a, b, c, d] = address.octets();
    (vpc.dns_support && vpc.dns_hostnames).then(|| format!("ip-{a}-{b}-{c}-{d}.{domain}"))
}

/// The public address of a private one.
fn association(
    service: &Service,
    now: &Topology,
    id: &InterfaceId,
    address: &PrivateAddress,
) -> Value {
    for (allocation, elastic) in &now.addresses {
        if let Some((association, of, private)) = &elastic.association
            && of == id
            && *private == address.address
        {
            return json!({
                "AllocationId": allocation.as_str(),
                "AssociationId": association.as_str(),
                "IpOwnerId": places::account(service),
                "PublicIp": elastic.public.to_string(),
            });
        }
    }
    match address.public {
        Some(public) => json!({"PublicIp": public.to_string(), "IpOwnerId": "amazon"}),
        None => Value::Null,
    }
}

pub(super) fn groups(now: &Topology, interface: &Interface) -> Value {
    let name = |id| now.groups.get(id).map(|group| group.name.as_str());
    let groups = interface.groups.iter();
    groups.map(|id| json!({"GroupId": id.as_str(), "GroupName": name(id)})).collect()
}

/// What a service made it for. There are no instances of EC2 that it could be attached to.
pub(super) fn attachment(now: &Topology, id: &InterfaceId, interface: &Interface) -> Value {
    let Some(attachment) = &interface.attachment else { return Value::Null };
    let since = now.created.get(id.as_str()).map(|at| at.millis().div_euclid(1000) as f64);
    json!({
        "AttachmentId": attachment.id.as_str(),
        "AttachTime": since,
        "DeleteOnTermination": false,
        "DeviceIndex": 1,
        "InstanceOwnerId": "amazon-aws",
        "Status": "attached",
    })
}
