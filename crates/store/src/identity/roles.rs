//! IAM roles, their inline policies, and the managed policies that are attached to them.
//!
//! Names differ by more than their case, as in IAM. Documents are kept as they were sent.

use super::{IdentityError, words};
use crate::StoreError;
use belljar_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The role that the first start makes.
pub const DEFAULT_ROLE: &str = "BelljarExecutionRole";
/// Who may assume it: the service that runs jobs.
const DEFAULT_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
/// The managed policy that it has, as AWS's console attaches it.
const DEFAULT_POLICY: &str = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess";
/// Seconds that a session of a role may last, if the role does not say otherwise.
pub const DEFAULT_MAX_SESSION: i64 = 3600;
/// Characters of a role's id: `AROA` and 17.
const ID_LENGTH: usize = 21;
/// Characters of all inline policies of a role together, white space not counted (IAM's quota).
pub const MAX_INLINE: usize = 10_240;
/// Managed policies of a role (IAM's default quota).
pub const MAX_ATTACHED: usize = 10;

/// What a role is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRole {
    /// Its name.
    pub name: String,
    /// `/`, or `/some/path/`.
    pub path: String,
    /// Who may assume it: a policy document.
    pub trust: String,
    /// Words for people.
    pub description: Option<String>,
    /// Seconds that a session may last.
    pub max_session: i64,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name, as it was given.
    pub name: String,
    /// `AROA…`.
    pub id: String,
    /// `arn:aws:iam::ACCOUNT:role/PATH/NAME`.
    pub arn: String,
    /// `/`, or `/some/path/`.
    pub path: String,
    /// Who may assume it: a policy document.
    pub trust: String,
    /// Words for people.
    pub description: Option<String>,
    /// Seconds that a session may last.
    pub max_session: i64,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
    /// When it was made.
    pub created: Timestamp,
}

/// Makes a role.
///
/// # Errors
/// [`IdentityError::RoleExists`]; or if the state fails.
pub fn create_role(
    c: &Connection,
    account: &str,
    new: NewRole,
    now: Timestamp,
) -> Result<Role, IdentityError> {
    if get_role(c, &new.name).is_ok() {
        return Err(IdentityError::RoleExists(new.name));
    }
    let role = Role {
        id: words::id("AROA", ID_LENGTH)?,
        arn: format!("arn:aws:iam::{account}:role{}{}", new.path, new.name),
        name: new.name,
        path: new.path,
        trust: new.trust,
        description: new.description,
        max_session: new.max_session,
        tags: new.tags,
        created: now,
    };
    c.prepare_cached("INSERT INTO role VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?.execute(
        params![
            role.name,
            role.id,
            role.arn,
            role.path,
            role.trust,
            role.description,
            role.max_session,
            tags_text(&role.tags)?,
            now.millis(),
        ],
    )?;
    Ok(role)
}

/// Makes [`DEFAULT_ROLE`] if there is none.
///
/// # Errors
/// If the state fails.
pub fn ensure_default(c: &Connection, account: &str, now: Timestamp) -> Result<(), StoreError> {
    let role = NewRole {
        name: DEFAULT_ROLE.into(),
        path: "/".into(),
        trust: DEFAULT_TRUST.into(),
        description: Some("Made by Belljar's first start, for training jobs".into()),
        max_session: DEFAULT_MAX_SESSION,
        tags: Vec::new(),
    };
    let made = create_role(c, account, role, now);
    match made.and_then(|_| attach(c, DEFAULT_ROLE, DEFAULT_POLICY)) {
        Err(IdentityError::Store(e)) => Err(e),
        _ => Ok(()),
    }
}

/// The role of this name.
///
/// # Errors
/// [`IdentityError::NoRole`]; or if the state fails.
pub fn get_role(c: &Connection, name: &str) -> Result<Role, IdentityError> {
    let mut get = c.prepare_cached("SELECT * FROM role WHERE name = ?1")?;
    get.query_row([name], read).optional()?.ok_or_else(|| IdentityError::NoRole(name.into()))
}

/// The role of this ARN.
///
/// # Errors
/// If the state fails.
pub fn find_by_arn(c: &Connection, arn: &str) -> Result<Option<Role>, StoreError> {
    let mut find = c.prepare_cached("SELECT * FROM role WHERE arn = ?1")?;
    Ok(find.query_row([arn], read).optional()?)
}

/// Whether there is a role of this ARN.
///
/// # Errors
/// If the state fails.
pub fn role_exists(c: &Connection, arn: &str) -> Result<bool, StoreError> {
    Ok(c.prepare_cached("SELECT 1 FROM role WHERE arn = ?1")?.exists([arn])?)
}

