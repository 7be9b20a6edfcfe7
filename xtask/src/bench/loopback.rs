//! What the loopback device carries: one TCP connection between two threads, nothing else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

/// A piece that is written or read at once, in bytes.
const PIECE: usize = 256 << 10;

/// Sends this many MiB from memory to a reader that forgets them; in MB/s.
pub(crate) fn speed(mib: usize) -> Result<f64, String> {
    transfer(mib).map_err(|e| format!("measure the loopback device: {e}"))
}

fn transfer(mib: usize) -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let start = Instant::now();
    let reader = std::thread::spawn(move || {
        let (mut piece, mut total) = (vec![0; PIECE], 0);
        loop {
            match receiver.read(&mut piece)? {
                0 => return Ok::<_, std::io::Error>(total),
                count => total += count,
            }
        }
    });
    let piece = vec![7; PIECE];
    for _ in 0..mib * ((1 << 20) / PIECE) {
        sender.write_all(&piece)?;
    }
    drop(sender);
    let total = reader.join().map_err(|_| std::io::Error::other("the reader failed"))??;
    let bytes = u32::try_from(total >> 10).map_or(f64::NAN, |kib| f64::from(kib) * 1024.0);
    Ok(bytes / 1e6 / start.elapsed().as_secs_f64())
}
