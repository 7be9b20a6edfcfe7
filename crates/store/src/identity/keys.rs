//! Access keys: of the account's owner, of roles that were assumed, of jobs.

use super::{roles, words};
use crate::StoreError;
use belljar_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::fmt;

/// Characters of an access key's id.
const ID_LENGTH: usize = 20;
/// Characters of a secret.
const SECRET_LENGTH: usize = 40;
/// Characters of a session token: AWS promises no length; this is more than anybody guesses.
const TOKEN_LENGTH: usize = 128;
/// Who a job's warden is, in ARNs.
pub const WARDEN: &str = "belljar-warden";
/// What a session of an execution role is called, as the real service calls it
/// (`arn:aws:sts::ACCOUNT:assumed-role/ROLE/SageMaker`).
pub const EXECUTION_SESSION: &str = "SageMaker";
/// The role id of all wardens.
const WARDEN_ID: &str = "AROABELLJARWARDEN7777";

/// A secret: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, to sign with or to tell its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The account's.
    Root,
    /// A role that was assumed.
    Role {
        /// The role's ARN.
        arn: String,
        /// The session's name.
        session: String,
    },
    /// One attempt of a training job: its warden.
    Job {
        /// The job's name.
        name: String,
        /// The attempt.
        generation: u64,
    },
    /// An attempt's execution role, which its warden assumed for the container. It is kept as one of
    /// the attempt's keys (the column of sessions has the role), and ends with them.
    Execution {
        /// The role's ARN.
        role: String,
        /// The job's name.
        name: String,
        /// The attempt.
        generation: u64,
    },
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA…`, or `ASIA…` if it is temporary.
    pub id: String,
    /// What requests are signed with.
    pub secret: Secret,
    /// What requests with a temporary key must carry.
    pub session_token: Option<Secret>,
    /// Whose it is.
    pub owner: Owner,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no key any more.
    pub expires: Option<Timestamp>,
}

impl AccessKey {
    /// Whether it has expired.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// Makes a key: with `expires` a temporary one (`ASIA…`), which has a session token; without it a
/// lasting one (`AKIA…`). A job's key is of the second kind and ends by [`revoke_job_keys`].
///
/// # Errors
/// If the kernel gives no randomness or the state fails.
pub fn create_key(
    c: &Connection,
    owner: Owner,
    now: Timestamp,
    expires: Option<Timestamp>,
) -> Result<AccessKey, StoreError> {
    let temporary = expires.is_some();
    let key = AccessKey {
        id: words::id(if temporary { "ASIA" } else { "AKIA" }, ID_LENGTH)?,
        secret: Secret(words::secret(SECRET_LENGTH)?),
        session_token: if temporary { Some(Secret(words::secret(TOKEN_LENGTH)?)) } else { None },
        owner,
        created: now,
        expires,
    };
    let (kind, name, session, generation) = match &key.owner {
        Owner::Root => ("root", None, None, None),
        Owner::Role { arn, session } => ("role", Some(arn), Some(session), None),
        Owner::Job { name, generation } => ("job", Some(name), None, Some(to_i64(*generation))),
        Owner::Execution { role, name, generation } => {
            ("job", Some(name), Some(role), Some(to_i64(*generation)))
        }
    };
    c.prepare_cached("INSERT INTO access_key VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            key.id,
            key.secret.0,
            key.session_token.as_ref().map(|t| &t.0),
            kind,
            name,
            session,
            generation,
            key.created.millis(),
            key.expires.map(Timestamp::millis),
        ])?;
    Ok(key)
}

/// The key of this id, also if it has expired ([`AccessKey::expired`]): AWS answers an expired
/// key in other words than an unknown one.
///
/// # Errors
/// If the state fails.
pub fn find_key(c: &Connection, id: &str) -> Result<Option<AccessKey>, StoreError> {
    let mut find = c.prepare_cached("SELECT * FROM access_key WHERE id = ?1")?;
    Ok(find.query_row([id], read).optional()?)
}

/// All keys, oldest first, also expired ones that were not yet removed.
///
/// # Errors
/// If the state fails.
pub fn list_keys(c: &Connection) -> Result<Vec<AccessKey>, StoreError> {
    let mut list = c.prepare_cached("SELECT * FROM access_key ORDER BY created, id")?;
    let keys = list.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(keys)
}

/// Removes a key; whether it was there.
///
/// # Errors
/// If the state fails.
pub fn revoke_key(c: &Connection, id: &str) -> Result<bool, StoreError> {
    Ok(c.prepare_cached("DELETE FROM access_key WHERE id = ?1")?.execute([id])? > 0)
}

/// The warden's key of a job's attempt, if it has one.
///
/// # Errors
/// If the state fails.
pub fn job_key(
    c: &Connection,
    name: &str,
    generation: u64,
) -> Result<Option<AccessKey>, StoreError> {
    let sql = "SELECT * FROM access_key
        WHERE kind = 'job' AND name = ?1 AND generation = ?2 AND session IS NULL";
    Ok(c.prepare_cached(sql)?.query_row(params![name, to_i64(generation)], read).optional()?)
}

/// Removes the keys of a job's attempt, the warden's and those of sessions that it began; how many
/// there were.
///
/// # Errors
/// If the state fails.
pub fn revoke_job_keys(c: &Connection, name: &str, generation: u64) -> Result<usize, StoreError> {
    let sql = "DELETE FROM access_key WHERE kind = 'job' AND name = ?1 AND generation = ?2";
    Ok(c.prepare_cached(sql)?.execute(params![name, to_i64(generation)])?)
}

/// Removes keys that expired before `before`; how many. (Not at once at their expiry: until they
/// are gone, the answer is that they have expired.)
///
/// # Errors
/// If the state fails.
pub fn expire_keys(c: &Connection, before: Timestamp) -> Result<usize, StoreError> {
    let sql = "DELETE FROM access_key WHERE expires < ?1";
    Ok(c.prepare_cached(sql)?.execute([before.millis()])?)
}

/// The account's key, and whether it is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The oldest key of the owner.
    pub key: AccessKey,
    /// Whether there was none.
    pub new: bool,
}

/// The account's oldest lasting key. If there is none (at the first start) it is made, and with
/// it the role [`roles::DEFAULT_ROLE`], so that a first job has a role to name.
///
/// # Errors
/// If the kernel gives no randomness or the state fails.
pub fn ensure_root(c: &Connection, account: &str, now: Timestamp) -> Result<Made, StoreError> {
    let sql = "SELECT * FROM access_key WHERE kind = 'root' AND expires IS NULL
        ORDER BY created, id LIMIT 1";
    if let Some(key) = c.prepare_cached(sql)?.query_row([], read).optional()? {
        return Ok(Made { key, new: false });
    }
    roles::ensure_default(c, account, now)?;
    Ok(Made { key: create_key(c, Owner::Root, now, None)?, new: true })
}

/// Who signs with a key, in AWS's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `arn:aws:iam::…:root`, or `arn:aws:sts::…:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// The account, or `ROLE ID:SESSION`.
    pub user_id: String,
}

