//! What a piece of evidence proves, and what it does not, in words.

use super::account::Account;
use super::dsse::{self, EnvelopeError, Opened};
use super::key::PublicKey;
use crate::failure::{Explain, chain};
use crate::staging::FileError;
use belljar_domain::HostName;
use belljar_domain::failure::Blame;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What was found.
#[derive(Debug)]
pub struct Verdict {
    /// What the envelope states.
    pub account: Account,
    /// The key that signed; a mere claim unless [`Verdict::authentic`].
    pub keyid: String,
    /// Whether the signature was checked with a key that the caller gave.
    pub authentic: bool,
    /// Every way in which the statement is no account of a sealed run, a sentence each.
    pub problems: Vec<String>,
    /// Artifacts that were compared with files at hand.
    pub artifacts: Vec<ArtifactCheck>,
    /// Instances of a job with several whose own evidence was looked at.
    pub instances: Vec<InstanceCheck>,
}

/// The evidence of one instance, held against that of its job.
#[derive(Debug)]
pub struct InstanceCheck {
    /// Which.
    pub host: HostName,
    /// Why it does not hold, a sentence each.
    pub problems: Vec<String>,
    /// What it claims.
    pub claims: Vec<String>,
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

/// Checks an envelope: its form, its signature if keys are given, one of which must have made it,
/// and its content.
///
/// # Errors
/// If the envelope is not exactly as Belljar writes it, or the signature does not fit. A well
/// signed statement that tells of a broken seal is a [`Verdict`] with problems.
pub fn verify(envelope: &[u8], keys: &[PublicKey]) -> Result<Verdict, VerifyError> {
    let Opened { account, keyid, authentic } = dsse::open(envelope, keys)?;
    let problems = account.problems();
    let (artifacts, instances) = (Vec::new(), Vec::new());
    Ok(Verdict { account, keyid, authentic, problems, artifacts, instances })
}

impl Verdict {
    /// Whether the signature was checked and fits, and nothing speaks against the statement.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.authentic
            && self.problems.is_empty()
            && self.artifacts.iter().all(|a| a.matches)
            && self.instances.iter().all(|i| i.problems.is_empty())
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
        let found = hex(&digest.finalize());
        let matches = self
            .account
            .subject()
            .iter()
            .any(|s| s.name == name && s.digest.get("sha256") == Some(&found));
        self.artifacts.push(ArtifactCheck { name: name.to_owned(), matches });
        Ok(matches)
    }

    /// Holds the evidence of an instance, as it is at hand, against what this job's says of it:
    /// that it is the very file, and tells of this job. One of `keys` must have signed it.
    pub fn check_instance(&mut self, host: &HostName, envelope: &[u8], keys: &[PublicKey]) {
        let named = self.account.instances().into_iter().find(|(named, _)| *named == host);
        let is_named = named.is_some_and(|(_, sha256)| sha256 == hex(&Sha256::digest(envelope)));
        let mut check =
            InstanceCheck { host: host.clone(), problems: Vec::new(), claims: Vec::new() };
        if !is_named {
            check.problems.push("The file is not the one that the job's evidence names.".into());
        }
        match verify(envelope, keys) {
            Err(VerifyError(e)) => check.problems.push(format!("{}.", chain(&e))),
            Ok(own) => {
                let strange = self.account.strangeness(host, &own.account);
                check.problems.extend(strange.map(|why| format!("It does not belong: {why}.")));
                check.problems.extend(own.problems);
                check.claims = own.account.claims(check.problems.is_empty());
            }
        }
        self.instances.push(check);
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
        for check in self.instances.iter().filter(|i| !i.problems.is_empty()) {
            let _ = writeln!(text, "\nWhat speaks against the evidence of {}:", check.host);
            check.problems.iter().for_each(|problem| line(&mut text, problem));
        }
        text.push_str(if self.authentic {
            "\nProved, if the host is honest:\n"
        } else {
            "\nStated, not proved:\n"
        });
        for claim in self.account.claims(self.problems.is_empty()) {
            line(&mut text, &claim);
        }
        for check in &self.instances {
            let _ = writeln!(text, "  {}:", check.host);
            check.claims.iter().for_each(|claim| line(&mut text, claim));
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

    fn gaps(&self) -> Vec<String> {
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
        gaps.extend(self.account.gaps());
        if self.artifacts.is_empty() && !self.account.subject().is_empty() {
            gaps.push("That artifacts you have are those meant here: none was compared.".into());
        }
        for (host, _) in self.account.instances() {
            if !self.instances.iter().any(|i| i.host == *host) {
                gaps.push(format!("Anything of {host}: its evidence is not beside this one."));
            }
        }
        gaps
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

fn line(text: &mut String, sentence: &str) {
    let _ = writeln!(text, "  - {}", super::show::printable(sentence));
}
