//! Domain names as Route 53 has them: any octet may stand in a label, written `\ooo` in octal
//! where it is not a letter, a digit, `-` or `_` (Developer Guide, "DNS domain name format").

use std::cmp::Ordering;

/// Octets of a label, and of a whole name on the wire (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 255;

/// Why a text is no domain name, in the words that a change of records has for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("FATAL problem: {problem} encountered with '{value}'")]
pub(super) struct NameError {
    problem: &'static str,
    value: String,
}

/// A name in the one form in which records are kept: lower case, with the dot at its end, and a
/// first label that is a wildcard as `*`.
pub(super) fn normal(text: &str) -> Result<String, NameError> {
    let refused = |problem| NameError { problem, value: text.to_owned() };
    let mut labels = vec![Vec::new()];
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' => labels.push(Vec::new()),
            b'\\' => {
                let digits: Vec<u8> = octets.by_ref().take(3).collect();
                let octet = octal(&digits).ok_or_else(|| {
                    refused("UnsupportedCharacter (Value contains unsupported characters)")
                })?;
                last(&mut labels).push(octet);
            }
            0..=0x20 | 0x7f.. => {
                return Err(refused(
                    "UnsupportedCharacter (Value contains unsupported characters)",
                ));
            }
            octet => last(&mut labels).push(octet.to_ascii_lowercase()),
        }
    }
    if labels.last().is_some_and(Vec::is_empty) && labels.len() > 1 {
        labels.pop();
    }
    if labels.iter().any(Vec::is_empty) {
        return Err(refused("DomainLabelEmpty (Domain label is empty)"));
    }
    if labels.iter().any(|label| label.len() > MAX_LABEL) {
        return Err(refused("DomainLabelTooLong (Domain label is too long)"));
    }
    if labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1 > MAX_NAME {
        return Err(refused("DomainNameTooLong (Domain name is too long)"));
    }
    Ok(labels.iter().enumerate().map(|(place, label)| written(place, label)).collect())
}

fn last(labels: &mut [Vec<u8>]) -> &mut Vec<u8> {
    let end = labels.len() - 1;
    &mut labels[end]
}

/// Three octal digits.
pub(super) fn octal(digits: &[u8]) -> Option<u8> {
    let [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] = digits else { return None };
    Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
}

fn written(place: usize, label: &[u8]) -> String {
    if place == 0 && label == b"*" {
        return "*.".to_owned();
    }
    let mut text = String::with_capacity(label.len() + 1);
    for octet in label {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_') {
            text.push(char::from(octet.to_ascii_lowercase()));
        } else {
            text.push_str(&format!("\\{octet:03o}"));
        }
    }
    text + "."
}

/// A name that is kept, as answers have it: Route 53 escapes the asterisk too.
pub(super) fn shown(name: &str) -> String {
    name.strip_prefix("*.").map_or_else(|| name.to_owned(), |rest| format!("\\052.{rest}"))
}

/// The order of lists: by the text of the name with its labels reversed, `com.example.www.`.
pub(super) fn order(one: &str, other: &str) -> Ordering {
    reversed(one).cmp(&reversed(other))
}

fn reversed(name: &str) -> String {
    let labels: Vec<&str> = name.trim_end_matches('.').rsplit('.').collect();
    labels.join(".") + "."
}

/// Whether a name is a zone's, or below it.
pub(super) fn within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (text, kept) in [
            ("Example.COM", "example.com."),
            ("example.com.", "example.com."),
            ("*.example.com", "*.example.com."),
            ("\\052.example.com", "*.example.com."),
            ("a.*.example.com", "a.\\052.example.com."),
            ("a!b.example.com", "a\\041b.example.com."),
            ("_x-1.example.com", "_x-1.example.com."),
        ] {
            assert_eq!(normal(text).unwrap(), kept, "{text}");
            assert_eq!(normal(kept).unwrap(), kept, "{text}");
        }
        assert_eq!(shown("*.example.com."), "\\052.example.com.");
        for bad in ["", ".", "a..b", "a b", "a\\9", "a\\400", &"x".repeat(64), &"abc.".repeat(64)] {
            assert!(normal(bad).is_err(), "{bad}");
        }
        let e = normal("a..b").unwrap_err().to_string();
        assert_eq!(
            e,
            "FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with 'a..b'"
        );
    }

    #[test]
    fn lists_go_by_reversed_labels() {
        let mut names = ["www.example.com.", "example.com.", "a.b.example.com.", "b.example.com."];
        names.sort_by(|a, b| order(a, b));
        assert_eq!(
            names,
            ["example.com.", "b.example.com.", "a.b.example.com.", "www.example.com."]
        );
    }

    #[test]
    fn a_name_is_within_its_zone() {
        assert!(within("example.com.", "example.com."));
        assert!(within("a.example.com.", "example.com."));
        assert!(!within("ax-example.com.", "example.com."));
        assert!(!within("com.", "example.com."));
    }
}
