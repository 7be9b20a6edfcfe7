//! `belljar serve`: from what a user asks for to what the warden of each instance is told.

use super::{RequestError, Surroundings, command, environment, image_name, place, size};
use belljar_domain::cluster::ONE_GROUP;
use belljar_domain::serving::{DOWNLOAD_SECONDS, ModelData, ModelForm, PORT, STARTUP_SECONDS};
use belljar_domain::serving::{STOP_GRACE_SECONDS, Serving};
use belljar_domain::{
    Assignment, HostName, JobName, NameError, OutputCompression, StopPolicy, arn, limits,
};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::Path;

/// Instances that one command serves with.
pub const MAX_INSTANCES: u32 = 20;
/// The variant of an endpoint that has one, as the SageMaker SDK calls it.
pub const VARIANT: &str = "AllTraffic";
/// The container of a model that has one, as SageMaker's texts call it.
pub const CONTAINER: &str = "primary";

/// A request as a user wrote it: nothing in it is checked.
#[derive(Debug, Clone, Default)]
pub struct ServeRequest {
    /// The endpoint's name; [`super::default_name`] if not given.
    pub name: Option<String>,
    /// The image, as containers-transports(5) writes it.
    pub image: String,
    /// The model: a `.tar.gz`, a folder or a file; or `s3://`. `None` if the image brings it.
    pub model: Option<String>,
    /// Where evidence goes: a path, `file://` or `s3://`; in the state folder if not given.
    pub evidence: Option<String>,
    /// `Environment`.
    pub environment: Vec<(String, String)>,
    /// In place of the image's entry point.
    pub entrypoint: Vec<String>,
    /// In place of `serve`.
    pub arguments: Vec<String>,
    /// How many; one if not given.
    pub instances: Option<u32>,
    /// `InstanceType`.
    pub instance_type: Option<String>,
    /// CPUs, as `2` or `0.5`.
    pub cpus: Option<String>,
    /// Memory, as `512M`.
    pub memory: Option<String>,
}

/// A request that will be tried.
#[derive(Debug)]
pub struct AcceptedServing {
    /// What every instance begins from; its name is to be set.
    template: Assignment,
    /// How many.
    pub instances: u32,
    /// What the user should know: a sentence each.
    pub warnings: Vec<String>,
}

impl AcceptedServing {
    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.template.serving.as_deref().map_or("", |s| &s.endpoint)
    }

    /// The image, as it will be got.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.template.image
    }

    /// What the warden of a new instance is told.
    #[must_use]
    pub fn instance(&self) -> Option<Assignment> {
        let job = format!("{}-1", instance_id()?).parse().ok()?;
        Some(Assignment { job, ..self.template.clone() })
    }
}

/// `i-` and 17 hexadecimal digits, as EC2 has them; `None` if there are no random numbers.
#[must_use]
pub fn instance_id() -> Option<String> {
    let mut bytes = [0; 9];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let mut text = String::from("i-");
    for byte in bytes {
        write!(text, "{byte:02x}").ok()?;
    }
    text.truncate(19);
    Some(text)
}

