//! Conditions on messages that are JSON: `{ $.level = "error" && ($.code >= 500 || $.a IS NULL) }`.
//!
//! Served: selectors `$.a.b`, `$.a[0]`, `$["a b"]`; `=` and `!=` with a word, a "quoted text"
//! (both with `*` for anything) or a number; `<`, `<=`, `>`, `>=` with a number; `IS NULL`,
//! `IS TRUE`, `IS FALSE`, `NOT EXISTS`; `&&`, `||` and parentheses. A condition on a member that
//! is not there does not hold, but for `NOT EXISTS`.

use super::pattern::{PatternError, quoted_text};
use serde_json::Value;

/// How deep parentheses may be.
const MAX_DEPTH: usize = 32;

/// A condition.
#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    /// All of these hold.
    All(Vec<Condition>),
    /// One of these holds.
    Any(Vec<Condition>),
    /// A member is as it should be.
    Member(Vec<Step>, Test),
}

/// One step of a selector.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

/// What a member should be.
#[derive(Debug, PartialEq)]
pub(super) enum Test {
    Is(Value),
    NotExists,
    /// Equal to, or not equal to, a text with wildcards.
    Text(bool, String),
    /// Compared with a number.
    Number(Comparison, f64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    /// Whether it holds for a message.
    pub(super) fn holds(&self, message: &Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|c| c.holds(message)),
            Self::Any(any) => any.iter().any(|c| c.holds(message)),
            Self::Member(path, test) => {
                let member = path.iter().try_fold(message, |value, step| match step {
                    Step::Name(name) => value.get(name),
                    Step::Index(index) => value.get(index),
                });
                member.map_or(*test == Test::NotExists, |value| test.holds(value))
            }
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Is(wanted) => value == wanted,
            Self::NotExists => false,
            Self::Text(equal, pattern) => match value {
                Value::String(text) => wildcard(pattern, text) == *equal,
                Value::Bool(_) | Value::Number(_) => {
                    wildcard(pattern, &value.to_string()) == *equal
                }
                _ => false,
            },
            Self::Number(comparison, wanted) => value.as_f64().is_some_and(|n| match comparison {
                Comparison::Equal => n == *wanted,
                Comparison::NotEqual => n != *wanted,
                Comparison::Less => n < *wanted,
                Comparison::LessOrEqual => n <= *wanted,
                Comparison::Greater => n > *wanted,
                Comparison::GreaterOrEqual => n >= *wanted,
            }),
        }
    }
}

