//! As whom the container of an attempt acts: the execution role that its job, or the model that it
//! serves, was given.

use belljar_domain::serving::FOLDER;
use belljar_store::endpoints::servers;
use belljar_store::identity::{EXECUTION_SESSION, Owner, WARDEN};
use belljar_store::{Connection, StoreError, jobs};
use serde_json::Value;

/// What the record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    /// The ARN of the role.
    pub(crate) role: String,
    /// Whether the container is isolated: "no AWS credentials are made available to it" then.
    /// (Developer Guide, "Run training and inference containers in internet-free mode".)
    pub(crate) isolated: bool,
}

/// The execution role behind the name of an attempt's key (`reconcile::start::key_name`); `None` if
/// there is none, or no such record.
///
/// # Errors
/// If the state fails.
pub(crate) fn find(c: &Connection, name: &str) -> Result<Option<Execution>, StoreError> {
    let Some(container) = name.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')) else {
        let job = jobs::get(c, name)?;
        return Ok(job.and_then(|job| of_request(&job.definition.request)));
    };
    let id = container.rsplit_once('-').map_or(container, |(id, _)| id);
    let server = servers::get(c, id)?;
    Ok(server.and_then(|s| Some(Execution { role: s.role?, isolated: s.isolated })))
}

/// What says nothing of isolation is taken for isolated: records always say it.
fn of_request(request: &Value) -> Option<Execution> {
    let role = request["RoleArn"].as_str()?.to_owned();
    Some(Execution { role, isolated: request["EnableNetworkIsolation"] != false })
}

/// Who makes a request, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// As `GetCallerIdentity` says it.
    pub(crate) arn: String,
    /// `aws:PrincipalArn`: of a session, its role's.
    pub(crate) of: String,
}

impl Principal {
    /// Whoever has a key; a role is not looked up. What a warden does for a container, it does as
    /// the container's execution role.
    ///
    /// # Errors
    /// If the state fails.
    pub(crate) fn of(c: &Connection, owner: &Owner, account: &str) -> Result<Self, StoreError> {
        if let Owner::Job { name, .. } = owner
            && let Some(execution) = find(c, name)?
        {
            return Ok(Self::executing(&execution.role, account));
        }
        Ok(Self::known(owner, account))
    }

    /// The session of an execution role.
    pub(crate) fn executing(role: &str, account: &str) -> Self {
        Self::session(role, EXECUTION_SESSION, account)
    }

    /// The same of a key alone: a warden is seen as what it is.
    pub(crate) fn known(owner: &Owner, account: &str) -> Self {
        match owner {
            Owner::Root => {
                let arn = format!("arn:aws:iam::{account}:root");
                Self { of: arn.clone(), arn }
            }
            Owner::Role { arn, session } => Self::session(arn, session, account),
            Owner::Execution { role, .. } => Self::executing(role, account),
            Owner::Job { name, generation } => {
                let role = format!("arn:aws:iam::{account}:role/{WARDEN}");
                Self::session(&role, &format!("{name}-{generation}"), account)
            }
        }
    }

    fn session(role: &str, session: &str, account: &str) -> Self {
        let name = role.rsplit('/').next().unwrap_or_default();
        let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
        Self { arn, of: role.to_owned() }
    }
}

#[cfg(test)]
#[path = "execution_tests.rs"]
mod tests;
