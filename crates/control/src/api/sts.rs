//! STS: who calls, and keys for a while.
//!
//! Belljar's IAM is not enforced, so every caller may assume every role that exists; but a warden's
//! own key opens nothing but the role of its container, and that only if the container may have it:
//! see [`execution`](crate::execution).

use crate::execution;
use crate::service::table::{Entry, operation};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::Timestamp;
use belljar_store::identity::{self, AccessKey, EXECUTION_SESSION, Owner};
use belljar_store::{Connection, StoreError};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is served.
pub(crate) const OPERATIONS: &[Entry] = &[
    operation!("AssumeRole", assume_role),
    operation!("GetCallerIdentity", get_caller_identity),
    operation!("GetSessionToken", get_session_token),
];

/// Seconds that a session lasts, if the request says nothing.
const DEFAULT_SESSION: i64 = 3600;
/// Seconds that a session of a role may last which another session began, and one of the account.
const MAX_CHAINED: i64 = 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetCallerIdentity {}

async fn get_caller_identity(
    _: &Service,
    caller: &Caller,
    _: GetCallerIdentity,
) -> Result<Value, AwsError> {
    Ok(json!({"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct AssumeRole {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<i64>,
}

/// What came of a request.
enum Assumed {
    NoRole,
    Refused(&'static str),
    TooLong,
    Yes(AccessKey, identity::Principal),
}

async fn assume_role(
    service: &Service,
    caller: &Caller,
    input: AssumeRole,
) -> Result<Value, AwsError> {
    let AssumeRole { role_arn, role_session_name: session, duration_seconds } = input;
    let duration = duration_seconds.unwrap_or(DEFAULT_SESSION);
    if is_session(caller) && duration > MAX_CHAINED {
        return Err(invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining",
        ));
    }
    let now = service.now();
    let expires = after(now, duration);
    let (arn, account, by) = (role_arn.clone(), caller.account.clone(), caller.owner.clone());
    let assumed = service.db().write(move |c| {
        let Some(role) = identity::find_by_arn(c, &arn)? else { return Ok(Assumed::NoRole) };
        if duration > role.max_session {
            return Ok(Assumed::TooLong);
        }
        let owner = match by {
            Owner::Job { name, generation } => {
                if let Some(why) = refusal(c, &name, generation, (&arn, &session))? {
                    return Ok(Assumed::Refused(why));
                }
                Owner::Execution { role: arn, name, generation }
            }
            _ => Owner::Role { arn, session },
        };
        let key = identity::create_key(c, owner, now, Some(expires))?;
        let principal = identity::principal(c, &key, &account)?;
        Ok::<_, StoreError>(principal.map_or(Assumed::NoRole, |p| Assumed::Yes(key, p)))
    });
    let denied = |why: &str| {
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}{why}",
            caller.arn
        );
        AwsError::new(403, "AccessDenied", message)
    };
    match assumed.await.map_err(|e| super::failed(&e))? {
        Assumed::NoRole => Err(denied("")),
        Assumed::Refused(why) => Err(denied(why)),
        Assumed::TooLong => Err(invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )),
        Assumed::Yes(key, principal) => Ok(json!({
            "Credentials": credentials(&key),
            "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": principal.arn},
        })),
    }
}

