//! From an exit to SageMaker's words.

use crate::Exit;
use crate::limits::MAX_FAILURE_REASON;

/// Who is to blame, as the first word of a `FailureReason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The code in the container.
    Algorithm,
    /// The request: its data, image or output.
    Client,
    /// Belljar.
    Internal,
    /// The machine is too small or cannot do what was asked.
    Capacity,
}

impl Blame {
    fn prefix(self) -> &'static str {
        match self {
            Self::Algorithm => "AlgorithmError",
            Self::Client => "ClientError",
            Self::Internal => "InternalServerError",
            Self::Capacity => "CapacityError",
        }
    }

    /// `AlgorithmError: <text>`, cut to what `FailureReason` holds.
    #[must_use]
    pub fn reason(self, text: &str) -> String {
        truncate(&format!("{}: {text}", self.prefix()))
    }
}

/// `FailureReason` of a container that ended with something else than 0. `failure` is the text
/// of `/opt/ml/output/failure`, if there is one. Wording as in real jobs
/// (`AlgorithmError: <text>, exit code: 1`; without a failure file `AlgorithmError: Exit Code: 1`).
#[must_use]
pub fn of_exit(exit: &Exit, failure: Option<&str>) -> String {
    let killed = if exit.out_of_memory {
        " (the container exceeded its memory limit and was killed)"
    } else {
        ""
    };
    let code = exit.code;
    match failure.map(str::trim).filter(|t| !t.is_empty()) {
        Some(text) => {
            let tail = format!(", exit code: {code}{killed}");
            let room = MAX_FAILURE_REASON - tail.len() - "AlgorithmError: ".len();
            let text: String = text.chars().take(room).collect();
            Blame::Algorithm.reason(&format!("{text}{tail}"))
        }
        None => Blame::Algorithm.reason(&format!("Exit Code: {code}{killed}")),
    }
}

/// The `FailureReason` of a job with several instances: that of the one which failed first, with
/// its name behind it.
#[must_use]
pub fn of_instance(reason: &str, host: &str) -> String {
    let tail = format!(" ({host})");
    let room = MAX_FAILURE_REASON.saturating_sub(tail.len());
    let text: String = reason.chars().take(room).collect();
    format!("{text}{tail}")
}

/// The first 1,024 characters.
#[must_use]
pub fn truncate(text: &str) -> String {
    text.chars().take(MAX_FAILURE_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Exit = Exit { code: 1, signal: None, out_of_memory: false };

    #[test]
    fn words_of_the_real_service() {
        assert_eq!(of_exit(&ONE, Some("boom\n")), "AlgorithmError: boom, exit code: 1");
        assert_eq!(of_exit(&ONE, None), "AlgorithmError: Exit Code: 1");
        assert_eq!(of_exit(&ONE, Some(" \n")), "AlgorithmError: Exit Code: 1");
    }

    #[test]
    fn memory_is_named_only_when_the_kernel_said_so() {
        let killed = Exit { code: 137, signal: Some(9), out_of_memory: false };
        assert_eq!(of_exit(&killed, None), "AlgorithmError: Exit Code: 137");
        let oom = Exit { out_of_memory: true, ..killed };
        assert!(of_exit(&oom, None).contains("memory limit"));
    }

    #[test]
    fn a_long_text_keeps_the_exit_code() {
        let reason = of_exit(&ONE, Some(&"ä".repeat(5000)));
        assert_eq!(reason.chars().count(), MAX_FAILURE_REASON);
        assert!(reason.ends_with(", exit code: 1"));
    }
}
