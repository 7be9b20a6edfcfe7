//! Peering of VPCs, of one account and region.

use super::listing::{Filters, Listing};
use super::peering_state::{self as state, State};
use super::tags::{self, TagSpecification};
use super::{block, gone, places};
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, Topology, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{PeeringId, VpcId};
use belljar_vpc::network::{Peering, PeeringStatus, Vpc};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The kind of the notes that keep what each side has set.
pub(super) const OPTIONS: &str = "peering-options";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    vpc_id: String,
    peer_vpc_id: Option<String>,
    peer_owner_id: Option<String>,
    peer_region: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "vpc-peering-connection")?;
    let peer = input.peer_vpc_id.ok_or_else(|| super::request::missing_parameter("peerVpcId"))?;
    for (given, own, what) in [
        (&input.peer_owner_id, places::account(service), "PeerOwnerId"),
        (&input.peer_region, places::region(service), "PeerRegion"),
    ] {
        if let Some(other) = given.as_ref().filter(|given| *given != own) {
            let text =
                format!("Belljar does not serve {what} {other} of CreateVpcPeeringConnection.");
            return Err(refused("UnsupportedOperation", text));
        }
    }
    let edit = service.network.edit(|draft| {
        gone::clear(draft);
        let all = draft.peerings.iter();
        let old =
            all.filter(|(id, p)| state::forgotten(p, draft.created(id.as_str()), draft.now()));
        for id in old.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            draft.peerings.remove(&id);
        }
        let (requester, one) = error::named(&draft.vpcs, &input.vpc_id)?;
        let (accepter, other) = error::named(&draft.vpcs, &peer)?;
        if requester == accepter || overlap(one, other) {
            return Err(invalid(OVERLAPS));
        }
        check_new(draft, &requester, &accepter)?;
        let id: PeeringId = draft.fresh();
        let status = PeeringStatus::PendingAcceptance;
        let peering = Peering { requester, accepter, status, dns_resolution: false };
        draft.peerings.insert(id.clone(), Arc::new(peering));
        draft.tag(id.as_str(), tags);
        Ok(id)
    });
    let (id, now) = edit.await?;
    answer(service, &now, &id)
}

/// AWS makes a connection that fails at once with these words.
const OVERLAPS: &str = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range";

/// Whether a block is one of a VPC that this one is peered with, or has asked to be.
pub(super) fn is_peers(d: &Draft, vpc: &VpcId, block: &IpNet) -> bool {
    living(d).any(|p| {
        let other = if p.requester == *vpc { &p.accepter } else { &p.requester };
        let ours = p.requester == *vpc || p.accepter == *vpc;
        let has = |of: &Vpc| of.cidrs.iter().any(|c| block::overlap(&c.block, block));
        ours && d.vpcs.get(other).is_some_and(|of| has(of))
    })
}

/// Whether a VPC has asked for a connection that nobody has answered yet: it gets no further block
/// until then (VPC Peering Guide, "Update CIDR blocks").
pub(super) fn asks(d: &Draft, vpc: &VpcId) -> bool {
    living(d).any(|p| p.requester == *vpc && p.status == PeeringStatus::PendingAcceptance)
}

fn overlap(one: &Vpc, other: &Vpc) -> bool {
    one.cidrs.iter().any(|a| other.cidrs.iter().any(|b| block::overlap(&a.block, &b.block)))
}

/// Those that join two VPCs, or may yet.
fn living(draft: &Draft) -> impl Iterator<Item = &Peering> {
    let all = draft.peerings.iter().map(|(id, peering)| (id, peering.as_ref()));
    all.filter(|(id, p)| state::in_draft(draft, id, p).lives()).map(|(_, peering)| peering)
}

