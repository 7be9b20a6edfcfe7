//! What an envelope can state: of one container, or of a job whose several containers have
//! statements of their own. Each says what speaks against it, what it claims, and what not.

mod job;
mod run;

use belljar_domain::evidence::{JobPredicate, Subject};
use belljar_domain::{HostName, Statement};

/// A statement of a kind that Belljar makes.
#[derive(Debug, Clone, PartialEq)]
pub enum Account {
    /// Of one container.
    Run(Box<Statement>),
    /// Of a job with several.
    Job(Box<Statement<JobPredicate>>),
}

impl Account {
    /// The artifacts that it speaks of.
    #[must_use]
    pub fn subject(&self) -> &[Subject] {
        match self {
            Self::Run(s) => &s.subject,
            Self::Job(s) => &s.subject,
        }
    }

    /// The instances that have evidence of their own, with the file's SHA-256.
    #[must_use]
    pub fn instances(&self) -> Vec<(&HostName, &str)> {
        let Self::Job(s) = self else { return Vec::new() };
        let instances = s.predicate.instances.iter();
        instances.filter_map(|i| Some((&i.host, i.sha256.as_deref()?))).collect()
    }

    /// Everything that a true account of a sealed run, or job, does not say: a sentence each.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut found = match self {
            Self::Run(s) => run::problems(&s.predicate),
            Self::Job(s) => job::problems(&s.predicate),
        };
        for subject in self.subject() {
            if !subject.digest.get("sha256").is_some_and(|hex| is_sha256(hex)) {
                let name = &subject.name;
                found.push(format!("The artifact '{name}' is not named by a sha256 digest."));
            }
        }
        let mut names: Vec<_> = self.subject().iter().map(|s| &s.name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            found.push("Two artifacts have one name.".into());
        }
        found
    }

    /// What it claims. Of an account with problems, only what they leave standing.
    pub(super) fn claims(&self, holds: bool) -> Vec<String> {
        match self {
            Self::Run(s) => run::claims(s, holds),
            Self::Job(s) => job::claims(s),
        }
    }

    /// What it leaves open, besides what every account does.
    pub(super) fn gaps(&self) -> Vec<String> {
        match self {
            Self::Run(s) => run::gaps(&s.predicate),
            Self::Job(s) => job::gaps(&s.predicate),
        }
    }

    /// In what the evidence of an instance does not belong to that of this job.
    pub(super) fn strangeness(&self, host: &HostName, instance: &Self) -> Option<&'static str> {
        match (self, instance) {
            (Self::Job(job), Self::Run(run)) => {
                job::strangeness(&job.predicate, host, &run.predicate)
            }
            _ => Some("it is not that of an instance"),
        }
    }
}

/// The subject of a statement that has no artifact.
pub(crate) const IMAGE: &str = "image";

fn is_sha256(hex: &str) -> bool {
    hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn artifacts(subjects: &[Subject]) -> impl Iterator<Item = String> {
    // A Statement must be about something: of what left nothing it is about the image.
    let left = subjects.iter().filter(|subject| subject.name != IMAGE);
    left.filter_map(|subject| {
        let digest = subject.digest.get("sha256")?;
        Some(format!("It left {} with sha256 {digest}.", subject.name))
    })
}
