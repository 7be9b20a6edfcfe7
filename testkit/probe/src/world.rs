//! The other end of the attempts: what answers in a namespace whose `lo` has the addresses asked.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

/// The ports of every TCP attempt.
const TCP: [u16; 4] = [9, 22, 80, 443];
/// Where the UDP attempts go.
const UDP: [&str; 3] = ["192.0.2.53:53", "192.0.2.1:123", "[2001:db8::53]:53"];

/// Answers until this process ends.
pub(crate) fn serve() -> io::Result<()> {
    for port in TCP {
        // Takes both families: the kernel maps IPv4 into it.
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
        thread::spawn(move || listener.incoming().for_each(drop));
    }
    for address in UDP {
        let socket = UdpSocket::bind(address.parse::<SocketAddr>().map_err(io::Error::other)?)?;
        thread::spawn(move || answer(&socket));
    }
    Ok(())
}

fn answer(socket: &UdpSocket) -> io::Result<()> {
    let mut packet = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut packet)?;
        let reply = dns_answer(&packet[..length]).unwrap_or_else(|| packet[..length].to_vec());
        socket.send_to(&reply, from)?;
    }
}

/// Every name has the address 192.0.2.1, and none of another kind.
fn dns_answer(question: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const KIND_A: [u8; 2] = [0, 1];
    // The name's labels end at the first empty one; its kind and class follow.
    let name = question.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    let kind = HEADER + name + 1;
    let is_a = question.get(kind..kind + 2)? == KIND_A;
    let mut reply = question.get(..kind + 4)?.to_vec();
    reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        reply.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_gets_an_address_and_nonsense_none() {
        let question = b"\x42\x4a\x01\0\0\x01\0\0\0\0\0\0\x01x\0\0\x01\0\x01";
        let reply = dns_answer(question).expect("an answer");
        assert_eq!(reply[..2], question[..2]);
        assert!(reply.ends_with(&[192, 0, 2, 1]));
        let other = [&question[..16], &[0x1c, 0, 1]].concat();
        assert_eq!(dns_answer(&other).expect("an answer")[6..8], [0, 0]);
        assert!(dns_answer(b"time?").is_none());
    }
}
