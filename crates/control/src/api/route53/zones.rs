//! Hosted zones.

use super::{bare, change, error, invalid, name, no_zone, not_served, zone, zone_mut};
use crate::network::Draft;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{VpcId, ZoneId};
use belljar_vpc::network::{HostedZone, RecordSet, RecordType};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Zones of an account (Developer Guide, "Quotas").
const MAX_ZONES: usize = 500;
/// The name servers that every private zone names; nobody asks them.
const SERVERS: [&str; 4] = [
    "ns-1536.awsdns-00.co.uk.",
    "ns-0.awsdns-00.com.",
    "ns-1024.awsdns-00.org.",
    "ns-512.awsdns-00.net.",
];
const AUTHORITY: &str =
    "ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";
/// Seconds for which the records that a zone begins with may be kept.
const SERVERS_TTL: u32 = 172_800;
const AUTHORITY_TTL: u32 = 900;
/// Letters and digits of a zone's id behind the `Z`.
const ID: usize = 19;

/// A VPC as requests name it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vpc {
    #[serde(rename = "VPCId")]
    id: Option<String>,
    #[serde(rename = "VPCRegion")]
    region: Option<String>,
}

impl Vpc {
    /// Its id, if it is a VPC of this region that there is.
    pub(super) fn known(&self, draft: &Draft, service: &Service) -> Result<VpcId, AwsError> {
        let id = self.named(service)?;
        if draft.vpcs.contains_key(&id) { Ok(id) } else { Err(unknown_vpc()) }
    }

    /// Its id, whether there is such a VPC or not.
    pub(super) fn named(&self, service: &Service) -> Result<VpcId, AwsError> {
        if let Some(region) = self.region.as_ref().filter(|r| **r != service.config.region) {
            return Err(not_served(format!("VPCs of the region {region}")));
        }
        if self.region.is_none() {
            return Err(invalid("Invalid request: VPCRegion is missing."));
        }
        self.id.as_deref().and_then(|id| id.parse().ok()).ok_or_else(unknown_vpc)
    }
}

fn unknown_vpc() -> AwsError {
    let text = "The VPC ID that you specified either isn't a valid ID or the current account is \
                not authorized to access this VPC.";
    error("InvalidVPCId", text)
}

