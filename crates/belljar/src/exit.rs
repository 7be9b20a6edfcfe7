//! The exit codes of `belljar`, all of them. They are part of its contract: scripts may rely on
//! them, and a change of one is a breaking change.

use belljar_domain::Outcome;
use std::process::ExitCode;

/// How `belljar` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done: the job completed, the check passed.
    Completed = 0,
    /// The job failed, or what was asked for did not succeed (a signature that does not verify,
    /// an image that cannot be pulled).
    Failed = 1,
    /// Wrong usage: an option, name, limit or path in the command is not right. Nothing was
    /// started.
    Usage = 2,
    /// Stopped on request, or out of time.
    Stopped = 3,
    /// This machine cannot do what was asked. `belljar doctor` says why.
    Machine = 4,
    /// A bug in Belljar (`EX_SOFTWARE` of sysexits.h).
    Bug = 70,
}

impl Exit {
    /// The exit code of a job's outcome.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Failed { machine: true, .. } => Self::Machine,
            Outcome::Failed { .. } => Self::Failed,
            Outcome::Stopped | Outcome::MaxRuntimeExceeded => Self::Stopped,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
