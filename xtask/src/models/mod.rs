//! `cargo run -p xtask -- models`: prunes the service models of the botocore that
//! `tests/clients/requirements.txt` pins to what is served, into `crates/aws/models`. With
//! `--check`, fails if what is checked in is not what would be written.

mod ec2;
mod patches;
mod prune;
mod served;

use flate2::read::GzDecoder;
use serde_json::Value;
use served::SERVED;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where the one pin of botocore's version is.
const PIN: &str = "tests/clients/requirements.txt";
const OUT: &str = "crates/aws/models";
/// Set this to a folder named `botocore` to take the models from there.
const FROM: &str = "BELLJAR_BOTOCORE";
const REPAIR: &str = "make venv && cargo run -p xtask -- models";
/// Bytes of the largest model that is read; EC2's has some 5 MB.
const MAX_MODEL: u64 = 64 << 20;

/// Writes the pruned models, or compares them, and says what was done.
pub(crate) fn run(check: bool) -> Result<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let version = pinned(&root)?;
    let botocore = find(&root, &version)?;
    let mut files = vec![("README.md".to_owned(), readme(&version))];
    for name in ["LICENSE.txt", "NOTICE"] {
        let path = botocore.with_file_name(format!("botocore-{version}.dist-info")).join(name);
        let content = fs::read_to_string(&path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        files.push((name.to_owned(), content));
    }
    for served in &SERVED {
        let wrong = |why: String| format!("{}: {why}", served.service);
        let mut full = full_model(&botocore.join("data").join(served.service))?;
        patches::apply(served.service, &mut full).map_err(wrong)?;
        let pruned = prune::prune(&full, served.operations).map_err(wrong)?;
        let written = serde_json::to_string_pretty(&pruned).map_err(text)?;
        files.push((format!("{}.json", served.service), written + "\n"));
    }
    let out = root.join(OUT);
    if check { compare(&out, &files) } else { write(&out, &files) }
}

fn write(out: &Path, files: &[(String, String)]) -> Result<String, String> {
    fs::create_dir_all(out).map_err(text)?;
    for (name, content) in files {
        fs::write(out.join(name), content).map_err(|e| format!("cannot write {name}: {e}"))?;
    }
    Ok(format!("models: {} files in {OUT}", files.len()))
}

fn compare(out: &Path, files: &[(String, String)]) -> Result<String, String> {
    for (name, content) in files {
        if fs::read_to_string(out.join(name)).ok().as_ref() != Some(content) {
            return Err(format!("{OUT}/{name} is not what would be written\nhint: {REPAIR}"));
        }
    }
    Ok(format!("models: {} files are as they would be written", files.len()))
}

/// The version of botocore that the clients' tests and the models use.
fn pinned(root: &Path) -> Result<String, String> {
    let pins = fs::read_to_string(root.join(PIN)).map_err(|e| format!("cannot read {PIN}: {e}"))?;
    pins.lines()
        .find_map(|line| line.trim().strip_prefix("botocore=="))
        .map(str::to_owned)
        .ok_or_else(|| format!("{PIN} does not pin botocore"))
}

fn find(root: &Path, version: &str) -> Result<PathBuf, String> {
    let found = match std::env::var_os(FROM) {
        Some(folder) => PathBuf::from(folder),
        None => in_venv(root).ok_or_else(|| format!("there is no botocore\nhint: {REPAIR}"))?,
    };
    let init = fs::read_to_string(found.join("__init__.py"))
        .map_err(|e| format!("cannot read botocore in {}: {e}\nhint: {REPAIR}", found.display()))?;
    if !init.contains(&format!("__version__ = '{version}'")) {
        return Err(format!("{} is not botocore {version}\nhint: {REPAIR}", found.display()));
    }
    Ok(found)
}

fn in_venv(root: &Path) -> Option<PathBuf> {
    let mut pythons = fs::read_dir(root.join(".venv/lib")).ok()?;
    pythons.find_map(|python| {
        let folder = python.ok()?.path().join("site-packages/botocore");
        folder.is_dir().then_some(folder)
    })
}

/// The newest version of a service's model.
fn full_model(folder: &Path) -> Result<Value, String> {
    let wrong = |e: std::io::Error| format!("cannot read {}: {e}", folder.display());
    let mut versions = fs::read_dir(folder)
        .map_err(wrong)?
        .map(|entry| entry.map(|entry| entry.path().join("service-2.json.gz")))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    versions.retain(|path| path.is_file());
    versions.sort();
    let newest = versions.pop().ok_or_else(|| format!("no model in {}", folder.display()))?;
    let mut json = String::new();
    let file = fs::File::open(&newest).map_err(wrong)?;
    GzDecoder::new(file).take(MAX_MODEL).read_to_string(&mut json).map_err(wrong)?;
    serde_json::from_str(&json).map_err(|e| format!("{}: {e}", newest.display()))
}

fn readme(version: &str) -> String {
    format!(
        "# Pruned service models\n\n\
         Written by `cargo run -p xtask -- models`; not to be edited.\n\n\
         The JSON files are service models of botocore {version} (Apache License 2.0, in \
         `LICENSE.txt` and `NOTICE`), pruned\nto the operations that are served and the shapes \
         that these need, without documentation. `unserved` has the names,\nmethods and paths of \
         all other operations. Values that are known to be outdated are replaced by those\nof \
         `xtask/src/models/patches.rs`.\n"
    )
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
