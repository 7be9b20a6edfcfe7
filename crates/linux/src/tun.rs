//! A TUN device: an interface in a container's namespace, the packets of which a process outside
//! reads and writes.
//!
//! The device lives as long as the descriptor. Only a holder of `CAP_NET_ADMIN` over its namespace
//! could open another, which no container is.

use crate::error::{During, Result};
use crate::netns::NetNs;
use rustix::fs::{Mode, OFlags};
use rustix::io::{read, write};
use rustix::ioctl::{self, Opcode, Updater, opcode};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const PATH: &str = "/dev/net/tun";
/// `TUNSETIFF` of `linux/if_tun.h`.
const TUNSETIFF: Opcode = opcode::write::<libc::c_int>(b'T', 202);
/// IP packets as they are, in a device that was not there before.
const FLAGS: libc::c_int = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;

/// `struct ifreq` as `TUNSETIFF` takes it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: u16,
    rest: [u8; 22],
}

/// The outer side of an interface: what the container sends is read, what is written it receives.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
}

/// Whether this process may make one at all.
///
/// # Errors
/// The kernel's, which says why not.
pub fn check() -> Result<()> {
    open().map(drop)
}

impl Tun {
    /// Makes the interface `name` in a namespace. It has no address and is down.
    ///
    /// # Errors
    /// If `/dev/net/tun` is not there or closed to this user, or the kernel refuses.
    pub fn create(ns: &NetNs, name: &str) -> Result<Self> {
        // The kernel puts the device in the namespace of whoever opens it.
        ns.run(|| {
            let fd = open()?;
            let mut request = request(name);
            // SAFETY: the kernel reads and writes a `struct ifreq`, which is what is passed.
            #[expect(unsafe_code, reason = "an ioctl takes what its number says")]
            let made =
                unsafe { ioctl::ioctl(&fd, Updater::<TUNSETIFF, Request>::new(&mut request)) };
            made.during("make the TUN device")?;
            Ok(Self { fd })
        })
    }

    /// Makes it wait where it would block. To be called in the event loop in which it is used.
    ///
    /// # Errors
    /// If the kernel cannot watch one more descriptor.
    pub fn attach(self) -> io::Result<Attached> {
        // SAFETY: the descriptor is owned by what is passed, open until that is dropped, and what
        // an `OwnedFd` says of itself does not change.
        #[expect(unsafe_code, reason = "tokio relies on a descriptor that stays what it is")]
        let fd = unsafe { AsyncFd::register(self.fd) }?;
        Ok(Attached { fd })
    }
}

/// A device in an event loop.
#[derive(Debug)]
pub struct Attached {
    fd: AsyncFd<OwnedFd>,
}

impl Attached {
    /// Takes a packet that was sent through the interface, once there is one.
    ///
    /// # Errors
    /// `EBADFD` once the device is gone.
    pub async fn read(&self, packet: &mut [u8]) -> io::Result<usize> {
        self.fd.async_io(Interest::READABLE, |fd| Ok(read(fd, &mut *packet)?)).await
    }

    /// Takes a packet if there is one.
    pub fn try_read(&self, packet: &mut [u8]) -> Option<usize> {
        read(&self.fd, packet).ok()
    }

    /// Lets the interface receive a packet. What the kernel does not take is lost, as on any wire.
    ///
    /// # Errors
    /// If the device is gone.
    pub async fn write(&self, packet: &[u8]) -> io::Result<()> {
        match self.fd.async_io(Interest::WRITABLE, |fd| Ok(write(fd, packet)?)).await {
            Err(e) if e.raw_os_error() == Some(libc::EBADFD) => Err(e),
            _ => Ok(()),
        }
    }
}

fn open() -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(PATH, flags, Mode::empty()).during(format!("open {PATH}"))
}

fn request(name: &str) -> Request {
    let mut request = Request { name: [0; libc::IFNAMSIZ], flags: 0, rest: [0; 22] };
    // The last byte stays 0; no name of ours is so long.
    for (to, from) in request.name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    request.flags = u16::try_from(FLAGS).unwrap_or_default();
    request
}
