//! Filter patterns: terms, and conditions on JSON.
//!
//! A term is a word or a "quoted phrase" and is there if the message contains it, in the same
//! case. All terms must be there; of those with `?` before them one is enough; those with `-` must
//! not be there. An empty pattern matches all. (The service ignores `?` beside terms without it;
//! Belljar refuses such a pattern.) `{ … }` is read by [`super::json_pattern`].

use super::json_pattern::{self, Condition};
use std::fmt;
use std::str::FromStr;

/// A pattern.
#[derive(Debug, PartialEq)]
pub(super) enum Pattern {
    /// Terms.
    Terms {
        /// All of these.
        all: Vec<String>,
        /// And one of these, if there are any.
        any: Vec<String>,
        /// And none of these.
        none: Vec<String>,
    },
    /// A condition on messages that are JSON objects.
    Json(Condition),
}

/// Why a text is no pattern that is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PatternError {
    /// The text is none.
    Invalid(String),
    /// The service would take it.
    NotServed(&'static str),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "Invalid filter pattern: {why}"),
            Self::NotServed(what) => write!(f, "Belljar does not serve {what} in a filterPattern."),
        }
    }
}

impl Pattern {
    /// Whether a message has what the pattern asks for.
    pub(super) fn matches(&self, message: &str) -> bool {
        match self {
            Self::Terms { all, any, none } => {
                let has = |term: &String| message.contains(term.as_str());
                all.iter().all(has)
                    && (any.is_empty() || any.iter().any(has))
                    && !none.iter().any(has)
            }
            Self::Json(condition) => {
                message.trim_start().starts_with('{')
                    && serde_json::from_str(message).is_ok_and(|value| condition.holds(&value))
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        match text.bytes().next() {
            Some(b'{') => return json_pattern::parse(text).map(Self::Json),
            Some(b'[') => return Err(PatternError::NotServed("[space, delimited, fields]")),
            Some(b'%') => return Err(PatternError::NotServed("a %regular expression%")),
            _ => {}
        }
        let (mut all, mut any, mut none) = (Vec::new(), Vec::new(), Vec::new());
        let mut rest = text;
        while !rest.is_empty() {
            let (list, after) = if let Some(after) = rest.strip_prefix('?') {
                (&mut any, after)
            } else if let Some(after) = rest.strip_prefix('-') {
                (&mut none, after)
            } else {
                (&mut all, rest)
            };
            let (term, after) = term(after)?;
            list.push(term);
            rest = after.trim_start();
        }
        if !any.is_empty() && (!all.is_empty() || !none.is_empty()) {
            return Err(PatternError::NotServed("?terms beside other terms"));
        }
        Ok(Self::Terms { all, any, none })
    }
}

/// A term at the beginning of the text, and what follows.
fn term(text: &str) -> Result<(String, &str), PatternError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (phrase, rest) = quoted_text(quoted)
            .ok_or_else(|| PatternError::Invalid("a quoted term has no end".into()))?;
        if phrase.is_empty() || !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            let word = &text[..text.find(char::is_whitespace).unwrap_or(text.len())];
            return Err(bad_term(word));
        }
        return Ok((phrase, rest));
    }
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    if word.is_empty() || !word.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(bad_term(word));
    }
    Ok((word.to_owned(), rest))
}

fn bad_term(word: &str) -> PatternError {
    PatternError::Invalid(format!("Invalid character(s) in term '{word}'"))
}

/// What stands before the closing quote, and what follows it. `\"` is a quote, `\\` a backslash.
pub(super) fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut phrase = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Some((phrase, &text[i + 1..])),
            '\\' => match chars.next()?.1 {
                escaped @ ('"' | '\\') => phrase.push(escaped),
                other => phrase.extend(['\\', other]),
            },
            other => phrase.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, message: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(message)
    }

    #[test]
    fn terms_are_all_there_or_one_or_none() {
        let line = "[ERROR 1] MainThread: say \"no\" – späť";
        for yes in [
            "",
            " ",
            "ERROR",
            "ERROR MainThread",
            "\"ERROR 1\"",
            "\"say \\\"no\\\"\"",
            "?WARN ?ERROR",
            "-WARN",
            "ERROR -\"main thread\"",
            "späť",
        ] {
            assert!(matches(yes, line), "{yes}");
        }
        for no in ["error", "ERROR WARN", "\"ERROR  1\"", "?WARN ?FATAL", "-ERROR", "ERROR -Main"] {
            assert!(!matches(no, line), "{no}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_not_served_is_refused_by_name() {
        let error = |text: &str| text.parse::<Pattern>().unwrap_err().to_string();
        let bad =
            |word: &str| format!("Invalid filter pattern: Invalid character(s) in term '{word}'");
        assert_eq!(error("a [b]"), bad("[b]"));
        assert_eq!(error("a-b"), bad("a-b"));
        assert_eq!(error("\"\""), bad("\"\""));
        assert_eq!(error("?"), bad(""));
        assert_eq!(error("\"a\"b"), bad("\"a\"b"));
        assert!(error("\"open").contains("no end"));
        assert!(error("[ip, user]").contains("does not serve [space"));
        assert!(error("%a|b%").contains("does not serve a %regular"));
        assert!(error("?a b").contains("?terms beside"));
        assert_eq!(error("é~"), bad("é~"));
    }
}
