//! A rendezvous of a job's instances, as training with several begins with one.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const CONFIG: &str = "/opt/ml/input/config/resourceconfig.json";
const PATIENCE: Duration = Duration::from_secs(30);
/// For the answer to one datagram.
const ANSWER: Duration = Duration::from_millis(500);
/// So that what this one said last is heard before its end takes the way there.
const FAREWELL: Duration = Duration::from_millis(500);

/// Calls every other instance by its name at each port, by UDP and by TCP, and is called by each.
///
/// Whoever calls by TCP has had its answer by UDP: once all have called, nobody waits any more.
pub(crate) fn meet(ports: &[u16]) -> io::Result<ExitCode> {
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(CONFIG)?)?;
    let own = config["current_host"].as_str().unwrap_or_default();
    let hosts = config["hosts"].as_array().into_iter().flatten().filter_map(|h| h.as_str());
    let others: Vec<&str> = hosts.filter(|host| *host != own).collect();
    for port in ports {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port))?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, *port))?;
        let name = own.to_owned();
        thread::spawn(move || answer_datagrams(&socket, &name));
        thread::scope(|scope| {
            let called = scope.spawn(|| others.iter().try_for_each(|_| answer(&listener, *port)));
            others.iter().try_for_each(|other| {
                patiently(|| send(other, *port))?;
                patiently(|| TcpStream::connect((*other, *port))).and_then(|s| call(s, own))
            })?;
            called.join().unwrap_or_else(|_| Err(io::Error::other("the listener panicked")))
        })?;
    }
    thread::sleep(FAREWELL);
    Ok(ExitCode::SUCCESS)
}

/// Until this process ends.
fn answer_datagrams(socket: &UdpSocket, own: &str) -> io::Result<()> {
    loop {
        let (_, from) = socket.recv_from(&mut [0; 64])?;
        socket.send_to(own.as_bytes(), from)?;
    }
}

fn answer(listener: &TcpListener, port: u16) -> io::Result<()> {
    let (mut stream, from) = listener.accept()?;
    let mut name = String::new();
    BufReader::new(&stream).read_line(&mut name)?;
    println!("met {} at {} by tcp {port}", name.trim(), from.ip());
    stream.write_all(b"!")
}

fn call(mut stream: TcpStream, own: &str) -> io::Result<()> {
    stream.write_all(format!("{own}\n").as_bytes())?;
    stream.read_exact(&mut [0])
}

fn send(other: &str, port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.connect((other, port))?;
    socket.send(b"?")?;
    let mut name = [0; 64];
    let length = socket.recv(&mut name)?;
    let name = std::str::from_utf8(&name[..length]).map_err(|_| ErrorKind::InvalidData)?;
    println!("met {name} at {} by udp {port}", socket.peer_addr()?.ip());
    Ok(())
}

/// The others may not be there yet.
fn patiently<T>(attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(_) if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}
