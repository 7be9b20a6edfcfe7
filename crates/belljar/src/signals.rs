//! Signals as messages.

use crate::deps::Interrupts;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// One message for each INT, TERM or HUP. Must be called within a runtime.
pub(crate) fn listen(interrupts: Interrupts) -> io::Result<mpsc::Receiver<()>> {
    if let Interrupts::Given(receiver) = interrupts {
        return Ok(receiver);
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
