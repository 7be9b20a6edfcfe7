//! Network ACLs and what they guard. Their entries are in `acl_entry`.

use super::listing::{Filters, Listing};
use super::tags::{self, TagSpecification};
use super::{acl_entry, places, token};
use crate::network::error::{self, dependency, invalid, refused};
use crate::network::{Topology, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{AclAssociationId, AclId};
use belljar_vpc::network::NetworkAcl;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    vpc_id: String,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    #[serde(skip_serializing)]
    client_token: Option<String>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "network-acl")?;
    let token = input.client_token.as_deref();
    let edit = service.network.edit(|draft| {
        token::once(draft, ("CreateNetworkAcl", token), &input, |draft| {
            let (vpc, _) = error::named(&draft.vpcs, &input.vpc_id)?;
            if draft.acls.values().filter(|acl| acl.vpc == vpc).count() >= quotas::ACLS {
                let text = "The maximum number of network acls has been reached.";
                return Err(refused("NetworkAclLimitExceeded", text));
            }
            let id: AclId = draft.fresh();
            let acl = NetworkAcl {
                vpc,
                is_default: false,
                ingress: BTreeMap::new(),
                egress: BTreeMap::new(),
                associations: BTreeMap::new(),
            };
            draft.acls.insert(id.clone(), Arc::new(acl));
            draft.tag(id.as_str(), tags);
            Ok(id)
        })
    });
    let (id, now) = edit.await?;
    let acl = shown(service, &now, &id, error::get(&now.acls, &id)?);
    Ok(json!({"NetworkAcl": acl, "ClientToken": token}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    network_acl_id: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, acl) = error::named(&draft.acls, &input.network_acl_id)?;
        if acl.is_default {
            return Err(invalid(format!("cannot delete default network ACL {id}")));
        }
        if !acl.associations.is_empty() {
            let text = format!("The networkAcl '{id}' has dependencies and cannot be deleted.");
            return Err(dependency(text));
        }
        draft.acls.remove(&id);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Replace {
    association_id: String,
    network_acl_id: String,
}

pub(super) async fn replace(
    service: &Service,
    _: &Caller,
    input: Replace,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let association: AclAssociationId = error::id(&input.association_id)?;
        let (new, record) = error::named(&draft.acls, &input.network_acl_id)?;
        let found = draft.acls.iter().find_map(|(id, acl)| {
            let subnet = acl.associations.iter().find(|(_, of)| **of == association)?.0;
            Some((id.clone(), subnet.clone()))
        });
        let (old, subnet) = found.ok_or_else(|| error::not_found(&association))?;
        if error::get(&draft.acls, &old)?.vpc != record.vpc {
            let text =
                format!("network acl {new} and subnet {subnet} belong to different networks");
            return Err(invalid(text));
        }
        let association: AclAssociationId = draft.fresh();
        error::get_mut(&mut draft.acls, &old)?.associations.remove(&subnet);
        let acl = error::get_mut(&mut draft.acls, &new)?;
        acl.associations.insert(subnet, association.clone());
        Ok(association)
    });
    let (association, _) = edit.await?;
    Ok(json!({"NewAssociationId": association.as_str()}))
}

const FILTERS: Filters = &[
    ("association.association-id", "Associations.NetworkAclAssociationId"),
    ("association.network-acl-id", "Associations.NetworkAclId"),
    ("association.subnet-id", "Associations.SubnetId"),
    ("default", "IsDefault"),
    ("entry.cidr", "Entries.CidrBlock"),
    ("entry.egress", "Entries.Egress"),
    ("entry.icmp.code", "Entries.IcmpTypeCode.Code"),
    ("entry.icmp.type", "Entries.IcmpTypeCode.Type"),
    ("entry.ipv6-cidr", "Entries.Ipv6CidrBlock"),
    ("entry.port-range.from", "Entries.PortRange.From"),
    ("entry.port-range.to", "Entries.PortRange.To"),
    ("entry.protocol", "Entries.Protocol"),
    ("entry.rule-action", "Entries.RuleAction"),
    ("entry.rule-number", "Entries.RuleNumber"),
    ("network-acl-id", "NetworkAclId"),
    ("owner-id", "OwnerId"),
    ("vpc-id", "VpcId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let of = ("NetworkAclIds", &now.acls);
    listing.of("NetworkAcls", of, FILTERS, |id, acl| shown(service, &now, id, acl))
}

fn shown(service: &Service, now: &Topology, id: &AclId, acl: &NetworkAcl) -> Value {
    let associations = acl.associations.iter().map(|(subnet, of)| {
        json!({
            "NetworkAclAssociationId": of.as_str(),
            "NetworkAclId": id.as_str(),
            "SubnetId": subnet.as_str(),
        })
    });
    json!({
        "NetworkAclId": id.as_str(),
        "VpcId": acl.vpc.as_str(),
        "OwnerId": places::account(service),
        "IsDefault": acl.is_default,
        "Associations": associations.collect::<Vec<_>>(),
        "Entries": acl_entry::shown(now, acl),
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}
