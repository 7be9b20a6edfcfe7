//! From errors to sentences: the one place where an error gets its words for a person, its hint
//! and its exit code.

use crate::exit::Exit;
use belljar_control::local::LocalError;
use belljar_control::request::RequestError;
use belljar_control::service::ServiceError;
use belljar_control::state::StateError;
use belljar_warden::failure::{Failure, chain};
use std::error::Error;
use std::io;
use std::path::Path;

/// Why a command ends without having done what was asked.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// One or two sentences.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// How the program ends.
    pub(crate) exit: Exit,
}

impl Trouble {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None, exit }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn of(exit: Exit, error: &dyn Error, hint: Option<String>) -> Self {
        Self { text: chain(error), hint, exit }
    }

    /// A file operation that failed: what was tried, and the kernel's answer.
    pub(crate) fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Failed, format!("cannot {action} {}: {error}", path.display()))
    }

    pub(crate) fn stdout(error: &io::Error) -> Self {
        Self::new(Exit::Failed, format!("cannot write to standard output: {error}"))
    }

    pub(crate) fn runtime(error: &io::Error) -> Self {
        Self::new(Exit::Machine, format!("cannot start the event loop: {error}"))
            .hint("check the limits on open files and processes (ulimit -a)")
    }
}

impl From<RequestError> for Trouble {
    fn from(e: RequestError) -> Self {
        let exit = if e.machine() { Exit::Machine } else { Exit::Usage };
        Self::of(exit, &e, e.hint())
    }
}

impl From<StateError> for Trouble {
    fn from(e: StateError) -> Self {
        let exit = match e {
            StateError::NameUsed(_) | StateError::NoPlace => Exit::Usage,
            StateError::Folder { .. } | StateError::Write { .. } => Exit::Machine,
            StateError::Report { .. } => Exit::Failed,
        };
        Self::of(exit, &e, e.hint())
    }
}

impl From<ServiceError> for Trouble {
    fn from(e: ServiceError) -> Self {
        let exit = match &e {
            e if e.usage() => Exit::Usage,
            // Of `explain`, 1 says that something does not pass.
            ServiceError::NoNetwork(_) => Exit::Usage,
            ServiceError::NotRunning(_) => Exit::Failed,
            _ => Exit::Machine,
        };
        Self::of(exit, &e, e.hint())
    }
}

impl From<LocalError> for Trouble {
    fn from(e: LocalError) -> Self {
        match e {
            LocalError::Start { .. } => Self::of(
                Exit::Machine,
                &e,
                Some("`belljar doctor` says whether the warden is in place".into()),
            ),
            _ => Self::of(Exit::Failed, &e, None),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(f: Failure) -> Self {
        let exit = if f.machine { Exit::Machine } else { Exit::Failed };
        Self { text: f.text, hint: f.hint, exit }
    }
}
