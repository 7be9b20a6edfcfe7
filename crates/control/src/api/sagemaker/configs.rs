//! `CreateEndpointConfig`, `DescribeEndpointConfig`, `ListEndpointConfigs`, `DeleteEndpointConfig`.

use super::kind::{Kind, check_role, place, unfit};
use super::list::{List, Listed};
use super::time::seconds;
use super::{failed, records};
use crate::request::endpoint::{self, Deployed};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::list::Order;
use belljar_store::records::{self as table, Kind as Table, Record};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Name {
    endpoint_config_name: String,
}

pub(super) async fn create(service: &Service, _: &Caller, input: Value) -> Result<Value, AwsError> {
    let mut config = endpoint::config(input).map_err(unfit)?;
    check_role(service, config.role.take())?;
    // Only to say at once what could not be deployed.
    deployed(service, &config.request)?;
    let arn = records::create(service, (Table::EndpointConfig, Kind::Config), config).await?;
    Ok(json!({"EndpointConfigArn": arn}))
}

/// What a configuration comes to, with its models as they are now.
pub(super) fn deployed(service: &Service, config: &Value) -> Result<Deployed, AwsError> {
    let mut broken = None;
    let model = |name: &str| match service.db().read(|c| table::get(c, Table::Model, name)) {
        Ok(found) => found.map(|model| model.request),
        Err(e) => {
            broken = Some(failed(&e));
            None
        }
    };
    let deployed = endpoint::deployment(config, model, &place(service));
    match broken {
        Some(e) => Err(e),
        None => deployed.map_err(unfit),
    }
}

/// A configuration, by its name.
pub(super) fn find(service: &Service, name: &str) -> Result<Record, AwsError> {
    let found = service.db().read(|c| table::get(c, Table::EndpointConfig, name));
    found.map_err(|e| failed(&e))?.ok_or_else(|| Kind::Config.not_found(service, name))
}

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    input: Name,
) -> Result<Value, AwsError> {
    let config = find(service, &input.endpoint_config_name)?;
    let mut output = config.request;
    output["EndpointConfigArn"] = json!(config.arn);
    output["CreationTime"] = json!(seconds(config.created));
    Ok(output)
}

const LISTED: Listed<Record> = Listed {
    member: "EndpointConfigs",
    order: Order::Descending,
    after_is_from: true,
    statuses: &[],
    page: |c, filter| table::list(c, Table::EndpointConfig, filter),
    summary: |config| {
        json!({
            "EndpointConfigName": config.name,
            "EndpointConfigArn": config.arn,
            "CreationTime": seconds(config.created),
        })
    },
};

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    LISTED.answer(service, input)
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Name) -> Result<Value, AwsError> {
    let kinds = (Table::EndpointConfig, Kind::Config);
    records::delete(service, kinds, input.endpoint_config_name).await
}
