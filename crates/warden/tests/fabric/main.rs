//! The fabric, from its command line to packets: as root, and as an ordinary user. It has a `main`
//! of its own because it is also the program that it tests.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod credentials;
mod names;
mod outside;
mod scene;
mod service;
mod way;

use libtest_mimic::{Arguments, Failed, Trial};
use scene::{Scene, is_root};
use std::process::{Command, ExitCode};

type Outcome = Result<(), Failed>;

const USER: u32 = 61_234;

fn main() -> ExitCode {
    // A fabric that a scene has started.
    if std::env::args().nth(1).as_deref() == Some("fabric") {
        return belljar_warden::main();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trial = |name: &str, test: fn() -> Outcome| Trial::test(name, test);
    let mut trials = vec![
        trial("a_connection_reaches_the_service_and_says_by_which_way", way::reaches),
        trial("whoever_takes_all_leaves_other_endpoints_theirs", way::shared),
        trial("what_is_in_the_way_is_named_at_once", way::blocked),
        trial("what_cannot_be_applied_changes_nothing", way::unapplied),
        trial("names_are_answered_by_both_transports", names::answered),
        trial("a_container_has_its_interface_as_long_as_it_holds_it", way::attached),
        trial("internet_gateways_lead_to_the_hosts_network", outside::as_root),
        trial("and_of_an_ordinary_users_fabric_too", outside::as_user),
        trial("a_killed_fabric_leaves_nothing_and_is_told_everything_again", way::killed),
        trial("a_container_finds_its_roles_credentials", credentials::found),
        trial("a_fabric_ends_with_its_folder_and_by_word", way::ends),
    ];
    if is_root() {
        trials.push(trial("an_ordinary_user_gets_the_same", as_user));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs all other tests as an ordinary user.
fn as_user() -> Outcome {
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(USER), Some(USER)).unwrap();
    // The build's folder may be closed to others.
    let program = home.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new("setpriv")
        .args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"])
        .arg(&program)
        .env("TMPDIR", home.path())
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("a_connection_reaches_the_service"), "{text}");
    drop(Scene::none());
    Ok(())
}
