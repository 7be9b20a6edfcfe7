//! What a piece of evidence proves, and what it does not, in words.

use super::dsse::{self, EnvelopeError, Opened};
use super::key::PublicKey;
use crate::failure::Explain;
use crate::staging::FileError;
use belljar_domain::failure::Blame;
use belljar_domain::{Outcome, Statement};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What was found.
#[derive(Debug)]
pub struct Verdict {
    /// What the envelope states.
    pub statement: Statement,
    /// The key that signed; a mere claim unless [`Verdict::authentic`].
    pub keyid: String,
    /// Whether the signature was checked with a key that the caller gave.
    pub authentic: bool,
    /// Every way in which the statement is no account of a sealed run, a sentence each.
    pub problems: Vec<String>,
    /// Artifacts that were compared with files at hand.
    pub artifacts: Vec<ArtifactCheck>,
}

/// One artifact compared with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactCheck {
    /// `model.tar.gz`.
    pub name: String,
    /// Whether the file is the one that the evidence speaks of.
    pub matches: bool,
}

/// Why evidence was not believed.
#[derive(Debug, thiserror::Error)]
#[error("the evidence does not hold")]
pub struct VerifyError(#[from] EnvelopeError);

impl Explain for VerifyError {
    fn blame(&self) -> Blame {
        Blame::Client
    }

    fn hint(&self) -> Option<String> {
        match &self.0 {
            EnvelopeError::OtherKey { .. } => Some(
                "Give the public key of the host that ran the job: <state>/keys/evidence.pub.pem there."
                    .to_owned(),
            ),
            EnvelopeError::Large => None,
            _ => Some("Get the file again from where the job wrote it, unchanged.".to_owned()),
        }
    }
}

/// Checks an envelope: its form, its signature if a key is given, and its content.
///
/// # Errors
/// If the envelope is not exactly as Belljar writes it, or the signature does not fit. A well
/// signed statement that tells of a broken seal is a [`Verdict`] with problems.
pub fn verify(envelope: &[u8], key: Option<&PublicKey>) -> Result<Verdict, VerifyError> {
    let Opened { statement, keyid, authentic } = dsse::open(envelope, key)?;
    let problems = problems(&statement);
    Ok(Verdict { statement, keyid, authentic, problems, artifacts: Vec::new() })
}

/// Everything that a statement of a sealed run must not say.
fn problems(statement: &Statement) -> Vec<String> {
    let p = &statement.predicate;
    let mut found = Vec::new();
    for breach in p.seal_at_start.breaches(p.peers.as_ref()) {
        found.push(format!("The seal did not hold at the start: {breach}."));
    }
    if let Some(end) = &p.seal_at_end {
        for breach in end.breaches_after_exit(p.peers.as_ref()) {
            found.push(format!("The seal did not hold at the end: {breach}."));
        }
        for change in end.changes_since(&p.seal_at_start) {
            found.push(format!("The seal changed: {change}."));
        }
    }
    if p.ended < p.started {
        found.push("It ended before it started.".into());
    }
    if p.attempts.targets.iter().any(|a| a.last < a.first || a.count == 0) {
        found.push("An attempt to reach something ended before it began, or never was.".into());
    }
    if p.credentials.given_by_platform {
        found.push("The platform gave it credentials.".into());
    }
    if p.outcome == Outcome::Completed && p.exit.code != 0 {
        found.push(format!("It is called completed, and its exit code is {}.", p.exit.code));
    }
    let is_sha256 = |hex: &str| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let image = p.image.digest.strip_prefix("sha256:").unwrap_or_default();
    if !is_sha256(image) {
        found.push("The image is not named by a sha256 digest.".into());
    }
    for subject in &statement.subject {
        if !subject.digest.get("sha256").is_some_and(|hex| is_sha256(hex)) {
            found.push(format!("The artifact '{}' is not named by a sha256 digest.", subject.name));
        }
    }
    let mut names: Vec<_> = statement.subject.iter().map(|s| &s.name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        found.push("Two artifacts have one name.".into());
    }
    if p.inputs.iter().flat_map(|c| &c.files).any(|f| !is_sha256(&f.sha256)) {
        found.push("An input is not named by a sha256 digest.".into());
    }
    let mut epochs = p.inputs.iter().filter_map(|c| c.pipe.as_ref()).flat_map(|c| &c.epochs);
    if epochs.any(|e| !is_sha256(&e.sha256)) {
        found.push("A stream is not named by a sha256 digest.".into());
    }
    found
}

impl Verdict {
    /// Whether the signature was checked and fits, and nothing speaks against the statement.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.authentic && self.problems.is_empty() && self.artifacts.iter().all(|a| a.matches)
    }

    /// Compares the file at `path` with the artifact `name` (`model.tar.gz`).
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn check_artifact(&mut self, name: &str, path: &Path) -> Result<bool, FileError> {
        let mut file = File::open(path).map_err(|e| FileError::new("open", path, e))?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => digest.update(&buffer[..read]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(FileError::new("read", path, e)),
            }
        }
        let found: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
        let matches = self
            .statement
            .subject
            .iter()
            .any(|s| s.name == name && s.digest.get("sha256") == Some(&found));
        self.artifacts.push(ArtifactCheck { name: name.to_owned(), matches });
        Ok(matches)
    }

    /// The verdict for a person: what is proved, what is not.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        self.headline(&mut text);
        if !self.problems.is_empty() {
            text.push_str("\nWhat speaks against it:\n");
            for problem in &self.problems {
                line(&mut text, problem);
            }
        }
        for check in &self.artifacts {
            let word = if check.matches {
                "is the file that this evidence speaks of"
            } else {
                "is NOT the file that this evidence speaks of"
            };
            let _ = writeln!(text, "\n{}: {word}.", check.name);
        }
        text.push_str(if self.authentic {
            "\nProved, if the host is honest:\n"
        } else {
            "\nStated, not proved:\n"
        });
        for claim in self.claims() {
            line(&mut text, &claim);
        }
        text.push_str("\nNot proved:\n");
        for gap in self.gaps() {
            line(&mut text, &gap);
        }
        text
    }

    fn headline(&self, text: &mut String) {
        let key = super::show::printable(&self.keyid);
        let _ = match (self.authentic, self.problems.is_empty()) {
            (true, true) => {
                writeln!(text, "VALID: signed by the key {key}, and not changed since.")
            }
            (true, false) => writeln!(
                text,
                "NOT A SEALED RUN: signed by the key {key} and not changed, but what it says is no account of a sealed run."
            ),
            (false, _) => writeln!(
                text,
                "NOT CHECKED: no public key was given, so anybody can have written this. It names the key {key}; give that key to check."
            ),
        };
    }

    fn claims(&self) -> Vec<String> {
        let p = &self.statement.predicate;
        let mut claims = Vec::new();
        claims.push(format!(
            "The job '{}' ran the image {} from {} to {} and ended with exit code {}.",
            p.job, p.image.digest, p.started, p.ended, p.exit.code
        ));
        claims.extend(self.inputs());
        for subject in &self.statement.subject {
            if let Some(digest) = subject.digest.get("sha256") {
                claims.push(format!("It left {} with sha256 {digest}.", subject.name));
            }
        }
        if p.seal_at_start.breaches(p.peers.as_ref()).is_empty() {
            claims.push("Before its first instruction, the kernel reported no network interface but lo, no capability, no new privileges, a seccomp filter, and no namespace shared with the host.".into());
        }
        if p.seal_at_end
            .as_ref()
            .is_some_and(|s| s.breaches_after_exit(p.peers.as_ref()).is_empty())
        {
            claims.push("At its end, the kernel reported the same of the network, the privileges and the filter.".into());
        }
        claims.push(format!(
            "{} of its attempts to reach something were seen; each failed.",
            p.attempts.total()
        ));
        claims.push("Belljar gave it no credential.".into());
        if !self.problems.is_empty() {
            claims.retain(|c| !c.ends_with("each failed.") && !c.contains("no credential"));
        }
        claims
    }

    /// What it was given, and what it left while it ran.
    fn inputs(&self) -> Vec<String> {
        let p = &self.statement.predicate;
        let mut claims = Vec::new();
        let (piped, staged): (Vec<_>, Vec<_>) = p.inputs.iter().partition(|c| c.pipe.is_some());
        let files: usize = staged.iter().map(|c| c.files.len()).sum();
        if piped.is_empty() || !staged.is_empty() {
            claims.push(format!(
                "It was given {files} {} in {} {}, with the digests listed.",
                if files == 1 { "file" } else { "files" },
                staged.len(),
                if staged.len() == 1 { "channel" } else { "channels" }
            ));
        }
        for channel in piped {
            let Some(pipe) = &channel.pipe else { continue };
            let listed = pipe.epochs.len();
            claims.push(format!(
                "The channel '{}' was streamed: {} epochs were opened, of which {listed} are listed with the digest of what went through.",
                channel.channel, pipe.opened
            ));
        }
        if let Some(c) = &p.checkpoints {
            claims.push(format!(
                "Of checkpoints it was given {} and left {}, with the digests listed.",
                c.restored.len(),
                c.kept.len()
            ));
        }
        claims
    }

    fn gaps(&self) -> Vec<String> {
        let p = &self.statement.predicate;
        let mut gaps = Vec::new();
        if !self.authentic {
            gaps.push("That any of this is true: the signature was not checked.".to_owned());
        }
        gaps.push("That the host is honest: whoever has its key, its root user or its kernel can sign anything.".into());
        gaps.push("Whose key this is, and that its clock is right: compare the key's identity with its owner by another way.".into());
        gaps.push("That the artifacts hold nothing of the inputs: a model can remember or hide its training data.".into());
        gaps.push(
            "That nothing leaked by covert channels of shared hardware (timing, caches, power)."
                .into(),
        );
        gaps.push(
            "That inputs, image and hyperparameters are what you meant: only which they were."
                .into(),
        );
        if p.seal_at_end.is_none() {
            gaps.push("That the seal held to the end: the process was gone before it could be read again. Only the start was read.".into());
        }
        if p.attempts.lost > 0 {
            gaps.push(format!(
                "What {} attempts were: they came too fast to be recorded.",
                p.attempts.lost
            ));
        }
        if p.attempts.beyond > 0 {
            gaps.push(format!(
                "Where {} further attempts went: they were counted only.",
                p.attempts.beyond
            ));
        }
        if !p.credentials.suspicious_environment_names.is_empty() {
            gaps.push(format!(
                "That it had no credential from the requester or the image: these variables look like one: {}.",
                p.credentials.suspicious_environment_names.join(", ")
            ));
        }
        if self.artifacts.is_empty() && !self.statement.subject.is_empty() {
            gaps.push("That artifacts you have are those meant here: none was compared.".into());
        }
        gaps
    }
}

fn line(text: &mut String, sentence: &str) {
    let _ = writeln!(text, "  - {}", super::show::printable(sentence));
}
