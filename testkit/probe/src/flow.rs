//! How fast a link is, between two who know each other's address.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const PIECE: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(15);
const ROUND_TRIPS: u32 = 2000;

/// `None` for wrong use.
pub(crate) fn run(args: &[String]) -> Option<io::Result<ExitCode>> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    Some(match *words.as_slice() {
        ["end", port] => end(port.parse().ok()?),
        ["to", target, seconds] => to(target, seconds.parse().ok()?),
        ["reduce", rank, peer, port, megabytes] => {
            reduce(rank.parse().ok()?, peer, port.parse().ok()?, megabytes.parse().ok()?)
        }
        _ => return None,
    })
}

fn connect(target: &str) -> io::Result<TcpStream> {
    let began = Instant::now();
    loop {
        match TcpStream::connect(target) {
            Err(_) if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
            stream => {
                let stream = stream?;
                bound(&stream)?;
                return Ok(stream);
            }
        }
    }
}

/// What hangs is an error and no measurement.
fn bound(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// The far end: echoes datagrams until one flow has come and gone, and says how long it took.
fn end(port: u16) -> io::Result<ExitCode> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    thread::spawn(move || {
        let mut packet = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let _gone = socket.send_to(&packet[..length], from);
        }
    });
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let (mut stream, _) = listener.accept()?;
    bound(&stream)?;
    let (mut piece, mut total, began) = (vec![0; PIECE], 0_u64, Instant::now());
    loop {
        match stream.read(&mut piece)? {
            0 => break,
            count => total += count as u64,
        }
    }
    // The sender waits for it, so that what is on its way counts.
    println!("mbps {:.1}", total as f64 / 1e6 / began.elapsed().as_secs_f64());
    stream.write_all(b"!")?;
    Ok(ExitCode::SUCCESS)
}

/// The near end: round trips of one byte, then as much as goes through in so many seconds.
fn to(target: &str, seconds: f64) -> io::Result<ExitCode> {
    let mut stream = connect(target)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (mut byte, began) = ([0], Instant::now());
    for _ in 0..ROUND_TRIPS {
        socket.send(&[1])?;
        socket.recv(&mut byte)?;
    }
    println!("rtt {:.1}", began.elapsed().as_secs_f64() * 1e6 / f64::from(ROUND_TRIPS));
    let (piece, began) = (vec![7; PIECE], Instant::now());
    while began.elapsed().as_secs_f64() < seconds {
        stream.write_all(&piece)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_exact(&mut byte)?;
    Ok(ExitCode::SUCCESS)
}

/// An all-reduce of so many megabytes between two: each adds up one half, and sends the sums.
fn reduce(rank: usize, peer: &str, port: u16, megabytes: usize) -> io::Result<ExitCode> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let mut out = connect(&format!("{peer}:{port}"))?;
    let (mut into, _) = listener.accept()?;
    bound(&into)?;
    let half = megabytes * 1_000_000 / 8;
    let mut halves = [vec![1.0_f32; half], vec![1.0_f32; half]];
    let began = Instant::now();
    let mine = rank % 2;
    let came = exchange(&mut out, &mut into, &halves[1 - mine])?;
    for (sum, other) in halves[mine].iter_mut().zip(&came) {
        *sum += other;
    }
    halves[1 - mine] = exchange(&mut out, &mut into, &halves[mine])?;
    let took = began.elapsed();
    let right = halves.iter().flatten().all(|sum| (sum - 2.0).abs() < f32::EPSILON);
    println!("reduced {:.1}", took.as_secs_f64() * 1000.0);
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn exchange(out: &mut TcpStream, into: &mut TcpStream, own: &[f32]) -> io::Result<Vec<f32>> {
    let sent: Vec<u8> = own.iter().flat_map(|f| f.to_le_bytes()).collect();
    let mut came = vec![0; sent.len()];
    thread::scope(|scope| {
        let sending = scope.spawn(|| out.write_all(&sent));
        into.read_exact(&mut came)?;
        sending.join().unwrap_or_else(|_| Err(io::Error::other("the sender panicked")))
    })?;
    Ok(came.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}
