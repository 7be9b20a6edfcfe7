//! The stages of a job, in order. Each takes what the one before made: the wrong order does not
//! compile.

mod container;
mod data;
mod end;
mod evidence;
mod network;
mod peers;
mod root;
mod serve;

use crate::failure::Failure;
use crate::image::{Image, ImageStore, Reference};
use crate::run::{Context, Ending};
use crate::staging::limits::MAX_REPORTED_ARTIFACTS;
use crate::staging::{self, Prepared, StageIn, StageOut, StageOutError};
use belljar_domain::attempt::Attempts;
use belljar_domain::evidence::HubReading;
use belljar_domain::failure::Blame;
use belljar_domain::metrics::MetricDatum;
use belljar_domain::{
    Access, Allowed, Artifact, Exit, Outcome, PeerLink, Report, SealReading, SecondaryStatus,
    Stage, StagedChannel, SyncedCheckpoints, Timestamp,
};
pub(crate) use container::limits_left_out;
pub(crate) use evidence::evidence;
use network::network;
pub(crate) use peers::no_encryption;
use root::Rooted;

/// What is known of a job so far: the report and the evidence are made of it, whichever stage
/// was the last.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) image: Option<ImageFacts>,
    pub(crate) command: Vec<String>,
    pub(crate) environment_names: Vec<String>,
    pub(crate) inputs: Vec<StagedChannel>,
    pub(crate) checkpoints: Option<SyncedCheckpoints>,
    pub(crate) seal_at_start: Option<SealReading>,
    pub(crate) seal_at_end: Option<SealReading>,
    pub(crate) attempts: Attempts,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) exit: Option<Exit>,
    /// When a container that serves first answered as it must.
    pub(crate) served: Option<Timestamp>,
    pub(crate) metrics: Vec<MetricDatum>,
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) evidence: Option<String>,
    pub(crate) evidence_sha256: Option<String>,
    pub(crate) peers: Option<PeerLink>,
    /// What it can reach, if it is not isolated.
    pub(crate) access: Option<Access>,
    /// How the instances of a job with several ended.
    pub(crate) instances: Vec<Report>,
    /// The namespace that joins them, as it was read back.
    pub(crate) hub: Option<HubReading>,
    pub(crate) warnings: Vec<String>,
}

impl Facts {
    /// What the container may have beside `lo`.
    fn allowed(&self) -> Allowed<'_> {
        Allowed { peers: self.peers.as_ref(), access: self.access.as_ref() }
    }
}

/// The image that runs.
#[derive(Debug)]
pub(crate) struct ImageFacts {
    pub(crate) digest: String,
    pub(crate) diff_ids: Vec<String>,
}

/// All stages but the last, which is done whatever these end in.
pub(crate) async fn all(cx: &Context, facts: &mut Facts) -> Result<Outcome, Ending> {
    if let Some(serving) = &cx.assignment.serving {
        return serve::all(cx, facts, serving).await;
    }
    let outcome = until_exit(cx, facts).await?;
    cx.status(SecondaryStatus::Uploading).await;
    cx.stage(Stage::StageOut, stage_out(cx, facts)).await?;
    Ok(outcome)
}

/// The stages up to the end of the container.
pub(crate) async fn until_exit(cx: &Context, facts: &mut Facts) -> Result<Outcome, Ending> {
    cx.status(SecondaryStatus::Starting).await;
    // An instance's job has been checked as a whole.
    let image = match &cx.member {
        Some(_) => cx.stage(Stage::Image, image(cx, facts)).await?,
        None => cx.stage(Stage::Image, checked_image(cx, facts)).await?,
    };
    let rooted = cx.stage(Stage::Root, root::root(cx, facts, &image)).await?;
    cx.status(SecondaryStatus::Downloading).await;
    let pipes = cx.stage(Stage::StageIn, stage_in(cx, facts, &rooted)).await?;
    let network = cx.stage(Stage::Network, network(cx, facts)).await?;
    cx.status(SecondaryStatus::Training).await;
    let run = container::run(cx, facts, rooted, network, pipes);
    cx.stage(Stage::Container, run).await
}

/// Checks what can be checked for nothing, then brings the image in.
pub(crate) async fn checked_image(cx: &Context, facts: &mut Facts) -> Result<Image, Ending> {
    let (a, settings) = (&cx.assignment, cx.s3());
    // In the order in which they are used: where S3 cannot be reached, that is what is said first.
    staging::check_inputs(&settings, &a.channels, &cx.job.opt_ml()).await?;
    match staging::check_output_with(&settings, &a.output, &a.job).await {
        Err(StageOutError::Exists(_)) if a.replace_output => {}
        result => result?,
    }
    if let Some(checkpoints) = &a.checkpoints {
        staging::check_checkpoints(&settings, checkpoints).await?;
    }
    image(cx, facts).await
}

async fn image(cx: &Context, facts: &mut Facts) -> Result<Image, Ending> {
    let store = ImageStore::open(&cx.job.state().join("images"))?;
    let reference: Reference = cx.assignment.image.parse()?;
    let progress = cx.journal.progress(Stage::Image);
    let image = store.resolve(&reference, &progress).await?;
    cx.journal.point(Stage::Image, "during");
    facts.image = Some(ImageFacts {
        digest: image.digest.clone(),
        diff_ids: image.layers.iter().map(|l| l.diff_id.to_string()).collect(),
    });
    Ok(image)
}

async fn stage_in(
    cx: &Context,
    facts: &mut Facts,
    rooted: &Rooted,
) -> Result<Vec<Prepared>, Ending> {
    let data = cx.job.opt_ml().join("input/data");
    let progress = cx.journal.progress(Stage::StageIn);
    cx.journal.point(Stage::StageIn, "during");
    let request = StageIn {
        channels: &cx.assignment.channels,
        data_dir: &data,
        private: &cx.job.scratch().join("staging"),
        owner: rooted.owner(),
    };
    let settings = cx.s3();
    let staged = staging::stage_in(&settings, &request, &progress).await?;
    facts.inputs = staged.channels;
    if let Some(checkpoints) = &cx.assignment.checkpoints {
        let uri = checkpoints.uri.clone();
        let folder = cx.job.opt_ml().join(data::checkpoints_folder(&checkpoints.local_path));
        let owner = rooted.owner();
        let restored = staging::restore(&settings, &uri, &folder, owner, &progress).await?;
        facts.checkpoints = Some(SyncedCheckpoints { uri, restored, kept: Vec::new() });
    }
    Ok(staged.pipes)
}

pub(crate) async fn stage_out(cx: &Context, facts: &mut Facts) -> Result<(), Ending> {
    let request = StageOut {
        ml_dir: &cx.job.opt_ml(),
        destination: &cx.assignment.output,
        job: &cx.assignment.job,
        compression: cx.assignment.output_compression,
        journal: &cx.job.uploads(),
    };
    let progress = cx.journal.progress(Stage::StageOut);
    cx.journal.point(Stage::StageOut, "during");
    let (artifacts, warnings) = staging::stage_out_with(&cx.s3(), &request, &progress).await?;
    if artifacts.len() > MAX_REPORTED_ARTIFACTS {
        facts.warnings.push(format!(
            "There are {} artifacts; the report lists {MAX_REPORTED_ARTIFACTS}, the evidence all.",
            artifacts.len()
        ));
    }
    facts.artifacts = artifacts;
    facts.warnings.extend(warnings);
    Ok(())
}

/// The end of a job for a reason of Belljar's own.
pub(crate) fn internal(text: impl Into<String>) -> Failure {
    Failure { blame: Blame::Internal, text: text.into(), hint: None, machine: true }
}
