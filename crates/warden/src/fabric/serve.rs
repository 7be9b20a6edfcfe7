//! What is asked of the fabric.

use super::connect;
use super::flows::{self, Flows};
use super::held::All;
use super::view::View;
use super::world::World;
use crate::carry::Carrier;
use crate::words;
use belljar_domain::fabric::{Answer, Ask, MAX_ASK, SERVICE_SOCKET, Status};
use belljar_linux::netns::NetNs;
use belljar_vpc::Network;
use belljar_vpc::id::InterfaceId;
use belljar_vpc::network::Description;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio::time::timeout;

/// Questions that are dealt with at once. Others wait in the kernel's queue.
const AT_ONCE: usize = 128;
/// How long whoever asks may take to do so, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nobody is let in after the kernel would not.
const BREATH: Duration = Duration::from_millis(10);
/// How long whoever asked for the end may take to hear of it.
const FAREWELL: Duration = Duration::from_millis(200);

/// A fabric.
#[derive(Debug)]
pub(super) struct Fabric {
    all: Mutex<All>,
    view: watch::Sender<Arc<View>>,
    flows: Flows,
    end: Notify,
    root: bool,
}

impl Fabric {
    /// That of a state folder; nothing is in the kernel yet.
    pub(super) fn new(state: &Path, root: bool) -> Self {
        let service = state.join(SERVICE_SOCKET);
        let view = watch::Sender::new(Arc::default());
        let outward = World::new(service.clone(), view.subscribe());
        let all = All::new(Carrier::shared(Some(service)), outward);
        let flows = Flows::new(flows::unix_time);
        Self { all: Mutex::new(all), view, flows, end: Notify::new(), root }
    }

