//! One JSON line for each probe.

use crate::sys::{Outcome, errno_name};
use serde_json::{Value, json};
use std::io;
use std::time::Instant;

/// Prints what opening a file came to. The words are in `probe --help`.
pub(crate) fn file(name: &str, run: impl FnOnce() -> Outcome) {
    timed(name, run, word);
}

/// Prints what a call came to. Here "no such thing" is about its harmless arguments: the kernel
/// had let it pass.
pub(crate) fn probe(name: &str, run: impl FnOnce() -> Outcome) {
    timed(name, run, |outcome| match word(outcome) {
        "absent" => "reached",
        other => other,
    });
}

fn timed(name: &str, run: impl FnOnce() -> Outcome, say: impl Fn(Outcome) -> &'static str) {
    let began = Instant::now();
    let outcome = run();
    let micros = began.elapsed().as_micros() as u64;
    let (errno, error) = match outcome {
        Ok(_) => (Value::Null, Value::Null),
        Err(e) => (json!(e), json!(errno_name(e))),
    };
    let line = json!({"probe": name, "result": say(outcome), "errno": errno, "error": error, "micros": micros});
    println!("{line}");
}

/// Prints something that was seen, which no call decides.
pub(crate) fn fact(name: &str, value: &Value) {
    println!("{}", json!({"probe": name, "result": "seen", "value": value}));
}

/// What a test asks: did it get through?
pub(crate) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(libc::EPERM | libc::EACCES | libc::EROFS) => "denied",
        Err(libc::ENOSYS | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => {
            "unsupported"
        }
        Err(libc::ECONNREFUSED | libc::ECONNRESET) => "refused",
        Err(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EADDRNOTAVAIL) => "unreachable",
        Err(libc::ETIMEDOUT | libc::EAGAIN) => "timeout",
        Err(libc::ENOENT | libc::ENXIO | libc::ENODEV | libc::ESRCH) => "absent",
        Err(_) => "reached",
    }
}

/// The `errno` of a library's error.
pub(crate) fn errno<T>(result: io::Result<T>) -> Outcome {
    match result {
        Ok(_) => Ok(0),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(libc::ETIMEDOUT),
        Err(e) => Err(e.raw_os_error().unwrap_or(libc::EIO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_never_taken_for_a_way_out() {
        assert_eq!(word(Ok(3)), "ok");
        assert_eq!(word(Err(libc::EPERM)), "denied");
        assert_eq!(word(Err(libc::ENOSYS)), "unsupported");
        assert_eq!(word(Err(libc::EINVAL)), "reached");
        let timeout: io::Result<()> = Err(io::ErrorKind::TimedOut.into());
        assert_eq!(word(errno(timeout)), "timeout");
    }
}
