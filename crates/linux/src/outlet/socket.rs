//! Sockets inside that stand for whoever is outside.

use crate::error::{During, Result};
use crate::netns::NetNs;
use crate::seal_net::has_ipv6;
use belljar_vpc::outlet::PORT;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use std::io;
use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;
/// Bytes for what comes along with a datagram: one address, of either family.
const CONTROL: usize = 128;

/// Sockets that packets for elsewhere are handed to: one of each kind for each family that the
/// namespace has. None of them blocks.
#[derive(Debug)]
pub struct Ends {
    /// The local address of what they accept is where it was to go.
    pub tcp: Vec<TcpListener>,
    /// To be read by [`receive`].
    pub udp: Vec<UdpSocket>,
}

/// Makes them.
///
/// # Errors
/// If the kernel refuses a step.
pub fn listen(ns: &NetNs) -> Result<Ends> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let v6 = has_ipv6(ns)?.then(|| SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)));
    ns.run(|| {
        const WHAT: &str = "make the sockets of the way out";
        let mut ends = Ends { tcp: Vec::new(), udp: Vec::new() };
        for at in [Some(v4), v6].into_iter().flatten() {
            let tcp = transparent(at, SocketType::STREAM).during(WHAT)?;
            bind(&tcp, &at).during(WHAT)?;
            rustix::net::listen(&tcp, BACKLOG).during(WHAT)?;
            ends.tcp.push(tcp.into());
            let udp = transparent(at, SocketType::DGRAM).during(WHAT)?;
            let tells = match at {
                SocketAddr::V4(_) => (libc::SOL_IP, libc::IP_RECVORIGDSTADDR),
                SocketAddr::V6(_) => (libc::SOL_IPV6, libc::IPV6_RECVORIGDSTADDR),
            };
            turn_on(&udp, tells).during(WHAT)?;
            bind(&udp, &at).during(WHAT)?;
            ends.udp.push(udp.into());
        }
        Ok(ends)
    })
}

/// A datagram socket inside from which comes what `stranger` answers.
///
/// # Errors
/// If the kernel refuses a step.
pub fn answering(ns: &NetNs, stranger: SocketAddr) -> Result<UdpSocket> {
    ns.run(|| {
        const WHAT: &str = "make a socket for answers from outside";
        let socket = transparent(stranger, SocketType::DGRAM).during(WHAT)?;
        // Others that wait for the same one's answers have a socket of the same address.
        set_socket_reuseaddr(&socket, true).during(WHAT)?;
        bind(&socket, &stranger).during(WHAT)?;
        Ok(socket.into())
    })
}

/// A socket that may have an address which is not the namespace's own.
fn transparent(family: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (family, option) = match family {
        SocketAddr::V4(_) => (AddressFamily::INET, (libc::SOL_IP, libc::IP_TRANSPARENT)),
        SocketAddr::V6(_) => (AddressFamily::INET6, (libc::SOL_IPV6, libc::IPV6_TRANSPARENT)),
    };
    let socket = socket_with(family, kind, flags, None)?;
    if family == AddressFamily::INET6 {
        set_ipv6_v6only(&socket, true)?;
    }
    turn_on(&socket, option)?;
    Ok(socket)
}

fn turn_on(socket: &OwnedFd, (level, option): (i32, i32)) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (value, size) = (&raw const on, size_of_val(&on) as libc::socklen_t);
    // SAFETY: the descriptor is open, and the value an int of that size.
    #[expect(unsafe_code, reason = "rustix has no call for these options")]
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.cast(), size) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A datagram that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// Its length.
    pub length: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it was to go.
    pub to: SocketAddr,
}

/// Takes a datagram from one of [`Ends::udp`].
///
/// # Errors
/// `WouldBlock` if there is none, and the kernel's.
pub fn receive(socket: &impl AsFd, into: &mut [u8]) -> io::Result<Datagram> {
    #[repr(align(8))]
    struct Control([u8; CONTROL]);
    // SAFETY: all of it is plain data, for which zeros are a value: an address of no family.
    #[expect(unsafe_code, reason = "its padding differs between C libraries")]
    let mut from: libc::sockaddr_storage = unsafe { zeroed() };
    let mut control = Control([0; CONTROL]);
    let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "its padding differs between C libraries")]
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL as _;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: every pointer leads to a buffer of the length beside it that outlives the call.
    #[expect(unsafe_code, reason = "rustix does not read the address that comes along")]
    let length = unsafe { libc::recvmsg(fd, &raw mut message, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let (Some(from), Some(to)) = (address(&from), destination(&message)) else {
        return Err(io::Error::other("a datagram came without an address"));
    };
    Ok(Datagram { length, from, to })
}

/// The address that came along.
fn destination(message: &libc::msghdr) -> Option<SocketAddr> {
    // SAFETY: the head and what it leads to were filled by the kernel, and its macros stay within
    // the length that the kernel has set.
    #[expect(unsafe_code, reason = "what comes along is read by the macros of cmsg(3)")]
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while let Some(head) = at.as_ref() {
            let kind = (head.cmsg_level, head.cmsg_type);
            let size = match kind {
                (libc::SOL_IP, libc::IP_ORIGDSTADDR) => size_of::<libc::sockaddr_in>(),
                (libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR) => size_of::<libc::sockaddr_in6>(),
                _ => 0,
            };
            if size > 0 && head.cmsg_len >= libc::CMSG_LEN(size as u32) as _ {
                let mut copy: libc::sockaddr_storage = zeroed();
                std::ptr::copy_nonoverlapping(
                    libc::CMSG_DATA(at),
                    (&raw mut copy).cast::<u8>(),
                    size,
                );
                return address(&copy);
            }
            at = libc::CMSG_NXTHDR(message, at);
        }
    }
    None
}

fn address(of: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(of.ss_family) {
        libc::AF_INET => {
            // SAFETY: that is what an address of this family is; the storage is aligned for all.
            #[expect(unsafe_code, reason = "the family says what it is")]
            let v4 = unsafe { &*(&raw const *of).cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some((address, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            #[expect(unsafe_code, reason = "the family says what it is")]
            let v6 = unsafe { &*(&raw const *of).cast::<libc::sockaddr_in6>() };
            Some((Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port)).into())
        }
        _ => None,
    }
}
