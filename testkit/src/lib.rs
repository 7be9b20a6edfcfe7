//! What whole-system tests share: a scene with a state folder of its own, in which real programs
//! are run as root or as an ordinary user. Panics are this crate's way to fail a test.

mod run;
pub mod server;
mod started;
mod tools;

pub use run::{Run, Training};
pub use server::Server;
pub use started::{Started, start, start_all};
pub use tools::Tools;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Who runs Belljar in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Root of the host.
    Root,
    /// A user without any privilege, or whoever runs the tests if that is not root.
    User,
}

/// An id that no real user has.
const USER: u32 = 61_234;

impl As {
    /// Everyone that this process can be: both as root, itself as an ordinary user.
    #[must_use]
    pub fn all() -> Vec<Self> {
        if rustix::process::geteuid().is_root() {
            vec![Self::Root, Self::User]
        } else {
            vec![Self::User]
        }
    }
}

/// A folder of a test's own, and who acts in it. Gone with the value.
#[derive(Debug)]
pub struct Scene {
    who: As,
    folder: TempDir,
    tools: Tools,
}

impl Scene {
    /// Makes one.
    #[must_use]
    pub fn new(who: As) -> Self {
        let folder = tempfile::Builder::new().prefix("belljar-test-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let scene = Self { who, folder, tools: Tools::find() };
        scene.give(scene.path());
        scene
    }

    /// Who acts.
    #[must_use]
    pub fn who(&self) -> As {
        self.who
    }

    /// The scene's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The state folder of Belljar.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Where `--output` leads.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.path().join("out")
    }

    /// The programs.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Makes a folder in the scene that belongs to who acts.
    #[must_use]
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).expect("a folder");
        self.give(&path);
        path
    }

    /// Writes a file in the scene that belongs to who acts.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("a folder");
            self.give(parent);
        }
        fs::write(&path, content).expect("a file");
        self.give(&path);
        path
    }

    /// Makes a file that this process has made belong to who acts.
    pub fn share(&self, path: &Path) {
        self.give(path);
    }

    fn give(&self, path: &Path) {
        if self.is_other_user() {
            chown(path, Some(USER), Some(USER)).expect("chown");
        }
    }

    fn is_other_user(&self) -> bool {
        self.who == As::User && rustix::process::geteuid().is_root()
    }

    /// A command as who acts, with an environment of its own.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.path()).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command.current_dir(self.path());
        if self.is_other_user() {
            // std drops the supplementary groups with this.
            command.uid(USER).gid(USER);
        }
        command
    }

    /// `belljar ...` on the scene's state.
    #[must_use]
    pub fn belljar(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(self.tools.belljar());
        command.args(arguments).arg("--state").arg(self.state());
        command
    }

    /// Makes an image named `probe` of the probe alone (its entry point), and checks that it
    /// worked.
    pub fn import_probe(&self) {
        let root = self.dir("probe-root");
        fs::copy(self.tools.probe(), root.join("probe")).expect("the probe");
        fs::set_permissions(root.join("probe"), fs::Permissions::from_mode(0o755)).expect("chmod");
        self.import(&root, "probe", &["--entrypoint", "/probe"]);
    }

    /// `belljar image import`.
    pub fn import(&self, root: &Path, tag: &str, options: &[&str]) {
        let root = root.to_str().expect("UTF-8");
        let mut arguments = vec!["image", "import", root, "--tag", tag];
        arguments.extend(options);
        let output = self.belljar(&arguments).output().expect("belljar");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
