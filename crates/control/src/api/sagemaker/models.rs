//! `CreateModel`, `DescribeModel`, `ListModels`, `DeleteModel`.

use super::kind::{Kind, check_role, unfit};
use super::list::{List, Listed};
use super::time::seconds;
use super::{failed, records};
use crate::reconcile::vpc::NO_OUTSIDE_S3;
use crate::request::endpoint;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::VpcConfig;
use belljar_store::list::Order;
use belljar_store::records::{Kind as Table, Record};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Name {
    model_name: String,
}

pub(super) async fn create(service: &Service, _: &Caller, input: Value) -> Result<Value, AwsError> {
    let mut model = endpoint::model(input).map_err(unfit)?;
    check_role(service, model.role.take())?;
    let vpc = model.request.get("VpcConfig").map(VpcConfig::parse).transpose();
    if service.config.outside_s3.is_some() && model.request.get("VpcConfig").is_some() {
        return Err(AwsError::validation(NO_OUTSIDE_S3));
    }
    let network = service.network.current();
    let fits = vpc.and_then(|vpc| vpc.map(|vpc| vpc.check(&network).map(|_| ())).transpose());
    fits.map_err(|e| AwsError::validation(e.to_string()))?;
    let arn = records::create(service, (Table::Model, Kind::Model), model).await?;
    Ok(json!({"ModelArn": arn}))
}

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    input: Name,
) -> Result<Value, AwsError> {
    let name = input.model_name;
    let found = service.db().read(|c| belljar_store::records::get(c, Table::Model, &name));
    let model = found.map_err(|e| failed(&e))?;
    let model = model.ok_or_else(|| Kind::Model.not_found(service, &name))?;
    let mut output = model.request;
    output["ModelArn"] = json!(model.arn);
    output["CreationTime"] = json!(seconds(model.created));
    Ok(output)
}

const LISTED: Listed<Record> = Listed {
    member: "Models",
    order: Order::Descending,
    after_is_from: true,
    statuses: &[],
    page: |c, filter| belljar_store::records::list(c, Table::Model, filter),
    summary: |model| {
        json!({
            "ModelName": model.name,
            "ModelArn": model.arn,
            "CreationTime": seconds(model.created),
        })
    },
};

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    LISTED.answer(service, input)
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Name) -> Result<Value, AwsError> {
    records::delete(service, (Table::Model, Kind::Model), input.model_name).await
}
