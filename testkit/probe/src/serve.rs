//! A model server, as SageMaker's hosting asks for one, that does what the requests say.

use crate::act::{catch_term, caught_term};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

/// The status that `/ping` is answered with, if it is not 200; `hang` for no answer.
const PING: &str = "/tmp/ping";
const TERM_CODE: u8 = 7;

/// Serves until TERM. `--after MILLIS` listens only then; `--ping STATUS` begins with that;
/// `--ignore-term` does.
pub(crate) fn run(args: &[String]) -> io::Result<ExitCode> {
    let value = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1)
    };
    catch_term(args.iter().any(|a| a == "--ignore-term"));
    fs::create_dir_all("/tmp")?;
    if let Some(status) = value("--ping") {
        fs::write(PING, status)?;
    }
    let after = value("--after").map_or(Ok(0), |ms| ms.parse::<u64>());
    thread::sleep(Duration::from_millis(after.map_err(io::Error::other)?));
    let port = std::env::var("SAGEMAKER_BIND_TO_PORT").ok().and_then(|p| p.parse().ok());
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port.unwrap_or(8080)))?;
    println!("serving");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
    while !caught_term() {
        thread::sleep(Duration::from_millis(5));
    }
    println!("got TERM");
    Ok(ExitCode::from(TERM_CODE))
}

/// Answers one request, and closes.
fn answer(stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let (status, body) = match head.split(' ').nth(1) {
        Some("/ping") => (ping(), Vec::new()),
        Some("/invocations") => invoke(&String::from_utf8_lossy(&body))?,
        _ => (404, Vec::new()),
    };
    let mut out = stream;
    write!(
        out,
        "HTTP/1.1 {status} Said\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    out.write_all(&body)
}

fn ping() -> u16 {
    let text = fs::read_to_string(PING).unwrap_or_else(|_| "200".to_owned());
    if text == "hang" {
        thread::sleep(Duration::from_secs(3600));
    }
    text.trim().parse().unwrap_or(200)
}

/// Runs the body, a command line of this program, and says what it printed.
fn invoke(line: &str) -> io::Result<(u16, Vec<u8>)> {
    let words = crate::words(line);
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["die", code] => std::process::exit(code.parse().map_err(io::Error::other)?),
        ["say", lines, bytes] => {
            let number = |n: &str| n.parse::<usize>().map_err(io::Error::other);
            let line = "x".repeat(number(bytes)?);
            (1..=number(lines)?).for_each(|n| println!("line {n} {line}"));
            Ok((200, Vec::new()))
        }
        ["hog", bytes] => {
            let code = crate::act::hog_memory(bytes.parse().map_err(io::Error::other)?);
            Ok((200, format!("{code:?}").into_bytes()))
        }
        ["ping", status] => fs::write(PING, status).map(|()| (200, Vec::new())),
        ["link", target, path] => {
            std::os::unix::fs::symlink(target, path).map(|()| (200, Vec::new()))
        }
        ["environment"] => {
            let all = std::env::vars().map(|(k, v)| format!("{k}={v}\n"));
            Ok((200, all.collect::<String>().into_bytes()))
        }
        _ => {
            let output = Command::new("/proc/self/exe").args(&words).output()?;
            let status = if output.status.success() { 200 } else { 500 };
            Ok((status, [output.stdout, output.stderr].concat()))
        }
    }
}