fn check_new(draft: &Draft, requester: &VpcId, accepter: &VpcId) -> Result<(), AwsError> {
    let between = |p: &Peering| {
        (p.requester == *requester && p.accepter == *accepter)
            || (p.requester == *accepter && p.accepter == *requester)
    };
    if living(draft).any(between) {
        let text =
            format!("A VPC peering connection between {requester} and {accepter} already exists.");
        return Err(refused("VpcPeeringConnectionAlreadyExists", text));
    }
    for vpc in [requester, accepter] {
        let of = |p: &&Peering| p.requester == *vpc || p.accepter == *vpc;
        if living(draft).filter(of).count() >= quotas::PEERINGS {
            let text = format!("{vpc} has the most peering connections that it can have.");
            return Err(refused("VpcPeeringConnectionsPerVpcLimitExceeded", text));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    vpc_peering_connection_id: String,
}

pub(super) async fn accept(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let to = (PeeringStatus::Active, "active");
    let edit = service.network.edit(|draft| change(draft, &input, to, |s| s == ASKED));
    let (id, now) = edit.await?;
    answer(service, &now, &id)
}

pub(super) async fn reject(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let to = (PeeringStatus::Rejected, "rejected");
    let edit = service.network.edit(|draft| change(draft, &input, to, |s| s == ASKED));
    edit.await?;
    Ok(json!({"Return": true}))
}

const ASKED: State = State::Is(PeeringStatus::PendingAcceptance);

/// Routes to it stay, as blackholes.
pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let to = (PeeringStatus::Deleted, "deleted");
    let edit = service.network.edit(|draft| change(draft, &input, to, State::lives));
    edit.await?;
    Ok(json!({"Return": true}))
}

fn change(
    draft: &mut Draft,
    input: &Named,
    (to, name): (PeeringStatus, &str),
    from: impl Fn(State) -> bool,
) -> Result<PeeringId, AwsError> {
    let (id, peering) = error::named(&draft.peerings, &input.vpc_peering_connection_id)?;
    let is = state::in_draft(draft, &id, peering);
    if !from(is) {
        let is = is.code();
        let text = format!(
            "Invalid state transition for {id}, attempted to transition from {is} to {name}"
        );
        return Err(refused("InvalidStateTransition", text));
    }
    let peering = error::get_mut(&mut draft.peerings, &id)?;
    peering.status = to;
    if to == PeeringStatus::Active {
        // One of them may be gone since it was asked.
        let (requester, accepter) = (peering.requester.clone(), peering.accepter.clone());
        let (one, other) =
            (error::get(&draft.vpcs, &requester)?, error::get(&draft.vpcs, &accepter)?);
        // Or has had another block.
        if overlap(one, other) {
            return Err(invalid(OVERLAPS));
        }
    }
    if !State::Is(to).lives() {
        gone::mark(draft, id.as_str());
    }
    Ok(id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Modify {
    vpc_peering_connection_id: String,
    requester_peering_connection_options: Option<Options>,
    accepter_peering_connection_options: Option<Options>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Options {
    allow_dns_resolution_from_remote_vpc: Option<bool>,
}

pub(super) async fn modify(
    service: &Service,
    _: &Caller,
    input: Modify,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, peering) = error::named(&draft.peerings, &input.vpc_peering_connection_id)?;
        if peering.status != PeeringStatus::Active {
            let text = format!(
                "Peering {id} is not active. Peering options can be added only to active peerings."
            );
            return Err(refused("OperationNotPermitted", text));
        }
        let mut sides = sides(draft.note(OPTIONS, id.as_str()));
        for (side, given) in sides.iter_mut().zip([
            &input.requester_peering_connection_options,
            &input.accepter_peering_connection_options,
        ]) {
            let allowed = given.as_ref().and_then(|o| o.allow_dns_resolution_from_remote_vpc);
            *side = allowed.unwrap_or(*side);
        }
        draft.set_note(OPTIONS, id.as_str(), json!(sides));
        error::get_mut(&mut draft.peerings, &id)?.dns_resolution = sides == [true, true];
        Ok(sides)
    });
    let (sides, _) = edit.await?;
    let [requester, accepter] = sides.map(options);
    let mut answer = json!({});
    if input.requester_peering_connection_options.is_some() {
        answer["RequesterPeeringConnectionOptions"] = requester;
    }
    if input.accepter_peering_connection_options.is_some() {
        answer["AccepterPeeringConnectionOptions"] = accepter;
    }
    Ok(answer)
}

/// What the requester and the accepter have set.
fn sides(note: Option<&Value>) -> [bool; 2] {
    let at = |place: usize| note.and_then(|n| n.get(place)).and_then(Value::as_bool);
    [at(0).unwrap_or(false), at(1).unwrap_or(false)]
}

fn options(allowed: bool) -> Value {
    json!({"AllowDnsResolutionFromRemoteVpc": allowed})
}

const FILTERS: Filters = &[
    ("accepter-vpc-info.cidr-block", "AccepterVpcInfo.CidrBlock"),
    ("accepter-vpc-info.owner-id", "AccepterVpcInfo.OwnerId"),
    ("accepter-vpc-info.vpc-id", "AccepterVpcInfo.VpcId"),
    ("requester-vpc-info.cidr-block", "RequesterVpcInfo.CidrBlock"),
    ("requester-vpc-info.owner-id", "RequesterVpcInfo.OwnerId"),
    ("requester-vpc-info.vpc-id", "RequesterVpcInfo.VpcId"),
    ("status-code", "Status.Code"),
    ("status-message", "Status.Message"),
    ("vpc-peering-connection-id", "VpcPeeringConnectionId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let mut peerings = now.peerings.clone();
    let at = service.now();
    peerings.retain(|id, peering| {
        let asked = now.created.get(id.as_str()).copied();
        !gone::hidden(&now, at, id.as_str()) && !state::forgotten(peering, asked, at)
    });
    let of = ("VpcPeeringConnectionIds", &peerings);
    listing.of("VpcPeeringConnections", of, FILTERS, |id, p| shown(service, &now, id, p))
}

fn answer(service: &Service, now: &Topology, id: &PeeringId) -> Result<Value, AwsError> {
    let shown = shown(service, now, id, error::get(&now.peerings, id)?);
    Ok(json!({"VpcPeeringConnection": shown}))
}

fn shown(service: &Service, now: &Topology, id: &PeeringId, peering: &Peering) -> Value {
    let note = now.notes.get(&(OPTIONS.to_owned(), id.to_string()));
    let sides = sides(note.map(Arc::as_ref));
    let joined = peering.status == PeeringStatus::Active;
    let info = |vpc: &VpcId, allowed: bool, told: bool| {
        let mut info = json!({
            "OwnerId": places::account(service),
            "VpcId": vpc.as_str(),
            "Region": places::region(service),
        });
        // What it has is told by who was asked, once they are joined.
        if let Some(record) = now.vpcs.get(vpc).filter(|_| told) {
            let blocks: Vec<Value> =
                record.blocks_v4().map(|block| json!({"CidrBlock": block})).collect();
            info["CidrBlock"] = json!(record.blocks_v4().next());
            info["CidrBlockSet"] = blocks.into();
            info["PeeringOptions"] = options(allowed);
        }
        info
    };
    let is = state::shown(now, service.now(), id, peering);
    let expires = state::expiry(now.created.get(id.as_str()).copied())
        .filter(|_| peering.status == PeeringStatus::PendingAcceptance)
        .map(|at| at.millis() as f64 / 1000.0);
    json!({
        "VpcPeeringConnectionId": id.as_str(),
        "RequesterVpcInfo": info(&peering.requester, sides[0], true),
        "AccepterVpcInfo": info(&peering.accepter, sides[1], joined),
        "Status": {"Code": is.code(), "Message": is.message(places::account(service))},
        "ExpirationTime": expires,
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}
