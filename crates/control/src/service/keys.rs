//! Access keys, for `belljar keys` and `belljar env`: with a running service or without.

use super::ServiceError;
use belljar_domain::Timestamp;
use belljar_domain::serving::FOLDER;
use belljar_store::identity::{self, AccessKey, Owner};
use belljar_store::{State, StoreError};
use std::fmt::Display;
use std::path::Path;

/// A key, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `AKIA…`.
    pub id: String,
    /// Whose it is, in words.
    pub owner: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    secret: identity::Secret,
}

impl Key {
    /// The secret: to be shown once, or handed to a client.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.secret.expose()
    }
}

impl From<AccessKey> for Key {
    fn from(key: AccessKey) -> Self {
        let owner = match key.owner {
            Owner::Root => "account".to_owned(),
            Owner::Role { arn, session } => format!("{arn} as {session}"),
            Owner::Job { name, generation } => attempt(&name, generation),
            Owner::Execution { role, name, generation } => {
                format!("{role} for {}", attempt(&name, generation))
            }
        };
        Self { id: key.id, owner, created: key.created, expires: key.expires, secret: key.secret }
    }
}

/// Of what an attempt is one: a training job, or a container of an endpoint's instance
/// (`reconcile::start::key_name`).
fn attempt(name: &str, generation: impl Display) -> String {
    match name.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')) {
        Some(container) => format!("endpoint container {container}, attempt {generation}"),
        None => format!("training job {name}, attempt {generation}"),
    }
}

/// Makes a key of the account.
///
/// # Errors
/// If the state fails.
pub async fn create_key(state: &Path, now: Timestamp) -> Result<Key, ServiceError> {
    let db = State::peek(state)?;
    let made = db.write(move |c| identity::create_key(c, Owner::Root, now, None)).await;
    Ok(made?.into())
}

/// All keys, oldest first.
///
/// # Errors
/// If the state fails.
pub fn keys(state: &Path) -> Result<Vec<Key>, ServiceError> {
    let keys = State::peek(state)?.read(identity::list_keys)?;
    Ok(keys.into_iter().map(Key::from).collect())
}

/// Removes a key, at once and also for a running service. The account keeps one.
///
/// # Errors
/// [`ServiceError::NoKey`], [`ServiceError::LastKey`], or if the state fails.
pub async fn revoke_key(state: &Path, id: String) -> Result<(), ServiceError> {
    enum Found {
        Revoked,
        None,
        Last,
    }
    let db = State::peek(state)?;
    let wanted = id.clone();
    let found = db
        .write(move |c| {
            let lasting = |k: &AccessKey| k.owner == Owner::Root && k.expires.is_none();
            let keys = identity::list_keys(c)?;
            if keys.iter().any(|k| k.id == wanted && lasting(k))
                && keys.iter().filter(|k| lasting(k)).count() == 1
            {
                return Ok(Found::Last);
            }
            let revoked = identity::revoke_key(c, &wanted)?;
            Ok::<_, StoreError>(if revoked { Found::Revoked } else { Found::None })
        })
        .await?;
    match found {
        Found::Revoked => Ok(()),
        Found::None => Err(ServiceError::NoKey(id)),
        Found::Last => Err(ServiceError::LastKey(id)),
    }
}

/// The account's oldest key, which `belljar env` hands out.
///
/// # Errors
/// [`ServiceError::NotRunning`] if there is none yet, or if the state fails.
pub fn root_key(state: &Path) -> Result<Key, ServiceError> {
    let keys = State::peek(state)?.read(identity::list_keys)?;
    let root = keys.into_iter().find(|k| k.owner == Owner::Root && k.expires.is_none());
    root.map(Key::from).ok_or_else(|| ServiceError::NotRunning(state.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_was_made_for() {
        assert_eq!(attempt("job-1", 2), "training job job-1, attempt 2");
        assert_eq!(attempt("endpoints/i-1-1", 1), "endpoint container i-1-1, attempt 1");
    }
}
