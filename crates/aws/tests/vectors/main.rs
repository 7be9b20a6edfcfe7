//! botocore's own vectors, run backwards: the requests that its client must send are decoded to the
//! parameters it was given, and the results that it must read are encoded.
//!
//! Results are judged by a reader of answers that is written for this test alone and first proved on
//! the vectors' own answers.
#![expect(clippy::print_stdout, reason = "what was skipped is said")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod input;
mod model;
mod output;
mod reader;
mod signatures;
mod xml;

use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Suites of the protocols that are served. `CBOR` is not.
const PROTOCOLS: [&str; 7] =
    ["json", "json_1_0", "json_1_0-query-compatible", "query", "ec2", "rest-json", "rest-xml"];

/// The folder of the vectors, or a failure that says how to get them.
fn folder() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("BELLJAR_BOTOCORE_VECTORS")
        .map_or_else(|| root.join("target/botocore-vectors"), PathBuf::from);
    assert!(
        folder.join("input").is_dir(),
        "there are no vectors in {}; fetch them: make vectors",
        folder.display()
    );
    folder
}

/// One vector, with the suite that it is of.
struct Case {
    protocol: &'static str,
    id: String,
    suite: Value,
    case: Value,
}

fn cases(direction: &str) -> Vec<Case> {
    let mut found = Vec::new();
    for protocol in PROTOCOLS {
        let file = folder().join(direction).join(format!("{protocol}.json"));
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let suites: Vec<Value> = serde_json::from_str(&text).unwrap();
        for suite in suites {
            for case in suite["cases"].as_array().unwrap() {
                let id = case["id"].as_str().unwrap_or_default().to_owned();
                let (case, suite) = (case.clone(), suite.clone());
                found.push(Case { protocol, id, suite, case });
            }
        }
    }
    found
}

/// Runs all vectors of a direction but those that cannot be run backwards, and says how many of each.
fn run(direction: &str, skipped: &[(&str, &str)], test: impl Fn(&Case) -> Result<(), String>) {
    let (mut passed, mut skips, mut failed) = (0, Vec::new(), Vec::new());
    for case in cases(direction) {
        let matches = |name: &str| match name.split_once(' ') {
            Some((protocol, name)) => protocol == case.protocol && name == case.id,
            None => name == case.id,
        };
        if let Some((name, reason)) = skipped.iter().find(|(name, _)| matches(name)) {
            skips.push((*name, *reason));
            if test(&case).is_ok() {
                failed.push(format!("{name} is skipped and would pass"));
            }
            continue;
        }
        match test(&case) {
            Ok(()) => passed += 1,
            Err(why) => failed.push(format!("{} {}: {why}", case.protocol, case.id)),
        }
    }
    println!("{direction}: {passed} passed, {} skipped", skips.len());
    for (name, reason) in &skips {
        println!("  skipped {name}: {reason}");
    }
    let unused: Vec<_> =
        skipped.iter().filter(|(name, _)| !skips.iter().any(|s| s.0 == *name)).collect();
    assert!(unused.is_empty(), "these reasons have no vector: {unused:?}");
    assert!(failed.is_empty(), "{} of {direction} failed:\n{}", failed.len(), failed.join("\n"));
}
