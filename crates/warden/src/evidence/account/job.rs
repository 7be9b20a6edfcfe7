//! A job with several instances.

use super::{artifacts, is_sha256};
use belljar_domain::evidence::JobPredicate;
use belljar_domain::{Access, HostName, Outcome, Predicate, Statement};
use std::collections::BTreeSet;

pub(super) fn problems(p: &JobPredicate) -> Vec<String> {
    let mut found = Vec::new();
    let hosts: BTreeSet<&HostName> = p.instances.iter().map(|i| &i.host).collect();
    if hosts.len() != p.instances.len() || hosts.len() < 2 {
        found.push("Its instances are not several, or one is named twice.".to_owned());
    }
    if p.instances.iter().filter_map(|i| i.sha256.as_deref()).any(|hex| !is_sha256(hex)) {
        found.push("An instance's evidence is not named by a sha256 digest.".to_owned());
    }
    match &p.hub {
        Some(_) if p.encrypted => {
            found.push("Encryption was asked for, and the instances met in clear.".to_owned());
        }
        Some(hub) => {
            let breaches = hub.breaches(p.instances.len());
            found.extend(breaches.iter().map(|b| format!("The instances' meeting place: {b}.")));
        }
        None => {}
    }
    let silent = p.instances.iter().filter(|i| i.sha256.is_none());
    if p.outcome == Outcome::Completed {
        found.extend(
            silent.map(|i| {
                format!("It is called completed, and there is no evidence of {}.", i.host)
            }),
        );
    }
    found
}

pub(super) fn claims(statement: &Statement<JobPredicate>) -> Vec<String> {
    let p = &statement.predicate;
    let hosts: Vec<&str> = p.instances.iter().map(|i| i.host.as_str()).collect();
    let mut claims = vec![format!(
        "The job '{}' ran on {} instances ({}) and ended as {:?}.",
        p.job,
        hosts.len(),
        hosts.join(", "),
        p.outcome.status()
    )];
    claims.extend(artifacts(&statement.subject));
    if p.hub.as_ref().is_some_and(|hub| hub.breaches(p.instances.len()).is_empty()) {
        claims.push("Their links met in a namespace in which, before any of them started, there was no other interface, no address and no route.".to_owned());
    }
    let evidence = p.instances.iter().filter_map(|i| Some((&i.host, i.sha256.as_ref()?)));
    claims.extend(
        evidence.map(|(host, hex)| {
            format!("What is stated of {host} is in the file with sha256 {hex}.")
        }),
    );
    claims
}

pub(super) fn gaps(p: &JobPredicate) -> Vec<String> {
    let silent = p.instances.iter().filter(|i| i.sha256.is_none());
    silent
        .map(|i| format!("Anything of {}: its container did not run to an end.", i.host))
        .collect()
}

/// The links of an instance must lead to the job's other instances, and be encrypted if asked for.
pub(super) fn strangeness(
    job: &JobPredicate,
    host: &HostName,
    run: &Predicate,
) -> Option<&'static str> {
    if (&run.job, run.generation, &run.host) != (&job.job, job.generation, host) {
        return Some("it is that of another job, attempt or instance");
    }
    // What its own problems tell; it meets its peers in the VPC.
    if run.peers.is_none() && matches!(run.access, Some(Access::Vpc(_))) {
        return None;
    }
    let Some(link) = &run.peers else { return Some("it has no link to its peers") };
    let others = job.instances.iter().map(|i| &i.host).filter(|other| *other != host);
    if !link.peers.keys().eq(others.collect::<BTreeSet<_>>()) {
        return Some("its link does not lead to the other instances of the job");
    }
    if job.encrypted && !link.driver.encrypts() {
        return Some("its link is not encrypted, as was asked for");
    }
    None
}
