//! Who calls.

use belljar_store::identity::Owner;

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The region that the request was signed for.
    pub region: String,
    /// `arn:aws:iam::…:root`, `arn:aws:sts::…:assumed-role/…`.
    pub arn: String,
    /// As `GetCallerIdentity` gives it.
    pub user_id: String,
    /// The key.
    pub access_key_id: String,
    /// Whose the key is.
    pub owner: Owner,
}
