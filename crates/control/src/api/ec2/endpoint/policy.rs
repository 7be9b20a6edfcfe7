//! Policies of endpoints.

use crate::network::error::refused;
use belljar_aws::AwsError;
use serde_json::Value;

/// Characters of a policy (AWS PrivateLink Guide, "Endpoint policies").
const MAX: usize = 20_480;

/// What an endpoint that has no policy of its own shows: all is allowed.
pub(super) const ALL: &str = r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;

/// Checks a policy and gives it back as it is kept.
pub(super) fn checked(text: String) -> Result<String, AwsError> {
    let malformed = |why: &str| refused("InvalidPolicyDocument", why);
    if text.chars().count() > MAX {
        return Err(malformed("The policy document is longer than 20480 characters."));
    }
    let policy: Value = serde_json::from_str(&text)
        .map_err(|_| malformed("The policy document is not valid JSON."))?;
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err(malformed("The policy document has no Statement.")),
    };
    for statement in statements {
        let has = |name: &str, other: &str| {
            statement.get(name).is_some() != statement.get(other).is_some()
        };
        let effect = statement.get("Effect").and_then(Value::as_str);
        if !matches!(effect, Some("Allow" | "Deny")) {
            return Err(malformed("The Effect of a statement must be Allow or Deny."));
        }
        for (name, other) in
            [("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource")]
        {
            if !has(name, other) {
                return Err(malformed(&format!("A statement must contain {name}.")));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_policy() {
        assert_eq!(checked(ALL.into()).unwrap(), ALL);
        let code = |text: &str| checked(text.into()).unwrap_err().message;
        assert_eq!(code("{"), "The policy document is not valid JSON.");
        assert_eq!(code("{}"), "The policy document has no Statement.");
        let deny = r#"{"Statement":{"Effect":"No","Principal":"*","Action":"*","Resource":"*"}}"#;
        assert_eq!(code(deny), "The Effect of a statement must be Allow or Deny.");
        let part = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*"}]}"#;
        assert_eq!(code(part), "A statement must contain Resource.");
        assert!(code(&format!("{ALL}{}", " ".repeat(MAX))).contains("20480"));
    }
}
