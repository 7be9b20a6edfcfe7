//! The command line of Belljar. [`run`] is the whole product: everything outside that it uses is
//! in [`Deps`], so that it runs on fakes as it runs on a machine.
//!
//! **Invariant**: standard output carries what was asked for (the container's lines, events,
//! tables) and nothing else; everything that Belljar says itself goes to standard error.

mod args;
mod args_network;
mod args_service;
pub mod bug;
mod deps;
mod doctor;
mod env;
mod evidence;
mod evidence_files;
mod exec;
mod exit;
mod explain;
mod image;
mod image_store;
mod keys;
mod log;
mod network;
mod node;
mod quickstart;
mod run;
mod screen;
mod serve;
mod signals;
mod summary;
mod terminal;
mod train;
mod trouble;
mod up;

pub use deps::{Deps, Interrupts, OpenStderr};
pub use exit::Exit;
pub use run::run;
