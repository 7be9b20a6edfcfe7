//! `cargo run -p xtask -- edges`: fails on every dependency between rooms that is not drawn in
//! ARCHITECTURE.md, on a pure room that could touch the outside, and on a crate that allows
//! `unsafe` without being the one that may.
//!
//! `cargo run -p xtask -- models [--check]`: prunes the service models of a pinned botocore.
//!
//! `cargo run --release -p xtask -- bench`: measures Belljar against its peers.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool speaks on its streams")]

mod bench;
mod edges;
mod metadata;
mod models;
mod unsafety;

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["edges"] => check_edges(),
        ["models"] => said(models::run(false)),
        ["models", "--check"] => said(models::run(true)),
        ["bench", names @ ..] => measure(names),
        _ => {
            eprintln!(
                "usage: cargo run -p xtask -- edges | models [--check] | bench [{}]...",
                bench::NAMES
            );
            ExitCode::from(2)
        }
    }
}

fn said(done: Result<String, String>) -> ExitCode {
    match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(names: &[&str]) -> ExitCode {
    match bench::run(names) {
        Ok(missing) if missing.is_empty() => ExitCode::SUCCESS,
        Ok(missing) => {
            eprintln!("error: not measured: {}", missing.join(", "));
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn check_edges() -> ExitCode {
    match check() {
        Ok(problems) if problems.is_empty() => {
            println!("edges: every dependency is one that is drawn");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            for problem in &problems {
                eprintln!("error: {problem}");
            }
            eprintln!("hint: ARCHITECTURE.md says which room may know which, and why");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<Vec<String>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .output()
        .map_err(|e| format!("cargo metadata does not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: metadata::Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("cargo metadata is not readable: {e}"))?;
    let mut problems = edges::problems(&metadata);
    for package in &metadata.packages {
        problems.extend(unsafety::problems(package, Path::new(&package.manifest_path))?);
    }
    Ok(problems)
}
