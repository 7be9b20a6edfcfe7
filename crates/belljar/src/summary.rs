//! The closing summary: how it ended, what came out, what it tried, and the proof.

use crate::screen::{Sealed, Shown};
use crate::terminal::{Console, printable};
use belljar_domain::attempt::Attempts;
use belljar_domain::size::{human_bytes, human_millis};
use belljar_domain::{
    Allowed, Attempt, Exit, HostName, Outcome, PeerLink, Protocol, Report, SealReading,
    SecondaryStatus, Transition,
};
use owo_colors::OwoColorize;

/// Artifacts that are listed.
const MAX_ARTIFACTS: usize = 20;
/// Attempts that are shown; the rest is counted, and in the evidence.
const MAX_ROWS: usize = 20;
/// Hexadecimal digits of a digest that are shown.
const DIGEST_DIGITS: usize = 16;
/// Width of the left column.
const LABEL: usize = 11;

/// Prints it.
pub(crate) fn print(console: &Console, report: &Report, shown: &Shown) {
    console.say("");
    match report.outcome {
        Outcome::Completed => console.say(&outcome(report)),
        _ => console.insist(&outcome(report)),
    }
    for line in metrics(report).into_iter().chain(artifacts(report)) {
        console.say(&line);
    }
    for line in instances(report).into_iter().chain(seals(report, shown)) {
        console.say(&line);
    }
    let holds =
        |(seal, peers): &Sealed| seal.breaches(Allowed::joined(peers.as_deref())).is_empty();
    let sealed = !shown.seals.is_empty() && shown.seals.values().all(holds);
    for line in attempts(&report.attempts, sealed) {
        console.say(&line);
    }
    if let Some(evidence) = &report.evidence {
        console.say(&row("evidence", &printable(evidence)));
    }
    for warning in report.warnings.iter().filter(|w| !shown.warnings.contains(w)) {
        console.warn(warning);
    }
}

/// Whether the container's first process may have run.
fn ran(report: &Report) -> bool {
    let training = |t: &Transition| t.status == SecondaryStatus::Training;
    report.exit.is_some() || report.transitions.as_slice().iter().any(training)
}

fn row(label: &str, text: &str) -> String {
    format!("  {} {text}", format!("{label:LABEL$}").dimmed())
}

/// `✓ Completed  digits-1 in 2.1 s`, or the reason in red.
fn outcome(report: &Report) -> String {
    let transitions = report.transitions.as_slice();
    let took = transitions.first().zip(transitions.last()).map(|(first, last)| {
        format!(" in {}", human_millis(last.end.unwrap_or(last.start).since(first.start)))
    });
    let tail = format!("{}{}", report.job, took.unwrap_or_default());
    match &report.outcome {
        Outcome::Completed => format!("{}  {tail}", "✓ Completed".green().bold()),
        Outcome::Stopped => format!("{}  {tail}", "■ Stopped".yellow().bold()),
        Outcome::MaxRuntimeExceeded => {
            format!("{}  {tail}", "■ Stopped at the maximum runtime".yellow().bold())
        }
        Outcome::Failed { reason, hint, .. } => {
            let mut text = format!(
                "{}  {tail}\n{}",
                "✗ Failed".red().bold(),
                row("reason", &printable(reason))
            );
            if let Some(hint) = hint {
                text.push('\n');
                text.push_str(&row("hint", &printable(hint)));
            }
            text
        }
    }
}

fn metrics(report: &Report) -> Vec<String> {
    let width = report.metrics.iter().map(|m| m.name.chars().count()).max().unwrap_or(0);
    let label = |i: usize| if i == 0 { "metrics" } else { "" };
    let text = |(i, m): (usize, &belljar_domain::metrics::MetricDatum)| {
        row(label(i), &format!("{:width$}  {}", printable(&m.name), m.value.bold()))
    };
    report.metrics.iter().enumerate().map(text).collect()
}

fn artifacts(report: &Report) -> Vec<String> {
    let label = |i: usize| if i == 0 { "artifacts" } else { "" };
    let text = |(i, a): (usize, &belljar_domain::Artifact)| {
        let digest: String = a.sha256.chars().take(DIGEST_DIGITS).collect();
        let text = format!(
            "{:<14} {:>9}  {}  {}",
            printable(&a.name),
            human_bytes(a.size),
            format!("sha256:{digest}…").dimmed(),
            printable(&a.uri)
        );
        row(label(i), &text)
    };
    let mut rows: Vec<String> =
        report.artifacts.iter().take(MAX_ARTIFACTS).enumerate().map(text).collect();
    let beyond = report.artifacts.len().saturating_sub(MAX_ARTIFACTS);
    if beyond > 0 {
        rows.push(row("", &format!("and {beyond} more")));
    }
    rows
}

/// How each of several ended.
fn instances(report: &Report) -> Vec<String> {
    let how = |r: &Report| match r.exit {
        Some(Exit { signal: Some(signal), .. }) => format!("ended by signal {signal}"),
        Some(exit) => format!("exit code {}", exit.code),
        None => "not started".to_owned(),
    };
    let line = |(i, r): (usize, &Report)| {
        let text = format!("{:7}  {}", r.host.as_str(), how(r));
        row(if i == 0 { "instances" } else { "" }, &text)
    };
    report.instances.iter().enumerate().map(line).collect()
}

