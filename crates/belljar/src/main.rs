//! `belljar`: trains models in containers sealed off the network.

use belljar::{Deps, bug, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    bug::install();
    run(Deps::real(), std::env::args_os())
}
