//! Ways out by sockets.

use crate::report::{errno, fact, probe};
use crate::sys::{Arg, Outcome, call, owned};
use serde_json::json;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::time::Duration;

/// Long enough for a lost packet to be sent again; a sealed container is never kept waiting.
const PATIENCE: Duration = Duration::from_secs(5);
const NLM_REQUEST_ACK: u16 = 0x5;
const NLM_REQUEST_DUMP: u16 = 0x301;

/// A TCP connection, closed at once.
pub(crate) fn tcp(address: &SocketAddr) -> Outcome {
    errno(TcpStream::connect_timeout(address, PATIENCE))
}

fn udp(address: &SocketAddr) -> Outcome {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    // A question for the name `example.com`, so that a real server would answer.
    let question =
        b"\x42\x4a\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
    errno((|| {
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(address)?;
        socket.send(question)?;
        socket.recv(&mut [0; 512])
    })())
}

fn socket(family: i32, kind: i32, protocol: i32) -> Outcome {
    let n = |n: i32| Arg::N(i64::from(n));
    call(libc::SYS_socket, &mut [n(family), n(kind | libc::SOCK_CLOEXEC), n(protocol)])
}

/// Makes a socket and closes it again.
fn socket_only(family: i32, kind: i32, protocol: i32) -> Outcome {
    socket(family, kind, protocol).map(|fd| drop(owned(fd))).map(|()| 0)
}

