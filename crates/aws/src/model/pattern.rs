//! Patterns of the models, compiled when they are first needed and then kept.

use crate::limits;
use regex::{Regex, RegexBuilder};
use std::sync::OnceLock;

/// Patterns that Java, for which they are written, reads and the `regex` crate does not, with what
/// is compiled in their place. Messages show the pattern of the model. A pattern of a new botocore
/// that cannot be compiled fails a test, and then gets a line here.
const PATCHES: [(&str, &str); 8] = [
    // The look-behind says that the last character is no hyphen.
    (
        r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*\/)?([a-zA-Z0-9]([a-zA-Z0-9-]){0,62})(?<!-)",
        r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*/)?[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?",
    ),
    // Java's `Alnum` is a POSIX class, of ASCII.
    (
        r"arn:[\p{Alnum}\-]+:lambda:[\p{Alnum}\-]+:[0-9]{12}:function:.*",
        r"arn:[A-Za-z0-9\-]+:lambda:[A-Za-z0-9\-]+:[0-9]{12}:function:.*",
    ),
    // As the first, with a version behind it.
    (
        r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*\/)?([a-zA-Z0-9]([a-zA-Z0-9-]){0,62})(?<!-)(\/[0-9]{1,9})?",
        r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*/)?[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(/[0-9]{1,9})?",
    ),
    // Not of white space alone.
    (r"(?!\s*$).+", r".*\S.*"),
    // No two dots in a row.
    (r"/(?!.*\.\.)[a-zA-Z0-9/_.\-]+", r"/(?:(?:\.?[a-zA-Z0-9/_\-])+\.?|\.)"),
    // One dot at most.
    (r"^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*$", r"[a-zA-Z0-9][a-zA-Z0-9_\-]*\.?[a-zA-Z0-9_\-]*"),
    // What is looked for ahead has a colon, which no character here is.
    (r"^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$", r"[a-zA-Z0-9!_.*'()/-]+"),
    // Java's `Print` is a POSIX class, of ASCII.
    (r"\A\S[\p{Print}]*\z", r"\S[\x20-\x7E]*"),
];

/// A pattern that a whole value must match.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// As the model has it.
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), compiled: OnceLock::new() }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole value matches. A pattern that cannot be compiled matches nothing: the
    /// doubt falls on the closed side, and a test compiles all patterns of all models.
    pub(crate) fn matches(&self, value: &str) -> bool {
        self.compiled
            .get_or_init(|| compile(&self.text).ok())
            .as_ref()
            .is_some_and(|regex| regex.is_match(value))
    }
}

pub(super) fn compile(text: &str) -> Result<Regex, regex::Error> {
    let patched = PATCHES.iter().find(|(from, _)| *from == text).map_or(text, |(_, to)| to);
    let whole = format!(r"\A(?:{})\z", ascii_classes(patched));
    RegexBuilder::new(&whole).size_limit(limits::PATTERN).build()
}

/// The same pattern with Java's meaning of `\d`, `\w`, `\s` and their opposites: ASCII only.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('s') => out.push_str(r"[ \t\n\x0B\x0C\r]"),
            Some('S') => out.push_str(r"[^ \t\n\x0B\x0C\r]"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_of_ascii_and_the_whole_value_counts() {
        let digits = Pattern::new(r"\d{2}[\w\-]?");
        assert!(digits.matches("12") && digits.matches("12-"));
        assert!(
            !digits.matches("\u{661}\u{662}") && !digits.matches("12\n") && !digits.matches("x12")
        );
        assert_eq!(ascii_classes(r"\\d"), r"\\d");
    }

    #[test]
    fn patches_say_the_same() {
        let name = Pattern::new(PATCHES[0].0);
        for (value, fits) in [("a", true), ("a-", false), ("a-b", true), ("-a", false)] {
            assert_eq!(name.matches(value), fits, "{value}");
        }
        assert!(name.matches(&"a".repeat(63)) && !name.matches(&"a".repeat(64)));
        let cases = [
            (2, ["a", "a-b/12"], ["a-/1", "a/"]),
            (3, ["a b", " a"], ["", " \t"]),
            (4, ["/a.b/c.", "/."], ["/", "/a..b"]),
            (5, ["a.b", "0-_"], ["a.b.c", ".a"]),
            (6, ["a/b!", "s3"], ["s3:", ""]),
            (7, ["a b", "x"], [" a", "a\u{e4}"]),
        ];
        for (patch, fit, do_not) in cases {
            let pattern = Pattern::new(PATCHES[patch].0);
            assert!(fit.iter().all(|value| pattern.matches(value)), "{patch}");
            assert!(!do_not.iter().any(|value| pattern.matches(value)), "{patch}");
        }
    }
}
