//! What the warden is told while it works. From whoever started it: a line on its standard input,
//! or the end of that, which says that nobody is there any more. A detached one hears the FIFO of
//! its folder, and who wrote there may come and go.

use belljar_domain::HostName;
use belljar_domain::cluster::Endpoint;
use belljar_domain::spool::{Order, Word};
use rustix::fs::{FileType, Mode};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tokio::sync::watch;

/// Why a job is to end early. The later ones are the more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Nobody is there any more who could be told how it ends.
    Alone,
    /// Somebody asked.
    Asked,
    /// Somebody asked, and does not want to wait.
    AtOnce,
}

/// What an instance of several has been told so far.
#[derive(Debug, Default)]
struct Words {
    peers: Option<BTreeMap<HostName, Endpoint>>,
    go: bool,
}

impl Words {
    fn take(&mut self, word: Word) {
        match word {
            Word::Peers { endpoints } => self.peers = Some(endpoints),
            Word::Go => self.go = true,
        }
    }
}

/// Hears orders. Cloneable; all clones hear the same.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    orders: watch::Receiver<Option<Stop>>,
    words: watch::Receiver<Words>,
    deaf: watch::Receiver<bool>,
}

impl Orders {
    /// Starts to listen to standard input, and to whether events are still read.
    pub(crate) fn of_stdin(deaf: watch::Receiver<bool>) -> io::Result<Self> {
        Self::listen(deaf, io::BufReader::new(io::stdin()))
    }

    /// Makes the FIFO and starts to listen to it.
    pub(crate) fn of_fifo(deaf: watch::Receiver<bool>, fifo: &Path) -> io::Result<Self> {
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, fifo, FileType::Fifo, mode, 0)?;
        // Open for both, it does not end when a writer goes.
        let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let both = File::options().read(true).write(true).custom_flags(flags).open(fifo)?;
        Self::listen(deaf, BufReader::new(both))
    }

    fn listen(
        deaf: watch::Receiver<bool>,
        input: impl BufRead + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, orders) = watch::channel(None);
        let (said, words) = watch::channel(Words::default());
        let hear = move |stop: Stop| {
            sender.send_if_modified(|now: &mut Option<Stop>| {
                let more = now.is_none_or(|now| now < stop);
                if more {
                    *now = Some(stop);
                }
                more
            });
        };
        std::thread::Builder::new().name("orders".into()).spawn(move || {
            for line in input.lines() {
                match line.map(|l| (l.parse(), serde_json::from_str::<Word>(&l))) {
                    Ok((Ok(Order::Stop), _)) => hear(Stop::Asked),
                    Ok((Ok(Order::Kill), _)) => hear(Stop::AtOnce),
                    Ok((_, Ok(word))) => said.send_modify(|words| words.take(word)),
                    // What is no order is none.
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::InvalidData => {}
                    Err(_) => break,
                }
            }
            // Asked to stop, the end of the input says nothing new; the sender must live on.
            hear(Stop::Alone);
            std::mem::forget((hear, said));
        })?;
        Ok(Self { orders, words, deaf })
    }

    /// Returns once the job is to end early.
    pub(crate) async fn stop(&self) -> Stop {
        let (mut orders, mut deaf) = (self.orders.clone(), self.deaf.clone());
        let ordered = async {
            let order = orders.wait_for(Option::is_some).await;
            order.ok().and_then(|o| *o).unwrap_or(Stop::Alone)
        };
        let alone = async {
            // The writer lives as long as the journal: the channel does not close before.
            let _ = deaf.wait_for(|deaf| *deaf).await;
        };
        tokio::select! {
            stop = ordered => stop,
            () = alone => Stop::Alone,
        }
    }

    /// Returns the ends of the links to the peers, once they are known.
    pub(crate) async fn peers(&self) -> BTreeMap<HostName, Endpoint> {
        let mut words = self.words.clone();
        match words.wait_for(|w| w.peers.is_some()).await.map(|w| w.peers.clone()) {
            Ok(Some(peers)) => peers,
            _ => std::future::pending().await,
        }
    }

    /// Returns once all instances are ready to start.
    pub(crate) async fn go(&self) {
        let mut words = self.words.clone();
        if words.wait_for(|w| w.go).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns once it is to end at once.
    pub(crate) async fn at_once(&self) {
        let mut orders = self.orders.clone();
        if orders.wait_for(|o| *o == Some(Stop::AtOnce)).await.is_err() {
            std::future::pending().await
        }
    }
}
