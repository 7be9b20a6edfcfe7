//! Names in the kernel. They are made of ids alone, so that they are the same in every process and
//! stay when something else comes or goes.

use super::router::Name;
use std::fmt::Write;

/// FNV-1a with 64 bits (Fowler, Noll, Vo): stable, unlike the standard library's hasher.
#[must_use]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The name of the link to what has this id: the id's first letter and a hash, since an interface's
/// name has at most 15 bytes and an id more.
#[must_use]
pub fn link(id: &str) -> Name {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut name = String::with_capacity(15);
    name.extend(id.chars().next());
    name.push('-');
    let mut rest = hash(id.as_bytes());
    for _ in 0..13 {
        name.push(char::from(DIGITS[(rest & 31) as usize]));
        rest >>= 5;
    }
    name.into()
}

/// The Ethernet address of a far end that has none in its record: locally administered.
#[must_use]
pub(crate) fn mac(text: &str, id: &str) -> [u8; 6] {
    let mut bytes = [0; 6];
    let parts: Vec<_> = text.split(':').map(|p| u8::from_str_radix(p, 16)).collect();
    if let [Ok(a), Ok(b), Ok(c), Ok(d), Ok(e), Ok(f)] = parts[..] {
        // A multicast address is no sender's.
        return [a & !1, b, c, d, e, f];
    }
    bytes.copy_from_slice(&hash(id.as_bytes()).to_be_bytes()[2..]);
    bytes[0] = 0x02;
    bytes
}

/// The name of a chain for what has all of these ids.
#[must_use]
pub(crate) fn combined<'a>(prefix: &str, ids: impl Iterator<Item = &'a str>) -> Name {
    let mut all = String::new();
    for id in ids {
        // Cannot fail: it is a string.
        let _ = write!(all, "{id},");
    }
    format!("{prefix}-{:016x}", hash(all.as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_a_name_that_the_kernel_takes() {
        let name = link("eni-0123456789abcdef0");
        assert!(name.len() == 15 && name.starts_with("e-"), "{name}");
        assert_eq!(name, link("eni-0123456789abcdef0"));
        assert_ne!(name, link("eni-0123456789abcdef1"));
    }

    #[test]
    fn the_address_is_the_records_or_made_of_the_id() {
        assert_eq!(mac("02:00:00:00:00:09", "eni-1"), [2, 0, 0, 0, 0, 9]);
        let made = mac("", "eni-1");
        assert_eq!((made[0], made == mac("", "eni-2")), (2, false));
    }
}
