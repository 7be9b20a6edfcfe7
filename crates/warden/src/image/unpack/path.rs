//! Paths of an archive, made harmless.

use super::UnpackError;
use crate::image::limits::{MAX_NAME, MAX_PATH};

/// A path below the root: no empty part, no `.`, no `..`, no leading slash. The root is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SafePath(Vec<u8>);

impl SafePath {
    /// An absolute path is taken from the root of the layer, as a container would see it.
    pub(super) fn new(raw: &[u8]) -> Result<Self, UnpackError> {
        let refuse = |reason| {
            Err(UnpackError::Path { path: String::from_utf8_lossy(raw).into_owned(), reason })
        };
        if raw.len() > MAX_PATH {
            return Err(UnpackError::Limit { what: "bytes in a path", limit: MAX_PATH as u64 });
        }
        let mut path = Vec::with_capacity(raw.len());
        for part in raw.split(|b| *b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return refuse("it leads out of the layer"),
                _ if part.contains(&0) => return refuse("it holds a zero byte"),
                _ if part.len() > MAX_NAME => return refuse("a name in it is too long"),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        Ok(Self(path))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as an argument of a call relative to the root.
    pub(super) fn or_dot(&self) -> &[u8] {
        if self.0.is_empty() { b"." } else { &self.0 }
    }

    /// Parent and last name; the root has neither.
    pub(super) fn split(&self) -> (Self, &[u8]) {
        match self.0.iter().rposition(|b| *b == b'/') {
            Some(at) => (Self(self.0[..at].to_vec()), &self.0[at + 1..]),
            None => (Self(Vec::new()), &self.0),
        }
    }

    pub(super) fn join(&self, name: &[u8]) -> Self {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|p| !p.is_empty())
    }

    /// Whether a symbolic link here with that target stays below the root, as far as names tell.
    pub(super) fn holds_link(&self, target: &[u8]) -> bool {
        if target.starts_with(b"/") {
            return false;
        }
        let mut depth = self.split().0.parts().count();
        for part in target.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." if depth == 0 => return false,
                b".." => depth -= 1,
                _ => depth += 1,
            }
        }
        true
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.or_dot()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_root_remain() {
        let safe = |raw: &[u8]| SafePath::new(raw).map(|p| p.bytes().to_vec());
        assert_eq!(safe(b"./a//b/./c/").unwrap(), b"a/b/c");
        assert_eq!(safe(b"/etc/passwd").unwrap(), b"etc/passwd");
        assert_eq!(safe(b"./").unwrap(), b"");
        for bad in [&b".."[..], b"a/../b", b"../x", b"a/..", b"a\0b"] {
            assert!(safe(bad).is_err(), "{bad:?}");
        }
        assert!(safe(&[b'a'; 256]).is_err());
        assert!(safe(&b"a/".repeat(2001)).is_err());
    }

    #[test]
    fn links_are_followed_by_name() {
        let at = SafePath::new(b"a/b/link").unwrap();
        for good in ["x", "../x", "../../x", "../../a/../x", "./.", "..."] {
            assert!(at.holds_link(good.as_bytes()), "{good}");
        }
        for bad in ["/x", "../../../x", "x/../../../../y", "//"] {
            assert!(!at.holds_link(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn split_and_join_are_inverse() {
        let path = SafePath::new(b"a/b/c").unwrap();
        let (parent, name) = path.split();
        assert_eq!((parent.bytes(), name), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(parent.join(name), path);
    }
}
