//! Reads what the container prints, line by line, in bounded memory.

use crate::journal::now;
use belljar_domain::metrics::{MetricDatum, keep_last, scan};
use belljar_domain::{Event, MetricDefinition, Stream};
use belljar_linux::container::Output;
use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A longer line is told in pieces of this size (the size of a CloudWatch Logs event).
const MAX_LINE: usize = 256 << 10;
const CHUNK: usize = 32 << 10;
/// How long a pipe may stay open and silent after the container has ended.
const DRAIN: Duration = Duration::from_secs(5);

/// The readers of both streams.
#[derive(Debug)]
pub(crate) struct Logs {
    readers: [JoinHandle<()>; 2],
    ended: watch::Sender<bool>,
    last: Arc<Mutex<Vec<MetricDatum>>>,
}

/// Starts reading.
pub(crate) fn follow(
    output: Output,
    metrics: &[MetricDefinition],
    events: &mpsc::Sender<Event>,
) -> std::io::Result<Logs> {
    let last = Arc::new(Mutex::new(Vec::new()));
    let metrics: Arc<[MetricDefinition]> = metrics.into();
    let (ended, ending) = watch::channel(false);
    let start = |fd: OwnedFd, stream| {
        rustix::io::ioctl_fionbio(&fd, true)?;
        let lines = Lines {
            stream,
            metrics: Arc::clone(&metrics),
            last: Arc::clone(&last),
            events: events.clone(),
            pending: Vec::new(),
        };
        Ok::<_, std::io::Error>(tokio::spawn(
            lines.read(Receiver::from_owned_fd(fd)?, ending.clone()),
        ))
    };
    let readers = [start(output.stdout, Stream::Stdout)?, start(output.stderr, Stream::Stderr)?];
    Ok(Logs { readers, ended, last })
}

impl Logs {
    /// Waits for what is still in the pipes, however long its reader takes, and returns the last
    /// value of every metric.
    pub(crate) async fn finish(self) -> Vec<MetricDatum> {
        let _ = self.ended.send(true);
        for reader in self.readers {
            // A reader that panicked has told what it could.
            let _ = reader.await;
        }
        self.last.lock().map(|mut last| std::mem::take(&mut *last)).unwrap_or_default()
    }
}

struct Lines {
    stream: Stream,
    metrics: Arc<[MetricDefinition]>,
    last: Arc<Mutex<Vec<MetricDatum>>>,
    events: mpsc::Sender<Event>,
    pending: Vec<u8>,
}

impl Lines {
    async fn read(mut self, mut pipe: Receiver, mut ending: watch::Receiver<bool>) {
        let mut chunk = vec![0; CHUNK];
        loop {
            let silent = async {
                // Without an end of the container the pipe's own is the only one.
                if ending.wait_for(|ended| *ended).await.is_err() {
                    std::future::pending().await
                }
                tokio::time::sleep(DRAIN).await;
            };
            let read = tokio::select! {
                biased;
                read = pipe.read(&mut chunk) => read,
                () = silent => break,
            };
            match read {
                Ok(0) | Err(_) => break,
                Ok(n) => self.take(&chunk[..n]).await,
            }
        }
        if !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            self.tell(&rest).await;
        }
    }

    async fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.pending.extend_from_slice(piece);
            let ended = self.pending.last() == Some(&b'\n');
            if ended || self.pending.len() >= MAX_LINE {
                let mut line = std::mem::take(&mut self.pending);
                if ended {
                    line.pop();
                }
                self.tell(&line).await;
                line.clear();
                self.pending = line;
            }
        }
    }

    async fn tell(&self, line: &[u8]) {
        let at = now();
        let text = String::from_utf8_lossy(line);
        let raw = matches!(text, Cow::Owned(_)).then(|| line.to_vec());
        let line = text.into_owned();
        let found = scan(&self.metrics, &line, at);
        let _ = self.events.send(Event::Log { stream: self.stream, line, raw, at }).await;
        for metric in found {
            if let Ok(mut last) = self.last.lock() {
                keep_last(&mut last, metric.clone());
            }
            let _ = self.events.send(Event::Metric(metric)).await;
        }
    }
}
