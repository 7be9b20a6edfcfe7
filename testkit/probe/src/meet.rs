//! A rendezvous of a job's instances, as training with several begins with one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const CONFIG: &str = "/opt/ml/input/config/resourceconfig.json";
const PATIENCE: Duration = Duration::from_secs(30);
/// So that what this one said last is heard before its end takes the way there.
const FAREWELL: Duration = Duration::from_millis(500);

/// Calls every other instance by its name, and is called by each.
pub(crate) fn meet(port: u16) -> io::Result<ExitCode> {
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(CONFIG)?)?;
    let own = config["current_host"].as_str().unwrap_or_default();
    let hosts = config["hosts"].as_array().into_iter().flatten().filter_map(|h| h.as_str());
    let others: Vec<&str> = hosts.filter(|host| *host != own).collect();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    thread::scope(|scope| {
        let called = scope.spawn(|| others.iter().try_for_each(|_| answer(&listener)));
        others.iter().try_for_each(|other| call(other, port, own))?;
        called.join().unwrap_or_else(|_| Err(io::Error::other("the listener panicked")))
    })?;
    thread::sleep(FAREWELL);
    Ok(ExitCode::SUCCESS)
}

fn answer(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, from) = listener.accept()?;
    let mut name = String::new();
    BufReader::new(&stream).read_line(&mut name)?;
    println!("met {} at {}", name.trim(), from.ip());
    stream.write_all(b"!")
}

fn call(other: &str, port: u16, own: &str) -> io::Result<()> {
    let began = Instant::now();
    let mut stream = loop {
        match TcpStream::connect((other, port)) {
            Ok(stream) => break stream,
            Err(e) if began.elapsed() > PATIENCE => return Err(e),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    stream.write_all(format!("{own}\n").as_bytes())?;
    stream.read_exact(&mut [0])
}
