//! Flow logs.

use super::listing::{Filters, Listing};
use super::tags::{self, TagSpecification};
use super::{flow_log_destination as destination, token, unsuccessful};
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, Topology, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::flow_log::{DEFAULT, Format};
use belljar_vpc::id::FlowLogId;
use belljar_vpc::network::{Destination, FlowLog, Monitored, TrafficType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::str::FromStr;
use std::sync::Arc;

/// Resources of one request (API Reference, `CreateFlowLogs`).
const MAX_RESOURCES: usize = 25;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    #[serde(skip_serializing)]
    client_token: Option<String>,
    deliver_logs_permission_arn: Option<String>,
    log_group_name: Option<String>,
    resource_ids: Vec<String>,
    resource_type: String,
    traffic_type: Option<TrafficType>,
    log_destination_type: Option<String>,
    log_destination: Option<String>,
    log_format: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    max_aggregation_interval: Option<u16>,
    destination_options: Option<Value>,
}

/// What all flow logs of a request have in common.
struct Plan {
    traffic: TrafficType,
    destination: Destination,
    format: String,
    interval: u16,
    role: Option<String>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "vpc-flow-log")?;
    let plan = input.plan(service)?;
    let token = input.client_token.as_deref();
    let edit = service.network.edit(|draft| {
        token::once(draft, ("CreateFlowLogs", token), &input, |draft| {
            let (mut made, mut failed) = (Vec::new(), Vec::new());
            for id in &input.resource_ids {
                match input.make(draft, id, &plan) {
                    Ok(log) => {
                        draft.tag(log.as_str(), tags.clone());
                        made.push(log);
                    }
                    Err(e) => failed.push(unsuccessful::item(id, &e)),
                }
            }
            Ok((made, failed))
        })
    });
    let ((made, failed), _): ((Vec<FlowLogId>, Vec<Value>), _) = edit.await?;
    Ok(json!({
        "ClientToken": input.client_token,
        "FlowLogIds": made,
        "Unsuccessful": failed,
    }))
}

impl Create {
    fn plan(&self, service: &Service) -> Result<Plan, AwsError> {
        if self.resource_ids.is_empty() || self.resource_ids.len() > MAX_RESOURCES {
            return Err(invalid(format!("ResourceIds has 1 to {MAX_RESOURCES} ids.")));
        }
        let traffic = self.traffic_type;
        let traffic = traffic.ok_or_else(|| super::request::missing_parameter("TrafficType"))?;
        let interval = self.max_aggregation_interval.unwrap_or(600);
        if !matches!(interval, 60 | 600) {
            let text = format!("Invalid MaxAggregationInterval {interval}: it is 60 or 600.");
            return Err(refused("InvalidParameter", text));
        }
        let format = self.log_format.as_deref().unwrap_or(DEFAULT);
        Format::from_str(format).map_err(|e| refused("InvalidParameter", e.to_string()))?;
        destination::check_options(self.destination_options.as_ref())?;
        let asked = destination::Asked {
            kind: self.log_destination_type.as_deref(),
            group: self.log_group_name.as_deref(),
            arn: self.log_destination.as_deref(),
            role: self.deliver_logs_permission_arn.as_deref(),
        };
        let destination = asked.read(service)?;
        Ok(Plan {
            traffic,
            destination,
            format: format.to_owned(),
            interval,
            role: self.deliver_logs_permission_arn.clone(),
        })
    }

    fn make(&self, draft: &mut Draft, id: &str, plan: &Plan) -> Result<FlowLogId, AwsError> {
        let of = match self.resource_type.as_str() {
            "VPC" => Monitored::Vpc(error::named(&draft.vpcs, id)?.0),
            "Subnet" => Monitored::Subnet(error::named(&draft.subnets, id)?.0),
            "NetworkInterface" => Monitored::Interface(error::named(&draft.interfaces, id)?.0),
            other => {
                let text =
                    format!("Belljar does not serve ResourceType {other} of CreateFlowLogs.");
                return Err(refused("UnsupportedOperation", text));
            }
        };
        let same = |log: &FlowLog| {
            log.of == of && log.destination == plan.destination && log.traffic == plan.traffic
        };
        if draft.flow_logs.values().any(|log| same(log)) {
            let text = "Error. There is an existing Flow Log with the same configuration and log \
                        destination.";
            return Err(refused("FlowLogAlreadyExists", text));
        }
        if draft.flow_logs.values().filter(|log| log.of == of).count() >= quotas::FLOW_LOGS {
            let text = format!("{id} has the most flow logs that it can have.");
            return Err(refused("FlowLogsLimitExceeded", text));
        }
        let log: FlowLogId = draft.fresh();
        let record = FlowLog {
            of,
            traffic: plan.traffic,
            destination: plan.destination.clone(),
            format: plan.format.clone(),
            interval: plan.interval,
            role: plan.role.clone(),
        };
        draft.flow_logs.insert(log.clone(), Arc::new(record));
        Ok(log)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Delete {
    flow_log_ids: Vec<String>,
}

pub(super) async fn delete(
    service: &Service,
    _: &Caller,
    input: Delete,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        Ok(unsuccessful::each(&input.flow_log_ids, |text| {
            let (id, _) = error::named(&draft.flow_logs, text)?;
            draft.flow_logs.remove(&id);
            Ok(())
        }))
    });
    let (failed, _) = edit.await?;
    Ok(json!({"Unsuccessful": failed}))
}

const FILTERS: Filters = &[
    ("deliver-log-status", "DeliverLogsStatus"),
    ("flow-log-id", "FlowLogId"),
    ("log-destination-type", "LogDestinationType"),
    ("log-group-name", "LogGroupName"),
    ("resource-id", "ResourceId"),
    ("traffic-type", "TrafficType"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    listing.of("FlowLogs", ("FlowLogIds", &now.flow_logs), FILTERS, |id, log| {
        shown(service, &now, id, log)
    })
}

fn shown(service: &Service, now: &Topology, id: &FlowLogId, log: &FlowLog) -> Value {
    let of = match &log.of {
        Monitored::Vpc(id) => id.as_str(),
        Monitored::Subnet(id) => id.as_str(),
        Monitored::Interface(id) => id.as_str(),
    };
    let trouble = service.flow_logs.of(id);
    let mut shown = json!({
        "FlowLogId": id.as_str(),
        "FlowLogStatus": "ACTIVE",
        "DeliverLogsStatus": if trouble.is_some() { "FAILED" } else { "SUCCESS" },
        "DeliverLogsErrorMessage": trouble,
        "ResourceId": of,
        "TrafficType": log.traffic,
        "LogFormat": log.format,
        "MaxAggregationInterval": log.interval,
        "DeliverLogsPermissionArn": log.role,
        "CreationTime": now.created.get(id.as_str()).map(|at| at.millis() as f64 / 1000.0),
        "Tags": tags::shown(&now.tags, id.as_str()),
    });
    match &log.destination {
        Destination::Logs(group) => {
            shown["LogDestinationType"] = "cloud-watch-logs".into();
            shown["LogGroupName"] = group.as_str().into();
            shown["LogDestination"] = destination::group_arn(service, group).into();
        }
        Destination::S3(arn) => {
            shown["LogDestinationType"] = "s3".into();
            shown["LogDestination"] = arn.as_str().into();
            shown["DestinationOptions"] = destination::plain();
        }
    }
    shown
}
