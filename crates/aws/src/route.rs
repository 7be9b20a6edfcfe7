//! Which service a request is for.

use crate::error::AwsError;
use crate::form;
use crate::model::Protocol;
use crate::service::Service;
use crate::sigv4;
use http::Method;
use http::request::Parts;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The service.
    pub service: Service,
    /// The operation as the request names it, where the head alone says so. A form names it in the
    /// body: [`crate::decode`] settles it.
    pub operation: Option<String>,
}

/// The form of an error's answer, for a request that no service could be found for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorForm {
    /// The form of a service.
    Of(Service),
    /// `JSON`, as targets and signatures of unknown services get.
    Json,
    /// The query protocol's `XML`.
    Query,
}

impl From<Service> for ErrorForm {
    fn from(service: Service) -> Self {
        Self::Of(service)
    }
}

impl ErrorForm {
    /// The form that the sender of a request most likely reads.
    #[must_use]
    pub fn guess(parts: &Parts) -> Self {
        if let Ok(route) = route(parts) {
            return Self::Of(route.service);
        }
        if is_form(parts) || action(parts).is_some() { Self::Query } else { Self::Json }
    }
}

/// Finds the service by, in this order: the target header, the scope of the signature, the host,
/// the parameter `Action` or a form as body, the path of an invocation; what is left is for objects.
///
/// # Errors
/// If the request names a service that is not known here, or a target that is not of the service
/// that it is signed for.
pub fn route(parts: &Parts) -> Result<Route, AwsError> {
    let signed = sigv4::scope_service(parts);
    if let Some(target) = parts.headers.get("x-amz-target") {
        return by_target(target.to_str().unwrap_or_default(), signed.as_deref());
    }
    if let Some(name) = signed {
        let service = by_signing_name(&name, parts).ok_or_else(|| not_served(&name))?;
        return Ok(Route { service, operation: operation(service, parts) });
    }
    let service = match by_host(parts) {
        Some(service) => service,
        None if action(parts).is_some() || is_form(parts) => Service::Sts,
        None if is_invocation(parts) => Service::SageMakerRuntime,
        None => Service::S3,
    };
    Ok(Route { service, operation: operation(service, parts) })
}

fn by_target(target: &str, signed: Option<&str>) -> Result<Route, AwsError> {
    let (prefix, operation) = target.rsplit_once('.').unwrap_or(("", target));
    // Some clients send a name space before the prefix.
    let prefix = prefix.rsplit_once('#').map_or(prefix, |(_, prefix)| prefix);
    let found = [Service::SageMaker, Service::Logs]
        .into_iter()
        .find(|service| service.model().about().target_prefix == prefix);
    match (found, signed) {
        (Some(service), _) => Ok(Route { service, operation: Some(operation.to_owned()) }),
        (None, Some(name)) if is_known(name) => Err(unknown_operation()),
        (None, Some(name)) => Err(not_served(name)),
        (None, None) => Err(unknown_operation()),
    }
}

fn is_known(name: &str) -> bool {
    Service::ALL.iter().any(|service| service.signing_name() == name)
}

fn by_signing_name(name: &str, parts: &Parts) -> Option<Service> {
    Some(match name {
        "sagemaker" if parts.uri.path().starts_with("/endpoints/") => Service::SageMakerRuntime,
        "sagemaker" => Service::SageMaker,
        "logs" => Service::Logs,
        "sts" => Service::Sts,
        "iam" => Service::Iam,
        "route53" => Service::Route53,
        "ec2" => Service::Ec2,
        "s3" | "s3express" => Service::S3,
        _ => return None,
    })
}

/// The service whose public name the request is sent to: `sts.us-east-1.amazonaws.com`.
fn by_host(parts: &Parts) -> Option<Service> {
    let host = parts.uri.host().or_else(|| parts.headers.get("host")?.to_str().ok())?;
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let name = host.strip_suffix(".amazonaws.com")?;
    let is = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    [
        ("api.sagemaker", Service::SageMaker),
        ("runtime.sagemaker", Service::SageMakerRuntime),
        ("logs", Service::Logs),
        ("sts", Service::Sts),
        ("iam", Service::Iam),
        ("route53", Service::Route53),
        ("ec2", Service::Ec2),
    ]
    .into_iter()
    .find_map(|(prefix, service)| is(prefix).then_some(service))
}

/// The operation, where the head says it.
fn operation(service: Service, parts: &Parts) -> Option<String> {
    match service.model().protocol() {
        Protocol::Query | Protocol::Ec2 => action(parts),
        _ => None,
    }
}

/// The parameter `Action` of the query string.
fn action(parts: &Parts) -> Option<String> {
    let pairs = form::pairs(parts.uri.query()?.as_bytes(), true)?;
    pairs.into_iter().find_map(|(name, value)| (name == "Action").then_some(value))
}

/// Whether the body is a form for the root, which no request for objects is.
fn is_form(parts: &Parts) -> bool {
    let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    parts.method == Method::POST
        && parts.uri.path() == "/"
        && kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// Whether it is for an endpoint, by its path: of no object, which nobody POSTs without a query.
fn is_invocation(parts: &Parts) -> bool {
    let path = parts.uri.path().strip_prefix("/endpoints/");
    let road = path.and_then(|path| path.split_once('/')).map_or("", |(_, road)| road);
    let roads = ["invocations", "async-invocations", "invocations-response-stream"];
    parts.method == Method::POST && parts.uri.query().is_none() && roads.contains(&road)
}

fn not_served(name: &str) -> AwsError {
    let shown: String = name.chars().take(64).collect();
    AwsError::new(
        400,
        "UnsupportedOperation",
        format!("Belljar does not serve the service '{}'.", shown.escape_debug()),
    )
}

pub(crate) fn unknown_operation() -> AwsError {
    AwsError::new(400, "UnknownOperationException", "The requested operation is not known.")
}
