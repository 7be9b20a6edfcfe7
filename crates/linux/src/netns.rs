//! Network namespaces, held by file descriptor.

use crate::error::{During, Error, Result};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

/// A network namespace. It lives as long as this value, or as a process in it.
#[derive(Debug)]
pub struct NetNs {
    fd: OwnedFd,
}

impl NetNs {
    /// Makes a new, empty one: `lo`, and that down.
    ///
    /// # Errors
    /// If the caller has no `CAP_SYS_ADMIN` in its user namespace.
    pub fn create() -> Result<Self> {
        on_thread("make a network namespace", || {
            // SAFETY: only this thread is moved; it ends with the closure, and holds no
            // resource that belongs to the namespace it leaves.
            #[expect(unsafe_code, reason = "unshare changes the calling thread only")]
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.during("make a network namespace")?;
            let file =
                File::open("/proc/thread-self/ns/net").during("open the new network namespace")?;
            Ok(Self { fd: file.into() })
        })
    }

    /// Runs `work` on a thread inside the namespace. What it opens (a socket, a mount of sysfs)
    /// stays in the namespace it was born in, and can be used from anywhere.
    ///
    /// # Errors
    /// Those of `work`, or if the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let fd = self.fd.as_fd();
        on_thread("enter the network namespace", move || {
            move_into_link_name_space(fd, Some(LinkNameSpaceType::Network))
                .during("enter the network namespace")?;
            work()
        })
    }

    /// A listening TCP socket inside.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        self.run(|| {
            let socket = TcpListener::bind(address).during(format!("listen on {address}"))?;
            socket.set_nonblocking(true).during("make a socket non-blocking")?;
            Ok(socket)
        })
    }

    /// A UDP socket inside.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn bind_udp(&self, address: SocketAddr) -> Result<UdpSocket> {
        self.run(|| {
            let socket = UdpSocket::bind(address).during(format!("bind {address}"))?;
            socket.set_nonblocking(true).during("make a socket non-blocking")?;
            Ok(socket)
        })
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Runs `work` on a thread of its own, which ends with it.
pub(crate) fn on_thread<T: Send>(
    operation: &str,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .spawn_scoped(scope, work)
            .during(operation)?
            .join()
            .unwrap_or_else(|_| Err(Error::other(operation, "the thread panicked")))
    })
}
