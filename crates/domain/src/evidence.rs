//! The evidence of a sealed run: an in-toto Statement v1 whose predicate is Belljar's own.
//! Sources: in-toto attestation framework, `spec/v1/statement.md`; DSSE, `protocol.md`.

use crate::attempt::Attempts;
use crate::{
    Access, Allowed, Exit, HostName, JobName, Outcome, PeerLink, SealReading, StagedChannel,
    SyncedCheckpoints, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `_type` of every in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of Belljar's predicate. The host name is reserved by RFC 2606: it names, and
/// nothing is there.
pub const PREDICATE_TYPE: &str = "https://belljar.example.com/sealed-run/v1";
/// `predicateType` of what is stated of a job with several instances.
pub const JOB_PREDICATE_TYPE: &str = "https://belljar.example.com/sealed-job/v1";
/// `payloadType` of the DSSE envelope around a Statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The signed text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement<P = Predicate> {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What the statement is about: the artifacts.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is stated.
    pub predicate: P,
}

/// One artifact, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// `model.tar.gz`, `output.tar.gz`.
    pub name: String,
    /// Algorithm (`sha256`) to lower-case hexadecimal.
    pub digest: BTreeMap<String, String>,
}

/// What Belljar states of a sealed run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Predicate {
    /// Version of Belljar that ran it.
    pub belljar: String,
    /// The job.
    pub job: JobName,
    /// The instance.
    pub host: HostName,
    /// Of the Assignment.
    pub generation: u64,
    /// The image.
    pub image: ImageEvidence,
    /// What was executed, every argument.
    pub command: Vec<String>,
    /// The environment variables' names; values can be secrets and are left out.
    pub environment_names: Vec<String>,
    /// What was staged in, every file with its digest.
    pub inputs: Vec<StagedChannel>,
    /// What checkpoints were brought in and kept; `None` if none were configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<SyncedCheckpoints>,
    /// The link to its peers; `None` for an instance that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<PeerLink>,
    /// What else it could reach; `None` if it was isolated. One that was not ran in a container as
    /// any other, but this is no evidence of a sealed run then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// The seal before the container's first instruction.
    pub seal_at_start: SealReading,
    /// The seal after its last; `None` if the process was gone before it could be read. While the
    /// account is open, the seal when it was last renewed.
    pub seal_at_end: Option<SealReading>,
    /// What it tried to reach.
    pub attempts: Attempts,
    /// Whether anything like a credential was within reach.
    pub credentials: CredentialsEvidence,
    /// When the container's first process was started.
    pub started: Timestamp,
    /// What makes it a container that serves; `None` for a training job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingEvidence>,
    /// When it had ended; `None` while the account is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How it ended; `None` while the account is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// How the job ended; `None` while the account is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Kernel release and machine (`6.1.0 x86_64`), as `uname` says.
    pub kernel: String,
}

/// A container that serves a model. Its account is written while it serves, and again and again
/// until its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServingEvidence {
    /// The endpoint.
    pub endpoint: String,
    /// Its production variant.
    pub variant: String,
    /// The container's name.
    pub container: String,
    /// When it first answered `/ping` as it must; `None` if it never did.
    pub since: Option<Timestamp>,
    /// Whether it still served when this was written.
    pub open: bool,
    /// When this was written: what is stated is stated up to then.
    pub renewed: Timestamp,
}

/// What Belljar states of a job with several instances: which they were, and that what each of
/// them left was put together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct JobPredicate {
    /// Version of Belljar that ran it.
    pub belljar: String,
    /// The job.
    pub job: JobName,
    /// Of the Assignment.
    pub generation: u64,
    /// Whether `EnableInterContainerTrafficEncryption` was asked for.
    pub encrypted: bool,
    /// Every instance, in the order of their numbers.
    pub instances: Vec<InstanceEvidence>,
    /// The namespace that joins the instances of one host, read back while they ran; `None`
    /// where there is none: their links are encrypted, or they meet in a VPC.
    pub hub: Option<HubReading>,
    /// How the job ended.
    pub outcome: Outcome,
}

/// Where the evidence of one instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InstanceEvidence {
    /// The instance.
    pub host: HostName,
    /// Where its evidence was written; `None` if its container never ran.
    pub uri: Option<String>,
    /// SHA-256 of that file, lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// The namespace in which the links of a host's instances meet, as the kernel described it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HubReading {
    /// Interface names.
    pub interfaces: Vec<String>,
    /// Addresses on them.
    pub addresses: Vec<String>,
    /// Routes of all tables but the kernel's own `local`.
    pub routes: Vec<String>,
}

impl Predicate {
    /// What it may have beside `lo`.
    #[must_use]
    pub fn allowed(&self) -> Allowed<'_> {
        Allowed { peers: self.peers.as_ref(), access: self.access.as_ref() }
    }
}

impl HubReading {
    /// Every way in which it is more, or less, than the meeting point of so many links.
    #[must_use]
    pub fn breaches(&self, instances: usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut must: Vec<String> = (1..=instances).map(|n| format!("hub-{n}")).collect();
        must.extend(["hub".to_owned(), "lo".to_owned()]);
        must.sort_unstable();
        if self.interfaces != must {
            found.push(format!("its interfaces are {:?}, must be {must:?}", self.interfaces));
        }
        for (what, list) in [("address", &self.addresses), ("route", &self.routes)] {
            found.extend(list.iter().map(|item| format!("it has the {what} '{item}'")));
        }
        found
    }
}

/// The image that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageEvidence {
    /// As it was asked for.
    pub reference: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Digests of its unpacked layers, lowest first.
    pub diff_ids: Vec<String>,
}

/// Belljar passes none to a container that is isolated; what the requester put in by hand is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CredentialsEvidence {
    /// Whether it could get its role's credentials; never, if it was isolated.
    pub given_by_platform: bool,
    /// Environment variables of the request or the image whose names look like a credential's.
    pub suspicious_environment_names: Vec<String>,
}

impl CredentialsEvidence {
    /// Looks through the names of environment variables.
    pub fn of<'a>(given_by_platform: bool, names: impl Iterator<Item = &'a str>) -> Self {
        const MARKS: [&str; 6] =
            ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "ACCESS_KEY"];
        let suspicious = |name: &&str| {
            let upper = name.to_ascii_uppercase();
            MARKS.iter().any(|m| upper.contains(m)) || upper.ends_with("API_KEY")
        };
        let suspicious_environment_names = names.filter(suspicious).map(str::to_owned).collect();
        Self { given_by_platform, suspicious_environment_names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_credentials_are_named() {
        let names = ["PATH", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "AWS_REGION", "OPENAI_API_KEY"];
        let c = CredentialsEvidence::of(false, names.into_iter());
        assert_eq!(
            c.suspicious_environment_names,
            ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "OPENAI_API_KEY"]
        );
    }
}
