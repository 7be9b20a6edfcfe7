//! What a container may use.

use crate::own_warden::OwnWarden;
use crate::support::{complete, failure, printed, scene};
use belljar_testkit::{As, Scene, Training};

const MEMORY: &str = "64M";

/// Whether this user was given cgroup controllers: then limits hold for the user too.
fn can_limit(scene: &Scene) -> bool {
    let output = scene.belljar(&["doctor"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|l| l.contains(" limits ")).unwrap_or_else(|| panic!("{said}"));
    !line.contains("no cgroup controllers")
}

#[test]
fn beyond_its_memory_it_is_killed_and_the_report_says_why() {
    for who in As::all() {
        let scene = scene(who);
        let training =
            Training::probe("memory", &["hog-memory", "1000000000"]).option("--memory", MEMORY);
        let run = training.run(&scene);
        let (reason, hint) = failure(&run);
        if who == As::Root || can_limit(&scene) {
            assert!(run.report().exit.unwrap().out_of_memory, "{run:?}");
            assert!(reason.contains("exceeded its memory limit"), "{reason}");
            assert!(hint.unwrap().contains("--memory"), "{hint:?}");
            assert_eq!(run.code, Some(1));
        } else {
            assert!(reason.starts_with("CapacityError: a memory limit was asked for"), "{reason}");
            assert!(hint.unwrap().contains("Delegate=yes"), "{hint:?}");
            assert_eq!(run.code, Some(4), "{who:?}");
        }
        // The control: without the limit there is no such end.
        let run = complete(&scene, &Training::probe("control", &["hog-memory", "100000000"]));
        assert!(printed(&run).ends_with("held bytes=100000000"), "{who:?}");
    }
}

#[test]
fn a_cpu_limit_is_the_kernels() {
    for who in As::all() {
        let scene = scene(who);
        let training = Training::probe("cpus", &["trap-term", "0"]).option("--cpus", "0.5");
        if who == As::User && !can_limit(&scene) {
            let run = training.run(&scene);
            assert!(failure(&run).0.contains("a CPU limit was asked for"), "{run:?}");
            assert_eq!(run.code, Some(4));
            continue;
        }
        let job = belljar_testkit::start(&scene, &training, "waiting for TERM");
        let quotas = quotas();
        assert!(quotas.contains(&0.5), "{quotas:?}");
        job.signal(rustix::process::Signal::INT);
        assert_eq!(job.end().code, Some(3));
    }
}

/// Quota over period of every cgroup that has one, of either version.
fn quotas() -> Vec<f64> {
    let mut found = Vec::new();
    let mut todo = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = todo.pop() {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let numbers = [read("cpu.max"), read("cpu.cfs_quota_us"), read("cpu.cfs_period_us")];
        let numbers: Vec<f64> = numbers
            .iter()
            .flat_map(|text| text.split_whitespace())
            .filter_map(|word| word.parse().ok())
            .collect();
        if let [quota, period] = numbers[..] {
            found.push(quota / period);
        }
        let inside = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        todo.extend(inside.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    found
}

/// The number of processes holds for root and for a user, with and without a cgroup.
#[test]
fn a_fork_bomb_is_bounded() {
    const PROCESSES: u32 = 64;
    for who in As::all() {
        let scene = scene(who);
        let warden = OwnWarden::new(&scene, "bomb", &["fork-bomb", "200"], |assignment| {
            assignment["resources"]["processes"] = PROCESSES.into();
        });
        let run = warden.end();
        let said = printed(&run);
        let counted = said.strip_prefix("processes=").unwrap_or_else(|| panic!("{run:?}"));
        let (count, error) = counted.split_once(" error=").unwrap();
        let count: u32 = count.parse().unwrap();
        assert!(count > 0 && count < PROCESSES, "{who:?}: {said}");
        assert!(error.contains("temporarily unavailable"), "{who:?}: {said}");
        // The control: with the usual number, two hundred are no bomb.
        let run = complete(&scene, &Training::probe("control", &["fork-bomb", "200"]));
        assert_eq!(printed(&run), "processes=200 error=none", "{who:?}");
    }
}
