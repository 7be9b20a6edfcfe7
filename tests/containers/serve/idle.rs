//! What a container that serves, and is asked nothing, costs.

use crate::inside::scene;
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Server};
use std::fs;

/// Of the warden, its helper and the keeper; a build that is not optimised has some 8 MiB.
const MOST_KIB: u64 = 10 << 10;

/// The processes below one, but for the container's own.
fn belljars(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|c| c.parse().ok());
    let own = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        !line.starts_with("/probe")
    };
    std::iter::once(pid).chain(children.filter(own).flat_map(belljars)).collect()
}

/// What a process holds, shared pages in parts (`Pss` of proc(5)).
fn held(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn little_memory() {
    let scene = scene(As::all()[0]);
    let mut server = Server::start(&scene, &assignment(&scene, "i-1-1", &[], serving()), &[]);
    server.until_healthy();
    // It lets go of what it needed for its start a moment later.
    server.until("it was small", |s| {
        let all = belljars(s.pid());
        assert_eq!(all.len(), 3, "{all:?}");
        all.into_iter().map(held).sum::<u64>() < MOST_KIB
    });
    let _report = server.stop();
}
