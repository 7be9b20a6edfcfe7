//! `belljar serve`: what is refused, and a model from its first answer to the interrupt.

use crate::door;
use crate::scene::{Answer, Scene};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;

#[test]
fn what_is_refused() {
    let scene = Scene::new("normal");
    let serve = |more: &[&str]| {
        let mut args = vec!["serve", "--image", "x", "--port", "0"];
        args.extend(more);
        scene.transcript(&args)
    };
    let all = [
        scene.transcript(&["serve"]),
        serve(&["--instances", "21"]),
        serve(&["--instances", "0"]),
        serve(&["--model", "missing.tar.gz"]),
        serve(&["--model", "ftp://example.com/m.tar.gz"]),
        serve(&["--name", "under_score"]),
        serve(&["--instance-type", "ml.m5.large", "--memory", "1G"]),
        serve(&["--env", "1A=x"]),
    ];
    insta::assert_snapshot!("serve_refused", all.join("\n\n"));
    assert!(!scene.path("state/endpoints").exists(), "nothing was started");
}

#[test]
fn a_port_that_is_taken() {
    let scene = Scene::new("normal");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let transcript = scene.transcript(&["serve", "--image", "x", "--port", &port]);
    insta::assert_snapshot!("serve_port_taken", transcript.replace(&port, "[PORT]"));
    assert!(!scene.path("state").exists(), "nothing was started");
}

/// A command that serves, up to the line that says where; what it said, and the port.
fn serving(child: &mut Child) -> (BufReader<std::process::ChildStderr>, String, u16) {
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("/invocations") {
        assert!(reader.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    let address = said.rsplit("http://127.0.0.1:").next().unwrap();
    let port = address.split('/').next().unwrap().parse().unwrap();
    (reader, said, port)
}

/// Interrupts it, and waits for its end.
fn ended(
    scene: &Scene,
    child: Child,
    mut reader: BufReader<impl Read>,
    mut said: String,
) -> Answer {
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    reader.read_to_string(&mut said).unwrap();
    let mut answer = scene.answer(child);
    answer.stderr = said;
    answer
}

fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_model_from_start_to_end() {
    let scene = Scene::new("normal");
    std::fs::create_dir(scene.path("model")).unwrap();
    let shown = door::answers(&scene.path("state"), "a seven");
    let args = ["serve", "--image", "x", "--model", "model", "--name", "digits", "--port", "0"];
    let mut child = scene.command(&args).spawn().unwrap();
    let (reader, said, port) = serving(&mut child);
    let other = "host: model.example.com\r\nconnection: close\r\n";
    let refused = ask(port, &format!("GET /ping HTTP/1.1\r\n{other}\r\n"));
    assert!(refused.starts_with("HTTP/1.1 421 "), "{refused}");
    let close = "host: localhost\r\nconnection: close\r\n";
    let pinged = ask(port, &format!("GET /ping HTTP/1.1\r\n{close}\r\n"));
    assert!(pinged.starts_with("HTTP/1.1 200 "), "{pinged}");
    let post = format!("POST /invocations HTTP/1.1\r\n{close}content-length: 3\r\n\r\n1,2");
    let invoked = ask(port, &post);
    assert!(invoked.starts_with("HTTP/1.1 200 ") && invoked.ends_with("a seven"), "{invoked}");
    assert_eq!(shown.join().unwrap(), "1,2");
    let answer = ended(&scene, child, reader, said);
    let transcript = format!("$ belljar {}\n{}", args.join(" "), answer.transcript());
    insta::assert_snapshot!("serve", instance(&transcript.replace(&port.to_string(), "[PORT]")));
    assert!(std::fs::read_dir(scene.path("state/endpoints")).unwrap().next().is_none());
}

/// Without the id of an instance.
fn instance(text: &str) -> String {
    let parts: Vec<&str> = text.split("/i-").collect();
    let named = |part: &&str| part.get(17..).unwrap().to_owned();
    let rest: Vec<String> = parts[1..].iter().map(named).collect();
    std::iter::once(parts[0].to_owned()).chain(rest).collect::<Vec<_>>().join("/[INSTANCE]")
}

#[test]
fn several_instances_are_named_in_their_lines() {
    let scene = Scene::new("normal");
    let args = ["serve", "--image", "x", "--instances", "2", "--port", "0"];
    let mut child = scene.command(&args).spawn().unwrap();
    let (reader, said, _) = serving(&mut child);
    let answer = ended(&scene, child, reader, said);
    let mut lines: Vec<&str> = answer.stdout.lines().collect();
    lines.sort_unstable();
    let each = ["algo-1", "algo-2"]
        .map(|host| ["asked: stop", "loading"].map(|l| format!("{host} | {l}")));
    assert_eq!(lines, each.concat(), "{}", answer.stderr);
    assert_eq!(answer.code, 0);
}

#[test]
fn a_container_that_never_answers_is_told_and_tried_no_more() {
    let scene = Scene::new("silent");
    let answer = scene.run(&["serve", "--image", "x", "--name", "mute", "--port", "0"]);
    insta::assert_snapshot!("serve_silent", answer.transcript());
}
