//! `InvokeEndpointAsync`: what is asked for is written down before it is answered, and carried out
//! by [`queue`], which goes on where a service that was killed had been.

pub(crate) mod queue;
mod work;

use super::{error, invalid};
use crate::api::failed;
use crate::service::table::{Entry, operation};
use crate::service::{Caller, Service};
use crate::serving::Failure;
use belljar_aws::AwsError;
use belljar_domain::Timestamp;
use belljar_domain::endpoint::Asynchronous;
use belljar_store::endpoints::async_requests::{self, AsyncRequest, Headers};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The operations.
pub(crate) const OPERATIONS: &[Entry] = &[operation!("InvokeEndpointAsync", invoke)];

/// `RequestTTLSeconds` if none is given (service model).
const TTL_SECONDS: u64 = 21_600;
/// `InvocationTimeoutSeconds` if none is given (service model).
const TIMEOUT_SECONDS: u64 = 900;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Input {
    endpoint_name: String,
    input_location: Option<String>,
    content_type: Option<String>,
    accept: Option<String>,
    custom_attributes: Option<String>,
    inference_id: Option<String>,
    #[serde(rename = "RequestTTLSeconds")]
    ttl: Option<u64>,
    #[serde(rename = "InvocationTimeoutSeconds")]
    timeout: Option<u64>,
    #[serde(rename = "S3OutputPathExtension")]
    extension: Option<String>,
    filename: Option<String>,
}

async fn invoke(service: &Service, _: &Caller, input: Input) -> Result<Value, AwsError> {
    let config = asynchronous(service, &input.endpoint_name)?;
    let request = request(input, &config, service.now())?;
    let mut output = json!({
        "InferenceId": request.inference_id,
        "OutputLocation": request.output,
    });
    if let Some(failure) = &request.failure {
        output["FailureLocation"] = json!(failure);
    }
    let written = service.db().write(move |c| async_requests::enqueue(c, &request));
    written.await.map_err(|e| failed(&e))?;
    service.asked.notify_one();
    Ok(output)
}

/// What the endpoint says of such requests.
fn asynchronous(service: &Service, name: &str) -> Result<Asynchronous, AwsError> {
    if service.config.outside_s3.is_some() {
        return Err(invalid("Belljar does not serve InvokeEndpointAsync with an S3 elsewhere."));
    }
    let refused = |failure, routes| error::of(failure, service, name, routes);
    let routes = service.endpoints.get(name);
    let routes = routes.ok_or_else(|| refused(&Failure::NoEndpoint, None))?;
    // What waits goes with its endpoint: none is accepted by one that goes.
    if !routes.in_service {
        return Err(refused(&Failure::NotInService, Some(&routes)));
    }
    routes.asynchronous.clone().ok_or_else(|| {
        invalid(format!(
            "Endpoint {name} has no AsyncInferenceConfig: it is invoked by InvokeEndpoint."
        ))
    })
}

fn request(input: Input, config: &Asynchronous, now: Timestamp) -> Result<AsyncRequest, AwsError> {
    let location = input.input_location.ok_or_else(|| {
        invalid("InputLocation is required: Belljar does not serve a Body of InvokeEndpointAsync.")
    })?;
    if work::place(&location).is_none() {
        return Err(invalid(format!("InputLocation '{location}' is no object's URI.")));
    }
    let path = config.output.as_deref().ok_or_else(|| {
        invalid("The endpoint's AsyncInferenceConfig has no S3OutputPath: give it one.")
    })?;
    let id = id().ok_or_else(AwsError::internal)?;
    let below = input.extension.as_deref().map(|e| e.trim_matches('/')).unwrap_or_default();
    let name = input.filename.unwrap_or_else(|| format!("{id}.out"));
    let millis = |seconds: u64| seconds.saturating_mul(1000);
    let ttl = millis(input.ttl.unwrap_or(TTL_SECONDS));
    Ok(AsyncRequest {
        endpoint: input.endpoint_name,
        input: location,
        output: joined(path, below, &name),
        failure: config.failure.as_deref().map(|p| joined(p, below, &format!("{id}-error.out"))),
        headers: Headers {
            content_type: input.content_type,
            accept: input.accept,
            custom_attributes: input.custom_attributes,
        },
        inference_id: input.inference_id.unwrap_or_else(|| id.clone()),
        created: now,
        expires: Timestamp::from_millis(now.millis().saturating_add_unsigned(ttl)),
        timeout_seconds: input.timeout.unwrap_or(TIMEOUT_SECONDS),
        id,
    })
}

fn joined(path: &str, below: &str, name: &str) -> String {
    let parts = [path.trim_end_matches('/'), below, name];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// A UUID (RFC 9562, version 4); `None` if there are no random numbers.
fn id() -> Option<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        write!(text, "{byte:02x}").ok()?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Tested;
    use crate::serving::testing::routes;

    fn config() -> Asynchronous {
        Asynchronous {
            output: Some("s3://my-bucket/out/".into()),
            failure: Some("s3://my-bucket/bad".into()),
            concurrent: None,
        }
    }

    fn input(value: Value) -> Input {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn locations_are_what_the_configuration_says_with_a_name_of_its_own() {
        let given = json!({"EndpointName": "e", "InputLocation": "s3://my-bucket/in"});
        let made = request(input(given), &config(), Timestamp::from_millis(1000)).unwrap();
        assert_eq!(made.output, format!("s3://my-bucket/out/{}.out", made.id));
        assert_eq!(made.failure, Some(format!("s3://my-bucket/bad/{}-error.out", made.id)));
        assert_eq!(made.expires.millis(), 1000 + 21_600_000);
        assert_eq!((made.timeout_seconds, made.id.len()), (900, 36));
        let given = json!({"EndpointName": "e", "InputLocation": "s3://my-bucket/in",
            "S3OutputPathExtension": "/a/b/", "Filename": "f.json", "RequestTTLSeconds": 60});
        let made = request(input(given), &config(), Timestamp::from_millis(0)).unwrap();
        assert_eq!(made.output, "s3://my-bucket/out/a/b/f.json");
        assert_eq!(made.expires.millis(), 60_000);
    }

    #[tokio::test]
    async fn one_that_goes_accepts_nothing() {
        let t = Tested::new().await;
        let no = |t: &Tested| asynchronous(&t.service, "e").unwrap_err().message;
        assert_eq!(no(&t), "Endpoint e of account 123456789012 not found.");
        let mut of = routes(Vec::new());
        (of.asynchronous, of.in_service) = (Some(config()), false);
        t.service.endpoints.set("e", Some(of));
        assert!(no(&t).contains("is not in service"));
        let mut of = routes(Vec::new());
        of.asynchronous = Some(config());
        t.service.endpoints.set("e", Some(of));
        asynchronous(&t.service, "e").unwrap();
        t.service.endpoints.set("e", Some(routes(Vec::new())));
        assert!(no(&t).contains("InvokeEndpoint."));
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_at_once() {
        let no = |value, config: &Asynchronous| {
            request(input(value), config, Timestamp::from_millis(0)).unwrap_err().message
        };
        assert!(no(json!({"EndpointName": "e"}), &config()).contains("InputLocation"));
        let bucket = json!({"EndpointName": "e", "InputLocation": "s3://my-bucket"});
        assert!(no(bucket, &config()).contains("no object's URI"));
        let good = json!({"EndpointName": "e", "InputLocation": "s3://my-bucket/in"});
        let nowhere = Asynchronous { output: None, ..config() };
        assert!(no(good, &nowhere).contains("S3OutputPath"));
    }
}
