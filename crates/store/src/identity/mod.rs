//! Who may call: access keys; and in whose name: IAM roles and their policies.
//!
//! Belljar verifies who signs a request. Policies are stored, given back and can be simulated
//! ([`roles`] keeps them); they are not enforced.

pub mod keys;
pub mod roles;
mod words;

pub use keys::{
    AccessKey, EXECUTION_SESSION, Made, Owner, Principal, Secret, WARDEN, create_key, ensure_root,
    expire_keys, find_key, job_key, list_keys, principal, revoke_job_keys, revoke_key,
};
pub use roles::{
    DEFAULT_MAX_SESSION, DEFAULT_ROLE, MAX_ATTACHED, MAX_INLINE, NewRole, Role, attach, attached,
    create_role, delete_policy, delete_role, detach, ensure_default, find_by_arn, get_policy,
    get_role, list_policies, list_roles, put_policy, role_exists,
};
pub use words::secret;

use crate::StoreError;

/// Tables of keys, roles and policies.
pub(crate) const SCHEMA: &str = "
CREATE TABLE access_key (
    id         TEXT PRIMARY KEY,
    secret     TEXT NOT NULL,
    token      TEXT,
    kind       TEXT NOT NULL CHECK (kind IN ('root', 'role', 'job')),
    name       TEXT,    -- a role's ARN, a job's name
    session    TEXT,    -- of a role
    generation INTEGER, -- of a job's attempt
    created    INTEGER NOT NULL, -- here and below: milliseconds since the epoch
    expires    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX access_key_owner ON access_key (kind, name);
CREATE INDEX access_key_expires ON access_key (expires) WHERE expires IS NOT NULL;

CREATE TABLE role (
    name        TEXT PRIMARY KEY COLLATE NOCASE,
    id          TEXT NOT NULL UNIQUE,
    arn         TEXT NOT NULL UNIQUE,
    path        TEXT NOT NULL,
    trust       TEXT NOT NULL, -- the policy document as it was sent
    description TEXT,
    max_session INTEGER NOT NULL, -- seconds
    tags        TEXT NOT NULL, -- a JSON list of [key, value]
    created     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE role_policy (
    role     TEXT NOT NULL COLLATE NOCASE REFERENCES role (name),
    name     TEXT NOT NULL COLLATE NOCASE,
    document TEXT NOT NULL,
    PRIMARY KEY (role, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE role_attachment (
    role TEXT NOT NULL COLLATE NOCASE REFERENCES role (name),
    arn  TEXT NOT NULL,
    PRIMARY KEY (role, arn)
) STRICT, WITHOUT ROWID;
";

/// What was asked cannot be.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No role of this name.
    #[error("there is no role {0}")]
    NoRole(String),
    /// A role of this name is there.
    #[error("there is a role {0} already")]
    RoleExists(String),
    /// The role has no inline policy of this name.
    #[error("the role {role} has no policy {policy}")]
    NoPolicy {
        /// The role.
        role: String,
        /// The policy.
        policy: String,
    },
    /// The managed policy is not attached to the role.
    #[error("the policy {arn} is not attached to the role {role}")]
    NotAttached {
        /// The role.
        role: String,
        /// The policy's ARN.
        arn: String,
    },
    /// A role that still has inline policies is not deleted.
    #[error("the role {0} still has policies of its own")]
    HasPolicies(String),
    /// A role that still has managed policies is not deleted.
    #[error("managed policies are still attached to the role {0}")]
    HasAttachments(String),
    /// The inline policies of one role are too long together.
    #[error("the policies of the role {role} are longer than {limit} characters")]
    PolicyTooLong {
        /// The role.
        role: String,
        /// Characters.
        limit: usize,
    },
    /// Too many managed policies.
    #[error("no more than {limit} managed policies can be attached to the role {role}")]
    TooManyAttachments {
        /// The role.
        role: String,
        /// How many may be.
        limit: usize,
    },
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for IdentityError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Store(e.into())
    }
}
