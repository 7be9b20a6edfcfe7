//! One container, which ran sealed.

use super::{artifacts, is_sha256};
use belljar_domain::{HostName, Outcome, PeerLink, Predicate, Statement};

pub(super) fn problems(p: &Predicate) -> Vec<String> {
    let mut found = Vec::new();
    for breach in p.seal_at_start.breaches(p.peers.as_ref()) {
        found.push(format!("The seal did not hold at the start: {breach}."));
    }
    if let Some(end) = &p.seal_at_end {
        for breach in end.breaches_after_exit(p.peers.as_ref()) {
            found.push(format!("The seal did not hold at the end: {breach}."));
        }
        for change in end.changes_since(&p.seal_at_start) {
            found.push(format!("The seal changed: {change}."));
        }
    }
    if p.ended < p.started {
        found.push("It ended before it started.".into());
    }
    if p.attempts.targets.iter().any(|a| a.last < a.first || a.count == 0) {
        found.push("An attempt to reach something ended before it began, or never was.".into());
    }
    if p.credentials.given_by_platform {
        found.push("The platform gave it credentials.".into());
    }
    if p.outcome == Outcome::Completed && p.exit.code != 0 {
        found.push(format!("It is called completed, and its exit code is {}.", p.exit.code));
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

pub(super) fn claims(statement: &Statement, holds: bool) -> Vec<String> {
    let p = &statement.predicate;
    let mut claims = Vec::new();
    claims.push(format!(
        "{} of the job '{}' ran the image {} from {} to {} and ended with exit code {}.",
        p.host, p.job, p.image.digest, p.started, p.ended, p.exit.code
    ));
    claims.extend(inputs(p));
    claims.extend(artifacts(&statement.subject));
    if p.seal_at_start.breaches(p.peers.as_ref()).is_empty() {
        claims.push(sealed(p.peers.as_ref()));
    }
    if p.seal_at_end.as_ref().is_some_and(|s| s.breaches_after_exit(p.peers.as_ref()).is_empty()) {
        claims.push("At its end, the kernel reported the same of the network, the privileges and the filter.".into());
    }
    claims.push(format!(
        "{} of its attempts to reach something were seen; each failed.",
        p.attempts.total()
    ));
    claims.push("Belljar gave it no credential.".into());
    if !holds {
        claims.retain(|c| !c.ends_with("each failed.") && !c.contains("no credential"));
    }
    claims
}

/// What the seal was, where it held.
fn sealed(peers: Option<&PeerLink>) -> String {
    let network = match peers {
        None => "no network interface but lo".to_owned(),
        Some(link) => format!(
            "no network interface but lo and {}, which led to {} alone ({})",
            link.interface,
            link.peers.keys().map(HostName::as_str).collect::<Vec<_>>().join(", "),
            link.driver.as_str()
        ),
    };
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