/// A VPC as answers name it.
pub(super) fn vpc_shown(id: &VpcId, service: &Service) -> Value {
    json!({"VPCId": id.as_str(), "VPCRegion": service.config.region})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    name: String,
    #[serde(rename = "VPC")]
    vpc: Option<Vpc>,
    caller_reference: String,
    hosted_zone_config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Config {
    comment: Option<String>,
    private_zone: Option<bool>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let config = input.hosted_zone_config.unwrap_or_default();
    let Some(vpc) = input.vpc else {
        return Err(match config.private_zone {
            Some(true) => error("InvalidVPCId", "A private hosted zone needs a VPC."),
            _ => not_served("public hosted zones: give a VPC, and PrivateZone in HostedZoneConfig"),
        });
    };
    let name = name::normal(&input.name).map_err(|e| error("InvalidDomainName", e.to_string()))?;
    let reference = input.caller_reference;
    let made = service.network.edit(|draft| {
        if draft.zones.values().any(|zone| zone.caller_reference == reference) {
            let text = "A hosted zone has already been created with the specified caller reference.";
            return Err(error("HostedZoneAlreadyExists", text));
        }
        if draft.zones.len() >= MAX_ZONES {
            let text = format!("Limits Exceeded: MAX_HOSTED_ZONES_BY_OWNER - Cannot create more hosted zones: there are {MAX_ZONES}.");
            return Err(error("TooManyHostedZones", text));
        }
        let vpc = vpc.known(draft, service)?;
        free(draft, &name, &vpc)?;
        let made = HostedZone {
            records: [(name.clone(), beginning())].into(),
            name,
            caller_reference: reference,
            comment: config.comment,
            vpcs: [vpc].into(),
        };
        let id = fresh();
        draft.zones.insert(id.clone(), Arc::new(made.clone()));
        Ok((id, made))
    });
    let ((id, made), _) = made.await?;
    let vpc = made.vpcs.first().map(|vpc| vpc_shown(vpc, service));
    Ok(json!({
        "HostedZone": shown(&id, &made),
        "ChangeInfo": change::made(service.now(), None),
        // The model requires it, though nobody outside can ask these.
        "DelegationSet": {"NameServers": SERVERS},
        "VPC": vpc,
        "Location": format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{id}"),
    }))
}

/// An id with as many characters as fit, with `/hostedzone/`, into what the model allows.
fn fresh() -> ZoneId {
    loop {
        let tail: String = (0..ID).map(|_| fastrand::alphanumeric().to_ascii_uppercase()).collect();
        if let Ok(id) = format!("Z{tail}").parse() {
            return id;
        }
    }
}

/// The records that a zone begins with.
fn beginning() -> BTreeMap<RecordType, RecordSet> {
    let servers =
        RecordSet { ttl: SERVERS_TTL, values: SERVERS.iter().map(|s| (*s).to_owned()).collect() };
    let authority = RecordSet { ttl: AUTHORITY_TTL, values: vec![AUTHORITY.to_owned()] };
    [(RecordType::Ns, servers), (RecordType::Soa, authority)].into()
}

/// Whether a VPC has no zone of a name yet.
pub(super) fn free(draft: &Draft, name: &str, vpc: &VpcId) -> Result<(), AwsError> {
    if draft.zones.values().any(|zone| zone.name == name && zone.vpcs.contains(vpc)) {
        let text =
            "A conflicting domain is already associated with the given VPC or Delegation Set.";
        return Err(error("ConflictingDomainExists", text));
    }
    Ok(())
}

/// A zone as answers have it.
pub(super) fn shown(id: &ZoneId, zone: &HostedZone) -> Value {
    let mut config = json!({"PrivateZone": true});
    if let Some(comment) = &zone.comment {
        config["Comment"] = comment.as_str().into();
    }
    json!({
        "Id": format!("/hostedzone/{id}"),
        "Name": name::shown(&zone.name),
        "CallerReference": zone.caller_reference,
        "Config": config,
        "ResourceRecordSetCount": zone.records.values().map(BTreeMap::len).sum::<usize>(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    id: String,
}

pub(super) async fn get(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let topology = service.network.current();
    let (id, zone) = zone(&topology, &input.id)?;
    let vpcs: Vec<Value> = zone.vpcs.iter().map(|vpc| vpc_shown(vpc, service)).collect();
    Ok(json!({"HostedZone": shown(&id, zone), "VPCs": vpcs}))
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let deleted = service.network.edit(|draft| {
        let zone = zone_mut(draft, &input.id)?;
        let own = |of_name: &BTreeMap<RecordType, RecordSet>| {
            of_name.keys().all(|kind| matches!(kind, RecordType::Ns | RecordType::Soa))
        };
        if !zone.records.iter().all(|(name, of_name)| *name == zone.name && own(of_name)) {
            let text = "The specified hosted zone contains non-required resource record sets and \
                        so cannot be deleted.";
            return Err(error("HostedZoneNotEmpty", text));
        }
        let id: ZoneId = bare(&input.id).parse().map_err(|_| no_zone(&input.id))?;
        draft.zones.remove(&id);
        Ok(())
    });
    deleted.await?;
    Ok(json!({"ChangeInfo": change::made(service.now(), None)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Comment {
    id: String,
    comment: Option<String>,
}

pub(super) async fn comment(
    service: &Service,
    _: &Caller,
    input: Comment,
) -> Result<Value, AwsError> {
    let Comment { id, comment } = input;
    let changed = service.network.edit(|draft| {
        zone_mut(draft, &id)?.comment = comment.filter(|comment| !comment.is_empty());
        Ok(())
    });
    let ((), topology) = changed.await?;
    let (id, zone) = zone(&topology, &id)?;
    Ok(json!({"HostedZone": shown(&id, zone)}))
}
