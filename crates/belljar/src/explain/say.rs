//! The explanation, for a person.

use super::answer::{Answer, Path};
use super::way::{self, component, cross, tick};
use crate::doctor::wrap;
use crate::network::names::Names;
use crate::terminal::printable;
use belljar_vpc::reach::{Blocker, Component, DetailCode};
use owo_colors::OwoColorize;
use std::fmt::Write;

/// All of it. (Writing into a `String` cannot fail.)
pub(super) fn text(names: &Names<'_>, answer: &Answer, columns: usize) -> String {
    let mut out = String::new();
    let port = answer.port.map_or_else(String::new, |port| format!(" {port}"));
    let (from, to) = (printable(&answer.from), &answer.to);
    let _ = writeln!(out, "{} → {}  {}{port}", from.bold(), to.bold(), answer.protocol);
    if let Some(sealed) = &answer.sealed {
        isolated(&mut out, sealed, !answer.paths.is_empty(), columns);
    }
    let what = if answer.sealed.is_some() { "What is staged" } else { "It" };
    match answer.paths.as_slice() {
        [] => {}
        [first, rest @ ..] if rest.iter().all(|other| agree(first, other)) => {
            let _ = writeln!(out, "\n{}", place(names, first));
            way::write(&mut out, names, first, columns);
            details(&mut out, first);
            match first.passes {
                true => {
                    let said = format!("{what} passes, request and reply.");
                    let _ = writeln!(out, "\n{} {}", tick(), said.green().bold());
                    policy(&mut out, names, first, columns);
                }
                false => {
                    let said = format!("{what} does not pass. In the way:");
                    let _ = writeln!(out, "\n{} {}", cross(), said.red().bold());
                    blockers(&mut out, names, first, columns);
                }
            }
            same(&mut out, names, rest);
        }
        several => several.iter().for_each(|path| short(&mut out, names, path, columns)),
    }
    out
}

fn isolated(out: &mut String, sealed: &Blocker, staged: bool, columns: usize) {
    let said = format!("{}: {}", sealed.code, printable(&sealed.text));
    let _ = writeln!(out, "\n{} {}", cross(), wrap(&said, "  ", columns));
    let more = match (&sealed.component, staged) {
        (Component::Internet, _) => {
            "It is in no VPC: what is staged for it from and to S3 goes by this machine's own network."
        }
        (_, true) => {
            "What is staged for it from and to S3 goes by its interface, and is explained here:"
        }
        _ => "Only what is staged for it goes by its interface, from and to S3 (--to s3).",
    };
    let _ = writeln!(out, "  {}", wrap(more, "  ", columns));
}

/// What is not asked here: packets pass, and yet a request may be refused.
fn policy(out: &mut String, names: &Names<'_>, path: &Path, columns: usize) {
    let Some(id) = &path.endpoint_policy else { return };
    let said = format!(
        "{} has a policy, which decides each request and is not asked here. What it refuses is \
         AccessDenied, and stands in the FailureReason of what it stops.",
        names.label(id.as_str())
    );
    let _ = writeln!(out, "  {}", wrap(&said, "  ", columns));
}

/// Whether two interfaces' explanations come to the same.
fn agree(one: &Path, other: &Path) -> bool {
    let said = |p: &Path| -> Vec<_> {
        let of = |b: &Blocker| (b.code, b.component.clone(), b.direction, b.fix.clone());
        p.reach.blockers.iter().map(of).collect()
    };
    one.passes == other.passes && said(one) == said(other)
}

/// Whose interface, and where it is.
fn place(names: &Names<'_>, path: &Path) -> String {
    let address = path.source.map(|a| a.to_string()).unwrap_or_default();
    let Some(id) = &path.interface else { return format!("{address}, on the internet") };
    let subnet = names.network.interfaces.get(id).map(|i| names.label(i.subnet.as_str()));
    let subnet = subnet.unwrap_or_default();
    match path.planned {
        true => format!("an interface as it would be given, {address} in {subnet}"),
        false => format!("{} at {address} in {subnet}", names.label(id.as_str())),
    }
}

fn details(out: &mut String, path: &Path) {
    for detail in &path.reach.details {
        let said = match detail {
            DetailCode::AvailabilityZoneCrossed => {
                "its ends are in two zones, which AWS charges for"
            }
            DetailCode::UnidirectionalPathAnalysisOnly => "nothing answers such a packet",
        };
        let _ = writeln!(out, "\n  {detail}: {said}");
    }
}

/// All that is in the way, what mends it, and that it does.
fn blockers(out: &mut String, names: &Names<'_>, path: &Path, columns: usize) {
    for (blocker, number) in path.reach.blockers.iter().zip(1..) {
        let at = component(names, &blocker.component);
        let said = wrap(&printable(&blocker.text), "     ", columns);
        let _ = writeln!(
            out,
            "\n  {number}  {}  {} at {at}\n     {said}",
            blocker.code.bold(),
            blocker.direction
        );
        // A line that is to be copied is not broken.
        for line in blocker.fix.iter().flat_map(|fix| &fix.cli) {
            let _ = writeln!(out, "     {} {}", "$".dimmed(), printable(line).cyan());
        }
    }
    let _ = writeln!(out, "\n  {}", after(path));
}

/// What all fixes together come to.
fn after(path: &Path) -> String {
    let count = path.reach.blockers.len();
    let changes = if count == 1 { "this change" } else { "all of these changes" };
    match path.passes_mended {
        Some(true) => format!("After {changes} it passes."),
        _ if path.reach.blockers.iter().any(|b| b.fix.is_none()) => {
            "No change of single rules mends all of that.".to_owned()
        }
        _ => format!("After {changes} it does not pass yet: explain it again then."),
    }
}

/// The other interfaces, of which the same is true.
fn same(out: &mut String, names: &Names<'_>, others: &[Path]) {
    if others.is_empty() {
        return;
    }
    let all: Vec<String> = others.iter().map(|path| place(names, path)).collect();
    let _ = writeln!(out, "\nThe same is true of:\n  {}", all.join("\n  "));
}

/// One of several interfaces that differ.
fn short(out: &mut String, names: &Names<'_>, path: &Path, columns: usize) {
    if path.passes {
        let _ = writeln!(out, "\n{} {}: {}", tick(), place(names, path), "it passes".green());
        policy(out, names, path, columns);
        return;
    }
    let _ = writeln!(out, "\n{} {}: {}", cross(), place(names, path), "it does not pass".red());
    blockers(out, names, path, columns);
}
