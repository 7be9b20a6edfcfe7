//! How a command ends, and that nothing is left of it.

use crate::jar::{Jar, Said};
use belljar_testkit::As;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The kernel takes its time; this is no measure.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_exit_code_is_the_commands() {
    for who in As::all() {
        let jar = Jar::new(who);
        let code = |script: &str| jar.shell(script).code;
        assert_eq!(code("exit 0"), Some(0));
        assert_eq!(code("exit 37"), Some(37));
        assert_eq!(code("kill -TERM $$"), Some(128 + 15));
        assert_eq!(code("kill -KILL $$"), Some(128 + 9));
        // Ctrl-C is seen as what it is, so that a script ends that is interrupted.
        let output = jar.command(&["bash", "-c", "kill -INT $$"]).output().unwrap();
        assert_eq!(output.status.signal(), Some(2), "{who:?}");
        let said = Said::of(&jar.command(&["no-such-program"]).output().unwrap());
        assert_eq!(said.code, Some(127), "{who:?} {said:?}");
        assert!(said.err.contains("no-such-program"), "{said:?}");
        assert_eq!(Said::of(&jar.command(&["/"]).output().unwrap()).code, Some(126), "{who:?}");
    }
}

/// Counts what it hears.
const COUNT: &str = r#"
import os, signal, time
heard = []
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(s, lambda s, f: (heard.append(s), os.write(1, b"heard\n")))
print("ready", flush=True)
end = time.time() + 30
while signal.SIGHUP not in heard and time.time() < end:
    time.sleep(0.01)
time.sleep(0.1)
print(*map(int, heard))
"#;

/// Once each, whether it was sent to the one process that a shell knows or to the whole group.
#[test]
fn a_signal_is_heard_once() {
    for who in As::all() {
        for group in [false, true] {
            let jar = Jar::new(who);
            let mut command = jar.command(&["python3", "-c", COUNT]);
            let mut child = command.stdout(Stdio::piped()).process_group(0).spawn().unwrap();
            let pid = Pid::from_child(&child);
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "ready");
            for signal in [Signal::USR1, Signal::INT, Signal::TERM, Signal::HUP] {
                let sent =
                    if group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
                sent.unwrap();
                assert_eq!(lines.next().unwrap().unwrap(), "heard", "{who:?} {signal:?}");
            }
            assert_eq!(lines.next().unwrap().unwrap(), "10 2 15 1", "{who:?} {group}");
            assert!(child.wait().unwrap().success());
        }
    }
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|p| p.parse().unwrap()).collect()
}

/// When a process started, and whether it has ended.
fn started(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
    (!matches!(rest[0], "Z" | "X")).then(|| rest[19].to_owned())
}

/// A command with children that try to stay; its warden and all below.
fn begin(jar: &Jar) -> (Child, Vec<(i32, String)>) {
    let script = "sleep 3600 & setsid sh -c 'trap \"\" TERM HUP; sleep 3600; sleep 3600' & sleep 1 & \
                  wait %3; echo ready; wait";
    let mut command = jar.command(&["bash", "-c", script]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let began = Instant::now();
    let all = loop {
        let mut all = vec![i32::try_from(child.id()).unwrap()];
        for at in 0.. {
            let Some(pid) = all.get(at) else { break };
            all.extend(children(*pid));
        }
        // The last of its children may not have begun.
        if all.len() >= 6 || began.elapsed() > PATIENCE {
            break all;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let all: Vec<_> = all.into_iter().map(|p| (p, started(p).unwrap())).collect();
    assert!(all.len() >= 6, "warden, keeper, command and its children: {all:?}");
    (child, all)
}

fn assert_all_gone(all: &[(i32, String)]) {
    let began = Instant::now();
    loop {
        let left: Vec<_> =
            all.iter().filter(|(p, since)| started(*p).as_ref() == Some(since)).collect();
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "still there: {left:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn whoever_is_killed_nothing_is_left() {
    for who in As::all() {
        for (place, name) in ["the warden", "the keeper", "the command"].into_iter().enumerate() {
            let jar = Jar::new(who);
            let (mut child, all) = begin(&jar);
            kill_process(Pid::from_raw(all[place].0).unwrap(), Signal::KILL).unwrap();
            let status = child.wait().unwrap();
            match place {
                0 => assert_eq!(status.signal(), Some(9), "{who:?} {name}"),
                _ => assert_eq!(status.code(), Some(128 + 9), "{who:?} {name}"),
            }
            assert_all_gone(&all);
        }
    }
}

/// What a command leaves running does not outlive it.
#[test]
fn the_commands_end_is_the_end_of_all() {
    for who in As::all() {
        let jar = Jar::new(who);
        let (mut child, all) = begin(&jar);
        kill_process(Pid::from_raw(all[0].0).unwrap(), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(128 + 15), "{who:?}");
        assert_all_gone(&all);
    }
}
