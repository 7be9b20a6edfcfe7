//! A training job's two statuses, as `DescribeTrainingJob` shows them.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// `TrainingJobStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrainingJobStatus {
    /// Between creation and end.
    InProgress,
    /// The container ended with 0 and the artifacts are uploaded.
    Completed,
    /// See `FailureReason`.
    Failed,
    /// Asked to stop, still ending.
    Stopping,
    /// Stopped, by request or by `MaxRuntimeInSeconds`.
    Stopped,
}

impl TrainingJobStatus {
    /// The status's name, as in the service model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
        }
    }
}

/// `SecondaryStatus`: those of the 17 that Belljar uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecondaryStatus {
    /// Accepted; the image and the network are being prepared.
    Starting,
    /// Waits for capacity.
    Pending,
    /// The warden died; the job is tried again from its beginning.
    Restarting,
    /// Channels are being staged in.
    Downloading,
    /// The container runs.
    Training,
    /// Artifacts are being staged out.
    Uploading,
    /// Asked to stop, still ending.
    Stopping,
    /// Stopped by request.
    Stopped,
    /// Stopped at `MaxRuntimeInSeconds`.
    MaxRuntimeExceeded,
    /// Done.
    Completed,
    /// See `FailureReason`.
    Failed,
}

impl SecondaryStatus {
    /// The status's name, as in the service model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Pending => "Pending",
            Self::Restarting => "Restarting",
            Self::Downloading => "Downloading",
            Self::Training => "Training",
            Self::Uploading => "Uploading",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::MaxRuntimeExceeded => "MaxRuntimeExceeded",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    /// The primary status that goes with this one (service model, `SecondaryStatus`).
    #[must_use]
    pub fn primary(self) -> TrainingJobStatus {
        match self {
            Self::Starting
            | Self::Pending
            | Self::Restarting
            | Self::Downloading
            | Self::Training
            | Self::Uploading => TrainingJobStatus::InProgress,
            Self::Stopping => TrainingJobStatus::Stopping,
            Self::Stopped | Self::MaxRuntimeExceeded => TrainingJobStatus::Stopped,
            Self::Completed => TrainingJobStatus::Completed,
            Self::Failed => TrainingJobStatus::Failed,
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self.primary(), TrainingJobStatus::InProgress | TrainingJobStatus::Stopping)
    }

    /// Whether `next` may follow: forward only, but for a restart, and nothing after the end.
    #[must_use]
    pub fn allows(self, next: Self) -> bool {
        let restarts = next == Self::Restarting && self != Self::Stopping;
        !self.is_terminal() && (restarts || next.rank() > self.rank())
    }

    fn rank(self) -> u8 {
        match self {
            Self::Starting => 0,
            Self::Pending | Self::Restarting => 1,
            Self::Downloading => 2,
            Self::Training => 3,
            Self::Stopping => 4,
            Self::Uploading => 5,
            Self::Stopped | Self::MaxRuntimeExceeded | Self::Completed | Self::Failed => 6,
        }
    }

    /// The status message that the real service gives with it.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Starting => "Starting the training job",
            Self::Pending => "Waiting for capacity",
            Self::Restarting => "Restarting the training job",
            Self::Downloading => "Downloading input data",
            Self::Training => "Training image download completed. Training in progress.",
            Self::Uploading => "Uploading generated training model",
            Self::Stopping => "Stopping the training job",
            Self::Stopped => "Training job stopped",
            Self::MaxRuntimeExceeded => "Training job runtime exceeded MaxRuntimeInSeconds",
            Self::Completed => "Training job completed",
            Self::Failed => "Training job failed",
        }
    }
}

/// One entry of `SecondaryStatusTransitions`. The list only grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Transition {
    /// The status entered.
    pub status: SecondaryStatus,
    /// When it was entered.
    pub start: Timestamp,
    /// When the next one was; `None` while it lasts.
    pub end: Option<Timestamp>,
    /// Text for a person.
    pub message: String,
}

/// The list of transitions, which keeps its own order right.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Transitions(Vec<Transition>);

impl Transitions {
    /// Enters `status` at `now`, ending the one before. A step that is not allowed is left out
    /// and answered with `false`: a late event changes nothing.
    pub fn enter(&mut self, status: SecondaryStatus, now: Timestamp) -> bool {
        if let Some(last) = self.0.last_mut() {
            if !last.status.allows(status) {
                return false;
            }
            last.end = Some(now);
        }
        let end = status.is_terminal().then_some(now);
        self.0.push(Transition { status, start: now, end, message: status.message().to_owned() });
        true
    }

    /// Adds a sentence to the text of the status that lasts, once.
    pub fn annotate(&mut self, text: &str) {
        if let Some(last) = self.0.last_mut().filter(|t| !t.message.contains(text)) {
            last.message = format!("{} {text}", last.message);
        }
    }

    /// The status now.
    #[must_use]
    pub fn current(&self) -> Option<SecondaryStatus> {
        self.0.last().map(|t| t.status)
    }

    /// All, oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Transition] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_job_runs_forward_and_ends_once() {
        let mut t = Transitions::default();
        for (i, s) in [
            SecondaryStatus::Starting,
            SecondaryStatus::Downloading,
            SecondaryStatus::Training,
            SecondaryStatus::Uploading,
            SecondaryStatus::Completed,
        ]
        .into_iter()
        .enumerate()
        {
            assert!(t.enter(s, at(i as i64)), "{s:?}");
        }
        assert!(!t.enter(SecondaryStatus::Failed, at(9)));
        assert_eq!(t.current(), Some(SecondaryStatus::Completed));
        assert!(t.as_slice().iter().all(|x| x.end.is_some()));
        assert_eq!(t.as_slice()[1].end, Some(at(2)));
    }

    #[test]
    fn a_restart_begins_again() {
        use SecondaryStatus::{Downloading, Restarting, Starting, Training};
        let mut t = Transitions::default();
        for (i, s) in [Starting, Downloading, Training].into_iter().enumerate() {
            t.enter(s, at(i as i64));
        }
        assert!(t.enter(Restarting, at(3)));
        assert!(!t.enter(Starting, at(4)));
        assert!(t.enter(Downloading, at(5)));
        assert!(t.enter(Restarting, at(6)));
        assert!(t.enter(Restarting, at(7)));
        t.annotate("Once more.");
        t.annotate("Once more.");
        let last = t.as_slice().last().unwrap();
        assert_eq!(last.message, "Restarting the training job Once more.");
    }

    #[test]
    fn nothing_goes_back() {
        let mut t = Transitions::default();
        t.enter(SecondaryStatus::Training, at(0));
        assert!(!t.enter(SecondaryStatus::Downloading, at(1)));
        assert!(t.enter(SecondaryStatus::Stopping, at(1)));
        assert!(!t.enter(SecondaryStatus::Training, at(2)));
    }
}
