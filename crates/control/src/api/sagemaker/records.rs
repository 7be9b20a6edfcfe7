//! Models and endpoint configurations, as far as they are alike.

use super::kind::Kind;
use crate::request::endpoint::AcceptedRecord;
use crate::service::Service;
use belljar_aws::AwsError;
use belljar_store::records::{self, Kind as Table, Record};
use serde_json::{Value, json};

/// Keeps a new one; its ARN.
pub(super) async fn create(
    service: &Service,
    (table, kind): (Table, Kind),
    accepted: AcceptedRecord,
) -> Result<String, AwsError> {
    let AcceptedRecord { name, request, tags, .. } = accepted;
    let arn = kind.arn(service, &name);
    let record = Record { name: name.clone(), arn: arn.clone(), created: service.now(), request };
    let kept = service.db().write(move |c| records::create(c, table, &record, &tags)).await;
    kept.map_err(|e| kind.refusal(service, &name, &e))?;
    Ok(arn)
}

/// Forgets one.
pub(super) async fn delete(
    service: &Service,
    (table, kind): (Table, Kind),
    name: String,
) -> Result<Value, AwsError> {
    let which = name.clone();
    let gone = service.db().write(move |c| records::delete(c, table, &which)).await;
    gone.map_err(|e| kind.refusal(service, &name, &e))?;
    Ok(json!({}))
}
