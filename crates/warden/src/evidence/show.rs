//! A statement for people.

use super::account::Account;
use belljar_domain::evidence::{JobPredicate, Subject};
use belljar_domain::size::{human_bytes, human_millis};
use belljar_domain::{
    Attempt, Outcome, PeerLink, PipedChannel, Predicate, SealReading, StagedChannel, Statement,
};
use std::fmt::Write as _;

/// Files of one channel that are listed; the rest is counted.
const MAX_FILES_SHOWN: usize = 20;
/// Attempts that are listed; the rest is counted.
const MAX_ATTEMPTS_SHOWN: usize = 50;

/// A text without control characters: what a container chose (a name that it asked for, a file
/// name) must not steer the reader's terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let hidden = c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let escaped = hidden.then(|| c.escape_unicode());
            let plain = (!hidden).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// The statement as text: job, image, command, inputs, seal, attempts, exit. Says nothing about
/// whether it is true; for that see [`super::verify`].
#[must_use]
pub fn show(account: &Account) -> String {
    match account {
        Account::Run(statement) => run(statement),
        Account::Job(statement) => job(statement),
    }
}

fn job(statement: &Statement<JobPredicate>) -> String {
    let p = &statement.predicate;
    let mut out = String::new();
    field(&mut out, "Job", &format!("{} ({} instances)", p.job, p.instances.len()));
    field(&mut out, "Status", &status(&p.outcome));
    field(&mut out, "Belljar", &p.belljar);
    let asked = if p.encrypted { "asked for" } else { "not asked for" };
    field(&mut out, "Between", &format!("encryption was {asked}"));
    artifacts(&mut out, &statement.subject);
    out.push_str("\nInstances\n");
    for instance in &p.instances {
        let digest = instance.sha256.as_deref().unwrap_or("no evidence: it did not run to an end");
        let uri = instance.uri.as_deref().map(printable).unwrap_or_default();
        let _ = writeln!(out, "  {:8} {} {uri}", instance.host.as_str(), printable(digest));
    }
    if let Some(hub) = &p.hub {
        out.push_str("\nWhere their links met\n");
        listed(&mut out, "interfaces", &hub.interfaces);
        listed(&mut out, "addresses", &hub.addresses);
        listed(&mut out, "routes", &hub.routes);
    }
    out
}

fn run(statement: &Statement) -> String {
    let p = &statement.predicate;
    let mut out = String::new();
    field(&mut out, "Job", &format!("{} ({})", p.job, p.host));
    field(&mut out, "Image", &format!("{}\n{}", p.image.reference, p.image.digest));
    field(&mut out, "Command", &p.command.join(" "));
    when(&mut out, p);
    field(&mut out, "Host", &format!("Belljar {}, Linux {}", p.belljar, p.kernel));
    inputs(&mut out, statement);
    artifacts(&mut out, &statement.subject);
    out.push_str("\nSeal at the start\n");
    if let Some(access) = &p.access {
        let _ = writeln!(out, "  NOT ISOLATED: {}", printable(&access.describe()));
    }
    let (peers, allowed) = (p.peers.as_ref(), p.allowed());
    seal(&mut out, &p.seal_at_start, peers, &p.seal_at_start.breaches(allowed));
    let open = p.serving.as_ref().is_some_and(|s| s.open);
    let last = if open { "when it was last renewed" } else { "at the end" };
    let _ = writeln!(out, "\nSeal {last}");
    match &p.seal_at_end {
        Some(end) if *end == p.seal_at_start => out.push_str("  the same\n"),
        // Of a process that has ended the kernel does not tell all namespaces: as when verifying.
        Some(end) => seal(&mut out, end, peers, &end.breaches_after_exit(allowed)),
        None => out.push_str("  not read: the process was gone\n"),
    }
    attempts(&mut out, statement);
    out.push_str("\nCredentials\n");
    let given = if p.credentials.given_by_platform { "GIVEN" } else { "none" };
    let _ = writeln!(out, "  from the platform: {given}");
    for name in &p.credentials.suspicious_environment_names {
        let _ = writeln!(out, "  environment variable that looks like one: {}", printable(name));
    }
    out
}

/// When it ran, and how it ended if it did.
fn when(out: &mut String, p: &Predicate) {
    if let Some(s) = &p.serving {
        field(
            out,
            "Endpoint",
            &format!("{}, variant {}, container {}", s.endpoint, s.variant, s.container),
        );
        let since = s.since.map_or("never".to_owned(), |since| format!("since {since}"));
        let state = if s.open { "open" } else { "closed" };
        field(out, "Serves", &format!("{since}, last renewed {} ({state})", s.renewed));
    }
    match p.ended {
        Some(ended) => {
            let length = human_millis(ended.since(p.started));
            field(out, "Ran", &format!("{} to {ended} ({length})", p.started));
        }
        None => field(out, "Runs", &format!("since {}", p.started)),
    }
    if let Some(exit) = &p.exit {
        let signal = exit.signal.map(|s| format!(", ended by signal {s}")).unwrap_or_default();
        let memory = if exit.out_of_memory { ", out of memory" } else { "" };
        field(out, "Exit", &format!("code {}{signal}{memory}", exit.code));
    }
    if let Some(outcome) = &p.outcome {
        field(out, "Status", &status(outcome));
    }
}

fn status(outcome: &Outcome) -> String {
    let reason = match outcome {
        Outcome::Failed { reason, .. } => format!(": {reason}"),
        _ => String::new(),
    };
    format!("{:?}{reason}", outcome.status())
}