    /// Answers whoever comes, until it is told to end.
    pub(super) async fn serve(self: Arc<Self>, listener: UnixListener) {
        let this = Arc::clone(&self);
        tokio::spawn(async move { this.flows.run(&this.all).await });
        let places = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            // It is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.end.notified() => return,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(BREATH).await;
                continue;
            };
            let this = Arc::clone(&self);
            tokio::spawn(async move {
                // Whoever does not ask, or goes away, gets no answer.
                let Ok(Ok((line, along))) = timeout(PATIENCE, words::hear(&stream, MAX_ASK)).await
                else {
                    return;
                };
                match serde_json::from_slice(&line) {
                    Ok(Ask::Attach { interface }) => {
                        // It lasts as long as the connection.
                        drop(place);
                        this.attach(&stream, interface, along).await;
                    }
                    Ok(ask) => this.answer(&stream, ask).await,
                    Err(e) => {
                        tell(&stream, &failed(format!("this is no question: {e}")), None).await
                    }
                }
            });
        }
    }

    async fn answer(&self, stream: &UnixStream, ask: Ask) {
        let answer = match ask {
            Ask::Replace { generation, region, description } => {
                self.apply(None, generation, Some(region), |_| Ok(*description)).await
            }
            Ask::Change { from, generation, changes } => {
                let change = |now: &Description| {
                    let mut next = now.clone();
                    changes.into_iter().for_each(|change| next.apply(change));
                    Ok(next)
                };
                self.apply(Some(from), generation, None, change).await
            }
            Ask::Connect { interface, host, port } => {
                let (answer, connection) = self.connect(&interface, &host, port).await;
                return tell(stream, &answer, connection.as_ref().map(AsFd::as_fd)).await;
            }
            Ask::Flows { after, flush, wait_millis } => {
                if flush {
                    self.flows.read(&self.all, true).await;
                }
                self.flows.fetch(after, wait_millis).await
            }
            Ask::Status => Answer::Status(self.status()),
            Ask::Attach { .. } => return,
            Ask::End => {
                tell(stream, &Answer::Ending, None).await;
                // Whoever asked sees the end of its connection at the end of all.
                let _ = timeout(FAREWELL, stream.readable()).await;
                self.end.notify_one();
                return;
            }
        };
        tell(stream, &answer, None).await;
    }

    /// Connects; once more if the interface was being moved meanwhile.
    async fn connect(
        &self,
        interface: &InterfaceId,
        host: &str,
        port: u16,
    ) -> (Answer, Option<TcpStream>) {
        let before = self.view.borrow().clone();
        let first = connect::connect(&before, interface, host, port).await;
        if !matches!(&first.0, Answer::Refused(refusal) if refusal.blockers.is_empty()) {
            return first;
        }
        // Whoever changes something holds this until it is done.
        drop(self.all.lock().await);
        let now = self.view.borrow().clone();
        if Arc::ptr_eq(&before, &now) {
            return first;
        }
        connect::connect(&now, interface, host, port).await
    }

    async fn apply(
        &self,
        from: Option<u64>,
        generation: u64,
        region: Option<String>,
        make: impl FnOnce(&Description) -> Result<Description, String>,
    ) -> Answer {
        let mut all = self.all.lock().await;
        let before = self.view.borrow().clone();
        if from.is_some() && from != before.generation {
            return Answer::Behind { generation: before.generation };
        }
        let made = make(before.network.description());
        let network = match made.and_then(|d| Network::new(d).map_err(|e| e.to_string())) {
            Ok(network) => Arc::new(network),
            Err(why) => return failed(why),
        };
        if let Err(why) = all.apply(&network, &self.view).await {
            self.flows.note(all.places_mut()).await;
            self.show(&all, (*before).clone());
            return failed(why);
        }
        self.flows.follow(all.places_mut(), &network).await;
        let region = region.unwrap_or_else(|| before.region.clone());
        let view = View { generation: Some(generation), region, network, ..View::default() };
        self.show(&all, view);
        Answer::Applied { generation }
    }

    /// Shows what there is now to those who only look.
    fn show(&self, all: &All, view: View) {
        let (spaces, attached, lacks) = (all.spaces(), all.attached(), all.lacks());
        self.view.send_replace(Arc::new(View { spaces, attached, lacks, ..view }));
    }

    /// Gives an interface to a container for as long as whoever asked holds the connection.
    async fn attach(&self, stream: &UnixStream, interface: InterfaceId, ns: Option<OwnedFd>) {
        let Some(ns) = ns else {
            return tell(stream, &failed("no namespace came along"), None).await;
        };
        let attached = {
            let mut all = self.all.lock().await;
            let view = self.view.borrow().clone();
            let attached = all.attach(&view.network, &interface, NetNs::from(ns)).await;
            self.flows.note(all.places_mut()).await;
            self.show(&all, (*view).clone());
            attached
        };
        let lost = match attached {
            Ok(lost) => lost,
            Err(why) => return tell(stream, &failed(why), None).await,
        };
        tell(stream, &Answer::Attached, None).await;
        tokio::select! {
            // Nothing more is said; this ends with the connection.
            _ = words::hear(stream, 1) => {}
            _ = lost => return,
        }
        let mut all = self.all.lock().await;
        let view = self.view.borrow().clone();
        // If it cannot be made anew, the next network that is applied does.
        let _ = all.detach(&view.network, &interface).await;
        self.flows.note(all.places_mut()).await;
        self.show(&all, (*view).clone());
    }

    fn status(&self) -> Status {
        let view = self.view.borrow().clone();
        let lacks = view.lacks.iter().map(|e| format!("no VPC has a way to the internet: {e}"));
        let mut lacks: Vec<String> = lacks.collect();
        if !self.root {
            lacks.push("an ordinary user's VPCs are in a user namespace of their own".to_owned());
        }
        Status {
            pid: std::process::id(),
            generation: view.generation,
            interfaces: view.spaces.keys().cloned().collect(),
            attached: view.attached.clone(),
            lacks,
        }
    }
}

fn failed(why: impl Into<String>) -> Answer {
    Answer::Failed { why: why.into() }
}

/// Answers. Whoever has gone away, or does not listen, misses it.
async fn tell(stream: &UnixStream, answer: &Answer, descriptor: Option<BorrowedFd<'_>>) {
    let _ = timeout(PATIENCE, words::tell(stream, answer, descriptor)).await;
}
