//! Everything outside that the command line uses, in one place.

use crate::trouble::Trouble;
use anstream::ColorChoice;
use belljar_control::machine::Machine;
use belljar_domain::Timestamp;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::SystemTime;
use tokio::sync::mpsc;

/// Opens standard error, with colours or without.
pub type OpenStderr = Box<dyn Fn(ColorChoice) -> Box<dyn Write + Send>>;

/// Where the wish to stop comes from.
pub enum Interrupts {
    /// INT, TERM and HUP.
    Signals,
    /// A channel: one message is one signal.
    Given(mpsc::Receiver<()>),
}

/// The outside.
pub struct Deps {
    /// What was asked for goes here.
    pub stdout: Box<dyn Write + Send>,
    /// What Belljar says goes here.
    pub stderr: OpenStderr,
    /// Whether progress may be drawn there.
    pub stderr_is_terminal: bool,
    /// Whether standard output is a terminal that shows colours.
    pub stdout_has_colours: bool,
    /// How wide standard output is, if it is a terminal.
    pub stdout_columns: Option<u16>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Relative paths start here.
    pub directory: PathBuf,
    /// This program: the warden and the examples are found from here.
    pub executable: Option<PathBuf>,
    /// Whether the user is root.
    pub root: bool,
    /// This machine.
    pub machine: Machine,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// Chance, for names.
    pub random: fn() -> u32,
    /// The wish to stop.
    pub interrupts: Interrupts,
}

impl Deps {
    /// Prints what was asked for. A reader who has seen enough (`| head`) is no error: what the
    /// command found out, and so its exit code, is the same.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Trouble> {
        match self.write(text) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|e| Trouble::stdout(&e)),
        }
    }

    /// Prints what is lost if nobody reads it.
    pub(crate) fn print_once(&mut self, text: &str) -> Result<(), Trouble> {
        self.write(text).map_err(|e| Trouble::stdout(&e))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.stdout.write_all(text.as_bytes())?;
        self.stdout.flush()
    }

    /// This process and this machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            stdout: Box::new(io::stdout()),
            stderr: Box::new(|choice| Box::new(anstream::AutoStream::new(io::stderr(), choice))),
            stderr_is_terminal: io::stderr().is_terminal(),
            stdout_has_colours: anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            stdout_columns: rustix::termios::tcgetwinsize(io::stdout())
                .ok()
                .map(|size| size.ws_col)
                .filter(|columns| *columns > 0),
            variables: std::env::vars_os().collect(),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            executable: std::env::current_exe().ok(),
            root: rustix::process::geteuid().is_root(),
            machine: Machine::read(),
            now,
            random: || {
                let bits = RandomState::new().build_hasher().finish();
                u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default()
            },
            interrupts: Interrupts::Signals,
        }
    }

    /// A variable of the environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_os_str())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    struct Gone(io::ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_has_seen_enough_is_no_error() {
        let to = |kind| Deps { stdout: Box::new(Gone(kind)), ..Deps::real() };
        to(io::ErrorKind::BrokenPipe).print("long").unwrap();
        let full = to(io::ErrorKind::StorageFull).print("long").unwrap_err();
        assert_eq!(full.exit, Exit::Failed);
        // A secret that nobody has read is lost.
        to(io::ErrorKind::BrokenPipe).print_once("secret").unwrap_err();
    }
}