fn artifacts(out: &mut String, subjects: &[Subject]) {
    out.push_str("\nArtifacts\n");
    for subject in subjects {
        let digest = subject.digest.get("sha256").map_or("no sha256", String::as_str);
        let _ = writeln!(out, "  {}  {}", digest, printable(&subject.name));
    }
    if subjects.is_empty() {
        out.push_str("  none\n");
    }
}

fn listed(out: &mut String, name: &str, items: &[String]) {
    let text = if items.is_empty() { "none".to_owned() } else { items.join("; ") };
    let _ = writeln!(out, "  {name:<13} {}", printable(&text));
}

fn field(out: &mut String, name: &str, value: &str) {
    for (i, part) in value.split('\n').enumerate() {
        let label = if i == 0 { name } else { "" };
        let _ = writeln!(out, "{label:<9} {}", printable(part));
    }
}

fn inputs(out: &mut String, statement: &Statement) {
    out.push_str("\nInputs\n");
    for channel in &statement.predicate.inputs {
        if let Some(pipe) = &channel.pipe {
            piped(out, channel, pipe);
            continue;
        }
        let bytes: u64 = channel.files.iter().map(|f| f.size).sum();
        let _ = writeln!(
            out,
            "  {} from {}: {} files, {}",
            channel.channel,
            printable(&channel.uri),
            channel.files.len(),
            human_bytes(bytes)
        );
        for file in channel.files.iter().take(MAX_FILES_SHOWN) {
            let (size, path) = (human_bytes(file.size), printable(&file.path));
            let _ = writeln!(out, "    {}  {size:>9}  {path}", file.sha256);
        }
        if channel.files.len() > MAX_FILES_SHOWN {
            let _ = writeln!(out, "    and {} more", channel.files.len() - MAX_FILES_SHOWN);
        }
    }
    if statement.predicate.inputs.is_empty() {
        out.push_str("  none\n");
    }
    if let Some(checkpoints) = &statement.predicate.checkpoints {
        let _ = writeln!(
            out,
            "  checkpoints from and to {}: {} brought in, {} kept",
            printable(&checkpoints.uri),
            checkpoints.restored.len(),
            checkpoints.kept.len()
        );
    }
}

/// A channel in Pipe mode: what went through its FIFOs.
fn piped(out: &mut String, channel: &StagedChannel, pipe: &PipedChannel) {
    let (name, uri) = (&channel.channel, printable(&channel.uri));
    let _ = writeln!(out, "  {name} from {uri}: streamed, {} epochs opened", pipe.opened);
    for epoch in pipe.epochs.iter().take(MAX_FILES_SHOWN) {
        let whole = if epoch.complete { "" } else { ", closed before the end" };
        let size = human_bytes(epoch.size);
        let _ = writeln!(out, "    {}  {size:>9}  epoch {}{whole}", epoch.sha256, epoch.epoch);
    }
    let shown = pipe.epochs.len().min(MAX_FILES_SHOWN) as u64;
    if pipe.opened > shown {
        let _ = writeln!(out, "    and {} more", pipe.opened - shown);
    }
}

fn seal(out: &mut String, seal: &SealReading, peers: Option<&PeerLink>, breaches: &[String]) {
    if breaches.is_empty() {
        out.push_str("  holds\n");
    }
    for breach in breaches {
        let _ = writeln!(out, "  BROKEN: {}", printable(breach));
    }
    if let Some(link) = peers {
        let to: Vec<String> = link.peers.iter().map(|(h, a)| format!("{h} {a}")).collect();
        listed(out, "peers", &to);
        listed(out, "link", &[format!("{}, {}", link.interface, link.driver.as_str())]);
        let keys: Vec<String> = link.public_keys.iter().map(|(h, k)| format!("{h} {k}")).collect();
        if !keys.is_empty() {
            listed(out, "public keys", &keys);
        }
    }
    let mut list = |name: &str, items: &[String]| listed(out, name, items);
    list("interfaces", &seal.interfaces);
    list("addresses", &seal.addresses);
    list("routes", &seal.routes);
    list("rules", &seal.rules);
    let own: Vec<String> = seal.namespaces.keys().cloned().collect();
    list("namespaces", &own);
    let held: Vec<String> = seal
        .capabilities
        .iter()
        .filter(|(_, hex)| hex.chars().any(|c| c != '0'))
        .map(|(set, hex)| format!("{set} {hex}"))
        .collect();
    list("capabilities", &held);
    let filters = format!("mode {}, {} filters", seal.seccomp_mode, seal.seccomp_filters);
    list("seccomp", &[filters]);
}

fn attempts(out: &mut String, statement: &Statement) {
    let attempts = &statement.predicate.attempts;
    let _ = writeln!(out, "\nAttempts to reach something: {}", attempts.total());
    for attempt in attempts.targets.iter().take(MAX_ATTEMPTS_SHOWN) {
        let (protocol, target) = target(attempt);
        let _ = writeln!(out, "  {}  {:>6}x  {protocol:<5} {target}", attempt.first, attempt.count);
    }
    let hidden = attempts.targets.len().saturating_sub(MAX_ATTEMPTS_SHOWN);
    for (count, what) in [
        (hidden as u64, "more targets"),
        (attempts.beyond, "attempts at further targets, counted only"),
        (attempts.lost, "attempts that came too fast to be recorded"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "  and {count} {what}");
        }
    }
}

fn target(attempt: &Attempt) -> (String, String) {
    let protocol = format!("{:?}", attempt.protocol).to_lowercase();
    let place = match (attempt.address, attempt.port) {
        (Some(address), Some(port)) => std::net::SocketAddr::new(address, port).to_string(),
        (Some(address), None) => address.to_string(),
        (None, Some(port)) => format!("port {port}"),
        (None, None) => String::new(),
    };
    let name = attempt.name.as_deref().map(printable).unwrap_or_default();
    (protocol, [name, place].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" at "))
}
