//! What models, endpoint configurations and endpoints have in common: names, ARNs and refusals.

use super::{failed, tag_refusal};
use crate::request::endpoint::{EndpointRequestError, Place};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::arn;
use belljar_store::endpoints::RecordError;
use belljar_store::identity;

/// What is named in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Config,
    Endpoint,
}

impl Kind {
    /// As it stands in an ARN.
    fn of_arn(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Config => "endpoint-config",
            Self::Endpoint => "endpoint",
        }
    }

    /// As it stands in a text.
    fn words(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Config => "endpoint configuration",
            Self::Endpoint => "endpoint",
        }
    }

    pub(super) fn arn(self, service: &Service, name: &str) -> String {
        arn::of(self.of_arn(), &service.config.region, &service.config.account, name)
    }

    /// That there is none of this name.
    pub(super) fn not_found(self, service: &Service, name: &str) -> AwsError {
        let arn = self.arn(service, name);
        AwsError::validation(format!("Could not find {} \"{arn}\".", self.words()))
    }

    /// In SageMaker's words.
    pub(super) fn refusal(self, service: &Service, name: &str, e: &RecordError) -> AwsError {
        match e {
            RecordError::Used(arn) => {
                let words = self.words();
                AwsError::validation(format!("Cannot create already existing {words} \"{arn}\"."))
            }
            RecordError::NotFound => self.not_found(service, name),
            RecordError::Tags(e) => tag_refusal(e),
            RecordError::Store(e) => failed(e),
        }
    }
}

/// A request that is refused.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unfit(e: EndpointRequestError) -> AwsError {
    AwsError::validation(e.to_string())
}

/// Refuses a role that is not there.
pub(super) fn check_role(service: &Service, role: Option<String>) -> Result<(), AwsError> {
    let Some(role) = role else { return Ok(()) };
    match service.db().read(|c| identity::role_exists(c, &role)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unfit(EndpointRequestError::Role(role))),
        Err(e) => Err(failed(&e)),
    }
}

/// Refuses what is not isolated, where `belljar up --require-isolation` says so: as an
/// administrator's policy with the condition key `sagemaker:NetworkIsolation` does.
pub(super) fn check_isolation(
    service: &Service,
    caller: &Caller,
    operation: &str,
) -> Result<(), AwsError> {
    if !service.config.require_isolation {
        return Ok(());
    }
    Err(AwsError::access_denied(format!(
        "User: {} is not authorized to perform: sagemaker:{operation} without network isolation, \
         which this service requires (belljar up --require-isolation): set EnableNetworkIsolation",
        caller.arn
    )))
}

/// Where models are served.
pub(super) fn place(service: &Service) -> Place<'_> {
    let config = &service.config;
    Place {
        region: &config.region,
        account: &config.account,
        machine: config.machine,
        mirrors: &config.mirrors,
    }
}
