//! Which crates may hold `unsafe`: the kernel room, and the probe that attacks it.

use crate::metadata::Package;
use std::fs;
use std::path::{Path, PathBuf};

const MAY: [&str; 2] = ["belljar-linux", "belljar-probe"];
/// Folders deep that sources are looked for.
const MAX_DEPTH: usize = 12;

/// Every way in which a package gets around the workspace's `unsafe_code = "forbid"`.
pub(crate) fn problems(package: &Package, manifest: &Path) -> Result<Vec<String>, String> {
    if MAY.contains(&package.name.as_str()) {
        return Ok(Vec::new());
    }
    let text = read(manifest)?;
    let mut found = Vec::new();
    if !inherits_lints(&text) {
        found.push(format!(
            "{} must inherit the workspace's lints: [lints] workspace = true",
            package.name
        ));
    }
    let mut files = Vec::new();
    if let Some(folder) = manifest.parent() {
        sources(&folder.join("src"), 0, &mut files)?;
    }
    for file in files {
        if allows_unsafe(&read(&file)?) {
            found.push(format!(
                "{} allows unsafe code; only {} may",
                file.display(),
                MAY.join(" and ")
            ));
        }
    }
    Ok(found)
}

/// Whether a manifest says `workspace = true` below `[lints]`.
fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|l| *l != "[lints]").skip(1);
    lines.any(|l| l.replace(' ', "") == "workspace=true")
}

/// Whether a source file lifts the lint. Spaces may stand anywhere.
fn allows_unsafe(source: &str) -> bool {
    let dense: String = source.chars().filter(|c| !c.is_whitespace()).collect();
    ["allow", "expect", "warn"].iter().any(|level| {
        dense.split(&format!("{level}(")).skip(1).any(|rest| {
            rest.split(')').next().is_some_and(|lints| lints.split(',').any(|l| l == "unsafe_code"))
        })
    })
}

fn sources(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if depth > MAX_DEPTH || !folder.is_dir() {
        return Ok(());
    }
    let wrong = |e: std::io::Error| format!("cannot read {}: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_dir() {
            sources(&path, depth + 1, found)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifting_the_lint_is_found_however_it_is_written() {
        // Written in pieces, so that this file does not itself look like one that lifts it.
        let lint = "unsafe_code";
        for level in ["allow", "expect", "warn"] {
            assert!(allows_unsafe(&format!("#![{level}({lint})]")), "{level}");
            assert!(allows_unsafe(&format!("#[{level} (dead_code,\n  {lint}, reason = \"x\")]")));
        }
        assert!(!allows_unsafe(&format!("#![forbid({lint})] #[allow(dead_code)]")));
    }

    #[test]
    fn lints_must_be_inherited() {
        assert!(inherits_lints("[package]\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\nversion.workspace = true\n"));
        assert!(!inherits_lints("[dependencies]\nworkspace = true\n[lints.rust]\n"));
    }
}
