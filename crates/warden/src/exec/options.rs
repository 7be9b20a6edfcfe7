//! What `belljar-warden exec` is told.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A command and where its AWS is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// The service's folder, with its unix socket.
    pub(super) service: PathBuf,
    /// The certificate authority that the service's certificates come from.
    pub(super) ca: PathBuf,
    /// The service's own address outside, if it is one that every network namespace has.
    pub(super) at: Option<SocketAddr>,
    /// Whether to keep what was tried to oneself.
    pub(super) quiet: bool,
    /// The command.
    pub(super) command: Vec<OsString>,
}

impl Options {
    /// `None` if they are not as they must be.
    pub(super) fn read(arguments: &[OsString]) -> Option<Self> {
        let (mut service, mut ca, mut at, mut quiet) = (None, None, None, false);
        let mut rest = arguments.iter();
        loop {
            match rest.next()?.to_str()? {
                "--service" => service = Some(PathBuf::from(rest.next()?)),
                "--ca" => ca = Some(PathBuf::from(rest.next()?)),
                "--at" => at = Some(loopback(rest.next()?)?),
                "--quiet" => quiet = true,
                "--" => break,
                _ => return None,
            }
        }
        let command: Vec<OsString> = rest.cloned().collect();
        let (service, ca) = (service?, ca?);
        (!command.is_empty()).then_some(Self { service, ca, at, quiet, command })
    }
}

fn loopback(text: &OsStr) -> Option<SocketAddr> {
    let address: SocketAddr = text.to_str()?.parse().ok()?;
    address.ip().is_loopback().then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Option<Options> {
        Options::read(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_command_is_all_that_follows() {
        let o = read(&[
            "--service",
            "/s",
            "--ca",
            "/c",
            "--at",
            "127.0.0.1:7",
            "--",
            "ls",
            "--",
            "--quiet",
        ]);
        let o = o.unwrap();
        assert_eq!(o.command, ["ls", "--", "--quiet"]);
        assert_eq!((o.at, o.quiet), (Some(([127, 0, 0, 1], 7).into()), false));
    }

    #[test]
    fn nothing_is_guessed() {
        for words in [
            &["--service", "/s", "--ca", "/c"][..],
            &["--service", "/s", "--ca", "/c", "--"],
            &["--service", "/s", "--", "ls"],
            &["--ca", "/c", "--", "ls"],
            &["--service", "/s", "--ca", "/c", "--at", "192.0.2.1:7", "--", "ls"],
            &["--service", "/s", "--ca", "/c", "ls"],
        ] {
            assert_eq!(read(words), None, "{words:?}");
        }
    }
}
