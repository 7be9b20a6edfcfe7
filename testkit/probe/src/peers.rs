//! What peers do for and with each other, and would do for one that wants out.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// For one answer of one that is asked.
const ANSWER: Duration = Duration::from_secs(10);
/// For a datagram that may have none.
const DATAGRAM: Duration = Duration::from_secs(3);

/// Which of these commands is this instance's: the n-th for `algo-n`, the last for all others.
pub(crate) fn own(commands: &[String]) -> io::Result<&str> {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    let number: usize = name.strip_prefix("algo-").and_then(|n| n.parse().ok()).unwrap_or(1);
    let own = commands.get(number.saturating_sub(1)).or(commands.last());
    own.map(String::as_str).ok_or_else(|| io::Error::other("there are no commands"))
}

/// Answers whoever connects or sends to the port with a text, for so many seconds.
pub(crate) fn answer(seconds: f64, port: u16, text: &str) -> io::Result<ExitCode> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let (said, echoed) = (text.to_owned(), text.to_owned());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _gone = (&stream).write_all(said.as_bytes());
        }
    });
    thread::spawn(move || {
        let mut packet = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut packet) {
            let _gone = socket.send_to(echoed.as_bytes(), from);
        }
    });
    println!("answering");
    thread::sleep(Duration::from_secs_f64(seconds));
    Ok(ExitCode::SUCCESS)
}

/// Carries what comes to each `PORT=HOST:PORT` there and back, for so many seconds.
pub(crate) fn proxy(seconds: f64, ways: &[String]) -> io::Result<ExitCode> {
    for way in ways {
        let wrong = || io::Error::other(format!("`{way}` is no PORT=HOST:PORT"));
        let (port, target) = way.split_once('=').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
        let target = target.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let target = target.clone();
                thread::spawn(move || carry(stream, &target));
            }
        });
    }
    println!("forwarding");
    thread::sleep(Duration::from_secs_f64(seconds));
    Ok(ExitCode::SUCCESS)
}

fn carry(mut near: TcpStream, target: &str) -> io::Result<()> {
    let mut far = TcpStream::connect(target)?;
    let (mut from, mut to) = (near.try_clone()?, far.try_clone()?);
    let there = thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut far, &mut near)?;
    near.shutdown(Shutdown::Both)?;
    let _done = there.join();
    Ok(())
}

/// Asks each `HOST:PORT`, or `udp:HOST:PORT`, once, and prints `TARGET TEXT`, or `TARGET -` if
/// nothing comes. [`crate::meet`] is how to know that a peer is there to be asked.
pub(crate) fn ask(targets: &[String]) -> ExitCode {
    for target in targets {
        let asked = match target.strip_prefix("udp:") {
            Some(target) => ask_udp(target),
            None => ask_tcp(target),
        };
        let text = asked.ok().filter(|text| !text.is_empty());
        println!("{target} {}", text.as_deref().unwrap_or("-"));
    }
    ExitCode::SUCCESS
}

fn ask_tcp(target: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn ask_udp(target: &str) -> io::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(DATAGRAM))?;
    socket.send_to(b"?", target)?;
    let mut packet = [0; 64];
    let length = socket.recv(&mut packet)?;
    Ok(String::from_utf8_lossy(&packet[..length]).into_owned())
}
