//! Conditions: an operator, a key of the request, and values of which one must fit.

use super::document::{Scalar, no_variables};
use super::{PolicyError, Request, wildcard};
use ipnet::IpNet;
use std::net::IpAddr;

/// One key under one operator.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    key: String,
    operator: Operator,
    /// `Not…`: no value may fit.
    negated: bool,
    /// `…IfExists`: it holds of a request without the key.
    if_exists: bool,
    /// `ForAllValues:` and `ForAnyValue:` of a key with several values.
    quantifier: Option<Quantifier>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    All,
    Any,
}

#[derive(Debug, Clone)]
enum Operator {
    Equals(Vec<String>),
    EqualsIgnoringCase(Vec<String>),
    Like(Vec<String>),
    /// As `Like`, part by part between the first five colons.
    Arn(Vec<String>),
    Bool(bool),
    Address(Vec<IpNet>),
    /// Whether the key must be missing.
    Null(bool),
}

impl Condition {
    pub(super) fn of(name: &str, key: &str, values: Vec<Scalar>) -> Result<Self, PolicyError> {
        let (quantifier, rest) = match name.split_once(':') {
            None => (None, name),
            Some(("ForAllValues", rest)) => (Some(Quantifier::All), rest),
            Some(("ForAnyValue", rest)) => (Some(Quantifier::Any), rest),
            Some(_) => return Err(PolicyError::Operator(name.to_owned())),
        };
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let values: Vec<String> = values.into_iter().map(text).collect();
        no_variables(&values)?;
        let (operator, negated) = match rest {
            "StringEquals" => (Operator::Equals(values), false),
            "StringNotEquals" => (Operator::Equals(values), true),
            "StringEqualsIgnoreCase" => (Operator::EqualsIgnoringCase(values), false),
            "StringNotEqualsIgnoreCase" => (Operator::EqualsIgnoringCase(values), true),
            "StringLike" => (Operator::Like(values), false),
            "StringNotLike" => (Operator::Like(values), true),
            // Both are the same (IAM User Guide, "ARN condition operators").
            "ArnEquals" | "ArnLike" => (Operator::Arn(values), false),
            "ArnNotEquals" | "ArnNotLike" => (Operator::Arn(values), true),
            "Bool" => (Operator::Bool(truth(name, &values)?), false),
            "IpAddress" => (Operator::Address(blocks(name, &values)?), false),
            "NotIpAddress" => (Operator::Address(blocks(name, &values)?), true),
            "Null" if !if_exists && quantifier.is_none() => {
                (Operator::Null(truth(name, &values)?), false)
            }
            _ => return Err(PolicyError::Operator(name.to_owned())),
        };
        Ok(Self { key: key.to_owned(), operator, negated, if_exists, quantifier })
    }

    /// Whether it holds of a request. Without the key only `…IfExists`, a negated operator,
    /// `Null` and `ForAllValues` do.
    pub(super) fn holds(&self, request: &Request) -> bool {
        let mut keys = request.context.iter();
        let values = keys.find(|(k, _)| k.eq_ignore_ascii_case(&self.key)).map(|(_, v)| v);
        let values = values.filter(|v| !v.is_empty());
        if let Operator::Null(missing) = self.operator {
            return values.is_none() == missing;
        }
        let Some(values) = values else {
            return match self.quantifier {
                Some(Quantifier::All) => true,
                Some(Quantifier::Any) => self.if_exists,
                None => self.if_exists || self.negated,
            };
        };
        let one = |value: &String| self.operator.fits(value) != self.negated;
        match self.quantifier {
            Some(Quantifier::All) => values.iter().all(one),
            Some(Quantifier::Any) => values.iter().any(one),
            // A key with one value; with several, none may be refused by a negated operator.
            None if self.negated => values.iter().all(one),
            None => values.iter().any(one),
        }
    }
}

impl Operator {
    fn fits(&self, value: &str) -> bool {
        match self {
            Self::Equals(all) => all.iter().any(|v| v == value),
            Self::EqualsIgnoringCase(all) => all.iter().any(|v| v.eq_ignore_ascii_case(value)),
            Self::Like(all) => all.iter().any(|v| wildcard(v, value)),
            Self::Arn(all) => all.iter().any(|v| arn(v, value)),
            Self::Bool(truth) => value.eq_ignore_ascii_case(if *truth { "true" } else { "false" }),
            Self::Address(blocks) => {
                value.parse::<IpAddr>().is_ok_and(|a| blocks.iter().any(|b| b.contains(&a)))
            }
            Self::Null(_) => false,
        }
    }
}

fn arn(pattern: &str, value: &str) -> bool {
    let (patterns, values) = (pattern.splitn(6, ':'), value.splitn(6, ':'));
    patterns.clone().count() == 6
        && values.clone().count() == 6
        && patterns.zip(values).all(|(p, v)| wildcard(p, v))
}

fn text(value: Scalar) -> String {
    match value {
        Scalar::Text(text) => text,
        Scalar::Truth(truth) => truth.to_string(),
        Scalar::Number(number) => number.to_string(),
    }
}

fn wrong(operator: &str, values: &[String]) -> PolicyError {
    PolicyError::Value { operator: operator.to_owned(), value: values.join(", ") }
}

fn truth(operator: &str, values: &[String]) -> Result<bool, PolicyError> {
    match values {
        [one] if one.eq_ignore_ascii_case("true") => Ok(true),
        [one] if one.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(wrong(operator, values)),
    }
}

fn blocks(operator: &str, values: &[String]) -> Result<Vec<IpNet>, PolicyError> {
    let block = |value: &String| {
        let address = || value.parse::<IpAddr>().ok().map(IpNet::from);
        value.parse().ok().or_else(address).ok_or_else(|| wrong(operator, values))
    };
    values.iter().map(block).collect()
}
