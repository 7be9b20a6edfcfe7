//! `CreateEndpointConfig`, and what a configuration comes to once its models are looked up.

use super::model::{containers, is_direct};
use super::parts::{AsyncPart, ConfigParts, ModelParts, VariantPart};
use super::{AcceptedRecord, EndpointRequestError as Error, members, tags};
use crate::machine::Machine;
use crate::request::members::check;
use crate::request::{Mirror, is_in_s3, open_notice, size};
use belljar_domain::endpoint::{Asynchronous, Deployment, Variant};
use belljar_domain::serving::{DOWNLOAD_SECONDS, STARTUP_SECONDS};
use belljar_domain::{VpcConfig, VpcPlacement, arn};
use serde::Deserialize;
use serde_json::{Value, json};

const OPERATION: &str = "CreateEndpointConfig";

/// Where a model is to be served.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The service's region.
    pub region: &'a str,
    /// The service's account.
    pub account: &'a str,
    /// The machine on which it runs.
    pub machine: Machine,
    /// Registries that are served by others.
    pub mirrors: &'a [Mirror],
}

/// A configuration with the models that it names.
#[derive(Debug)]
pub struct Deployed {
    /// What is to be run.
    pub deployment: Deployment,
    /// In what an instance type is larger than the machine: a sentence each.
    pub too_large: Vec<String>,
}

/// Checks `CreateEndpointConfig`, but for whether its models are there: [`deployment`] does.
///
/// # Errors
/// The first thing that is wrong or not served, by name.
pub fn config(request: Value) -> Result<AcceptedRecord, Error> {
    check(members::CONFIG, &request).map_err(|n| Error::not_served(OPERATION, n))?;
    let parts = ConfigParts::deserialize(&request)?;
    // A capture that does not say whether is enabled (service model).
    if parts.data_capture_config.is_some_and(|c| c.enable_capture != Some(false)) {
        return Err(Error::NotServed {
            operation: OPERATION,
            what: "DataCaptureConfig".to_owned(),
            why: "requests are not kept; EnableCapture must be false".to_owned(),
        });
    }
    let mut names: Vec<&str> = Vec::new();
    for variant in &parts.production_variants {
        if names.contains(&variant.variant_name.as_str()) {
            let name = variant.variant_name.clone();
            return Err(Error::Twice { what: "VariantName", name });
        }
        names.push(&variant.variant_name);
        Needed::of(variant)?;
    }
    let weights = parts.production_variants.iter().map(|v| v.initial_variant_weight);
    check_weights(weights.map(|w| w.unwrap_or(1.0)))?;
    parts.async_inference_config.map(asynchronous).transpose()?;
    let request = shown(request);
    let (name, role) = (parts.endpoint_config_name, parts.execution_role_arn);
    Ok(AcceptedRecord { name, request, role, tags: tags(parts.tags)? })
}

/// What Describe shows: the request without its tags, with the defaults that it always shows.
fn shown(mut request: Value) -> Value {
    if let Value::Object(members) = &mut request {
        members.remove("Tags");
        members.entry("EnableNetworkIsolation").or_insert(json!(false));
        let variants = members.get_mut("ProductionVariants").and_then(Value::as_array_mut);
        for variant in variants.into_iter().flatten().filter_map(Value::as_object_mut) {
            variant.entry("InitialVariantWeight").or_insert(json!(1.0));
        }
    }
    request
}

/// Traffic is shared by weight, so that of all cannot be nothing.
pub(super) fn check_weights(weights: impl IntoIterator<Item = f64>) -> Result<(), Error> {
    if weights.into_iter().any(|w| w > 0.0) {
        return Ok(());
    }
    Err(Error::Rule("At least one variant must have a weight above 0."))
}

/// What the model does not ask for, because of inference components and serverless variants.
struct Needed<'a> {
    model: &'a str,
    count: u32,
    instance_type: &'a str,
}

impl<'a> Needed<'a> {
    fn of(part: &'a VariantPart) -> Result<Self, Error> {
        let missing = Error::Missing;
        Ok(Self {
            model: part.model_name.as_deref().ok_or(missing("ProductionVariants.ModelName"))?,
            count: part
                .initial_instance_count
                .ok_or(missing("ProductionVariants.InitialInstanceCount"))?,
            instance_type: part
                .instance_type
                .as_deref()
                .ok_or(missing("ProductionVariants.InstanceType"))?,
        })
    }
}

/// What is to be run for a configuration that was accepted; `model` finds models that were, by name.
///
/// # Errors
/// If a model is gone, or an instance type is not known.
pub fn deployment(
    config: &Value,
    mut model: impl FnMut(&str) -> Option<Value>,
    place: &Place<'_>,
) -> Result<Deployed, Error> {
    let parts = ConfigParts::deserialize(config)?;
    let mut too_large = Vec::new();
    let mut variants = Vec::with_capacity(parts.production_variants.len());
    for part in &parts.production_variants {
        let name = Needed::of(part)?.model;
        let found = model(name)
            .ok_or_else(|| Error::NoModel(arn::of("model", place.region, place.account, name)))?;
        let found = ModelParts::deserialize(&found)?;
        let isolated = parts.enable_network_isolation || found.enable_network_isolation;
        let (variant, warnings) = variant(part, &found, isolated, place)?;
        too_large.extend(warnings);
        variants.push(variant);
    }
    let deployment = Deployment {
        config: parts.endpoint_config_name,
        variants,
        asynchronous: parts.async_inference_config.map(asynchronous).transpose()?,
    };
    Ok(Deployed { deployment, too_large })
}

fn variant(
    part: &VariantPart,
    model: &ModelParts,
    isolated: bool,
    place: &Place<'_>,
) -> Result<(Variant, Vec<String>), Error> {
    let needed = Needed::of(part)?;
    let size = size::of_type(needed.instance_type, place.machine)?;
    let vpc = model.vpc_config.as_ref().map(VpcConfig::parse).transpose()?;
    let containers = containers(model, place.mirrors)?;
    let notice = open_notice(isolated, vpc.is_some()).map(str::to_owned);
    let variant = Variant {
        name: part.variant_name.clone(),
        model: needed.model.to_owned(),
        containers,
        direct: is_direct(model),
        instance_type: size.instance_type,
        resources: size.resources,
        count: needed.count,
        weight: part.initial_variant_weight.unwrap_or(1.0),
        routing: part.routing_config.as_ref().map(|r| r.routing_strategy).unwrap_or_default(),
        download_seconds: part.download_seconds.unwrap_or(DOWNLOAD_SECONDS),
        startup_seconds: part.startup_seconds.unwrap_or(STARTUP_SECONDS),
        notices: size.warnings.iter().cloned().chain(notice).collect(),
        internet: !isolated && vpc.is_none(),
        vpc: vpc.map(|config| VpcPlacement { config, isolated }),
        role: model.execution_role_arn.clone(),
    };
    Ok((variant, size.warnings))
}

fn asynchronous(part: AsyncPart) -> Result<Asynchronous, Error> {
    let place = |what: &'static str, uri: Option<String>| match uri {
        Some(uri) if !is_in_s3(&uri) => Err(Error::Uri { what, uri, form: "s3://bucket/prefix" }),
        fits => Ok(fits),
    };
    let output = part.output_config;
    Ok(Asynchronous {
        output: place("AsyncInferenceConfig.OutputConfig.S3OutputPath", output.output)?,
        failure: place("AsyncInferenceConfig.OutputConfig.S3FailurePath", output.failure)?,
        concurrent: part.client_config.and_then(|c| c.concurrent),
    })
}