/// Who signs with this key; `None` if its role is gone.
///
/// # Errors
/// If the state fails.
pub fn principal(
    c: &Connection,
    key: &AccessKey,
    account: &str,
) -> Result<Option<Principal>, StoreError> {
    let assumed = |role: &str, id: &str, session: &str| Principal {
        arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
        user_id: format!("{id}:{session}"),
    };
    Ok(match &key.owner {
        Owner::Root => {
            let arn = format!("arn:aws:iam::{account}:root");
            Some(Principal { arn, user_id: account.into() })
        }
        Owner::Role { arn, session } => {
            roles::find_by_arn(c, arn)?.map(|role| assumed(&role.name, &role.id, session))
        }
        Owner::Job { name, generation } => {
            Some(assumed(WARDEN, WARDEN_ID, &format!("{name}-{generation}")))
        }
        Owner::Execution { role, .. } => roles::find_by_arn(c, role)?
            .map(|role| assumed(&role.name, &role.id, EXECUTION_SESSION)),
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<AccessKey> {
    let name = || row.get("name");
    let owner = match row.get_ref("kind")?.as_str()? {
        "role" => Owner::Role { arn: name()?, session: row.get("session")? },
        "job" => {
            let generation: i64 = row.get("generation")?;
            let (name, generation) = (name()?, generation.unsigned_abs());
            match row.get("session")? {
                Some(role) => Owner::Execution { role, name, generation },
                None => Owner::Job { name, generation },
            }
        }
        _ => Owner::Root,
    };
    Ok(AccessKey {
        id: row.get("id")?,
        secret: Secret(row.get("secret")?),
        session_token: row.get::<_, Option<String>>("token")?.map(Secret),
        owner,
        created: Timestamp::from_millis(row.get("created")?),
        expires: row.get::<_, Option<i64>>("expires")?.map(Timestamp::from_millis),
    })
}

/// Generations are counted from 1 by ones.
fn to_i64(generation: u64) -> i64 {
    i64::try_from(generation).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
