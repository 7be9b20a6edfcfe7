//! A scene with a service that says what it hears, and commands that run before it.

use belljar_domain::proxy::LOCAL;
use belljar_testkit::{As, Scene};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

/// A service of a scene; its threads end with the test's process.
pub(crate) struct Jar {
    pub(crate) scene: Scene,
    service: PathBuf,
    ca: PathBuf,
}

impl Jar {
    pub(crate) fn new(who: As) -> Self {
        let scene = Scene::new(who);
        let service = scene.dir("service");
        let ca = scene.file("service/ca.pem", "-- the authority --\n");
        let listener = UnixListener::bind(service.join("socket")).unwrap();
        scene.share(&service.join("socket"));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || serve(stream));
            }
        });
        Self { scene, service, ca }
    }

    /// A command inside.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.with(&[], words)
    }

    /// The same with options of `belljar-warden exec`.
    pub(crate) fn with(&self, options: &[&str], words: &[&str]) -> Command {
        let mut command = self.scene.command(self.scene.tools().warden());
        command.arg("exec").arg("--service").arg(&self.service).arg("--ca").arg(&self.ca);
        command.args(options).arg("--").args(words);
        command
    }

    /// What a shell says inside.
    pub(crate) fn shell(&self, script: &str) -> Said {
        Said::of(&self.command(&["bash", "-c", script]).output().unwrap())
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { out: text(&output.stdout), err: text(&output.stderr), code: output.status.code() }
    }
}

/// Hears to the end, then says what it heard: half of the connection is closed by then. Whoever
/// carries has to say first that it comes by no endpoint of a VPC, before a command could say
/// something else; to others nothing is said.
fn serve(mut stream: UnixStream) {
    let (mut head, mut heard) = ([0; LOCAL.len()], String::new());
    if stream.read_exact(&mut head).is_err() || head != LOCAL {
        return;
    }
    // A command that is killed closes as it likes.
    if stream.read_to_string(&mut heard).is_ok() {
        let _ = stream.write_all(format!("heard {heard}").as_bytes());
    }
}
