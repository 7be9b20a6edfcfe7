//! IAM: roles, their policies, and what these would allow. Nothing of it is enforced.

mod attachments;
pub(crate) mod document;
mod managed;
mod page;
mod policies;
mod roles;
mod simulate;

use crate::service::table::{Entry, operation};
use belljar_aws::AwsError;
use belljar_store::identity::IdentityError;

/// What is served.
pub(crate) const OPERATIONS: &[Entry] = &[
    operation!("AttachRolePolicy", attachments::attach),
    operation!("CreateRole", roles::create),
    operation!("DeleteRole", roles::delete),
    operation!("DeleteRolePolicy", policies::delete),
    operation!("DetachRolePolicy", attachments::detach),
    operation!("GetRole", roles::get),
    operation!("GetRolePolicy", policies::get),
    operation!("ListAttachedRolePolicies", attachments::list),
    operation!("ListRolePolicies", policies::list),
    operation!("ListRoles", roles::list),
    operation!("PutRolePolicy", policies::put),
    operation!("SimulatePrincipalPolicy", simulate::simulate),
];

/// What the state says, in the service's words.
fn refusal(e: IdentityError) -> AwsError {
    let (status, code, message) = match e {
        IdentityError::NoRole(name) => {
            (404, "NoSuchEntity", format!("The role with name {name} cannot be found."))
        }
        IdentityError::RoleExists(name) => {
            (409, "EntityAlreadyExists", format!("Role with name {name} already exists."))
        }
        IdentityError::NoPolicy { policy, .. } => {
            (404, "NoSuchEntity", format!("The role policy with name {policy} cannot be found."))
        }
        IdentityError::NotAttached { arn, .. } => {
            (404, "NoSuchEntity", format!("Policy {arn} was not found."))
        }
        IdentityError::HasPolicies(_) => {
            (409, "DeleteConflict", "Cannot delete entity, must delete policies first.".into())
        }
        IdentityError::HasAttachments(_) => {
            (409, "DeleteConflict", "Cannot delete entity, must detach all policies first.".into())
        }
        IdentityError::PolicyTooLong { role, limit } => (
            409,
            "LimitExceeded",
            format!("Maximum policy size of {limit} bytes exceeded for role {role}"),
        ),
        IdentityError::TooManyAttachments { limit, .. } => {
            (409, "LimitExceeded", format!("Cannot exceed quota for PoliciesPerRole: {limit}"))
        }
        IdentityError::Store(e) => return super::failed(&e),
    };
    AwsError::new(status, code, message)
}

/// The error of a request that is valid by the model and wrong beyond it.
fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidInput", message)
}

#[cfg(test)]
mod tests;
