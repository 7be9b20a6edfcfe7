//! A kernel call that failed: what was being done, and the kernel's answer.

use std::io;

/// What was being done, and why it did not work.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub struct Error {
    /// The operation as a person would say it: "mount the root file system".
    pub operation: String,
    /// The kernel's answer.
    #[source]
    pub source: io::Error,
}

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that the kernel did not give a number for.
    pub(crate) fn other(operation: impl Into<String>, text: impl Into<String>) -> Self {
        Self { operation: operation.into(), source: io::Error::other(text.into()) }
    }

    /// The kernel's error number, if it was a kernel call that failed.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// Names the operation of whatever fails.
pub(crate) trait During<T> {
    fn during(self, operation: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<ErrorSource>> During<T> for std::result::Result<T, E> {
    fn during(self, operation: impl Into<String>) -> Result<T> {
        self.map_err(|e| Error { operation: operation.into(), source: e.into().0 })
    }
}

/// The errors of the libraries used here, as one.
pub(crate) struct ErrorSource(io::Error);

impl From<io::Error> for ErrorSource {
    fn from(e: io::Error) -> Self {
        Self(e)
    }
}

impl From<rustix::io::Errno> for ErrorSource {
    fn from(e: rustix::io::Errno) -> Self {
        Self(e.into())
    }
}

impl From<nlink::Error> for ErrorSource {
    fn from(e: nlink::Error) -> Self {
        Self(io::Error::other(e.to_string()))
    }
}
