//! Tokens of the metadata service's version 2. They are kept nowhere: each says when it ends, and
//! is signed with a key that this process alone has.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::SystemRandom;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Seconds that a token may live (EC2 User Guide).
const LIFE: RangeInclusive<u64> = 1..=21_600;
/// Bytes of the end in a token, and of the signature after it.
const END: usize = 8;

pub(super) struct Tokens {
    key: Key,
    began: Instant,
}

impl Tokens {
    /// `None` if there are no random numbers.
    pub(super) fn new() -> Option<Self> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).ok()?;
        Some(Self { key, began: Instant::now() })
    }

    /// A token for as many seconds as the text says; `None` if it does not say how many, or too many.
    pub(super) fn issue(&self, seconds: &str) -> Option<String> {
        let seconds = seconds.trim().parse().ok().filter(|s| LIFE.contains(s))?;
        let ends = self.began.elapsed() + Duration::from_secs(seconds);
        let ends = u64::try_from(ends.as_millis()).ok()?.to_be_bytes();
        let mut token = ends.to_vec();
        token.extend_from_slice(hmac::sign(&self.key, &ends).as_ref());
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// Whether it is a token that has not ended.
    pub(super) fn is_valid(&self, token: &str) -> bool {
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((ends, signature)) = token.split_first_chunk::<END>() else { return false };
        let left = u128::from(u64::from_be_bytes(*ends)) > self.began.elapsed().as_millis();
        hmac::verify(&self.key, ends, signature).is_ok() && left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_and_cannot_be_made_elsewhere() {
        let (tokens, others) = (Tokens::new().unwrap(), Tokens::new().unwrap());
        for wrong in ["", "0", "21601", "x", "-1", "1.5"] {
            assert_eq!(tokens.issue(wrong), None, "{wrong}");
        }
        let token = tokens.issue("21600").unwrap();
        assert!(tokens.is_valid(&token) && !others.is_valid(&token));
        let mut longer = token.clone().into_bytes();
        longer[1] ^= 1;
        for wrong in ["", "AAAA", &token[1..], std::str::from_utf8(&longer).unwrap()] {
            assert!(!tokens.is_valid(wrong), "{wrong}");
        }
        let short = tokens.issue("1").unwrap();
        assert!(tokens.is_valid(&short));
        std::thread::sleep(Duration::from_millis(1001));
        assert!(!tokens.is_valid(&short));
    }
}