/// Roles whose path begins with `path` and whose name comes after `after`, in the order of names.
///
/// # Errors
/// If the state fails.
pub fn list_roles(
    c: &Connection,
    path: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Role>, StoreError> {
    let mut list = c.prepare_cached(
        "SELECT * FROM role WHERE name > ?1 AND substr(path, 1, length(?2)) = ?2
         ORDER BY name LIMIT ?3",
    )?;
    Ok(list.query_map(params![after, path, count(limit)], read)?.collect::<Result<_, _>>()?)
}

/// Removes a role that has no policies any more, and the keys of those who assumed it.
///
/// # Errors
/// [`IdentityError::NoRole`], [`IdentityError::HasPolicies`],
/// [`IdentityError::HasAttachments`]; or if the state fails.
pub fn delete_role(c: &Connection, name: &str) -> Result<(), IdentityError> {
    let role = get_role(c, name)?;
    if !attached(c, name)?.is_empty() {
        return Err(IdentityError::HasAttachments(role.name));
    }
    if !list_policies(c, name)?.is_empty() {
        return Err(IdentityError::HasPolicies(role.name));
    }
    c.execute("DELETE FROM access_key WHERE kind = 'role' AND name = ?1", [&role.arn])?;
    c.execute("DELETE FROM role WHERE name = ?1", [name])?;
    Ok(())
}

/// Stores an inline policy under its name, in place of the one that was there.
///
/// # Errors
/// [`IdentityError::NoRole`], [`IdentityError::PolicyTooLong`]; or if the state fails.
pub fn put_policy(
    c: &Connection,
    role: &str,
    policy: &str,
    document: &str,
) -> Result<(), IdentityError> {
    let role = get_role(c, role)?.name;
    c.prepare_cached("INSERT OR REPLACE INTO role_policy VALUES (?1, ?2, ?3)")?
        .execute([&role, policy, document])?;
    let mut all = c.prepare_cached("SELECT document FROM role_policy WHERE role = ?1")?;
    let mut length = 0;
    for document in all.query_map([&role], |row| row.get::<_, String>(0))? {
        length += document?.chars().filter(|c| !c.is_whitespace()).count();
    }
    if length > MAX_INLINE {
        return Err(IdentityError::PolicyTooLong { role, limit: MAX_INLINE });
    }
    Ok(())
}

/// The document of an inline policy, and its name as it was given.
///
/// # Errors
/// [`IdentityError::NoRole`], [`IdentityError::NoPolicy`]; or if the state fails.
pub fn get_policy(
    c: &Connection,
    role: &str,
    policy: &str,
) -> Result<(String, String), IdentityError> {
    let role = get_role(c, role)?.name;
    let sql = "SELECT name, document FROM role_policy WHERE role = ?1 AND name = ?2";
    c.prepare_cached(sql)?
        .query_row([&role, policy], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or_else(|| IdentityError::NoPolicy { role, policy: policy.into() })
}

/// Names and documents of a role's inline policies, in the order of names.
///
/// # Errors
/// [`IdentityError::NoRole`]; or if the state fails.
pub fn list_policies(c: &Connection, role: &str) -> Result<Vec<(String, String)>, IdentityError> {
    let role = get_role(c, role)?.name;
    let sql = "SELECT name, document FROM role_policy WHERE role = ?1 ORDER BY name";
    let mut list = c.prepare_cached(sql)?;
    let rows = list.query_map([&role], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes an inline policy.
///
/// # Errors
/// [`IdentityError::NoRole`], [`IdentityError::NoPolicy`]; or if the state fails.
pub fn delete_policy(c: &Connection, role: &str, policy: &str) -> Result<(), IdentityError> {
    let role = get_role(c, role)?.name;
    let sql = "DELETE FROM role_policy WHERE role = ?1 AND name = ?2";
    match c.execute(sql, [&role, policy])? {
        0 => Err(IdentityError::NoPolicy { role, policy: policy.into() }),
        _ => Ok(()),
    }
}

/// Attaches a managed policy; one that is attached stays so.
///
/// # Errors
/// [`IdentityError::NoRole`], [`IdentityError::TooManyAttachments`]; or if the state fails.
pub fn attach(c: &Connection, role: &str, arn: &str) -> Result<(), IdentityError> {
    let role = get_role(c, role)?.name;
    c.execute("INSERT OR IGNORE INTO role_attachment VALUES (?1, ?2)", [&role, arn])?;
    if attached(c, &role)?.len() > MAX_ATTACHED {
        return Err(IdentityError::TooManyAttachments { role, limit: MAX_ATTACHED });
    }
    Ok(())
}

/// The ARNs of the managed policies that are attached to a role, in order.
///
/// # Errors
/// [`IdentityError::NoRole`]; or if the state fails.
pub fn attached(c: &Connection, role: &str) -> Result<Vec<String>, IdentityError> {
    let role = get_role(c, role)?.name;
    let sql = "SELECT arn FROM role_attachment WHERE role = ?1 ORDER BY arn";
    let mut list = c.prepare_cached(sql)?;
    Ok(list.query_map([&role], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Detaches a managed policy.
///
/// # Errors
/// [`IdentityError::NoRole`], [`IdentityError::NotAttached`]; or if the state fails.
pub fn detach(c: &Connection, role: &str, arn: &str) -> Result<(), IdentityError> {
    let role = get_role(c, role)?.name;
    match c.execute("DELETE FROM role_attachment WHERE role = ?1 AND arn = ?2", [&role, arn])? {
        0 => Err(IdentityError::NotAttached { role, arn: arn.into() }),
        _ => Ok(()),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Role> {
    let tags: String = row.get("tags")?;
    let tags = serde_json::from_str(&tags).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, e.into())
    })?;
    Ok(Role {
        name: row.get("name")?,
        id: row.get("id")?,
        arn: row.get("arn")?,
        path: row.get("path")?,
        trust: row.get("trust")?,
        description: row.get("description")?,
        max_session: row.get("max_session")?,
        tags,
        created: Timestamp::from_millis(row.get("created")?),
    })
}

fn tags_text(tags: &[(String, String)]) -> Result<String, StoreError> {
    Ok(serde_json::to_string(tags)?)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;
