//! From the sealed root to the end of the container's last process.

use super::data::Data;
use super::end::end;
use super::network::{Held, Lost, Network};
use super::root::Rooted;
use super::{Facts, internal};
use crate::failure::Failure;
use crate::journal::now;
use crate::logs::{self, Logs};
use crate::run::{Context, Ending};
use crate::staging::Prepared;
use crate::{seal, staging};
use belljar_domain::failure::{self, Blame};
use belljar_domain::{Assignment, Event, Exit, Outcome, Resources, SecondaryStatus, Stage};
use belljar_linux::cgroup::{self, Cgroup, Controller, Limits};
use belljar_linux::container::{self, Ended, Exited, Running, Sealed, Spec};
use std::time::Duration;

/// Why a container was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Asked,
    TooLong,
    /// It can no longer be given its data.
    NoData,
    /// What it needs of the network was lost.
    Lost(Lost),
}

pub(super) async fn run(
    cx: &Context,
    facts: &mut Facts,
    rooted: Rooted,
    mut network: Network,
    pipes: Vec<Prepared>,
) -> Result<Outcome, Ending> {
    let (cgroup, sealed) = sealed(cx, facts, &rooted, &network).await?;
    let mut data = Data::start(cx, &rooted, pipes)?;
    let (mut running, logs) = start(cx, facts, sealed).await?;
    let mut held = std::mem::take(&mut network.held);
    let end = attend(cx, &mut running, &mut data, &mut held).await;
    let outcome = match end {
        Ok((ended, told)) => {
            let ended = ended_as(cx, facts, &cgroup, running.exited(ended), &network).await;
            ended.map(|(exit, packets)| (exit, told, packets))
        }
        Err(e) => Err(e),
    };
    let recorded = match &outcome {
        Ok((_, _, packets)) => *packets,
        Err(_) => network.sealed.read().await?.recorded,
    };
    let problems = data.finish(facts).await;
    // What the container left in the pipes and in the kernel's queues.
    facts.metrics = logs.finish().await;
    facts.attempts = network.watch.finish(recorded).await;
    let (exit, told, _) = outcome.map_err(start_failure)?;
    drop(held);
    if told == Some(Told::Lost(Lost::Interface)) {
        // With it the network is not what it was: that is the reason, not what follows from it.
        return Err(Lost::Interface.ending());
    }
    let broken = broken_since_start(facts);
    if !broken.is_empty() {
        let text = format!("the seal did not hold to the end: {}", broken.join("; "));
        return Err(internal(text).into());
    }
    let judged = match problems.no_data {
        Some(failure) => Err(failure.into()),
        None => judge(cx, exit, told),
    };
    match (judged, problems.not_kept) {
        (Ok(_), Some(failure)) => Err(failure.into()),
        (Err(ending), Some(failure)) => {
            facts.warnings.push(failure.text);
            Err(ending)
        }
        (judged, None) => judged,
    }
}

/// Seals the container, and reads the seal back before its first instruction.
pub(super) async fn sealed(
    cx: &Context,
    facts: &mut Facts,
    rooted: &Rooted,
    network: &Network,
) -> Result<(Cgroup, Sealed), Ending> {
    let cgroup = make_cgroup(cx)?;
    rooted.root.mount_sys(&network.ns)?;
    cx.journal.point(Stage::Container, "during");
    let spec = spec(facts, rooted, network);
    let sealed = container::seal(spec, &network.ns, &rooted.user_ns, &cgroup);
    let sealed = sealed.await.map_err(start_failure)?;
    let (reading, _) = seal::read(sealed.pid(), &network.sealed, &cx.host).await?;
    let breaches = reading.breaches(facts.allowed());
    if !breaches.is_empty() {
        // Dropped, it dies: it has not run an instruction of its own.
        return Err(internal(format!("the seal does not hold: {}", breaches.join("; "))).into());
    }
    let (seal, peers) = (Box::new(reading.clone()), facts.peers.clone().map(Box::new));
    cx.journal.tell(Event::Sealed { seal, peers }).await;
    facts.seal_at_start = Some(reading);
    if let Some(member) = &cx.member {
        member.gate(cx).await?;
    }
    Ok((cgroup, sealed))
}

