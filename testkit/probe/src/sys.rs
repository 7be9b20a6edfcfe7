//! One door to the kernel: a system call by number, with its result or its `errno`.

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};

/// An argument of a system call.
pub(crate) enum Arg<'a> {
    /// A number.
    N(i64),
    /// A string.
    Z(&'a CStr),
    /// Bytes that the kernel reads.
    R(&'a [u8]),
    /// Bytes that the kernel may write; as many as the call is told that there are.
    W(&'a mut [u8]),
}

/// The call's value, or its `errno`.
pub(crate) type Outcome = Result<i64, i32>;

/// Makes the call.
///
/// The caller keeps to this: no call that could change this process's memory map or registers,
/// and no length beyond that of the bytes handed over.
#[expect(unsafe_code, reason = "calls that libraries do not offer, or only with their own checks")]
pub(crate) fn call(number: libc::c_long, args: &mut [Arg<'_>]) -> Outcome {
    let mut words = [0_i64; 6];
    for (word, arg) in words.iter_mut().zip(args.iter_mut()) {
        *word = match arg {
            Arg::N(n) => *n,
            Arg::Z(text) => text.as_ptr() as i64,
            Arg::R(bytes) => bytes.as_ptr() as i64,
            Arg::W(bytes) => bytes.as_mut_ptr() as i64,
        };
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: every pointer comes from a borrow that `args` holds beyond the call, and the caller
    // gives lengths that fit (see above).
    let value = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if value < 0 {
        Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        Ok(value)
    }
}

/// Takes a descriptor that a call has just returned.
#[expect(unsafe_code, reason = "system calls return descriptors as numbers")]
pub(crate) fn owned(fd: i64) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// The name of an `errno` that tests look at.
pub(crate) fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EINVAL => "EINVAL",
        libc::EROFS => "EROFS",
        libc::ENOSYS => "ENOSYS",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::ECONNRESET => "ECONNRESET",
        libc::ETIMEDOUT => "ETIMEDOUT",
        other => return other.to_string(),
    };
    name.to_owned()
}
