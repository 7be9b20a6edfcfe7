//! Network namespaces, held by file descriptor.

use crate::error::{During, Error, Result};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc;
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

    /// Starts a thread that is inside for as long as it runs, and returns once it is there. The
    /// namespace lives as long as the thread.
    ///
    /// # Errors
    /// If there can be no thread, or the namespace cannot be entered.
    pub fn start_thread(
        &self,
        name: &str,
        stack: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<thread::JoinHandle<()>> {
        let Self { fd } = self.share()?;
        let (entered, is_inside) = mpsc::sync_channel(1);
        let inside = move || {
            let moved = move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::Network));
            let may = moved.is_ok();
            // Whoever starts the thread waits for this.
            let _ = entered.send(moved.during("enter the network namespace"));
            if may {
                work();
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).stack_size(stack).spawn(inside);
        let thread = thread.during("start a thread")?;
        let gone = || Error::other("enter the network namespace", "the thread ended");
        is_inside.recv().map_err(|_| gone())??;
        Ok(thread)
    }

    /// The same one, held a second time.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn share(&self) -> Result<Self> {
        Ok(Self { fd: self.fd.try_clone().during("hold the network namespace")? })
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

impl From<OwnedFd> for NetNs {
    /// One that somebody else has made. Whether the descriptor is one shows when it is used.
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
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
