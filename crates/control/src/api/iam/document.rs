//! Policy documents: whether a text is one, and what it decides.

use super::invalid;
use belljar_aws::AwsError;
use serde::Deserialize;
use serde_json::Value;

/// Characters of a trust policy (IAM's default quota).
pub(super) const MAX_TRUST: usize = 2048;

/// One thing or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A policy document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Document {
    #[serde(rename = "Version")]
    _version: Option<Version>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<Statement>,
}

#[derive(Debug, Clone, Deserialize)]
enum Version {
    #[serde(rename = "2012-10-17")]
    Of2012,
    #[serde(rename = "2008-10-17")]
    Of2008,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Option<Value>,
    not_principal: Option<Value>,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    condition: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// What policies say of an action on a resource, as far as they were asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    allowed: bool,
    denied: bool,
    /// Whether a statement with a condition would allow or deny it.
    allowed_if: bool,
    denied_if: bool,
}

impl Verdict {
    /// As in `EvalDecision`; `None` if it depends on a condition.
    pub(super) fn decision(self) -> Option<&'static str> {
        match self {
            Self { denied: true, .. } => Some("explicitDeny"),
            Self { denied_if: true, .. } => None,
            Self { allowed: true, .. } => Some("allowed"),
            Self { allowed_if: true, .. } => None,
            _ => Some("implicitDeny"),
        }
    }
}

fn malformed(message: &str) -> AwsError {
    AwsError::new(400, "MalformedPolicyDocument", message)
}

impl Document {
    fn read(text: &str) -> Result<Self, AwsError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|_| malformed("This policy contains invalid Json"))?;
        serde_json::from_value(value).map_err(|_| malformed("Syntax errors in policy."))
    }

    /// A policy that says what a role may do.
    pub(super) fn of_permissions(text: &str) -> Result<Self, AwsError> {
        let document = Self::read(text)?;
        for s in document.statement.as_slice() {
            if s.principal.is_some() || s.not_principal.is_some() {
                return Err(malformed("Policy document should not specify a principal."));
            }
            if s.action.is_some() == s.not_action.is_some() {
                return Err(malformed("Policy statement must contain actions."));
            }
            if s.resource.is_some() == s.not_resource.is_some() {
                return Err(malformed("Policy statement must contain resources."));
            }
            let actions = s.action.iter().chain(&s.not_action).flat_map(OneOrMany::as_slice);
            if actions.into_iter().any(|action| action != "*" && !action.contains(':')) {
                return Err(malformed(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                ));
            }
        }
        Ok(document)
    }

    /// Checks a policy that says who may assume a role.
    pub(super) fn check_trust(text: &str) -> Result<(), AwsError> {
        for s in Self::read(text)?.statement.as_slice() {
            if s.resource.is_some() || s.not_resource.is_some() {
                return Err(malformed("Has prohibited field Resource"));
            }
            if s.principal.is_none() && s.not_principal.is_none() {
                return Err(malformed("Missing required field Principal"));
            }
            if s.action.is_none() && s.not_action.is_none() {
                return Err(malformed("Missing required field Action"));
            }
        }
        if text.chars().filter(|c| !c.is_whitespace()).count() > MAX_TRUST {
            let message = format!("Cannot exceed quota for ACLSizePerRole: {MAX_TRUST}");
            return Err(AwsError::new(409, "LimitExceeded", message));
        }
        Ok(())
    }

    /// Whether a policy that says who may assume a role lets a service do so:
    /// `vpc-flow-logs.amazonaws.com`. A condition is taken for one that holds: it is about the
    /// service's own account.
    pub(crate) fn trusts(text: &str, service: &str) -> bool {
        let Ok(document) = Self::read(text) else { return false };
        let says = |effect| {
            let of = |s: &Statement| s.effect == effect && s.lets_assume(service);
            document.statement.as_slice().iter().any(of)
        };
        says(Effect::Allow) && !says(Effect::Deny)
    }

    /// Adds what the document says of an action on a resource.
    ///
    /// # Errors
    /// If it depends on a variable in a resource: not served.
    pub(super) fn decide(
        &self,
        action: &str,
        resource: &str,
        verdict: &mut Verdict,
    ) -> Result<(), AwsError> {
        for statement in self.statement.as_slice() {
            if statement.applies(action, resource)? {
                let said = match (statement.effect, statement.is_conditional()) {
                    (Effect::Allow, false) => &mut verdict.allowed,
                    (Effect::Allow, true) => &mut verdict.allowed_if,
                    (Effect::Deny, false) => &mut verdict.denied,
                    (Effect::Deny, true) => &mut verdict.denied_if,
                };
                *said = true;
            }
        }
        Ok(())
    }
}

impl Statement {
    fn is_conditional(&self) -> bool {
        self.condition.as_ref().is_some_and(|c| c.as_object().is_none_or(|c| !c.is_empty()))
    }

    fn acts(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let is_action = |p: &String| wildcard(p.to_ascii_lowercase().as_bytes(), action.as_bytes());
        match (&self.action, &self.not_action) {
            (Some(these), _) => these.as_slice().iter().any(is_action),
            (_, Some(others)) => !others.as_slice().iter().any(is_action),
            _ => false,
        }
    }

    /// Whether it is about a service, by its name, that assumes the role.
    fn lets_assume(&self, service: &str) -> bool {
        let named = match self.principal.as_ref().and_then(|p| p.get("Service")) {
            Some(Value::String(one)) => one == service,
            Some(Value::Array(many)) => many.iter().any(|one| one == service),
            _ => false,
        };
        named && self.acts("sts:AssumeRole")
    }

    fn applies(&self, action: &str, resource: &str) -> Result<bool, AwsError> {
        if !self.acts(action) {
            return Ok(false);
        }
        let resources =
            self.resource.iter().chain(&self.not_resource).flat_map(OneOrMany::as_slice);
        if let Some(variable) = resources.into_iter().find(|r| r.contains("${")) {
            return Err(invalid(format!(
                "Belljar does not serve policy variables in SimulatePrincipalPolicy: {variable}"
            )));
        }
        let is_resource = |p: &String| wildcard(p.as_bytes(), resource.as_bytes());
        Ok(match (&self.resource, &self.not_resource) {
            (Some(these), _) => these.as_slice().iter().any(is_resource),
            (_, Some(others)) => !others.as_slice().iter().any(is_resource),
            _ => false,
        })
    }
}

/// `*` stands for anything, `?` for one character. In the time of the texts' lengths multiplied.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            // The last star takes one more.
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_those_of_iam() {
        let is = |p: &str, t: &str| wildcard(p.as_bytes(), t.as_bytes());
        for (p, t) in [("*", ""), ("a*", "a"), ("a*c*e", "abcde"), ("a?c", "abc"), ("*a*b", "aab")]
        {
            assert!(is(p, t), "{p} {t}");
        }
        for (p, t) in [("", "a"), ("a?", "a"), ("a*c", "ab"), ("ab", "AB"), ("a*b*c", "acb")] {
            assert!(!is(p, t), "{p} {t}");
        }
        assert!(!is(&"*a".repeat(200), &"a".repeat(2000).replace("aa", "ab")));
    }
}
