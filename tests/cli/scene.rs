//! A state folder, a warden that plays a part, and the real `belljar`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) struct Scene {
    dir: tempfile::TempDir,
    plays: &'static str,
}

pub(crate) struct Answer {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../control/tests").join(path)
}

impl Scene {
    pub(crate) fn new(plays: &'static str) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), plays }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn doctor_says(&self, text: &str) {
        std::fs::write(self.path("doctor"), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_belljar"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("BELLJAR_STATE", self.path("state"))
            .env("BELLJAR_WARDEN", source("fake-warden.sh"))
            .env("BELLJAR_FAKE", self.plays)
            .env("BELLJAR_FAKE_REPORT", source("fake-report.json"))
            .env("BELLJAR_FAKE_DOCTOR", self.path("doctor"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A job named `j1`, with more options.
    pub(crate) fn train(&self, more: &[&str]) -> Command {
        let mut args = vec!["train", "--image", "x", "--output", "out", "--job-name", "j1"];
        args.extend(more);
        self.command(&args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Answer {
        self.answer(self.command(args).spawn().unwrap())
    }

    pub(crate) fn answer(&self, child: Child) -> Answer {
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| self.plain(&String::from_utf8(bytes).unwrap());
        Answer {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().unwrap(),
        }
    }

    pub(crate) fn transcript(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        format!("$ belljar {}\n{}", self.plain(&args.join(" ")), answer.transcript())
    }

    /// Without what differs from machine to machine.
    fn plain(&self, text: &str) -> String {
        let real = self.dir.path().canonicalize().unwrap();
        let warden = source("fake-warden.sh");
        let mut text = text
            .replace(real.to_str().unwrap(), "[DIR]")
            .replace(self.dir.path().to_str().unwrap(), "[DIR]")
            .replace(warden.to_str().unwrap(), "[WARDEN]");
        for (before, after) in [("[DIR]/state, ", " free"), ("this machine has ", "\n")] {
            if let Some(start) = text.find(before).map(|at| at + before.len()) {
                let end = text[start..].find(after).map_or(text.len(), |at| start + at);
                text.replace_range(start..end, "[SIZE]");
            }
        }
        text
    }
}

impl Answer {
    pub(crate) fn transcript(&self) -> String {
        let part = |name: &str, text: &str| {
            if text.is_empty() { String::new() } else { format!("--- {name}\n{text}") }
        };
        format!(
            "{}{}--- exit {}",
            part("stdout", &self.stdout),
            part("stderr", &self.stderr),
            self.code
        )
    }
}
