//! Names by which a layer deletes what is in the layers below it.
//!
//! OCI image specification, `layer.md`, "Whiteouts".

use super::UnpackError;
use super::path::SafePath;

const PREFIX: &[u8] = b".wh.";

/// What a name means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A file like any other.
    File,
    /// This path of the lower layers is gone.
    Deleted(SafePath),
    /// This directory hides all that the lower layers have in it.
    Opaque(SafePath),
    /// A remnant of AUFS (`.wh..wh.plnk`, `.wh..wh.aufs`, ...): means nothing.
    Ignored,
}

/// Reads the last name of a path.
pub(super) fn meaning(path: &SafePath) -> Result<Meaning, UnpackError> {
    // A prefixed name higher up would be a directory that no overlay can hold.
    let (parent, name) = path.split();
    if parent.parts().any(|part| part.starts_with(PREFIX)) {
        let reason = "a directory cannot be a whiteout";
        return Err(UnpackError::Path { path: path.text(), reason });
    }
    let Some(target) = name.strip_prefix(PREFIX) else { return Ok(Meaning::File) };
    match target {
        b".wh..opq" => Ok(Meaning::Opaque(parent)),
        b"" | b"." | b".." => {
            let reason = "a whiteout of this name would delete a directory above it";
            Err(UnpackError::Path { path: path.text(), reason })
        }
        _ if target.starts_with(PREFIX) => Ok(Meaning::Ignored),
        _ => Ok(Meaning::Deleted(parent.join(target))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Result<Meaning, UnpackError> {
        meaning(&SafePath::new(path.as_bytes()).unwrap())
    }

    fn path(text: &str) -> SafePath {
        SafePath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_mean_what_the_specification_says() {
        assert_eq!(of("a/b").unwrap(), Meaning::File);
        assert_eq!(of("a/.wh.b").unwrap(), Meaning::Deleted(path("a/b")));
        assert_eq!(of("a/.wh..wh..opq").unwrap(), Meaning::Opaque(path("a")));
        assert_eq!(of(".wh..wh..opq").unwrap(), Meaning::Opaque(path("")));
        assert_eq!(of("a/.wh..wh.plnk").unwrap(), Meaning::Ignored);
        assert_eq!(of("a/.wh..hidden").unwrap(), Meaning::Deleted(path("a/.hidden")));
    }

    #[test]
    fn dangerous_whiteouts_are_refused() {
        for bad in [".wh.", "a/.wh..", "a/.wh...", ".wh.a/b"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
