//! Registries that are served by others.

use std::str::FromStr;

/// Image names that begin with `from` are got as if they began with `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// A registry, with as much of a name behind it as is wanted.
    pub from: String,
    /// Another, or a name of the image store.
    pub to: String,
}

/// A text that is no mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write FROM=TO, as in 123456789012.dkr.ecr.us-east-1.amazonaws.com=registry.example.com")]
pub struct NoMirror;

impl FromStr for Mirror {
    type Err = NoMirror;

    fn from_str(text: &str) -> Result<Self, NoMirror> {
        let plain = |s: &str| !s.is_empty() && !s.contains(|c: char| c.is_whitespace() || c == '=');
        match text.split_once('=') {
            Some((from, to)) if plain(from) && plain(to) => Ok(Self {
                from: from.trim_end_matches('/').to_owned(),
                to: to.trim_end_matches('/').to_owned(),
            }),
            _ => Err(NoMirror),
        }
    }
}

impl Mirror {
    /// The name by which the image is to be got instead; `None` if this is not its mirror. What
    /// is replaced ends where a part of the name ends.
    #[must_use]
    pub fn apply(&self, image: &str) -> Option<String> {
        let rest = image.strip_prefix(&self.from)?;
        let ends = rest.is_empty() || rest.starts_with(['/', ':', '@']);
        ends.then(|| format!("{}{rest}", self.to))
    }
}

/// The name by which an image is got: by the longest mirror that fits, else its own.
#[must_use]
pub fn mirrored(mirrors: &[Mirror], image: &str) -> String {
    let fitting = mirrors.iter().filter_map(|m| Some((m.from.len(), m.apply(image)?)));
    fitting.max_by_key(|(length, _)| *length).map_or_else(|| image.to_owned(), |(_, to)| to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mirror_is_taken_and_only_at_a_seam() {
        let mirrors: Vec<Mirror> = ["r.example.com=m.example.com:5000/r", "r.example.com/x:1=mine"]
            .iter()
            .map(|m| m.parse().unwrap())
            .collect();
        let of = |image| mirrored(&mirrors, image);
        assert_eq!(of("r.example.com/a/b:2"), "m.example.com:5000/r/a/b:2");
        assert_eq!(of("r.example.com/x:1"), "mine");
        assert_eq!(of("r.example.com/x:12"), "m.example.com:5000/r/x:12");
        assert_eq!(of("r.example.com.evil/x"), "r.example.com.evil/x");
        for bad in ["", "a", "=", "a=", "=b", "a b=c", "a=b=c"] {
            assert_eq!(bad.parse::<Mirror>(), Err(NoMirror), "{bad}");
        }
    }
}
