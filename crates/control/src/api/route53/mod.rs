//! Route 53: private hosted zones, which the resolver of their VPCs answers from.
//!
//! Public zones are refused by name: nobody outside asks this machine.

mod associations;
mod batch;
mod change;
mod lists;
mod name;
mod records;
mod tags;
mod value;
mod zones;

use crate::network::{Draft, Topology};
use crate::service::table::{Entry, operation};
use belljar_aws::{AwsError, Service as Aws};
use belljar_vpc::id::ZoneId;
use belljar_vpc::network::HostedZone;
use std::sync::Arc;

/// What is served.
pub(crate) const OPERATIONS: &[Entry] = &[
    operation!("AssociateVPCWithHostedZone", associations::associate),
    operation!("ChangeResourceRecordSets", records::change),
    operation!("ChangeTagsForResource", tags::change),
    operation!("CreateHostedZone", zones::create),
    operation!("DeleteHostedZone", zones::delete),
    operation!("DisassociateVPCFromHostedZone", associations::disassociate),
    operation!("GetChange", change::get),
    operation!("GetHostedZone", zones::get),
    operation!("ListHostedZones", lists::all),
    operation!("ListHostedZonesByName", lists::by_name),
    operation!("ListHostedZonesByVPC", lists::by_vpc),
    operation!("ListResourceRecordSets", records::list),
    operation!("ListTagsForResource", tags::list),
    operation!("UpdateHostedZoneComment", zones::comment),
];

/// One of the errors of the model.
fn error(name: &'static str, message: impl Into<String>) -> AwsError {
    Aws::Route53.error(name, message)
}

/// The error of a request that is valid by the model and wrong beyond it.
fn invalid(message: impl Into<String>) -> AwsError {
    error("InvalidInput", message)
}

fn not_served(what: impl std::fmt::Display) -> AwsError {
    invalid(format!("Belljar does not serve {what}."))
}

/// The id in `/hostedzone/Z123`, or alone.
fn bare(id: &str) -> &str {
    id.strip_prefix("/hostedzone/").unwrap_or(id)
}

fn no_zone(id: &str) -> AwsError {
    error("NoSuchHostedZone", format!("No hosted zone found with ID: {}", bare(id)))
}

/// A zone by its id.
fn zone<'a>(topology: &'a Topology, id: &str) -> Result<(ZoneId, &'a HostedZone), AwsError> {
    let known: ZoneId = bare(id).parse().map_err(|_| no_zone(id))?;
    let zone = topology.zones.get(&known).ok_or_else(|| no_zone(id))?;
    Ok((known, zone))
}

/// A zone that is to be changed.
fn zone_mut<'a>(draft: &'a mut Draft, id: &str) -> Result<&'a mut HostedZone, AwsError> {
    let known: ZoneId = bare(id).parse().map_err(|_| no_zone(id))?;
    let zone = draft.zones.get_mut(&known).ok_or_else(|| no_zone(id))?;
    Ok(Arc::make_mut(zone))
}
