//! Statements: whom and what they are about.

use super::condition::Condition;
use super::{MAX_CHARACTERS, PolicyError, Request, wildcard};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A policy that was read and checked.
#[derive(Debug, Clone)]
pub struct Document {
    statements: Vec<Statement>,
}

/// One thing or a list of them. Not an untagged enum, which would not say what is wrong inside.
#[derive(Debug, Clone)]
pub(super) struct OneOrMany<T>(Vec<T>);

impl<T> OneOrMany<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

struct Either<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one thing or a list of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(OneOrMany(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(text.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Self::Value, E> {
        T::deserialize(truth.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        T::deserialize(number.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        T::deserialize(number.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }
}

/// A map in which no key is there twice: of two conditions one would be passed over.
struct Unique<V>(BTreeMap<String, V>);

impl<V> Default for Unique<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
    type Value = Unique<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            if all.contains_key(&key) {
                return Err(A::Error::custom(format_args!("'{key}' is there twice")));
            }
            all.insert(key, value);
        }
        Ok(Unique(all))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Raw {
    #[serde(rename = "Version")]
    _version: Option<Version>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<RawStatement>,
}

#[derive(Deserialize)]
enum Version {
    #[serde(rename = "2012-10-17")]
    Of2012,
    #[serde(rename = "2008-10-17")]
    Of2008,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Option<RawPrincipal>,
    not_principal: Option<RawPrincipal>,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    #[serde(default)]
    condition: Unique<Unique<OneOrMany<Scalar>>>,
}

/// `"*"`, or `{"AWS": [...]}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawPrincipal {
    Everyone(String),
    Of(Unique<OneOrMany<String>>),
}

/// A condition's value; IAM takes numbers and booleans for their texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Text(String),
    Truth(bool),
    Number(serde_json::Number),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone)]
struct Statement {
    effect: Effect,
    principal: Among,
    action: Among,
    resource: Among,
    conditions: Vec<Condition>,
}

/// Patterns of which one must be met, or with `not` none may be.
#[derive(Debug, Clone)]
struct Among {
    patterns: Vec<String>,
    not: bool,
}

impl Among {
    fn of(
        these: Option<OneOrMany<String>>,
        others: Option<OneOrMany<String>>,
        what: &'static str,
    ) -> Result<Self, PolicyError> {
        let (patterns, not) = match (these, others) {
            (Some(these), None) => (these.into_vec(), false),
            (None, Some(others)) => (others.into_vec(), true),
            _ => return Err(PolicyError::Missing(what)),
        };
        no_variables(&patterns)?;
        Ok(Self { patterns, not })
    }

    fn has(&self, meets: impl Fn(&str) -> bool) -> bool {
        self.patterns.iter().any(|p| meets(p)) != self.not
    }
}

/// A pattern such as `${aws:username}` would be taken for a plain text: it is refused.
pub(super) fn no_variables(patterns: &[String]) -> Result<(), PolicyError> {
    let found = patterns.iter().find(|p| p.contains("${"));
    found.map_or(Ok(()), |p| Err(PolicyError::Variable(p.clone())))
}

impl Document {
    /// Reads and checks a policy.
    ///
    /// # Errors
    /// If it is too long, no policy, or one with something that is not served: nothing in it is
    /// passed over.
    pub fn read(text: &str) -> Result<Self, PolicyError> {
        let characters = text.chars().count();
        if characters > MAX_CHARACTERS {
            return Err(PolicyError::TooLong(characters));
        }
        let raw: Raw =
            serde_json::from_str(text).map_err(|e| PolicyError::Syntax(e.to_string()))?;
        let statements = raw.statement.into_vec().into_iter().map(Statement::of);
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
    }

    /// Whether a request is allowed: some statement allows it and none denies it.
    #[must_use]
    pub fn allows(&self, request: &Request) -> bool {
        let says =
            |effect| self.statements.iter().any(|s| s.effect == effect && s.applies(request));
        !says(Effect::Deny) && says(Effect::Allow)
    }
}

impl Statement {
    fn of(raw: RawStatement) -> Result<Self, PolicyError> {
        let action = Among::of(raw.action, raw.not_action, "either Action or NotAction")?;
        let resource = Among::of(raw.resource, raw.not_resource, "either Resource or NotResource")?;
        let principal = match (raw.principal, raw.not_principal) {
            (Some(these), None) => Among { patterns: principals(these)?, not: false },
            (None, Some(others)) => Among { patterns: principals(others)?, not: true },
            // The policy of an endpoint must have one (VPC Guide, "Endpoint policies").
            _ => return Err(PolicyError::Missing("either Principal or NotPrincipal")),
        };
        let mut conditions = Vec::new();
        for (operator, keys) in raw.condition.0 {
            for (key, values) in keys.0 {
                conditions.push(Condition::of(&operator, &key, values.into_vec())?);
            }
        }
        Ok(Self { effect: raw.effect, principal, action, resource, conditions })
    }

    fn applies(&self, request: &Request) -> bool {
        let action = request.action.to_ascii_lowercase();
        self.action.has(|p| wildcard(&p.to_ascii_lowercase(), &action))
            && self.resource.has(|p| wildcard(p, &request.resource))
            && self.principal.has(|p| is_principal(p, request))
            && self.conditions.iter().all(|c| c.holds(request))
    }
}

fn principals(raw: RawPrincipal) -> Result<Vec<String>, PolicyError> {
    match raw {
        RawPrincipal::Everyone(star) if star == "*" => Ok(vec![star]),
        RawPrincipal::Everyone(_) => {
            Err(PolicyError::Missing("a Principal that is \"*\" or a map"))
        }
        RawPrincipal::Of(map) => {
            let mut all = Vec::new();
            for (kind, of) in map.0 {
                if kind != "AWS" {
                    return Err(PolicyError::Missing("principals of the kind AWS only"));
                }
                all.extend(of.into_vec());
            }
            no_variables(&all)?;
            Ok(all)
        }
    }
}

/// `*` is anybody; an account or its root anybody of it, or to a gateway endpoint its root user; a
/// role also its sessions, whose role
/// `aws:PrincipalArn` says. A principal is no pattern: `*` inside of an ARN means nothing (IAM User
/// Guide, "Principal").
fn is_principal(principal: &str, request: &Request) -> bool {
    let account = principal
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.strip_suffix(":root"))
        .unwrap_or(principal);
    let whole = !account.is_empty() && account.bytes().all(|b| b.is_ascii_digit());
    principal == "*"
        || principal == request.principal
        || (whole && account == request.account && (!request.gateway || is_root(request)))
        || request
            .context
            .get("aws:PrincipalArn")
            .is_some_and(|of| of.iter().any(|p| p == principal))
        || role_of_session(&request.principal).is_some_and(|role| role == principal)
}

fn is_root(request: &Request) -> bool {
    request.principal == format!("arn:aws:iam::{}:root", request.account)
}

/// The role of `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`. One below a path cannot be told
/// from the session's ARN, which has no path.
fn role_of_session(session: &str) -> Option<String> {
    let (account, rest) = session.strip_prefix("arn:aws:sts::")?.split_once(':')?;
    let (name, _) = rest.strip_prefix("assumed-role/")?.split_once('/')?;
    Some(format!("arn:aws:iam::{account}:role/{name}"))
}
