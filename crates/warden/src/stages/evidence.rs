//! The last stage: says under signature what was run, how it was sealed and what came of it.

use super::Facts;
use crate::evidence::{HostKey, IMAGE, sign};
use crate::failure::{Failure, chain};
use crate::journal::now;
use crate::run::{Context, Ending};
use crate::staging;
use belljar_domain::evidence::{
    CredentialsEvidence, ImageEvidence, InstanceEvidence, JOB_PREDICATE_TYPE, JobPredicate,
    PREDICATE_TYPE, Predicate, STATEMENT_TYPE, ServingEvidence, Statement, Subject,
};
use belljar_domain::{Outcome, Report, Stage};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Writes the evidence of a container that ran. If it cannot be written the job fails: without
/// evidence nobody should take it for sealed.
pub(crate) async fn evidence(cx: &Context, facts: &mut Facts, outcome: Outcome) -> Outcome {
    let written = if let Some(statement) = of_job(cx, facts, &outcome) {
        cx.stage(Stage::Evidence, write(cx, "job", &statement)).await
    } else if let Some(statement) = of_container(cx, facts, Some(&outcome)) {
        cx.stage(Stage::Evidence, write(cx, cx.assignment.host.as_str(), &statement)).await
    } else {
        return outcome;
    };
    match written {
        Ok((uri, sha256)) => {
            facts.evidence = Some(uri);
            facts.evidence_sha256 = Some(sha256);
            outcome
        }
        Err(Ending::Failed(f)) if outcome == Outcome::Completed => {
            Outcome::Failed { reason: f.blame.reason(&f.text), hint: f.hint, machine: f.machine }
        }
        Err(Ending::Failed(f)) => {
            facts.warnings.push(format!("the evidence could not be written: {}", f.text));
            outcome
        }
        Err(Ending::Stopped | Ending::Reported(_) | Ending::Lost(_)) => outcome,
    }
}

/// Writes the open account of a container that serves, in the place of the one before.
pub(super) async fn renew(cx: &Context, facts: &mut Facts) -> Result<(), Failure> {
    let Some(statement) = of_container(cx, facts, None) else {
        return Err(super::internal("there is nothing yet to state of the container"));
    };
    match write(cx, cx.assignment.host.as_str(), &statement).await {
        Ok((uri, sha256)) => {
            facts.evidence = Some(uri);
            facts.evidence_sha256 = Some(sha256);
            Ok(())
        }
        Err(Ending::Failed(failure)) => Err(failure),
        Err(_) => Err(super::internal("the evidence could not be written")),
    }
}

/// Signs and stores it below the name; returns where, and the file's SHA-256.
async fn write<P: Serialize>(
    cx: &Context,
    name: &str,
    statement: &Statement<P>,
) -> Result<(String, String), Ending> {
    let key = HostKey::open(&cx.job.state().join("keys"))?;
    cx.journal.point(Stage::Evidence, "during");
    let envelope = sign(statement, &key).map_err(|e| super::internal(chain(&e)))?;
    let a = &cx.assignment;
    let below = format!("{}/evidence/{name}.intoto.json", a.job);
    let sha256 = Sha256::digest(&envelope).iter().map(|b| format!("{b:02x}")).collect();
    // Not by an instance's interface: it is Belljar's own record, also of a job that failed there.
    Ok((staging::put_file(&a.output, &below, envelope).await?, sha256))
}

/// Of a job with several instances, any of which ran; its own warden has no container.
fn of_job(cx: &Context, facts: &Facts, outcome: &Outcome) -> Option<Statement<JobPredicate>> {
    let cluster = cx.assignment.cluster.as_ref().filter(|_| cx.member.is_none())?;
    facts.instances.iter().find(|r| r.evidence.is_some())?;
    let instance = |r: &Report| InstanceEvidence {
        host: r.host.clone(),
        uri: r.evidence.clone(),
        sha256: r.evidence_sha256.clone(),
    };
    let predicate = JobPredicate {
        belljar: env!("CARGO_PKG_VERSION").to_owned(),
        job: cx.assignment.job.clone(),
        generation: cx.assignment.generation,
        encrypted: cluster.encrypted,
        instances: facts.instances.iter().map(instance).collect(),
        hub: facts.hub.clone(),
        outcome: outcome.clone(),
    };
    Some(Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: subjects(facts),
        predicate_type: JOB_PREDICATE_TYPE.to_owned(),
        predicate,
    })
}

/// `None` where no container ran: there is nothing to state. Without an outcome the account is
/// open.
fn of_container(cx: &Context, facts: &Facts, outcome: Option<&Outcome>) -> Option<Statement> {
    let a = &cx.assignment;
    let image = facts.image.as_ref()?;
    if outcome.is_some() {
        facts.exit?;
    }
    let renewed = now();
    let names = facts.environment_names.iter().map(String::as_str);
    let predicate = Predicate {
        belljar: env!("CARGO_PKG_VERSION").to_owned(),
        job: a.job.clone(),
        host: a.host.clone(),
        generation: a.generation,
        image: ImageEvidence {
            reference: a.image.clone(),
            digest: image.digest.clone(),
            diff_ids: image.diff_ids.clone(),
        },
        command: facts.command.clone(),
        environment_names: facts.environment_names.clone(),
        inputs: facts.inputs.clone(),
        checkpoints: facts.checkpoints.clone(),
        peers: facts.peers.clone(),
        access: facts.access.clone(),
        seal_at_start: facts.seal_at_start.clone()?,
        seal_at_end: facts.seal_at_end.clone(),
        attempts: facts.attempts.clone(),
        credentials: CredentialsEvidence::of(facts.access.is_some() && a.role.is_some(), names),
        started: facts.started,
        serving: a.serving.as_deref().map(|s| ServingEvidence {
            endpoint: s.endpoint.clone(),
            variant: s.variant.clone(),
            container: s.container.clone(),
            since: facts.served,
            open: outcome.is_none(),
            renewed,
        }),
        ended: outcome.map(|_| facts.ended),
        exit: facts.exit.filter(|_| outcome.is_some()),
        outcome: outcome.cloned(),
        kernel: kernel(),
    };
    Some(Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: subjects(facts),
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate,
    })
}

/// The artifacts; of a job that left none, the image that ran, because a Statement must be about
/// something.
fn subjects(facts: &Facts) -> Vec<Subject> {
    let digest = |hex: &str| [("sha256".to_owned(), hex.to_owned())].into();
    let subject = |name: &str, hex: &str| Subject { name: name.to_owned(), digest: digest(hex) };
    let mut all: Vec<Subject> =
        facts.artifacts.iter().map(|a| subject(&a.name, &a.sha256)).collect();
    if let (true, Some(image)) = (all.is_empty(), &facts.image) {
        all.push(subject(IMAGE, image.digest.trim_start_matches("sha256:")));
    }
    all
}

fn kernel() -> String {
    let uname = rustix::system::uname();
    format!("{} {}", uname.release().to_string_lossy(), uname.machine().to_string_lossy())
}
