//! A new instance: its id, and what the warden of each of its containers is told.

use crate::request::serve::{PORT_OF_SEVERAL, instance_id, serving_stop};
use crate::service::Service;
use belljar_domain::endpoint::{Container, Endpoint, Server, Variant};
use belljar_domain::{Assignment, HostName, OutputCompression, Serving, Timestamp};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// What was planned.
pub(super) struct New<'a> {
    pub(super) fleet: u64,
    pub(super) variant: &'a str,
    pub(super) zone: &'a str,
    pub(super) tries: u32,
    pub(super) at: Timestamp,
}

/// `None` if the endpoint has no such fleet or variant any more, or no random numbers are to be had.
pub(super) fn server(
    service: &Service,
    endpoint: &Endpoint,
    new: &New<'_>,
) -> Option<(Server, Vec<Assignment>)> {
    let progress = &endpoint.progress;
    let fleets = [&progress.current, &progress.next];
    let fleet = fleets.into_iter().flatten().find(|f| f.number == new.fleet)?;
    let variant = fleet.deployment.variants.iter().find(|v| v.name == new.variant)?;
    let server = Server {
        id: instance_id()?,
        endpoint: endpoint.name.clone(),
        fleet: new.fleet,
        variant: variant.name.clone(),
        zone: new.zone.to_owned(),
        containers: u32::try_from(variant.containers.len()).ok()?,
        tries: new.tries,
        begun: new.at,
        stopping: None,
        role: variant.role.clone(),
        isolated: variant.is_isolated(),
    };
    let numbered = variant.containers.iter().zip(1..);
    let assignments =
        numbered.map(|(c, number)| assignment(service, endpoint, variant, &server, c, number));
    let assignments = assignments.collect::<Option<Vec<_>>>()?;
    Some((server, assignments))
}

fn assignment(
    service: &Service,
    endpoint: &Endpoint,
    variant: &Variant,
    server: &Server,
    container: &Container,
    number: u32,
) -> Option<Assignment> {
    let evidence = service.config.state.join("evidence").join(&endpoint.name);
    let serving = Serving {
        endpoint: endpoint.name.clone(),
        variant: variant.name.clone(),
        container: container.name.clone(),
        bind_to_port: (variant.containers.len() > 1).then_some(PORT_OF_SEVERAL),
        model: container.model.clone(),
        models: container.models.clone(),
        download_seconds: variant.download_seconds,
        startup_seconds: variant.startup_seconds,
    };
    Some(Assignment {
        generation: 1,
        job: format!("{}-{number}", server.id).parse().ok()?,
        job_arn: endpoint.arn.clone(),
        region: service.config.region.clone(),
        host: HostName::algo(NonZeroU32::MIN),
        cluster: None,
        instance_type: variant.instance_type.clone(),
        group: belljar_domain::cluster::ONE_GROUP.to_owned(),
        image: container.image.clone(),
        entrypoint: Vec::new(),
        arguments: Vec::new(),
        environment: container.environment.clone(),
        hyperparameters: BTreeMap::new(),
        channels: Vec::new(),
        output: evidence.to_str()?.to_owned(),
        output_compression: OutputCompression::default(),
        checkpoints: None,
        notices: variant.notices.clone(),
        replace_output: true,
        resources: variant.resources,
        best_effort_limits: true,
        stop: serving_stop(),
        metrics: Vec::new(),
        serving: Some(Box::new(serving)),
        vpc: None,
        begun: Some(server.begun),
        internet: variant.internet,
        role: variant.role.clone().filter(|_| !variant.is_isolated()),
    })
}
