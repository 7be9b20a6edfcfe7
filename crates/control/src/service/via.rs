//! What a VPC endpoint lets through: requests for its own service, as far as its policy allows
//! them. The policy is applied after the signature was verified, beside all else that may refuse.

use super::Service;
use crate::execution::Principal;
use belljar_aws::{AwsError, Service as Aws};
use belljar_domain::proxy::Proxied;
use belljar_store::identity::Owner;
use belljar_store::{State, StoreError};
use belljar_vpc::id::EndpointId;
use belljar_vpc::network::{self, Endpoint, EndpointKind};
use belljar_vpc::policy::{self, Request};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The VPC endpoint by which a request came.
#[derive(Debug, Clone)]
pub(crate) struct Via {
    /// It.
    pub(crate) id: EndpointId,
    /// Its record, as it was when the request came.
    pub(crate) endpoint: Arc<Endpoint>,
    /// Who sent it: an address in the VPC.
    pub(crate) source: IpAddr,
    /// The service's account.
    pub(crate) account: String,
    /// Whose keys are whose.
    state: Arc<State>,
}

/// What a request asks for, as policies name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Who signed it.
    pub(crate) principal: &'a Principal,
    /// `s3:GetObject`.
    pub(crate) action: &'a str,
    /// An ARN, or `*`.
    pub(crate) resource: &'a str,
}

/// The last part of an endpoint's `ServiceName`: `sagemaker.api`.
fn endpoint_name(aws: Aws) -> &'static str {
    match aws {
        Aws::SageMaker => "sagemaker.api",
        Aws::SageMakerRuntime => "sagemaker.runtime",
        other => other.signing_name(),
    }
}

impl Via {
    /// The endpoint that a connection came by, as it is now.
    ///
    /// # Errors
    /// If there is none any more.
    pub(super) fn find(service: &Service, proxied: &Proxied) -> Result<Self, AwsError> {
        let id = proxied.endpoint.clone();
        let Some(endpoint) = service.network.current().endpoints.get(&id).cloned() else {
            let text = format!("The VPC endpoint {id} does not exist.");
            return Err(AwsError::new(403, "AccessDenied", text));
        };
        let (source, account) = (proxied.source.ip(), service.config.account.clone());
        Ok(Self { id, endpoint, source, account, state: service.state.clone() })
    }

    /// As whom its policy sees whoever has a key.
    ///
    /// # Errors
    /// If the state fails.
    pub(crate) fn principal(&self, owner: &Owner) -> Result<Principal, StoreError> {
        self.state.db().read(|c| Principal::of(c, owner, &self.account))
    }

    /// Whether it is an endpoint of this service.
    ///
    /// # Errors
    /// If it is one of another.
    pub(super) fn serves(&self, aws: Aws) -> Result<(), AwsError> {
        let name = network::service(&self.endpoint.service).map(|(_, name)| name);
        if name == Some(endpoint_name(aws)) {
            return Ok(());
        }
        let (id, of) = (&self.id, &self.endpoint.service);
        let text = format!("The VPC endpoint {id} is for {of}, and does not serve {aws}.");
        Err(AwsError::new(403, "AccessDenied", text))
    }

    /// Whether its policy allows an operation of a service on everything that its input names.
    ///
    /// # Errors
    /// If it does not.
    pub(super) fn allows_call(
        &self,
        principal: &Principal,
        (aws, operation): (Aws, &str),
        region: &str,
        input: &Value,
    ) -> Result<(), AwsError> {
        let action = format!("{}:{operation}", aws.signing_name());
        let scope = format!("arn:aws:{}:{region}:{}", aws.signing_name(), self.account);
        for resource in resources(aws, &scope, input) {
            let wanted = Wanted { principal, action: &action, resource: &resource };
            self.allows(wanted).map_err(|text| match aws {
                // The services of the query protocol say it with their own code and status.
                Aws::Sts | Aws::Iam => AwsError::new(403, "AccessDenied", text),
                _ => AwsError::access_denied(text),
            })?;
        }
        Ok(())
    }
}

impl Via {
    /// Whether its policy allows this. Without one it allows all.
    ///
    /// # Errors
    /// If it does not: AWS's sentence.
    pub(crate) fn allows(&self, wanted: Wanted<'_>) -> Result<(), String> {
        let Wanted { principal, action, resource } = wanted;
        let mut request = asked(principal, &self.account, action, resource);
        request.context.extend(self.context());
        request.gateway = matches!(self.endpoint.kind, EndpointKind::Gateway { .. });
        let allowed = policy::allows(self.endpoint.policy.as_deref(), &request);
        match allowed.inspect_err(|e| tracing::error!(error = %e, "a policy cannot be read")) {
            Ok(true) => Ok(()),
            _ => Err(format!(
                "User: {} is not authorized to perform: {action} on resource: \"{resource}\" \
                 because no VPC endpoint policy allows the {action} action ({})",
                principal.arn, self.id
            )),
        }
    }

    /// What conditions can ask of the way (IAM User Guide, "AWS global condition context keys").
    fn context(&self) -> BTreeMap<String, Vec<String>> {
        let one = |name: &str, value: String| (name.to_owned(), vec![value]);
        BTreeMap::from([
            one("aws:SourceVpce", self.id.to_string()),
            one("aws:SourceVpc", self.endpoint.vpc.to_string()),
            one("aws:VpcSourceIp", self.source.to_string()),
        ])
    }
}

/// What a policy is asked, but for the way by which the request comes.
pub(crate) fn asked(principal: &Principal, account: &str, action: &str, resource: &str) -> Request {
    let one = |name: &str, value: &str| (name.to_owned(), vec![value.to_owned()]);
    Request {
        action: action.to_owned(),
        resource: resource.to_owned(),
        principal: principal.arn.clone(),
        account: account.to_owned(),
        gateway: false,
        context: BTreeMap::from([
            one("aws:PrincipalArn", &principal.of),
            one("aws:PrincipalAccount", account),
            one("aws:ResourceAccount", account),
        ]),
    }
}

/// What an operation is about, by the names in its input. (Service Authorization Reference, of the
/// services that are served.)
fn resources(aws: Aws, scope: &str, input: &Value) -> Vec<String> {
    const SAGEMAKER: [(&str, &str); 4] = [
        ("TrainingJobName", "training-job"),
        ("ModelName", "model"),
        ("EndpointConfigName", "endpoint-config"),
        ("EndpointName", "endpoint"),
    ];
    let member = |name: &str| input.get(name).and_then(Value::as_str);
    let mut all = Vec::new();
    match aws {
        Aws::SageMaker | Aws::SageMakerRuntime => {
            all.extend(member("ResourceArn").map(str::to_owned));
            let named = SAGEMAKER.iter().filter_map(|(of, kind)| Some((member(of)?, kind)));
            // The names are the same in whatever case; in an ARN they are in lower case.
            all.extend(named.map(|(name, kind)| format!("{scope}:{kind}/{}", name.to_lowercase())));
        }
        Aws::Logs => {
            let stream = member("logStreamName").map(|s| format!(":log-stream:{s}"));
            let group = member("logGroupName").map(|g| format!("{scope}:log-group:{g}"));
            all.extend(group.map(|group| group + &stream.unwrap_or_default()));
        }
        Aws::Sts => all.extend(member("RoleArn").map(str::to_owned)),
        _ => {}
    }
    if all.is_empty() {
        all.push("*".to_owned());
    }
    all
}
