//! The VPCs in which a zone is asked.

use super::zones::{Vpc, free};
use super::{change, error, zone_mut};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use serde::Deserialize;
use serde_json::{Value, json};

/// VPCs of one zone (Developer Guide, "Quotas").
const MAX_VPCS: usize = 300;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Association {
    #[serde(rename = "HostedZoneId")]
    zone: String,
    #[serde(rename = "VPC")]
    vpc: Vpc,
    #[serde(rename = "Comment")]
    comment: Option<String>,
}

pub(super) async fn associate(
    service: &Service,
    _: &Caller,
    input: Association,
) -> Result<Value, AwsError> {
    let associated = service.network.edit(|draft| {
        let name = zone_mut(draft, &input.zone)?.name.clone();
        let vpc = input.vpc.known(draft, service)?;
        free(draft, &name, &vpc)?;
        let zone = zone_mut(draft, &input.zone)?;
        if zone.vpcs.len() >= MAX_VPCS {
            let text = format!("A hosted zone can be associated with {MAX_VPCS} VPCs at most.");
            return Err(error("LimitsExceeded", text));
        }
        zone.vpcs.insert(vpc);
        Ok(())
    });
    associated.await?;
    Ok(json!({"ChangeInfo": change::made(service.now(), input.comment.as_deref())}))
}

pub(super) async fn disassociate(
    service: &Service,
    _: &Caller,
    input: Association,
) -> Result<Value, AwsError> {
    let disassociated = service.network.edit(|draft| {
        let zone = zone_mut(draft, &input.zone)?;
        let vpc = input.vpc.named(service)?;
        if !zone.vpcs.contains(&vpc) {
            let text = "The specified VPC and hosted zone are not currently associated.";
            return Err(error("VPCAssociationNotFound", text));
        }
        if zone.vpcs.len() == 1 {
            let text = "The VPC that you're trying to disassociate from the private hosted zone is \
                        the last VPC that is associated with the hosted zone. Amazon Route 53 \
                        doesn't support disassociating the last VPC from a hosted zone.";
            return Err(error("LastVPCAssociation", text));
        }
        zone.vpcs.remove(&vpc);
        Ok(())
    });
    disassociated.await?;
    Ok(json!({"ChangeInfo": change::made(service.now(), input.comment.as_deref())}))
}
