//! What flows in while the container runs.

use super::Facts;
use super::root::Rooted;
use crate::failure::Failure;
use crate::run::{Context, Ending};
use crate::staging::{Pipes, Prepared};

/// Channels in Pipe mode.
pub(super) struct Data {
    pipes: Pipes,
    failure: Option<Failure>,
}

impl Data {
    /// Makes everything ready for a container that does not run yet.
    pub(super) fn start(
        cx: &Context,
        rooted: &Rooted,
        pipes: Vec<Prepared>,
    ) -> Result<Self, Ending> {
        let data = cx.job.opt_ml().join("input/data");
        Ok(Self { pipes: Pipes::start(pipes, &data, rooted.owner())?, failure: None })
    }

    /// Returns once the container cannot be given what it was promised.
    pub(super) async fn failed(&mut self) {
        self.failure = Some(self.pipes.failed().await.into());
    }

    /// The container is dead: notes what it was given. Or returns why it was not given all.
    pub(super) async fn finish(self, facts: &mut Facts) -> Option<Failure> {
        let (piped, error) = self.pipes.finish().await;
        for (name, pipe) in piped {
            if let Some(input) = facts.inputs.iter_mut().find(|i| i.channel == name) {
                input.pipe = Some(pipe);
            }
        }
        self.failure.or(error.map(Failure::from))
    }
}