/// A line for each seal; one for all, where there is nothing to tell apart.
fn seals(report: &Report, shown: &Shown) -> Vec<String> {
    let ran = if report.instances.is_empty() {
        usize::from(ran(report))
    } else {
        report.instances.iter().filter(|r| ran(r)).count()
    };
    let mut lines: Vec<String> = Vec::new();
    if shown.seals.len() < ran {
        let text = match shown.seals.len() {
            0 => "no reading of the seal was reported".to_owned(),
            some => format!("of {ran} containers only {some} seals were reported"),
        };
        lines.push(row("seal", &text.red().bold().to_string()));
    } else if shown.seals.is_empty() {
        lines.push(row("seal", "the container was not started: there was nothing to seal"));
    }
    let all: Vec<(String, String)> = shown
        .seals
        .iter()
        .map(|(host, (seal, peers))| {
            let alone = seal_line(None, seal, peers.as_deref());
            (seal_line(host.as_ref(), seal, peers.as_deref()), alone)
        })
        .collect();
    match all.as_slice() {
        [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => {
            lines.push(first.clone());
        }
        _ => lines.extend(all.into_iter().map(|(named, _)| named)),
    }
    lines
}

/// The seal in one line, from what the kernel said and nothing else.
pub(crate) fn seal_line(
    host: Option<&HostName>,
    seal: &SealReading,
    peers: Option<&PeerLink>,
) -> String {
    let who = host.map(|h| format!("{h}: ")).unwrap_or_default();
    let breaches = seal.breaches(Allowed::joined(peers));
    if !breaches.is_empty() {
        let text = printable(&breaches.join("; "));
        return row("seal", &format!("{who}{} {text}", "BROKEN:".red().bold()));
    }
    let own = seal.namespaces.len().saturating_sub(seal.shared_with_host.len());
    let reach = peers.map(|link| {
        let (count, how) = (link.peers.len(), link.driver.as_str());
        let s = if count == 1 { "" } else { "s" };
        format!("lo, {} to its {count} peer{s} alone ({how})", link.interface)
    });
    let reach = reach.unwrap_or_else(|| format!("{} alone", seal.interfaces.join(", ")));
    let text = format!("{reach}, no capability, seccomp, {own} namespaces of its own");
    row("sealed", &format!("{who}{}", text.green()))
}

fn attempts(attempts: &Attempts, sealed: bool) -> Vec<String> {
    let total = attempts.total();
    if total == 0 {
        let none =
            if sealed { vec![row("attempts", "none: it tried to reach nothing")] } else { vec![] };
        return none;
    }
    let targets = attempts.targets.len();
    let s = |n: u64| if n == 1 { "" } else { "s" };
    let head = format!(
        "{total} attempt{} at {targets} target{}{}",
        s(total),
        s(targets as u64),
        if sealed { ", all refused" } else { "" }
    );
    let mut lines = vec![row("attempts", &head)];
    let width = attempts.targets.iter().take(MAX_ROWS).map(|a| place(a).chars().count()).max();
    let width = width.unwrap_or(0).min(60);
    for a in attempts.targets.iter().take(MAX_ROWS) {
        let how = format!("{:4}", protocol(a.protocol));
        let times = format!("×{}", a.count);
        lines.push(row("", &format!("{} {:width$}  {}", how.yellow(), place(a), times.dimmed())));
    }
    let hidden = targets.saturating_sub(MAX_ROWS);
    if hidden > 0 {
        lines.push(row("", &format!("and {hidden} further targets, all in the evidence")));
    }
    if attempts.beyond > 0 {
        lines.push(row("", &format!("and {} at targets beyond those recorded", attempts.beyond)));
    }
    if attempts.lost > 0 {
        let text = format!("and {} that came too fast to be recorded in detail", attempts.lost);
        lines.push(row("", &text));
    }
    lines
}

fn protocol(p: Protocol) -> &'static str {
    match p {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp => "icmp",
        Protocol::Dns => "dns",
        Protocol::Other => "ip",
    }
}

/// `dns telemetry.example.com`, `tcp 169.254.169.254:80`.
pub(crate) fn target(a: &Attempt) -> String {
    format!("{} {}", protocol(a.protocol), place(a))
}

fn place(a: &Attempt) -> String {
    let address = match (a.address, a.port) {
        (Some(ip), Some(port)) => Some(std::net::SocketAddr::new(ip, port).to_string()),
        (Some(ip), None) => Some(ip.to_string()),
        (None, _) => None,
    };
    match (a.name.as_deref().map(printable), address) {
        (Some(name), Some(address)) => format!("{name} (asked of {address})"),
        (Some(name), None) => name,
        (None, Some(address)) => address,
        (None, None) => "an unknown place".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_domain::Timestamp;

    fn attempt(name: Option<&str>, port: u16) -> Attempt {
        let t = Timestamp::from_millis(0);
        Attempt {
            protocol: if name.is_some() { Protocol::Dns } else { Protocol::Tcp },
            address: name.is_none().then(|| [169, 254, 169, 254].into()),
            port: name.is_none().then_some(port),
            name: name.map(str::to_owned),
            first: t,
            last: t,
            count: 1,
        }
    }

    #[test]
    fn a_name_from_a_container_cannot_steer_the_terminal() {
        assert_eq!(target(&attempt(Some("a\x1b]0;x\x07"), 0)), "dns a\\u{1b}]0;x\\u{7}");
        assert_eq!(target(&attempt(None, 80)), "tcp 169.254.169.254:80");
    }

    #[test]
    fn a_port_scan_is_cut_and_counted() {
        let mut a = Attempts::default();
        for port in 0..1500 {
            a.add(attempt(None, port));
        }
        let lines = attempts(&a, true);
        assert_eq!(lines.len(), 1 + MAX_ROWS + 2);
        assert!(lines[0].contains("1500 attempts at 1000 targets"), "{}", lines[0]);
        assert!(lines[MAX_ROWS + 1].contains("980 further"), "{:?}", lines.last());
    }

    #[test]
    fn a_seal_that_does_not_hold_is_called_broken() {
        assert!(seal_line(None, &SealReading::default(), None).contains("BROKEN"));
    }
}
