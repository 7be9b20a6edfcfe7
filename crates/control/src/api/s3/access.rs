//! Who may do what. s3s checks the signature with the key's secret; here is the rest: expiry,
//! the session token, and what a request asks for that Belljar has not.
//!
//! Every valid key may use all of S3: a job's key is as good as the root's. Only the policy of a VPC
//! endpoint can say otherwise, of what comes by it.

use super::config::Config;
use super::error::{error, internal};
use super::{actions, refuse};
use crate::service::via::Via;
use belljar_domain::Timestamp;
use belljar_store::StoreError;
use belljar_store::identity::AccessKey;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::DeleteObjectsInput;
use s3s::{S3ErrorCode, S3Request, S3Result};
use std::sync::Arc;

/// Finds a key by its id.
pub type FindKey = Arc<dyn Fn(&str) -> Result<Option<AccessKey>, StoreError> + Send + Sync>;

/// Gives s3s the secret of a key.
pub(super) struct Auth(pub(super) FindKey);

fn find(keys: &FindKey, id: &str) -> S3Result<AccessKey> {
    keys(id).map_err(|e| internal(&e))?.ok_or_else(|| {
        error(
            S3ErrorCode::InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records.",
        )
    })
}

#[async_trait::async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(find(&self.0, access_key)?.secret.expose().into())
    }
}

/// Looks at every request whose signature is right, before it is read further.
pub(super) struct Access {
    pub(super) find: FindKey,
    pub(super) config: Arc<Config>,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = cx.credentials() else {
            return Err(error(S3ErrorCode::AccessDenied, "Access Denied"));
        };
        let key = find(&self.find, &credentials.access_key)?;
        let header = cx.headers().get("x-amz-security-token").map(|token| token.as_bytes());
        let query = ["X-Amz-Security-Token", "x-amz-security-token"]
            .into_iter()
            .find_map(|name| refuse::query(cx.uri(), name));
        let sent = query.as_ref().map(|token| token.as_bytes()).or(header);
        match (&key.session_token, sent) {
            (Some(token), Some(sent)) if same(token.expose().as_bytes(), sent) => {}
            (None, None) => {}
            _ => {
                let message = "The provided token is malformed or otherwise invalid.";
                return Err(error(S3ErrorCode::InvalidToken, message));
            }
        }
        if key.expired(now()) {
            return Err(error(S3ErrorCode::ExpiredToken, "The provided token has expired."));
        }
        if let Some(via) = cx.extensions_mut().get::<Via>().cloned() {
            let who = via.principal(&key.owner).map_err(|e| internal(&e))?;
            let source = cx.headers().get("x-amz-copy-source");
            let source = source.map(|source| source.to_str().unwrap_or_default());
            actions::allows(&via, &who, cx.s3_op().name(), cx.s3_path(), source)?;
        }
        refuse::check(cx.s3_op().name(), cx.headers(), cx.uri(), &self.config)
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        let Some(via) = request.extensions.get::<Via>() else { return Ok(()) };
        let Some(credentials) = &request.credentials else {
            return Err(error(S3ErrorCode::AccessDenied, "Access Denied"));
        };
        let key = find(&self.find, &credentials.access_key)?;
        let who = via.principal(&key.owner).map_err(|e| internal(&e))?;
        let keys = request.input.delete.objects.iter().map(|object| object.key.as_str());
        actions::allows_deletion(via, &who, &request.input.bucket, keys)
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// Compares in a time that does not tell where two texts differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}
