//! An example image for Belljar: learns to read handwritten digits, and serves what it learnt.
//!
//! It follows the SageMaker container contract and knows nothing of Belljar: started with `train`
//! it reads `/opt/ml/input` and writes `/opt/ml/model`; started with `serve` it answers HTTP.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a container speaks on its streams")]

mod contract;
mod data;
mod model;
mod phone_home;
mod serve;
mod train;

use contract::OptMl;
use std::process::ExitCode;

fn main() -> ExitCode {
    let opt_ml = OptMl::default();
    let result = match std::env::args().nth(1).as_deref() {
        Some("train") => train::run(&opt_ml),
        Some("serve") => serve::run(&opt_ml),
        _ => {
            eprintln!("usage: digits train | digits serve");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => opt_ml.fail(error.as_ref()),
    }
}
