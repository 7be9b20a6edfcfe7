//! Raw packets at the far ends of links, and a way to know that all were dealt with.

use belljar_linux::netns::NetNs;
use belljar_vpc::compile::ROUTER_MAC;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Sends and hears every packet in one namespace.
pub(crate) struct Wire {
    socket: OwnedFd,
}

/// Both families' EtherTypes.
const TYPES: [u16; 2] = [0x0800, 0x86dd];

impl Wire {
    pub(crate) fn open(ns: &NetNs) -> Self {
        let mut socket = None;
        ns.run(|| {
            socket = Some(packet_socket().unwrap());
            Ok(())
        })
        .unwrap();
        Self { socket: socket.unwrap() }
    }

    /// Sends a packet by an interface to the router at its end.
    pub(crate) fn send(&self, interface: u32, packet: &[u8]) {
        let kind = TYPES[usize::from(packet[0] >> 4 == 6)];
        let mut to = address(interface, kind);
        to.sll_halen = 6;
        to.sll_addr[..6].copy_from_slice(&ROUTER_MAC);
        // SAFETY: both buffers live through the call and have the lengths that are given.
        #[expect(unsafe_code, reason = "there is no safe wrapper of packet sockets")]
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        assert_eq!(sent, packet.len() as isize, "{}", io::Error::last_os_error());
    }

    /// The next packet that arrived, if there is one.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        // SAFETY: the buffer has the length that is given.
        #[expect(unsafe_code, reason = "there is no safe wrapper of packet sockets")]
        let length = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(length).ok()
    }
}

fn address(interface: u32, kind: u16) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: kind.to_be(),
        sll_ifindex: interface as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

fn packet_socket() -> io::Result<OwnedFd> {
    let all = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: no memory is passed; the descriptor is new and nobody else's.
    #[expect(unsafe_code, reason = "there is no safe wrapper of packet sockets")]
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, all.into());
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    /// `PACKET_IGNORE_OUTGOING` (linux/if_packet.h).
    const IGNORE_OUTGOING: libc::c_int = 23;
    let options = [
        (libc::SOL_PACKET, IGNORE_OUTGOING, 1),
        // What is more than an ordinary user may have is cut by the kernel.
        (libc::SOL_SOCKET, libc::SO_RCVBUF, 4 << 20),
        (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 4 << 20),
    ];
    for (level, option, value) in options {
        let value: libc::c_int = value;
        // SAFETY: the value is an int of that size.
        #[expect(unsafe_code, reason = "there is no safe wrapper of packet sockets")]
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
    Ok(socket)
}

/// A pair of interfaces in a namespace of its own. The kernel deals with packets between
/// namespaces in the order in which they were sent, on the CPU that sent them; so when one of ours
/// has come through, those before it have been dealt with, one link further each time.
pub(crate) struct Barrier {
    _ns: NetNs,
    /// The CPUs that there were before.
    cpus: rustix::thread::CpuSet,
    wire: Wire,
    interface: u32,
}

/// Links that a packet may pass on its way: one more than it lives through routers.
const LINKS: usize = crate::packet::LIFE as usize + 1;

impl Barrier {
    pub(crate) async fn new() -> Self {
        use nlink::netlink::link::VethLink;
        use nlink::netlink::{Connection, Route};
        use std::os::fd::AsFd;
        // From here on on one CPU.
        let cpus = rustix::thread::sched_getaffinity(None).unwrap();
        let first = (0..1024).find(|c| cpus.is_set(*c)).unwrap();
        let mut one = rustix::thread::CpuSet::new();
        one.set(first);
        rustix::thread::sched_setaffinity(None, &one).unwrap();
        let ns = NetNs::create().unwrap();
        let route = Connection::<Route>::new_in(ns.as_fd()).unwrap();
        route.add_link(VethLink::new("one", "other")).await.unwrap();
        for name in ["one", "other"] {
            route.set_link_up(name).await.unwrap();
        }
        let interface = route.get_link_by_name("one").await.unwrap().unwrap().ifindex();
        let wire = Wire::open(&ns);
        Self { _ns: ns, cpus, wire, interface }
    }

    /// Returns when all packets that were sent before have been dealt with.
    pub(crate) fn wait(&self) {
        let mut buffer = [0; 2048];
        for number in 0..LINKS {
            let mut packet = vec![0x45; 40];
            packet[20..24].copy_from_slice(b"wait");
            packet[24] = number as u8;
            self.wire.send(self.interface, &packet);
            let mut tries = 0;
            loop {
                match self.wire.receive(&mut buffer) {
                    Some(n) if n >= 25 && buffer[..25] == packet[..25] => break,
                    Some(_) => {}
                    None => std::thread::yield_now(),
                }
                tries += 1;
                assert!(tries < 10_000_000, "a packet between two interfaces was lost");
            }
        }
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        let _ = rustix::thread::sched_setaffinity(None, &self.cpus);
    }
}
