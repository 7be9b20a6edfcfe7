//! Networks to try things with: written as text, made up at random, or large. The same input
//! always gives the same network.

mod large;
mod random;
mod read;

pub use large::large;
pub use random::{Dice, flow, network as random};
pub use read::read;
