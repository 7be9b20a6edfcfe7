//! `CreateModel`, and the containers of a model.

use super::parts::{
    Cache, ContainerPart, ExecutionMode, Mode, ModelCompression, ModelParts, S3Model, S3ModelType,
};
use super::{AcceptedRecord, EndpointRequestError as Error, members, tags};
use crate::request::members::check;
use crate::request::{Mirror, is_in_s3, registry_name};
use belljar_domain::VpcConfig;
use belljar_domain::endpoint::Container;
use belljar_domain::serving::{ModelData, ModelForm};
use serde::Deserialize;
use serde_json::{Value, json};

const OPERATION: &str = "CreateModel";
/// The container of a model with `PrimaryContainer`, as SageMaker's texts call it.
const PRIMARY: &str = "primary";
/// What follows the bucket is a prefix.
const PREFIX: &str = "s3://bucket/prefix/";

/// Checks `CreateModel`.
///
/// # Errors
/// The first thing that is wrong or not served, by name.
pub fn model(request: Value) -> Result<AcceptedRecord, Error> {
    check(members::MODEL, &request).map_err(|n| Error::not_served(OPERATION, n))?;
    let parts = ModelParts::deserialize(&request)?;
    containers(&parts, &[])?;
    parts.vpc_config.as_ref().map(VpcConfig::parse).transpose()?;
    let request = shown(request);
    let (name, role) = (parts.model_name, parts.execution_role_arn);
    Ok(AcceptedRecord { name, request, role, tags: tags(parts.tags)? })
}

/// What Describe shows: the request without its tags, with the defaults that it always shows.
fn shown(mut request: Value) -> Value {
    let mode = |container: &mut Value| {
        if let Value::Object(members) = container {
            members.entry("Mode").or_insert(json!("SingleModel"));
        }
    };
    if let Value::Object(members) = &mut request {
        members.remove("Tags");
        members.entry("EnableNetworkIsolation").or_insert(json!(false));
        members.get_mut("PrimaryContainer").map(mode);
        if let Some(Value::Array(containers)) = members.get_mut("Containers") {
            containers.iter_mut().for_each(mode);
        }
    }
    request
}

/// The containers of a model, by its parts.
pub(super) fn containers(parts: &ModelParts, mirrors: &[Mirror]) -> Result<Vec<Container>, Error> {
    let direct = is_direct(parts);
    let many = &parts.containers;
    match (&parts.primary_container, many.len()) {
        (None, 0) => Err(Error::Missing("PrimaryContainer or Containers")),
        (Some(_), 1..) => Err(Error::Together("PrimaryContainer", "Containers")),
        (Some(_), 0) if direct => Err(TOO_FEW),
        (Some(one), 0) => Ok(vec![container(one, PRIMARY.to_owned(), mirrors)?]),
        (None, count) => {
            if direct && count < 2 {
                return Err(TOO_FEW);
            }
            let named = many.iter().filter(|c| c.container_hostname.is_some()).count();
            if (1..count).contains(&named) || (direct && named == 0) {
                return Err(Error::Rule(
                    "ContainerHostname must be given of all Containers, or of none where Mode is Serial.",
                ));
            }
            several(many, mirrors)
        }
    }
}

const TOO_FEW: Error =
    Error::Rule("InferenceExecutionConfig.Mode Direct needs 2 to 15 Containers.");

/// Whether a request goes to one container.
pub(super) fn is_direct(parts: &ModelParts) -> bool {
    parts.inference_execution_config.as_ref().is_some_and(|e| e.mode == ExecutionMode::Direct)
}

fn several(many: &[ContainerPart], mirrors: &[Mirror]) -> Result<Vec<Container>, Error> {
    let mut containers: Vec<Container> = Vec::with_capacity(many.len());
    for (number, part) in (1..).zip(many) {
        let name = part.container_hostname.clone();
        let name = name.unwrap_or_else(|| format!("container-{number}"));
        // They are host names.
        if containers.iter().any(|c| c.name.eq_ignore_ascii_case(&name)) {
            return Err(Error::Twice { what: "ContainerHostname", name });
        }
        if part.mode == Mode::MultiModel && many.len() > 1 {
            return Err(Error::Rule("Mode MultiModel is served in a model's only container."));
        }
        containers.push(container(part, name, mirrors)?);
    }
    Ok(containers)
}

