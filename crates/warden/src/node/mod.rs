//! `belljar-warden join`: this machine as a node of a service elsewhere. It asks what it is to run,
//! runs it as a job's warden runs the instances of its own machine, and carries what they say.
//!
//! **Invariant**: it does what the service's last answer says, and while there is none it goes on
//! with what it has. An instance that is no longer in the answer is ended at once.

mod client;
mod instance;
mod left;
mod tunnel;

#[cfg(test)]
pub(crate) use left::pack;

use crate::failure::chain;
use crate::{program, sweep};
use belljar_domain::node::{BEAT_MILLIS, Beat, Orders, Place, Ticket, Work};
use belljar_linux::privilege::{self, Privilege};
use client::{Client, ClientError};
use instance::Running;
use rustix::fs::FlockOperation;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Bytes of a ticket.
const MAX_TICKET: u64 = 64 << 10;
/// The folder of a node's own files, in the state directory.
const FOLDER: &str = "node";

/// What every instance needs.
struct Node {
    state: PathBuf,
    privilege: Privilege,
    client: Client,
    /// Where instances reach the service's S3.
    socket: PathBuf,
}

/// Joins until it is told to end; then ends what it runs.
pub(crate) fn main(ticket: &Path, address: &str, state: PathBuf) -> Result<(), String> {
    let address: IpAddr = address.parse().map_err(|_| format!("'{address}' is no address"))?;
    let ticket = read(ticket)?;
    privilege::assert_single_threaded().map_err(|e| chain(&e))?;
    let _lock = lock(&state)?;
    let privilege = privilege::enter().map_err(|e| chain(&e))?;
    program::runtime()?.block_on(async {
        sweep::state(&state).await?;
        instance::forget_all(&state).map_err(|e| format!("clear earlier instances: {e}"))?;
        let client = Client::new(&ticket).map_err(|e| chain(&e))?;
        let socket = state.join(FOLDER).join("socket");
        tunnel::open(&ticket, &socket).map_err(|e| chain(&e))?;
        let node = Arc::new(Node { state, privilege, client, socket });
        work(node, address).await
    })
}

fn read(path: &Path) -> Result<Ticket, String> {
    let wrong = |e: &dyn std::error::Error| format!("the ticket {}: {}", path.display(), chain(e));
    let found = fs::metadata(path).map_err(|e| wrong(&e))?;
    if found.len() > MAX_TICKET {
        return Err(format!("the ticket {} is too large", path.display()));
    }
    if found.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        return Err(format!("others can read the ticket {path}, a secret: chmod 600 {path}"));
    }
    let text = fs::read(path).map_err(|e| wrong(&e))?;
    serde_json::from_slice(&text).map_err(|e| wrong(&e))
}

/// One node on a state directory: two would end each other's instances.
fn lock(state: &Path) -> Result<File, String> {
    let folder = state.join(FOLDER);
    let make = || -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        DirBuilder::new().recursive(true).mode(0o700).create(state.join("jobs"))?;
        File::create(folder.join("lock"))
    };
    let file = make().map_err(|e| format!("{}: {e}", folder.display()))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| format!("another node runs on {}", state.display()))?;
    Ok(file)
}

async fn work(node: Arc<Node>, address: IpAddr) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|e| format!("listen to signals: {e}"));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut running = BTreeMap::new();
    let mut heard = None;
    let session = u64::from_ne_bytes(random().map_err(|e| e.to_string())?);
    for number in 0.. {
        let begun = running.keys().cloned().collect();
        let beat = Beat { session, number, address, begun };
        match node.client.beat(&beat).await {
            Ok(orders) => {
                told(&mut heard, None);
                obey(&node, &mut running, orders);
            }
            // Without a service there is nobody to say that anything is over.
            Err(ClientError::Refused(text)) if heard.is_none() => return Err(text),
            Err(e) => told(&mut heard, Some(chain(&e))),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(BEAT_MILLIS)) => {}
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    for (_, instance) in running {
        Running::end(instance).await;
    }
    Ok(())
}

fn random() -> io::Result<[u8; 8]> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

/// Says once that the service is away, and once that it is back.
fn told(heard: &mut Option<Result<(), String>>, trouble: Option<String>) {
    let now = trouble.map_or(Ok(()), Err);
    let news = match (&*heard, &now) {
        (Some(Ok(())) | None, Err(text)) => Some(format!("the service cannot be reached: {text}")),
        (None, Ok(())) => Some("joined".to_owned()),
        (Some(Err(_)), Ok(())) => Some("the service is back".to_owned()),
        _ => None,
    };
    if let Some(news) = news {
        program::say(&format!("node: {news}\n"));
    }
    *heard = Some(now);
}

/// Starts what is new, and ends what is not wanted any more.
fn obey(node: &Arc<Node>, running: &mut BTreeMap<Place, Running>, orders: Orders) {
    let wanted: BTreeMap<Place, Work> =
        orders.work.into_iter().map(|w| (Place::of(&w.assignment), w)).collect();
    running.retain(|place, instance| {
        let keep = wanted.contains_key(place);
        if !keep && !instance.is_done() {
            program::say(&format!("node: {} of {} is no longer wanted\n", place.host, place.job));
        }
        // Dropped, it ends at once.
        keep
    });
    for (place, work) in wanted {
        running.entry(place).or_insert_with(|| Running::start(node.clone(), work));
    }
}
