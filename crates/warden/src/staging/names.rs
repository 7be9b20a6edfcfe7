//! Which name an object gets below its channel's folder (`contract` of File mode: a key equal to
//! the URI keeps its base name, everything else its name below the prefix).

use std::collections::HashMap;

/// The name of the object `key` below the channel's folder, for a channel whose URI has the key
/// prefix `prefix`. Empty for the prefix's own folder marker.
///
/// - `key == prefix`: the base name.
/// - `key` lies in the folder `prefix` (with or without its trailing slash): what follows.
/// - `prefix` ends within a name (`train` for `train-01/x`): what follows its last slash. (AWS
///   documents that such prefixes match in File mode, not where the files then lie.)
#[must_use]
pub(crate) fn relative<'k>(key: &'k str, prefix: &str) -> &'k str {
    if key == prefix {
        return key.rsplit('/').next().unwrap_or(key);
    }
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    if folder.is_empty() {
        return key;
    }
    if key == folder {
        return "";
    }
    if let Some(name) = key.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
        return name;
    }
    let boundary = prefix.rfind('/').map_or(0, |slash| slash + 1);
    key.get(boundary..).unwrap_or(key)
}

/// Whether `name` is a relative path of plain segments, so that it stays in its folder.
#[must_use]
pub(crate) fn is_plain(name: &str) -> bool {
    let plain =
        |s: &str| !s.is_empty() && s != "." && s != ".." && s.len() <= 255 && !s.contains('\0');
    name.len() <= 4096 && name.split('/').all(plain)
}

/// Whether `name` is fit for a file below a channel's folder.
#[must_use]
pub(crate) fn is_file_name(name: &str) -> bool {
    is_plain(name) && name.matches('/').count() < super::limits::MAX_DEPTH
}

/// Finds two names of which one is a file and the other needs it as a folder, or which are equal.
/// `names` yields each file's name.
pub(crate) fn clash<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
    let mut files = HashMap::new();
    for name in names.clone() {
        if files.insert(name, ()).is_some() {
            return Some(name.to_owned());
        }
    }
    for name in names {
        for (slash, _) in name.match_indices('/') {
            if files.contains_key(&name[..slash]) {
                return Some(name[..slash].to_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_mode_names() {
        for (key, prefix, name) in [
            ("a/source/sourcedir.tar.gz", "a/source/sourcedir.tar.gz", "sourcedir.tar.gz"),
            ("input/code/train.py", "input/code", "train.py"),
            ("input/code/train.py", "input/code/", "train.py"),
            ("code/drivers/distributed/x.py", "code", "drivers/distributed/x.py"),
            ("train-01/x", "train", "train-01/x"),
            ("d/train-01/x", "d/tr", "train-01/x"),
            ("x", "", "x"),
            ("a/b", "", "a/b"),
            ("code", "code/", ""),
        ] {
            assert_eq!(relative(key, prefix), name, "{key} below {prefix}");
        }
    }

    #[test]
    fn names_that_leave_their_folder_are_seen() {
        for bad in ["", "/", "/a", "a//b", "..", "a/../b", "a/", "./a", "a\0", &"x".repeat(256)] {
            assert!(!is_plain(bad), "{bad}");
        }
        for good in ["a", "a/b", "...", "..a", " ", "ä/ö"] {
            assert!(is_plain(good), "{good}");
        }
    }

    #[test]
    fn a_file_where_a_folder_must_be_is_seen() {
        assert_eq!(clash(["a", "a/b"].into_iter()), Some("a".into()));
        assert_eq!(clash(["x/a/b/c", "x/a"].into_iter()), Some("x/a".into()));
        assert_eq!(clash(["a", "b", "a"].into_iter()), Some("a".into()));
        assert_eq!(clash(["a", "ab", "b/a"].into_iter()), None);
    }
}
