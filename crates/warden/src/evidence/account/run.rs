//! One container, which ran sealed.

use super::{artifacts, is_sha256};
use belljar_domain::access::VPC_INTERFACE;
use belljar_domain::evidence::ServingEvidence;
use belljar_domain::{Access, Allowed, HostName, Outcome, Predicate, Statement};

pub(super) fn problems(p: &Predicate) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(access) = &p.access {
        found.push(format!("It was not isolated: {}.", access.describe()));
    }
    for breach in p.seal_at_start.breaches(p.allowed()) {
        found.push(format!("The seal did not hold at the start: {breach}."));
    }
    if let Some(end) = &p.seal_at_end {
        for breach in end.breaches_after_exit(p.allowed()) {
            found.push(format!("The seal did not hold at the end: {breach}."));
        }
        for change in end.changes_since(&p.seal_at_start) {
            found.push(format!("The seal changed: {change}."));
        }
    }
    found.extend(times(p));
    if p.attempts.targets.iter().any(|a| a.last < a.first || a.count == 0) {
        found.push("An attempt to reach something ended before it began, or never was.".into());
    }
    if p.credentials.given_by_platform {
        found.push("The platform gave it credentials.".into());
    }
    match &p.exit {
        Some(exit) if p.outcome == Some(Outcome::Completed) && exit.code != 0 => {
            found.push(format!("It is called completed, and its exit code is {}.", exit.code));
        }
        _ => {}
    }
    let image = p.image.digest.strip_prefix("sha256:").unwrap_or_default();
    if !is_sha256(image) {
        found.push("The image is not named by a sha256 digest.".into());
    }
    if p.inputs.iter().flat_map(|c| &c.files).any(|f| !is_sha256(&f.sha256)) {
        found.push("An input is not named by a sha256 digest.".into());
    }
    let mut epochs = p.inputs.iter().filter_map(|c| c.pipe.as_ref()).flat_map(|c| &c.epochs);
    if epochs.any(|e| !is_sha256(&e.sha256)) {
        found.push("A stream is not named by a sha256 digest.".into());
    }
    found
}

/// Whether its times are in order, and it tells of an end exactly if there was one.
fn times(p: &Predicate) -> Vec<String> {
    let mut found = Vec::new();
    if p.ended.is_some_and(|ended| ended < p.started) {
        found.push("It ended before it started.".to_owned());
    }
    let open = p.serving.as_ref().is_some_and(|s| s.open);
    let told = [p.ended.is_some(), p.exit.is_some(), p.outcome.is_some()];
    if open && told.contains(&true) {
        found.push("It is called open, and tells of an end.".to_owned());
    }
    if !open && told.contains(&false) {
        found.push("It does not tell how it ended.".to_owned());
    }
    let Some(serving) = &p.serving else { return found };
    if serving.since.is_some_and(|since| since < p.started || serving.renewed < since) {
        found.push("It served before it started, or after this was written.".to_owned());
    }
    if open && serving.since.is_none() {
        found.push("It is called open, and never served.".to_owned());
    }
    if open && p.seal_at_end.is_none() {
        found.push("It is called open, and the seal was not read again.".to_owned());
    }
    found
}

pub(super) fn claims(statement: &Statement, holds: bool) -> Vec<String> {
    let p = &statement.predicate;
    let mut claims = Vec::new();
    claims.push(ran(p));
    claims.extend(p.serving.as_ref().map(served));
    claims.extend(inputs(p));
    claims.extend(artifacts(&statement.subject));
    if p.seal_at_start.breaches(p.allowed()).is_empty() {
        claims.push(sealed(p.allowed()));
    }
    if p.seal_at_end.as_ref().is_some_and(|s| s.breaches_after_exit(p.allowed()).is_empty()) {
        let when = if is_open(p) { "When this was last renewed" } else { "At its end" };
        claims.push(format!(
            "{when}, the kernel reported the same of the network, the privileges and the filter."
        ));
    }
    claims.push(match p.attempts.total() {
        0 => "No attempt of it to reach something was seen.".into(),
        1 => "One attempt of it to reach something was seen, and it failed.".into(),
        n => format!("{n} attempts of it to reach something were seen; each failed."),
    });
    if !p.credentials.given_by_platform {
        claims.push("Belljar gave it no credential.".into());
    }
    if !holds {
        claims.retain(|c| !c.contains("to reach something") && !c.contains("no credential"));
    }
    claims
}