/// An echo request to 192.0.2.1, which is reserved for documentation.
fn ping(kind: i32) -> Outcome {
    let fd = owned(socket(libc::AF_INET, kind, libc::IPPROTO_ICMP)?);
    let mut to = [0_u8; 16];
    to[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    to[4..8].copy_from_slice(&[192, 0, 2, 1]);
    let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    call(
        libc::SYS_sendto,
        &mut [
            Arg::N(fd.as_raw_fd().into()),
            Arg::R(&echo),
            Arg::N(8),
            Arg::N(0),
            Arg::R(&to),
            Arg::N(16),
        ],
    )
}

/// Sends one netlink message and returns the kernel's answer to it.
fn netlink(protocol: i32, kind: u16, flags: u16, body: &[u8]) -> Outcome {
    let fd = owned(socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?);
    let mut message = Vec::new();
    message.extend_from_slice(&(16 + body.len() as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend_from_slice(body);
    let number = i64::from(fd.as_raw_fd());
    let length = message.len() as i64;
    call(libc::SYS_sendto, &mut [Arg::N(number), Arg::R(&message), Arg::N(length), Arg::N(0)])?;
    let mut answer = [0_u8; 8192];
    let size = answer.len() as i64;
    let wait = i64::from(libc::MSG_DONTWAIT);
    let got = call(
        libc::SYS_recvfrom,
        &mut [Arg::N(number), Arg::W(&mut answer), Arg::N(size), Arg::N(wait)],
    )?;
    let is_error = answer[4..6] == (libc::NLMSG_ERROR as u16).to_ne_bytes();
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if is_error && code != 0 { Err(-code) } else { Ok(got) }
}

fn abstract_socket(name: &str) -> Outcome {
    errno(UnixAddr::from_abstract_name(name).and_then(|a| UnixStream::connect_addr(&a)))
}

/// Asks the C library for a name; what it found is a fact, not a way out.
fn resolve(name: &str) {
    let began = std::time::Instant::now();
    let found: Vec<String> = match (name, 0_u16).to_socket_addrs() {
        Ok(all) => all.map(|a| a.ip().to_string()).collect(),
        Err(_) => Vec::new(),
    };
    let micros = began.elapsed().as_micros() as u64;
    let result = if found.is_empty() { "unresolved" } else { "ok" };
    println!(
        "{}",
        json!({"probe": format!("dns {name}"), "result": result, "value": found, "micros": micros})
    );
}

/// All of them. `targets` are `IP:PORT`, `udp:IP:PORT`, `abstract:NAME` or `dns:NAME`. They add to
/// those that are always tried in a container; a control run outside tries only them, so that it
/// leaves no trace on anyone's network.
pub(crate) fn all(targets: &[String], outside: bool) {
    if !outside {
        addresses();
        resolve("example.com");
        resolve("algo-1");
        probe("icmp-dgram", || ping(libc::SOCK_DGRAM));
        probe("icmp-raw", || ping(libc::SOCK_RAW));
    }
    for target in targets {
        given(target);
    }
    families();
    netlinks();
    fact("interfaces", &json!(list("/sys/class/net")));
    for (name, file) in [
        ("net-dev", "/proc/net/dev"),
        ("routes4", "/proc/net/route"),
        ("routes6", "/proc/net/ipv6_route"),
    ] {
        fact(name, &json!(std::fs::read_to_string(file).ok()));
    }
}

fn addresses() {
    for (name, address) in [
        ("tcp4-external", "192.0.2.1:443"),
        ("tcp4-private", "10.0.0.1:80"),
        ("tcp4-metadata", "169.254.169.254:80"),
        ("tcp4-credentials", "169.254.170.2:80"),
        ("tcp4-host", "172.17.0.1:22"),
        ("tcp6-external", "[2001:db8::1]:443"),
        ("tcp6-metadata", "[fd00:ec2::254]:80"),
        ("tcp4-self", "127.0.0.1:9"),
    ] {
        if let Ok(address) = address.parse() {
            probe(name, || tcp(&address));
        }
    }
    for (name, address) in [
        ("udp4-dns", "192.0.2.53:53"),
        ("udp4-ntp", "192.0.2.1:123"),
        ("udp6-dns", "[2001:db8::53]:53"),
    ] {
        if let Ok(address) = address.parse() {
            probe(name, || udp(&address));
        }
    }
}

/// Families of sockets that no network namespace closes, or that need a privilege.
fn families() {
    probe("raw4", || socket_only(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP));
    probe("raw6", || socket_only(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW));
    probe("af-packet", || socket_only(libc::AF_PACKET, libc::SOCK_RAW, 0));
    probe("af-vsock", || socket_only(libc::AF_VSOCK, libc::SOCK_STREAM, 0));
    probe("af-alg", || socket_only(libc::AF_ALG, libc::SOCK_SEQPACKET, 0));
    probe("af-bluetooth", || socket_only(libc::AF_BLUETOOTH, libc::SOCK_RAW, 0));
    probe("af-xdp", || socket_only(libc::AF_XDP, libc::SOCK_RAW, 0));
    probe("af-key", || socket_only(libc::AF_KEY, libc::SOCK_RAW, 2));
}

fn netlinks() {
    let route = libc::NETLINK_ROUTE;
    probe("netlink-dump", || netlink(route, libc::RTM_GETROUTE, NLM_REQUEST_DUMP, &[0; 12]));
    // No such interface, no such family: where it is allowed, nothing changes.
    let nowhere = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0];
    probe("netlink-newlink", || netlink(route, libc::RTM_NEWLINK, NLM_REQUEST_ACK, &nowhere));
    let address = [2, 32, 0, 0, 0xff, 0xff, 0xff, 0x7f];
    probe("netlink-newaddr", || netlink(route, libc::RTM_NEWADDR, NLM_REQUEST_ACK, &address));
    probe("netlink-newroute", || netlink(route, libc::RTM_NEWROUTE, NLM_REQUEST_ACK, &[255; 12]));
    // Asks for nftables' generation: changes nothing, and needs the right to change everything.
    let generation = (10 << 8) | 16;
    probe("netlink-nftables", || {
        netlink(libc::NETLINK_NETFILTER, generation, NLM_REQUEST_ACK, &[0; 4])
    });
}

fn list(dir: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// One target of the command line.
fn given(target: &str) {
    if let Some(name) = target.strip_prefix("abstract:") {
        probe(target, || abstract_socket(name));
    } else if let Some(name) = target.strip_prefix("dns:") {
        resolve(name);
    } else if let Some(Ok(address)) = target.strip_prefix("udp:").map(str::parse) {
        probe(target, || udp(&address));
    } else {
        connect(target);
    }
}

/// `probe connect`: by name or address.
pub(crate) fn connect(target: &str) {
    let found = target.to_socket_addrs().ok().and_then(|mut all| all.next());
    match found {
        Some(address) => probe(target, || tcp(&address)),
        None => println!("{}", json!({"probe": target, "result": "unresolved"})),
    }
}

/// `probe connect-many`: prints only a count of each result.
pub(crate) fn many(address: SocketAddr, times: u32) {
    counts("connect-many", (0..times).map(|_| address));
}

/// `probe scan-ports`: tries that many ports of an address; prints only a count of each result.
pub(crate) fn scan(address: IpAddr, ports: u16) {
    counts("scan-ports", (1..=ports).map(|port| SocketAddr::new(address, port)));
}

fn counts(name: &str, addresses: impl Iterator<Item = SocketAddr>) {
    let mut counts = std::collections::BTreeMap::new();
    for address in addresses {
        *counts.entry(crate::report::word(tcp(&address))).or_insert(0_u32) += 1;
    }
    fact(name, &json!(counts));
}
