//! Everything that passes a namespace's interfaces, as its root sees it.

use belljar_linux::netns::NetNs;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// `ETH_P_ALL` of `linux/if_ether.h`.
const ALL: u16 = 3;

pub(crate) struct Capture {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

pub(crate) struct Seen(Vec<Vec<u8>>);

pub(crate) fn start(ns: &NetNs) -> Capture {
    let mut socket = None;
    ns.run(|| {
        let all = NonZeroU32::new(ALL.to_be().into()).map(Protocol::from_raw);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        socket = Some(socket_with(AddressFamily::PACKET, SocketType::RAW, flags, all).unwrap());
        Ok(())
    })
    .unwrap();
    let (socket, done) = (socket.unwrap(), Arc::new(AtomicBool::new(false)));
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 32 << 20).unwrap();
    let thread = std::thread::spawn({
        let done = done.clone();
        move || collect(&socket, &done)
    });
    Capture { done, thread }
}

fn collect(socket: &OwnedFd, done: &AtomicBool) -> Vec<Vec<u8>> {
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 128 << 10]);
    loop {
        match recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _)) => seen.push(buffer[..length].to_vec()),
            Err(_) if done.load(Ordering::Relaxed) => return seen,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

impl Capture {
    pub(crate) fn stop(self) -> Seen {
        self.done.store(true, Ordering::Relaxed);
        Seen(self.thread.join().unwrap())
    }
}

impl Seen {
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|packet| packet.windows(bytes.len()).any(|window| window == bytes))
    }
}