impl ServeRequest {
    /// Checks the request against SageMaker's limits and the machine; `evidence` is where evidence
    /// goes that has no other place.
    ///
    /// # Errors
    /// The first thing that is wrong, by name.
    pub fn accept(
        self,
        around: &Surroundings,
        evidence: &Path,
    ) -> Result<AcceptedServing, RequestError> {
        let name = self.name.as_deref().unwrap_or(&around.default_name);
        let name: JobName =
            name.parse().map_err(|e: NameError| NameError { what: "endpoint name", ..e })?;
        if self.image.trim().is_empty() {
            return Err(RequestError::Empty("the image"));
        }
        command("the entrypoint", "entrypoint arguments", &self.entrypoint)?;
        command("the arguments", "arguments", &self.arguments)?;
        let instances = self.instances.unwrap_or(1);
        if !(1..=MAX_INSTANCES).contains(&instances) {
            return Err(RequestError::Instances(instances));
        }
        let size = size::decide(
            self.instance_type.as_deref(),
            self.cpus.as_deref(),
            self.memory.as_deref(),
            around.machine,
        )?;
        let evidence = match self.evidence {
            Some(uri) => place::output("the evidence", &uri, &around.directory)?,
            None => evidence.join(name.as_str()).display().to_string(),
        };
        let serving = Serving {
            endpoint: name.to_string(),
            variant: VARIANT.to_owned(),
            container: CONTAINER.to_owned(),
            bind_to_port: None,
            model: self.model.map(|uri| model(&uri, around)).transpose()?,
            models: None,
            download_seconds: DOWNLOAD_SECONDS,
            startup_seconds: STARTUP_SECONDS,
        };
        let template = Assignment {
            generation: 1,
            job_arn: arn::of("endpoint", arn::LOCAL_REGION, arn::LOCAL_ACCOUNT, name.as_str()),
            job: name,
            region: arn::LOCAL_REGION.to_owned(),
            host: HostName::algo(NonZeroU32::MIN),
            cluster: None,
            instance_type: size.instance_type,
            group: ONE_GROUP.to_owned(),
            image: image_name(&self.image, &around.directory),
            entrypoint: self.entrypoint,
            arguments: self.arguments,
            environment: environment(self.environment)?,
            hyperparameters: BTreeMap::new(),
            channels: Vec::new(),
            output: evidence,
            output_compression: OutputCompression::default(),
            checkpoints: None,
            notices: Vec::new(),
            replace_output: true,
            best_effort_limits: false,
            resources: size.resources,
            stop: serving_stop(),
            metrics: Vec::new(),
            serving: Some(Box::new(serving)),
            vpc: None,
            begun: None,
            internet: false,
            role: None,
        };
        Ok(AcceptedServing { template, instances, warnings: size.warnings })
    }
}

/// A container that serves is stopped when it is told to, and at no time by itself.
pub(crate) fn serving_stop() -> StopPolicy {
    StopPolicy {
        max_runtime_seconds: limits::MAX_MAX_RUNTIME_SECONDS,
        grace_seconds: STOP_GRACE_SECONDS,
    }
}

/// The port of a container of several, each of which has a network namespace of its own.
pub(crate) const PORT_OF_SEVERAL: u16 = PORT;

fn model(uri: &str, around: &Surroundings) -> Result<ModelData, RequestError> {
    let place = place::output("the model", uri, &around.directory)?;
    let archive = [".tar.gz", ".tgz"].iter().any(|end| place.ends_with(end));
    let form = match archive {
        true => ModelForm::Archive,
        false if place.starts_with("s3://") => ModelForm::Prefix,
        false if Path::new(&place).is_dir() => ModelForm::Prefix,
        false => ModelForm::Object,
    };
    if !place.starts_with("s3://") && !Path::new(&place).exists() {
        return Err(RequestError::NoModel(place));
    }
    Ok(ModelData { uri: place, form })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    fn around() -> Surroundings {
        Surroundings {
            machine: Machine { cpu_millis: 2000, memory_bytes: Some(4 << 30) },
            directory: "/tmp".into(),
            default_name: "belljar-1".into(),
        }
    }

    fn accept(request: ServeRequest) -> Result<AcceptedServing, RequestError> {
        request.accept(&around(), Path::new("/s/evidence"))
    }

    #[test]
    fn every_instance_has_a_name_of_its_own() {
        let request = ServeRequest { image: "x".into(), ..ServeRequest::default() };
        let accepted = accept(request).unwrap();
        let (one, two) = (accepted.instance().unwrap(), accepted.instance().unwrap());
        assert_ne!(one.job, two.job);
        assert!(one.job.as_str().starts_with("i-") && one.job.as_str().ends_with("-1"));
        assert_eq!(one.output, "/s/evidence/belljar-1");
        assert_eq!(one.stop.grace_seconds, 30);
    }

    #[test]
    fn a_model_is_what_it_looks_like() {
        let of = |uri: &str| model(uri, &around()).map(|m| m.form);
        assert_eq!(of("s3://my-bucket/m.tar.gz").unwrap(), ModelForm::Archive);
        assert_eq!(of("s3://my-bucket/m/").unwrap(), ModelForm::Prefix);
        assert_eq!(of(".").unwrap(), ModelForm::Prefix);
        let gone = of("no-such.tar.gz").unwrap_err().to_string();
        assert!(gone.contains("/tmp/no-such.tar.gz"), "{gone}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let request =
            ServeRequest { image: "x".into(), instances: Some(21), ..ServeRequest::default() };
        assert!(accept(request).unwrap_err().to_string().contains("1 to 20"));
        let no_image = accept(ServeRequest::default()).unwrap_err();
        assert_eq!(no_image.to_string(), "the image must not be empty");
    }
}