fn is_open(p: &Predicate) -> bool {
    p.serving.as_ref().is_some_and(|s| s.open)
}

/// What ran, and when.
fn ran(p: &Predicate) -> String {
    let (host, job, image) = (&p.host, &p.job, &p.image.digest);
    let what = match &p.serving {
        None => format!("{host} of the job '{job}' ran the image {image}"),
        Some(s) => format!(
            "The container '{}' of the variant '{}' of the endpoint '{}' ({job}) ran the image {image}",
            s.container, s.variant, s.endpoint
        ),
    };
    match (p.ended, p.exit) {
        (Some(ended), Some(exit)) => {
            format!("{what} from {} to {ended} and ended with exit code {}.", p.started, exit.code)
        }
        _ => format!("{what} from {} on.", p.started),
    }
}

/// Since when it served, and until when that is known.
fn served(s: &ServingEvidence) -> String {
    match (s.since, s.open) {
        (Some(since), true) => format!("It serves since {since}, last renewed {}.", s.renewed),
        (Some(since), false) => format!("It served from {since} on, and the account is closed."),
        (None, _) => "It never began to serve, and the account is closed.".to_owned(),
    }
}

/// What the seal was, where it held.
fn sealed(allowed: Allowed<'_>) -> String {
    let mut network = "no network interface but lo".to_owned();
    if let Some(link) = allowed.peers {
        network.push_str(&format!(
            " and {}, which led to {} alone ({})",
            link.interface,
            link.peers.keys().map(HostName::as_str).collect::<Vec<_>>().join(", "),
            link.driver.as_str()
        ));
    }
    if let Some(Access::Vpc(link)) = allowed.access {
        network.push_str(&format!(" and {VPC_INTERFACE}, which was {}", link.interface));
    }
    format!(
        "Before its first instruction, the kernel reported {network}, no capability, no new privileges, a seccomp filter, and no namespace shared with the host."
    )
}

/// What it was given, and what it left while it ran.
fn inputs(p: &Predicate) -> Vec<String> {
    let mut claims = Vec::new();
    let (piped, staged): (Vec<_>, Vec<_>) = p.inputs.iter().partition(|c| c.pipe.is_some());
    let files: usize = staged.iter().map(|c| c.files.len()).sum();
    if piped.is_empty() || !staged.is_empty() {
        claims.push(format!(
            "It was given {files} {} in {} {}, with the digests listed.",
            if files == 1 { "file" } else { "files" },
            staged.len(),
            if staged.len() == 1 { "channel" } else { "channels" }
        ));
    }
    for channel in piped {
        let Some(pipe) = &channel.pipe else { continue };
        let listed = pipe.epochs.len();
        claims.push(format!(
            "The channel '{}' was streamed: {} epochs were opened, of which {listed} are listed with the digest of what went through.",
            channel.channel, pipe.opened
        ));
    }
    if let Some(c) = &p.checkpoints {
        claims.push(format!(
            "Of checkpoints it was given {} and left {}, with the digests listed.",
            c.restored.len(),
            c.kept.len()
        ));
    }
    claims
}

pub(super) fn gaps(p: &Predicate) -> Vec<String> {
    let mut gaps = Vec::new();
    if p.peers.is_some() {
        gaps.push("That its peers were sealed too: each of them has evidence of its own, and the job's names them all.".into());
    }
    if let Some(s) = p.serving.as_ref().filter(|s| s.open) {
        gaps.push(format!(
            "Anything after {}: the account is open, and is renewed while it serves. If that is long ago, its warden was killed.",
            s.renewed
        ));
    }
    if p.serving.is_some() {
        gaps.push("What was in the requests, and in the answers: they went through, and nothing else did.".into());
    }
    if p.seal_at_end.is_none() {
        gaps.push("That the seal held to the end: the process was gone before it could be read again. Only the start was read.".into());
    }
    if p.attempts.lost > 0 {
        gaps.push(format!(
            "What {} attempts were: they came too fast to be recorded.",
            p.attempts.lost
        ));
    }
    if p.attempts.beyond > 0 {
        gaps.push(format!(
            "Where {} further attempts went: they were counted only.",
            p.attempts.beyond
        ));
    }
    if !p.credentials.suspicious_environment_names.is_empty() {
        gaps.push(format!(
            "That it had no credential from the requester or the image: these variables look like one: {}.",
            p.credentials.suspicious_environment_names.join(", ")
        ));
    }
    gaps
}
