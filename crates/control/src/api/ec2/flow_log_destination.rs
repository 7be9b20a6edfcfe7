//! Where the records of flow logs go.

use super::places;
use crate::api::iam::document::Document;
use crate::network::error::refused;
use crate::service::Service;
use belljar_aws::AwsError;
use belljar_store::objects::ObjectError;
use belljar_store::{Connection, StoreError, identity};
use belljar_vpc::network::Destination;
use serde_json::{Value, json};

/// What a request says about its destination.
pub(super) struct Asked<'a> {
    /// `LogDestinationType`.
    pub(super) kind: Option<&'a str>,
    /// `LogGroupName`.
    pub(super) group: Option<&'a str>,
    /// `LogDestination`.
    pub(super) arn: Option<&'a str>,
    /// `DeliverLogsPermissionArn`.
    pub(super) role: Option<&'a str>,
}

fn wrong(text: impl Into<String>) -> AwsError {
    refused("InvalidParameter", text)
}

impl Asked<'_> {
    /// The destination, if records can go there.
    pub(super) fn read(&self, service: &Service) -> Result<Destination, AwsError> {
        match self.kind.unwrap_or("cloud-watch-logs") {
            "cloud-watch-logs" => self.logs(service),
            "s3" => self.s3(service),
            other => {
                let text =
                    format!("Belljar does not serve LogDestinationType {other} of CreateFlowLogs.");
                Err(refused("UnsupportedOperation", text))
            }
        }
    }

    fn logs(&self, service: &Service) -> Result<Destination, AwsError> {
        let group = match (self.group, self.arn) {
            (Some(_), Some(_)) => {
                let text = "Please only provide LogGroupName or only provide LogDestination.";
                return Err(wrong(text));
            }
            (None, None) => return Err(wrong("LogDestination can't be empty.")),
            (Some(group), None) => group,
            (None, Some(arn)) => {
                let front = group_arn(service, "");
                let group = arn.strip_prefix(&front);
                let group = group.map(|group| group.strip_suffix(":*").unwrap_or(group));
                group.ok_or_else(|| wrong(format!("LogDestination: {arn} is undeliverable")))?
            }
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_/#".contains(&b);
        if group.is_empty() || group.len() > 512 || !group.bytes().all(plain) {
            return Err(wrong(format!("The log group name '{group}' is not valid.")));
        }
        let role = self.role.ok_or_else(|| {
            wrong("DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.")
        })?;
        if !service.db().read(|c| may_deliver(c, role)).map_err(|e| crate::api::failed(&e))? {
            return Err(wrong("Unable to assume given IAM role"));
        }
        Ok(Destination::Logs(group.to_owned()))
    }

    fn s3(&self, service: &Service) -> Result<Destination, AwsError> {
        if self.group.is_some() {
            return Err(wrong("LogGroupName is only for the LogDestinationType cloud-watch-logs."));
        }
        if self.role.is_some() {
            let text = "DeliverLogsPermissionArn is not applicable for s3 log destination.";
            return Err(wrong(text));
        }
        let arn = self.arn.ok_or_else(|| wrong("LogDestination can't be empty."))?;
        let path = arn.strip_prefix("arn:aws:s3:::");
        let path = path.ok_or_else(|| wrong(format!("LogDestination: {arn} is undeliverable")))?;
        let (bucket, folder) = path.split_once('/').unwrap_or((path, ""));
        if folder.split('/').any(|part| part == "AWSLogs") {
            return Err(wrong("AWSLogs cannot be used as a subfolder name of LogDestination."));
        }
        let undeliverable = || wrong(format!("LogDestination: {bucket} is undeliverable"));
        if bucket.is_empty() {
            return Err(undeliverable());
        }
        // Objects that are somewhere else are not looked at.
        if service.config.outside_s3.is_none() && !has_bucket(service, bucket)? {
            return Err(undeliverable());
        }
        Ok(Destination::S3(arn.to_owned()))
    }
}

fn has_bucket(service: &Service, name: &str) -> Result<bool, AwsError> {
    match service.objects.bucket_exists(name) {
        Ok(()) => Ok(true),
        Err(ObjectError::NoSuchBucket) => Ok(false),
        Err(e) => {
            tracing::error!(error = %e, "buckets cannot be read");
            Err(AwsError::internal())
        }
    }
}

/// Whether there is the role that delivers records to groups of logs, and its trust lets those who
/// do (VPC User Guide, "IAM role for publishing flow logs to CloudWatch Logs").
pub(crate) fn may_deliver(c: &Connection, arn: &str) -> Result<bool, StoreError> {
    let trusted = |trust: &str| Document::trusts(trust, "vpc-flow-logs.amazonaws.com");
    Ok(identity::find_by_arn(c, arn)?.is_some_and(|role| trusted(&role.trust)))
}

/// The ARN of a group of logs.
pub(super) fn group_arn(service: &Service, group: &str) -> String {
    format!(
        "arn:aws:logs:{}:{}:log-group:{group}",
        places::region(service),
        places::account(service)
    )
}

/// How objects are written: as text, in folders of days.
pub(super) fn plain() -> Value {
    json!({"FileFormat": "plain-text", "HiveCompatiblePartitions": false, "PerHourPartition": false})
}

/// Whether the options are those that are served.
pub(super) fn check_options(options: Option<&Value>) -> Result<(), AwsError> {
    let served = plain();
    let given = options.and_then(Value::as_object).into_iter().flatten();
    for (name, value) in given {
        if served.get(name) != Some(value) {
            let text = format!("Belljar does not serve {name} {value} of CreateFlowLogs.");
            return Err(refused("UnsupportedOperation", text));
        }
    }
    Ok(())
}
