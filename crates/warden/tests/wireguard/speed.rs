//! How fast an encrypted link is against one in clear. Not a test: `-- --ignored speed --nocapture`.

use crate::Outcome;
use crate::job::{Job, Kind};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_secs(4);

pub(crate) fn measure() -> Outcome {
    let [clear, encrypted] = [Kind::Clear, Kind::Encrypted].map(|kind| {
        let job = Job::new(2, kind);
        (throughput(&job), round_trip(&job))
    });
    println!("clear: {:.0} MB/s, {:?} a round trip", clear.0 / 1e6, clear.1);
    println!("encrypted: {:.0} MB/s, {:?} a round trip", encrypted.0 / 1e6, encrypted.1);
    println!("ratio {:.3}", encrypted.0 / clear.0);
    Ok(())
}

fn throughput(job: &Job) -> f64 {
    let [first, second] = job.instances.as_slice() else { unreachable!() };
    let listener = second.listen();
    let mut stream = first.connect(listener.local_addr().unwrap()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let sender = std::thread::spawn(move || {
        let (bytes, began) = (vec![0; 256 << 10], Instant::now());
        while began.elapsed() < TIME {
            stream.write_all(&bytes).unwrap();
        }
    });
    let (mut bytes, mut total, began) = (vec![0; 256 << 10], 0, Instant::now());
    loop {
        match accepted.read(&mut bytes).unwrap() {
            0 => break,
            n => total += n,
        }
    }
    sender.join().unwrap();
    total as f64 / began.elapsed().as_secs_f64()
}

fn round_trip(job: &Job) -> Duration {
    const TIMES: u32 = 2_000;
    let [first, second] = job.instances.as_slice() else { unreachable!() };
    let (a, b) = (first.udp(first.own), second.udp(second.own));
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    let mut byte = [0];
    let began = Instant::now();
    for _ in 0..TIMES {
        a.send(&[1]).unwrap();
        b.recv(&mut byte).unwrap();
        b.send(&[1]).unwrap();
        a.recv(&mut byte).unwrap();
    }
    began.elapsed() / TIMES
}