/// What it runs, with what its network adds to the environment.
fn spec(facts: &mut Facts, rooted: &Rooted, network: &Network) -> Spec {
    let mut spec = rooted.spec.clone();
    for (name, value) in network.held.environment() {
        spec.environment.retain(|(other, _)| *other != name);
        if !facts.environment_names.contains(&name) {
            facts.environment_names.push(name.clone());
        }
        spec.environment.push((name, value));
    }
    spec
}

/// Lets it run, and reads what it prints.
pub(super) async fn start(
    cx: &Context,
    facts: &mut Facts,
    sealed: Sealed,
) -> Result<(Running, Logs), Ending> {
    facts.started = now();
    let (running, output) = sealed.start().await?;
    let logs = logs::follow(output, &cx.assignment.metrics, &cx.journal.output());
    Ok((running, logs.map_err(|e| internal(format!("read the container's output: {e}")))?))
}

/// Notes how it ended, and reads the seal of what is left of it. Returns also how many packets
/// the kernel has recorded.
pub(super) async fn ended_as(
    cx: &Context,
    facts: &mut Facts,
    cgroup: &Cgroup,
    exited: Exited,
    network: &Network,
) -> belljar_linux::Result<(Exit, u64)> {
    facts.ended = now();
    // What was read while it ran says nothing of its end.
    facts.seal_at_end = None;
    let Ended { code, signal } = exited.ended;
    let exit = Exit { code, signal, out_of_memory: cgroup.out_of_memory_kills() > 0 };
    facts.exit = Some(exit);
    if cx.member.is_some() {
        cx.journal.tell(Event::Exited { exit }).await;
    }
    let (reading, packets) = seal::read(exited.pid(), &network.sealed, &cx.host).await?;
    facts.seal_at_end = Some(reading);
    exited.reap().await?;
    Ok((exit, packets))
}

/// In what the seal did not hold to the end.
pub(super) fn broken_since_start(facts: &Facts) -> Vec<String> {
    let (Some(start), Some(end)) = (&facts.seal_at_start, &facts.seal_at_end) else {
        return vec!["it was not read".to_owned()];
    };
    let mut broken = end.breaches_after_exit(facts.allowed());
    broken.extend(end.changes_since(start));
    broken
}

fn judge(cx: &Context, exit: Exit, told: Option<Told>) -> Result<Outcome, Ending> {
    match told.filter(|t| *t != Told::NoData) {
        Some(Told::Asked) => return Ok(Outcome::Stopped),
        Some(Told::Lost(lost)) => return Err(lost.ending()),
        Some(_) => return Ok(Outcome::MaxRuntimeExceeded),
        None if exit.code == 0 => return Ok(Outcome::Completed),
        None => {}
    }
    let text = staging::read_failure_file(&cx.job.opt_ml());
    let reason = failure::of_exit(&exit, text.as_deref());
    // The text carries its first word already.
    let text = reason.strip_prefix("AlgorithmError: ").unwrap_or(&reason).to_owned();
    let hint = exit
        .out_of_memory
        .then(|| "give it more with --memory or a larger --instance-type".to_owned());
    Err(Failure { blame: Blame::Algorithm, text, hint, machine: false }.into())
}

/// Lets it run to its end: by itself, at a stop, or at its time. TERM first, then KILL.
async fn attend(
    cx: &Context,
    running: &mut Running,
    data: &mut Data,
    held: &mut Held,
) -> belljar_linux::Result<(Ended, Option<Told>)> {
    let policy = cx.assignment.stop;
    let time = tokio::time::sleep(Duration::from_secs(policy.max_runtime_seconds));
    let told = tokio::select! {
        ended = running.wait() => return Ok((ended?, None)),
        _ = cx.orders.stop() => Told::Asked,
        () = time => Told::TooLong,
        () = data.failed() => Told::NoData,
        lost = held.lost() => Told::Lost(lost),
    };
    // Of what was lost nobody asked for the end, and the job may begin again.
    if !matches!(told, Told::Lost(_)) {
        cx.status(SecondaryStatus::Stopping).await;
    }
    Ok((end(cx, running).await?, Some(told)))
}

