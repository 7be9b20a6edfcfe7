//! Random words from the kernel: ids, secrets, tokens.

use crate::StoreError;
use rustix::rand::{GetRandomFlags, getrandom};

/// The digits of AWS's ids: base 32.
const ID: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The digits of AWS's secrets and tokens: base 64.
const SECRET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `prefix` and as many base-32 digits as it takes to be `length` long: 80 bits for an access
/// key's id (`AKIA` and 16), 85 for a role's (`AROA` and 17).
pub(super) fn id(prefix: &str, length: usize) -> Result<String, StoreError> {
    Ok(format!("{prefix}{}", random(ID, length - prefix.len())?))
}

/// `length` base-64 digits, six bits each.
///
/// # Errors
/// If the kernel gives no randomness.
pub fn secret(length: usize) -> Result<String, StoreError> {
    random(SECRET, length)
}

/// The alphabets' sizes divide 256, so that each digit is as likely as any other.
fn random(alphabet: &[u8], length: usize) -> Result<String, StoreError> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        filled +=
            getrandom(&mut bytes[filled..], GetRandomFlags::empty()).map_err(no_randomness)?;
    }
    Ok(bytes.iter().map(|b| char::from(alphabet[usize::from(*b) % alphabet.len()])).collect())
}

fn no_randomness(e: rustix::io::Errno) -> StoreError {
    StoreError::File {
        operation: "read random bytes of",
        path: "/dev/urandom".into(),
        source: e.into(),
    }
}
