//! The service's commands: up, env, keys.

use crate::scene::Scene;
use std::path::Path;
use std::time::{Duration, Instant};

/// Without what differs from run to run: keys, times and ports.
fn plain(text: &str) -> String {
    let words = text.split_inclusive(|c: char| c.is_whitespace() || c == '=');
    let plain = |word: &str| {
        let (core, end) = word.split_at(word.trim_end().len());
        let core = core.trim_end_matches('=');
        let rest = &word[core.len()..];
        match core {
            c if c.starts_with("AKIA") && c.len() == 20 => format!("[KEY]{rest}"),
            c if c.len() == 40
                && c.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b)) =>
            {
                format!("[SECRET]{rest}")
            }
            c if c.starts_with("2") && c.ends_with('Z') => format!("[TIME]{rest}"),
            c if c.contains("http://127.0.0.1:") => {
                let at = c.rfind(':').unwrap();
                let tail: String = c[at + 1..].chars().skip_while(char::is_ascii_digit).collect();
                format!("{}:[PORT]{tail}{rest}", &c[..at])
            }
            _ => format!("{}{end}", &word[..word.len() - end.len()]),
        }
    };
    words.map(plain).collect()
}

fn shown(scene: &Scene, args: &[&str]) -> String {
    plain(&scene.transcript(args))
}

#[test]
fn no_service() {
    let scene = Scene::new("normal");
    insta::assert_snapshot!("no_service", scene.transcript(&["env"]));
    assert!(!scene.path("state").exists(), "asking makes nothing");
}

#[test]
fn keys() {
    let scene = Scene::new("normal");
    let mut all = vec![shown(&scene, &["keys", "list"]), shown(&scene, &["keys", "create"])];
    let first = scene.run(&["keys", "list"]).stdout;
    let first = first.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    all.push(shown(&scene, &["keys", "revoke", &first]));
    all.push(shown(&scene, &["keys", "revoke", "AKIANONE"]));
    scene.run(&["keys", "create"]);
    all.push(shown(&scene, &["keys", "revoke", &first]));
    all.push(shown(&scene, &["keys", "list"]));
    insta::assert_snapshot!("keys", all.join("\n\n"));
}

#[test]
fn wrong_settings() {
    let scene = Scene::new("normal");
    let all = [
        scene.transcript(&["up", "--listen", "nowhere"]),
        scene.transcript(&["up", "--listen", "192.0.2.1:4747"]),
        scene.transcript(&["up", "--account", "12"]),
        scene.transcript(&["up", "--region", "Mars!"]),
        scene.transcript(&["up", "--capacity", "elastic"]),
        scene.transcript(&["up", "--s3-endpoint", "ftp://example.com"]),
        scene.transcript(&["up", "--registry-mirror", "example.com"]),
        scene.transcript(&["up", "--zones", "a,"]),
        scene.transcript(&["up", "--zones", "rack 1"]),
    ];
    insta::assert_snapshot!("wrong_settings", all.join("\n\n"));
}

#[test]
fn a_service_from_start_to_end() {
    let scene = Scene::new("normal");
    let args = ["up", "--listen", "127.0.0.1:0", "--zones", "rack-1,rack-2"];
    let service = scene.command(&args).spawn().unwrap();
    let begun = Instant::now();
    while scene.run(&["env"]).code != 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not listen");
    }
    let mut all = vec![shown(&scene, &["env"])];
    let second = scene.run(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 4);
    let pid = format!("(process {})", service.id());
    all.push(second.transcript().replace(&pid, "(process [PID])"));
    let id = rustix::process::Pid::from_child(&service);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    all.push(plain(&scene.answer(service).transcript()));
    all.push(shown(&scene, &["env"]));
    insta::assert_snapshot!("service", all.join("\n\n"));
    let service = scene.path("state").join("service");
    for gone in ["socket", "address.json"] {
        assert!(!Path::new(&service).join(gone).exists(), "{gone} stays");
    }
}
