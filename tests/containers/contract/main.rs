//! The contract.
#![cfg(test)]
