//! Failures in AWS's words.

use super::invalid;
use crate::service::Service;
use crate::serving::{Failure, Fault, MAX_BODY, Routes};
use belljar_aws::{AwsError, Service as Aws};
use std::borrow::Cow;

/// Characters of a message (service model, `Message`).
const MAX_MESSAGE: usize = 2048;

/// An error that a client of AWS understands.
pub(super) fn of(
    failure: &Failure,
    service: &Service,
    endpoint: &str,
    routes: Option<&Routes>,
) -> AwsError {
    let config = &service.config;
    let (region, account) =
        routes.map_or((&config.region, &config.account), |r| (&r.region, &r.account));
    match failure {
        Failure::NoEndpoint => {
            invalid(format!("Endpoint {endpoint} of account {account} not found."))
        }
        Failure::NotInService => invalid(format!(
            "Endpoint {endpoint} of account {account} is not in service: it cannot be invoked."
        )),
        Failure::Refused(text) => invalid(text),
        Failure::Unavailable => Aws::SageMakerRuntime.error(
            "ServiceUnavailable",
            format!("No instance of endpoint {endpoint} can be reached at the moment."),
        ),
        Failure::NoRoom => Aws::SageMakerRuntime
            .error("ServiceUnavailable", "Too many large answers are being passed on; try again."),
        Failure::NotReady(model) => Aws::SageMakerRuntime.error(
            "ModelNotReadyException",
            format!("Model {model} of endpoint {endpoint} is still being loaded; try again."),
        ),
        Failure::NoModel { key, why } => invalid(bounded(format!(
            "Failed to download model data (TargetModel: {key}). Please ensure that there is an object located at the URL and that the role passed to CreateModel has permissions to download the model: {why}"
        ))),
        Failure::Container { container, fault } => {
            let (status, message) = words(container, fault);
            model_error(container, status, &message, endpoint, (region, account))
        }
    }
}

/// The status and the words that stand for what a container did; 0 where it gave none.
fn words<'a>(container: &str, fault: &'a Fault) -> (u16, Cow<'a, str>) {
    match fault {
        Fault::Answered { status, message } => (*status, String::from_utf8_lossy(message)),
        Fault::TimedOut => (
            0,
            format!(
                "Your invocation timed out while waiting for a response from container {container}. Review the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
            )
            .into(),
        ),
        Fault::Exited => (
            0,
            "An error occurred while handling request as the model process exited.".into(),
        ),
        Fault::Garbage => (0, "The container's response is not HTTP/1.1.".into()),
        Fault::TooLong => {
            (0, format!("The container's response has more than {MAX_BODY} bytes.").into())
        }
    }
}

fn model_error(
    container: &str,
    status: u16,
    message: &str,
    endpoint: &str,
    (region, account): (&str, &str),
) -> AwsError {
    let side = if (400..500).contains(&status) { "client" } else { "server" };
    let group = format!("/aws/sagemaker/Endpoints/{endpoint}");
    let begin = format!("Received {side} error ({status}) from {container} with message \"");
    let end = format!(
        "\". See https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} in account {account} for more information."
    );
    let room = MAX_MESSAGE.saturating_sub(begin.len() + end.len());
    let shown: String = message.chars().take(room).collect();
    Aws::SageMakerRuntime
        .error("ModelError", format!("{begin}{shown}{end}"))
        .with("OriginalStatusCode", status)
        .with("OriginalMessage", bounded(message.to_owned()))
        .with("LogStreamArn", format!("arn:aws:logs:{region}:{account}:log-group:{group}"))
}

fn bounded(text: String) -> String {
    if text.len() <= MAX_MESSAGE { text } else { text.chars().take(MAX_MESSAGE).collect() }
}