/// The limits that were asked for, or an error that names the one that cannot be had.
fn make_cgroup(cx: &Context) -> Result<Cgroup, Ending> {
    let wanted = cx.assignment.resources;
    let available = cgroup::available();
    let missing = not_to_be_had(wanted, &available);
    if let Some((option, controller)) = missing.first()
        && !cx.assignment.best_effort_limits
    {
        return Err(cannot_limit(option, *controller).into());
    }
    let has = |controller: Controller| available.contains(&controller);
    let limits = Limits {
        cpu_millis: wanted.cpu_millis.filter(|_| has(Controller::Cpu)),
        memory_bytes: wanted.memory_bytes.filter(|_| has(Controller::Memory)),
        // Without the controller RLIMIT_NPROC holds the same number.
        processes: has(Controller::Processes).then_some(wanted.processes),
    };
    Ok(Cgroup::create(&cx.job.cgroup(), &limits)?)
}

/// Limits that are asked for, and that this user cannot set.
fn not_to_be_had(wanted: Resources, available: &[Controller]) -> Vec<(&'static str, Controller)> {
    let asked = [
        (wanted.cpu_millis.is_some(), "a CPU limit", Controller::Cpu),
        (wanted.memory_bytes.is_some(), "a memory limit", Controller::Memory),
    ];
    let missing = |(asked, _, c): &(bool, &str, Controller)| *asked && !available.contains(c);
    asked.into_iter().filter(missing).map(|(_, option, c)| (option, c)).collect()
}

/// What is to be said of limits that are left out, if any are.
pub(crate) fn limits_left_out(assignment: &Assignment) -> Option<String> {
    let missing = not_to_be_had(assignment.resources, &cgroup::available());
    if !assignment.best_effort_limits || missing.is_empty() {
        return None;
    }
    let names: Vec<&str> = missing.iter().map(|(_, c)| c.name()).collect();
    Some(format!(
        "{} is not enforced: this user may not use the kernel's cgroup controllers for {}; `belljar doctor` says how to get them",
        assignment.instance_type,
        names.join(" and ")
    ))
}

fn cannot_limit(option: &str, controller: Controller) -> Failure {
    Failure {
        blame: Blame::Capacity,
        text: format!(
            "{option} was asked for, and this user may not use the kernel's '{}' cgroup controller",
            controller.name()
        ),
        hint: Some(
            "run belljar as root, or have the controller delegated to you (systemd: Delegate=yes), or ask for no limit"
                .to_owned(),
        ),
        machine: true,
    }
}

/// A program that cannot be executed is the image's fault; everything else is this machine's.
pub(super) fn start_failure(e: belljar_linux::Error) -> Failure {
    if !e.operation.starts_with("execute ") {
        return e.into();
    }
    let hint = match e.errno().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOEXEC) => {
            "it is no program of this machine's architecture, or a script without '#!'"
        }
        Some(rustix::io::Errno::NOENT) => {
            "the interpreter or dynamic loader that it names is not in the image"
        }
        Some(rustix::io::Errno::ACCESS) => "make it executable in the image",
        _ => "look into the image with 'belljar image inspect'",
    };
    Failure {
        blame: Blame::Client,
        text: crate::failure::chain(&e),
        hint: Some(hint.to_owned()),
        machine: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_and_not_there_is_missing() {
        let wanted = Resources { cpu_millis: Some(1), memory_bytes: None, processes: 1 };
        assert_eq!(not_to_be_had(wanted, &[Controller::Cpu]), []);
        let missing = not_to_be_had(wanted, &[Controller::Memory]);
        assert_eq!(missing, [("a CPU limit", Controller::Cpu)]);
        let both = Resources { memory_bytes: Some(1), ..wanted };
        assert_eq!(not_to_be_had(both, &[]).len(), 2);
    }
}