/// Why an attempt's warden may not have this role in this session. It is asked in the transaction
/// that makes the session's key, so that one never comes after its attempt's end has taken them.
fn refusal(
    c: &Connection,
    name: &str,
    generation: u64,
    (role, session): (&str, &str),
) -> Result<Option<&'static str>, StoreError> {
    if identity::job_key(c, name, generation)?.is_none() {
        return Ok(Some(" because its attempt has ended"));
    }
    let of = execution::find(c, name)?.filter(|of| of.role == role);
    Ok(match of {
        Some(of) if of.isolated => {
            Some(" because the container is isolated (EnableNetworkIsolation)")
        }
        Some(_) if session == EXECUTION_SESSION => None,
        _ => Some(" because it is not its execution role, in a session named SageMaker"),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetSessionToken {
    duration_seconds: Option<i64>,
}

async fn get_session_token(
    service: &Service,
    caller: &Caller,
    input: GetSessionToken,
) -> Result<Value, AwsError> {
    if is_session(caller) || is_temporary(caller) {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(AwsError::new(403, "AccessDenied", message));
    }
    // What lasts longer than an hour is cut to one for the account's owner (AWS's own rule).
    let duration = input.duration_seconds.unwrap_or(MAX_CHAINED).min(MAX_CHAINED);
    let now = service.now();
    let expires = after(now, duration);
    let made =
        service.db().write(move |c| identity::create_key(c, Owner::Root, now, Some(expires)));
    let key = made.await.map_err(|e: StoreError| super::failed(&e))?;
    Ok(json!({"Credentials": credentials(&key)}))
}

fn credentials(key: &AccessKey) -> Value {
    json!({
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret.expose(),
        "SessionToken": key.session_token.as_ref().map(identity::Secret::expose),
        "Expiration": seconds(key.expires.unwrap_or_default()),
    })
}

/// Whole seconds, as all times of this service.
fn seconds(at: Timestamp) -> f64 {
    at.millis().div_euclid(1000) as f64
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_millis((now.millis().div_euclid(1000) + seconds) * 1000)
}

fn is_session(caller: &Caller) -> bool {
    caller.owner != Owner::Root
}

fn is_temporary(caller: &Caller) -> bool {
    caller.access_key_id.starts_with("ASIA")
}

/// The error of a request that is valid by the model and wrong beyond it.
fn invalid(message: &str) -> AwsError {
    AwsError::new(400, "ValidationError", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{NOW, Tested};
    use belljar_aws::Service as Aws;

    const ROLE: &str = "arn:aws:iam::123456789012:role/BelljarExecutionRole";

    #[tokio::test]
    async fn callers_are_who_their_key_says() {
        let t = Tested::new().await;
        let me = t.call(Aws::Sts, "GetCallerIdentity", json!({})).await.unwrap();
        let arn = "arn:aws:iam::123456789012:root";
        assert_eq!(me, json!({"UserId": "123456789012", "Account": "123456789012", "Arn": arn}));
    }

    #[tokio::test]
    async fn a_role_that_exists_is_assumed_for_a_while() {
        let mut t = Tested::new().await;
        let input = json!({"RoleArn": ROLE, "RoleSessionName": "me", "DurationSeconds": 900});
        let answer = t.call(Aws::Sts, "AssumeRole", input.clone()).await.unwrap();
        let user = &answer["AssumedRoleUser"];
        assert_eq!(user["Arn"], "arn:aws:sts::123456789012:assumed-role/BelljarExecutionRole/me");
        let credentials = &answer["Credentials"];
        assert_eq!(credentials["Expiration"], (NOW / 1000 + 900) as f64);
        let id = credentials["AccessKeyId"].as_str().unwrap();
        let key = t.service.db().read(|c| identity::find_key(c, id)).unwrap().unwrap();
        assert_eq!(key.secret.expose(), credentials["SecretAccessKey"]);
        assert_eq!(key.session_token.unwrap().expose(), credentials["SessionToken"]);

        let long = json!({"RoleArn": ROLE, "RoleSessionName": "me", "DurationSeconds": 3601});
        let (code, message) = t.refused(Aws::Sts, "AssumeRole", long.clone()).await;
        assert_eq!(code, "ValidationError");
        assert!(message.contains("exceeds the MaxSessionDuration"), "{message}");
        t.caller.owner = key.owner;
        let (_, message) = t.refused(Aws::Sts, "AssumeRole", long).await;
        assert!(message.contains("role chaining"), "{message}");
        t.caller.owner = Owner::Job { name: "j".into(), generation: 1 };
        let (code, _) = t.refused(Aws::Sts, "AssumeRole", input).await;
        assert_eq!(code, "AccessDenied");
    }

    #[tokio::test]
    async fn a_role_that_does_not_exist_is_denied_in_awss_words() {
        let t = Tested::new().await;
        let arn = "arn:aws:iam::123456789012:role/Nobody";
        let input = json!({"RoleArn": arn, "RoleSessionName": "me"});
        let (code, message) = t.refused(Aws::Sts, "AssumeRole", input).await;
        assert_eq!(code, "AccessDenied");
        assert_eq!(
            message,
            format!(
                "User: arn:aws:iam::123456789012:root is not authorized to perform: \
                 sts:AssumeRole on resource: {arn}"
            )
        );
        let policy = json!({"RoleArn": ROLE, "RoleSessionName": "me", "Policy": "{}"});
        let (_, message) = t.refused(Aws::Sts, "AssumeRole", policy).await;
        assert_eq!(message, "Belljar does not serve Policy of AssumeRole.");
    }

    #[tokio::test]
    async fn the_accounts_session_lasts_an_hour_at_most() {
        let mut t = Tested::new().await;
        let input = json!({"DurationSeconds": 129_600});
        let answer = t.call(Aws::Sts, "GetSessionToken", input).await.unwrap();
        assert_eq!(answer["Credentials"]["Expiration"], (NOW / 1000 + 3600) as f64);
        t.caller.access_key_id = answer["Credentials"]["AccessKeyId"].as_str().unwrap().into();
        let (code, _) = t.refused(Aws::Sts, "GetSessionToken", json!({})).await;
        assert_eq!(code, "AccessDenied");
    }
}
