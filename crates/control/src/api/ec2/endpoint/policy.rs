//! Policies of endpoints.

use crate::network::error::refused;
use belljar_aws::AwsError;
use belljar_vpc::policy::Document;

/// What an endpoint that has no policy of its own shows: all is allowed.
pub(super) const ALL: &str = r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;

/// Checks a policy and gives it back as it is kept. What could not be decided when a request comes
/// is refused here.
pub(super) fn checked(text: String) -> Result<String, AwsError> {
    match Document::read(&text) {
        Ok(_) => Ok(text),
        Err(e) => Err(refused("InvalidPolicyDocument", format!("{e}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_policy() {
        assert_eq!(checked(ALL.into()).unwrap(), ALL);
        for text in ["{", "{}", &format!("{ALL}{}", " ".repeat(20_480))] {
            assert_eq!(checked(text.into()).unwrap_err().code, "InvalidPolicyDocument");
        }
    }
}
