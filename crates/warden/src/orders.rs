//! What the warden is told while it works: a line `stop` on its standard input, or its end, which
//! says that whoever started the job is gone.

use std::io::BufRead;
use tokio::sync::watch;

/// Why a job is to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody asked.
    Asked,
    /// Nobody is there any more who could be told how it ends.
    Alone,
}

/// Hears orders. Cloneable; all clones hear the same.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    orders: watch::Receiver<Option<Stop>>,
    deaf: watch::Receiver<bool>,
}

impl Orders {
    /// Starts to listen to standard input, and to whether events are still read.
    pub(crate) fn listen(deaf: watch::Receiver<bool>) -> std::io::Result<Self> {
        let (sender, orders) = watch::channel(None);
        std::thread::Builder::new().name("orders".into()).spawn(move || {
            let mut lines = std::io::stdin().lock().lines();
            let asked = lines.any(|line| line.is_ok_and(|l| l.trim() == "stop"));
            let order = if asked { Stop::Asked } else { Stop::Alone };
            let _ = sender.send(Some(order));
            // Asked to stop, the end of the input says nothing new; the sender must live on.
            if asked {
                lines.for_each(drop);
            }
            std::mem::forget(sender);
        })?;
        Ok(Self { orders, deaf })
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
}
