//! Why a warden gave up, in the words that reach the user.

use belljar_domain::failure::Blame;
use std::error::Error;

/// The end of a job: whose fault, what, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// Gives the first word of the `FailureReason`.
    pub blame: Blame,
    /// One or two sentences, the whole chain of causes.
    pub text: String,
    /// What the user can do.
    pub hint: Option<String>,
    /// Whether this machine cannot do what was asked (exit code 4), as against the job failing.
    pub machine: bool,
}

/// What every error of a stage tells beyond its text.
pub trait Explain: Error {
    /// The whole chain of causes.
    fn text(&self) -> String
    where
        Self: Sized,
    {
        chain(self)
    }

    /// Whose fault it is.
    fn blame(&self) -> Blame;

    /// What the user can do about it, as a sentence; `None` if nothing comes to mind.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Whether this machine cannot do what was asked.
    fn machine(&self) -> bool {
        false
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            blame: error.blame(),
            text: error.text(),
            hint: error.hint(),
            machine: error.machine(),
        }
    }
}

/// An error and its sources, joined by colons.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
