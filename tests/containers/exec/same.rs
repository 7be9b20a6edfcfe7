//! What stays as it is without a jar.

use crate::jar::{Jar, Said};
use belljar_testkit::As;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

#[test]
fn user_folder_files_environment_and_streams_are_the_commands_own() {
    for who in As::all() {
        let jar = Jar::new(who);
        let script = "id -u; id -g; pwd; cat; echo $GIVEN; echo oops >&2; touch made";
        let run = |mut command: std::process::Command| {
            command.env("GIVEN", "a variable").stdin(Stdio::piped());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(b"from standard input\n").unwrap();
            Said::of(&child.wait_with_output().unwrap())
        };
        let inside = run(jar.command(&["sh", "-c", script]));
        let made = jar.scene.path().join("made");
        let owner = std::fs::metadata(&made).unwrap().uid();
        let mut outside = jar.scene.command("/bin/sh".as_ref());
        outside.args(["-c", script]);
        let outside = run(outside);
        assert_eq!(inside.out, outside.out, "{who:?}");
        assert_eq!((inside.err, inside.code), (outside.err, outside.code), "{who:?}");
        let who_acts = std::fs::metadata(jar.scene.path()).unwrap().uid();
        assert_eq!(owner, who_acts, "{who:?}");
    }
}

#[test]
fn the_authority_is_trusted_where_programs_look() {
    for who in As::all() {
        let jar = Jar::new(who);
        let script =
            "for f in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
            [ -e $f ] && cat $f; done; cat /etc/resolv.conf; grep ^hosts /etc/nsswitch.conf";
        let said = jar.shell(script);
        let lines: Vec<&str> = said.out.lines().collect();
        assert!(lines.contains(&"nameserver 127.0.0.1"), "{said:?}");
        assert!(lines.contains(&"hosts: files dns"), "{said:?}");
        assert!(!said.out.contains("BEGIN CERTIFICATE"), "{who:?}");
        // And outside, everything is as it was.
        let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        assert!(!host.contains("options timeout:1 attempts:1"), "{host}");
    }
}

#[test]
fn sets_of_options_that_make_no_sense_start_nothing() {
    let jar = Jar::new(As::User);
    for words in [&["exec"][..], &["exec", "--", "true"], &["exec", "--service", "/", "--ca"]] {
        let mut command = jar.scene.command(jar.scene.tools().warden());
        let said = Said::of(&command.args(words).output().unwrap());
        assert_eq!(said.code, Some(64), "{said:?}");
    }
    // A service's folder that is not there: the command is not started.
    let mut command = jar.scene.command(jar.scene.tools().warden());
    let words = ["exec", "--service", "/nowhere", "--ca", "/dev/null", "--", "touch", "started"];
    let said = Said::of(&command.args(words).output().unwrap());
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.err.starts_with("error: "), "{said:?}");
    assert!(!jar.scene.path().join("started").exists());
}
