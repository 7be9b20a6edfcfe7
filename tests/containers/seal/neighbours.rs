//! Two jobs of one user at the same time know nothing of each other.

use crate::inside::{self, fact};
use belljar_domain::{Event, SealReading, Stream};
use belljar_testkit::{As, Run, Training};
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::thread;

/// Waits until the container has said a line; what comes after is read and thrown away, so that
/// no pipe fills.
pub(crate) fn until_it_says(belljar: &mut Child, wanted: &str) -> Vec<String> {
    let mut said = Vec::new();
    let mut reader = BufReader::new(belljar.stdout.take().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        let done = line.contains(wanted);
        said.push(std::mem::take(&mut line));
        if done {
            thread::spawn(move || reader.read_to_end(&mut Vec::new()).unwrap());
            return said;
        }
    }
    let mut errors = String::new();
    belljar.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    panic!("it never said {wanted}: {said:?} {errors}");
}

/// What Ctrl-C sends.
pub(crate) fn interrupt(belljar: &Child) {
    let pid = rustix::process::Pid::from_child(belljar);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

fn seal(run: &Run) -> &SealReading {
    let found = run.events.iter().find_map(|e| match e {
        Event::Sealed { seal, .. } => Some(&**seal),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn two_jobs_side_by_side_see_nothing_of_each_other() {
    for who in As::all() {
        let scene = inside::scene(who);
        let name = "abstract:belljar-neighbour";
        // The first holds a socket, a shared-memory file and its processes while it waits.
        let first = Training::probe("first", &["hold", "belljar-neighbour"]);
        let mut first =
            first.command(&scene).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = until_it_says(&mut first, "waiting for TERM");
        // It has reached its own socket itself: that is the control.
        assert!(said.iter().any(|l| l.contains("held belljar-neighbour")), "{said:?}");
        let (run, lines) = inside::attempts(&scene, "second", &[name]);
        assert_eq!(lines[name].result, "refused", "{who:?}");
        assert_eq!(*fact(&lines, "processes"), json!([1]), "{who:?}");
        let tree = inside::probe(&scene, "shm", &["tree", "/dev/shm"]);
        assert_eq!(tree.lines(Stream::Stdout).len(), 1, "{who:?}: only the folder itself");
        let first_seal: Event =
            serde_json::from_str(said.iter().find(|l| l.contains(r#""event":"sealed""#)).unwrap())
                .unwrap();
        let Event::Sealed { seal: first_seal, .. } = first_seal else { unreachable!() };
        for (kind, number) in &first_seal.namespaces {
            assert_ne!(seal(&run).namespaces[kind], *number, "{who:?}: {kind}");
        }
        interrupt(&first);
        assert_eq!(first.wait().unwrap().code(), Some(3), "{who:?}");
    }
}

/// As root, no two containers at one time have a user id in common on the host.
#[test]
fn the_ids_of_two_jobs_are_apart() {
    if As::all() == [As::User] {
        return;
    }
    let scene = inside::scene(As::Root);
    let mut first = Training::probe("first", &["trap-term", "0"])
        .command(&scene)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = until_it_says(&mut first, "waiting for TERM").concat();
    let second = inside::probe(&scene, "second", &["ids"]);
    let [second] = seal(&second).uid_map.as_slice() else { panic!("{second:?}") };
    assert!(!said.contains(second.as_str()), "{second} in {said}");
    assert!(said.contains("uidMap"), "{said}");
    interrupt(&first);
    assert_eq!(first.wait().unwrap().code(), Some(3));
}