/// Whether a text is as the pattern, in which `*` stands for anything.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(i) => rest = &rest[i + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Reads `{ … }`.
pub(super) fn parse(text: &str) -> Result<Condition, PatternError> {
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(|| {
        PatternError::Invalid("If a filter pattern starts with '{' it must end with '}'".into())
    })?;
    let mut parser = Parser { rest: inner.trim_start(), depth: 0 };
    let condition = parser.any()?;
    if parser.rest.is_empty() { Ok(condition) } else { Err(parser.wrong()) }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn wrong(&self) -> PatternError {
        let near: String = self.rest.chars().take(20).collect();
        PatternError::Invalid(format!("a condition is not understood near '{near}'"))
    }

    /// Takes `token` and the space behind it, if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.rest.strip_prefix(token).inspect(|rest| self.rest = rest.trim_start()).is_some()
    }

    fn any(&mut self) -> Result<Condition, PatternError> {
        let mut any = vec![self.all()?];
        while self.take("||") {
            any.push(self.all()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
    }

    fn all(&mut self) -> Result<Condition, PatternError> {
        let mut all = vec![self.one()?];
        while self.take("&&") {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    }

    fn one(&mut self) -> Result<Condition, PatternError> {
        if !self.take("(") {
            let path = self.selector()?;
            return Ok(Condition::Member(path, self.test()?));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong());
        }
        let inner = self.any()?;
        self.depth -= 1;
        if self.take(")") { Ok(inner) } else { Err(self.wrong()) }
    }

    fn selector(&mut self) -> Result<Vec<Step>, PatternError> {
        self.rest = self.rest.strip_prefix('$').ok_or_else(|| self.wrong())?;
        let mut path = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix('.') {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
                let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
                if name.is_empty() {
                    return Err(if rest.starts_with('*') { WILD } else { self.wrong() });
                }
                path.push(Step::Name(name.to_owned()));
                self.rest = rest;
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest;
                path.push(self.bracket()?);
            } else {
                self.rest = self.rest.trim_start();
                return if path.is_empty() { Err(self.wrong()) } else { Ok(path) };
            }
        }
    }

    /// What stands between brackets.
    fn bracket(&mut self) -> Result<Step, PatternError> {
        let (step, rest) = if let Some(quoted) = self.rest.strip_prefix('"') {
            let (name, rest) = quoted_text(quoted).ok_or_else(|| self.wrong())?;
            (Step::Name(name), rest)
        } else {
            let end = self.rest.find(']').ok_or_else(|| self.wrong())?;
            let (index, rest) = self.rest.split_at(end);
            if index.trim() == "*" {
                return Err(WILD);
            }
            (Step::Index(index.trim().parse().map_err(|_| self.wrong())?), rest)
        };
        self.rest = rest.strip_prefix(']').ok_or_else(|| self.wrong())?;
        Ok(step)
    }

    fn test(&mut self) -> Result<Test, PatternError> {
        if self.word("IS") {
            let values = [("NULL", Value::Null), ("TRUE", true.into()), ("FALSE", false.into())];
            for (word, value) in values {
                if self.word(word) {
                    return Ok(Test::Is(value));
                }
            }
            return Err(self.wrong());
        }
        if self.word("NOT") {
            return if self.word("EXISTS") { Ok(Test::NotExists) } else { Err(self.wrong()) };
        }
        let comparisons = [
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let found = comparisons.into_iter().find(|(sign, _)| self.take(sign));
        let comparison = found.ok_or_else(|| self.wrong())?.1;
        self.operand(comparison)
    }

    /// What a member is compared with.
    fn operand(&mut self, comparison: Comparison) -> Result<Test, PatternError> {
        let equal = match comparison {
            Comparison::Equal => Some(true),
            Comparison::NotEqual => Some(false),
            _ => None,
        };
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let (text, rest) = quoted_text(quoted).ok_or_else(|| self.wrong())?;
            let equal = equal.ok_or_else(|| self.wrong())?;
            self.rest = rest.trim_start();
            return Ok(Test::Text(equal, text));
        }
        if self.rest.starts_with('%') {
            return Err(PatternError::NotServed("a %regular expression%"));
        }
        let end = self.rest.find(|c: char| c.is_whitespace() || "()&|".contains(c));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if word.is_empty() {
            return Err(self.wrong());
        }
        let test = match (word.parse::<f64>(), equal) {
            (Ok(number), _) if number.is_finite() => Test::Number(comparison, number),
            (_, Some(equal)) => Test::Text(equal, word.to_owned()),
            (_, None) => return Err(self.wrong()),
        };
        self.rest = rest.trim_start();
        Ok(test)
    }

    /// Takes a word, in capitals or not.
    fn word(&mut self, word: &str) -> bool {
        let Some((head, rest)) = self.rest.split_at_checked(word.len()) else { return false };
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric());
        let found = ends && head.eq_ignore_ascii_case(word);
        if found {
            self.rest = rest.trim_start();
        }
        found
    }
}

const WILD: PatternError = PatternError::NotServed("a wildcard in a selector");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_as_they_read() {
        let message = json!({
            "level": "ERROR", "code": 503, "ok": false, "nothing": null,
            "a": {"b c": [1, {"d": "x"}]}, "number": "7",
        });
        let holds = |text: &str| parse(text).unwrap().holds(&message);
        for yes in [
            r#"{ $.level = "ERROR" }"#,
            "{$.level=ERROR}",
            "{ $.level = ERR* && $.code >= 500 }",
            r#"{ $.level = "*R*R" }"#,
            "{ $.level = INFO || ($.code > 500 && $.ok IS FALSE) }",
            "{ $.nothing IS NULL }",
            "{ $.missing NOT EXISTS }",
            r#"{ $.a["b c"][1].d = "x" }"#,
            "{ $.code = 503.0 }",
            "{ $.code != 1 }",
            "{ $.level != INFO }",
            r#"{ $.number = "7" }"#,
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in [
            "{ $.level = error }",
            "{ $.missing = x }",
            "{ $.missing != x }",
            "{ $.missing IS NULL }",
            "{ $.level NOT EXISTS }",
            "{ $.code < 503 }",
            "{ $.number = 7 }",
            "{ $.a = x }",
            r#"{ $.level = "*X*" }"#,
        ] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let nested = format!("{{ {}$.a = 1 }}", "(".repeat(100));
        for bad in [
            "{",
            "{ }",
            "{ $ = 1 }",
            "{ $.a }",
            "{ $.a = }",
            "{ $.a = 1 && }",
            "{ $.a < x }",
            "{ ($.a = 1 }",
            "{ $.a = \"x }",
            "{ $.a[x] = 1 }",
            "{ a = 1 }",
            "{ $.a IS 1 }",
            &nested,
        ] {
            assert!(matches!(parse(bad), Err(PatternError::Invalid(_))), "{bad}");
        }
        for unserved in ["{ $.a[*] = 1 }", "{ $.* = 1 }", "{ $.a = %x% }"] {
            assert!(matches!(parse(unserved), Err(PatternError::NotServed(_))), "{unserved}");
        }
    }
}