fn container(part: &ContainerPart, name: String, mirrors: &[Mirror]) -> Result<Container, Error> {
    let image = part.image.as_deref().filter(|i| !i.is_empty()).ok_or(Error::Missing("Image"))?;
    let nul = part.environment.iter().find(|(_, value)| value.contains('\0'));
    if let Some((key, _)) = nul {
        return Err(Error::Nul(key.clone()));
    }
    let multi = part.mode == Mode::MultiModel;
    let cache = part.multi_model_config.as_ref().map(|m| &m.model_cache_setting);
    if cache.is_some() && !multi {
        return Err(Error::Rule("MultiModelConfig is for Mode MultiModel."));
    }
    let (model, models) = if multi { (None, Some(models(part)?)) } else { (single(part)?, None) };
    Ok(Container {
        name,
        image: registry_name(image, mirrors).ok_or_else(|| Error::Image(image.to_owned()))?,
        specified_image: image.to_owned(),
        environment: part.environment.clone(),
        model,
        models,
        cached: cache != Some(&Cache::Disabled),
    })
}

/// The prefix of a multi-model container's models.
fn models(part: &ContainerPart) -> Result<String, Error> {
    if part.model_data_source.is_some() {
        return Err(Error::Together("ModelDataSource", "Mode MultiModel"));
    }
    let url = part.model_data_url.as_deref().ok_or(Error::Missing("ModelDataUrl"))?;
    prefix("ModelDataUrl", url)
}

/// The model of a container with one; `None` if its image brings it.
fn single(part: &ContainerPart) -> Result<Option<ModelData>, Error> {
    let source = part.model_data_source.as_ref();
    match (part.model_data_url.as_deref().filter(|url| !url.is_empty()), source) {
        (Some(_), Some(_)) => Err(Error::Together("ModelDataUrl", "ModelDataSource")),
        (Some(url), None) => {
            let form = "s3://bucket/key.tar.gz";
            let fits = is_in_s3(url) && url.ends_with(".tar.gz");
            let uri = fits.then(|| url.to_owned());
            let uri =
                uri.ok_or_else(|| Error::Uri { what: "ModelDataUrl", uri: url.to_owned(), form })?;
            Ok(Some(ModelData { uri, form: ModelForm::Archive }))
        }
        (None, Some(source)) => {
            let s3 = source.s3.as_ref().ok_or(Error::Missing("ModelDataSource.S3DataSource"))?;
            Ok(Some(sourced(s3)?))
        }
        (None, None) => Ok(None),
    }
}

fn sourced(s3: &S3Model) -> Result<ModelData, Error> {
    const WHAT: &str = "ModelDataSource.S3DataSource.S3Uri";
    let form = match (s3.data_type, s3.compression) {
        (S3ModelType::S3Prefix, ModelCompression::None) => {
            return Ok(ModelData { uri: prefix(WHAT, &s3.uri)?, form: ModelForm::Prefix });
        }
        (S3ModelType::S3Prefix, ModelCompression::Gzip) => {
            return Err(Error::Rule("CompressionType Gzip is for S3DataType S3Object."));
        }
        (S3ModelType::S3Object, ModelCompression::Gzip) => ModelForm::Archive,
        (S3ModelType::S3Object, ModelCompression::None) => ModelForm::Object,
    };
    let key = s3.uri.splitn(4, '/').nth(3).unwrap_or_default();
    if !is_in_s3(&s3.uri) || key.is_empty() || key.ends_with('/') {
        return Err(Error::Uri { what: WHAT, uri: s3.uri.clone(), form: "s3://bucket/key" });
    }
    Ok(ModelData { uri: s3.uri.clone(), form })
}

fn prefix(what: &'static str, uri: &str) -> Result<String, Error> {
    if is_in_s3(uri) && uri.ends_with('/') {
        return Ok(uri.to_owned());
    }
    Err(Error::Uri { what, uri: uri.to_owned(), form: PREFIX })
}
