//! The way into a container that serves: connections that are made inside its network namespace
//! are handed out through a unix socket in its folder (`belljar_domain::serving::Ask`). No
//! interface is added for it, and nothing stands between whoever connects and the container.
//!
//! One thread has entered the namespace. What it opens is inside; nothing else of this process is.
//! It also asks the container for its health. What needs the host's network (a model to be
//! brought) goes to the warden's own thread.

mod health;
mod listen;
mod models;

use crate::failure::{Failure, chain};
use crate::stages::internal;
use crate::words;
use belljar_domain::Serving;
use belljar_domain::serving::{Answer, Ask};
use belljar_linux::netns::NetNs;
pub(crate) use health::News;
pub(crate) use models::Models;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Changes of health, and questions about models, that wait to be dealt with.
const QUEUE: usize = 256;
/// Bytes of the thread's stack: it runs an event loop and nothing deep.
const STACK: usize = 512 << 10;

/// A question about models, and where its answer goes.
type Asked = (Ask, oneshot::Sender<Answer>);

/// An open door. Dropped, it is gone, with its thread.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    news: mpsc::Receiver<News>,
    /// Its end closes the door.
    open: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    models: Option<tokio::task::JoinHandle<()>>,
}

impl Door {
    /// Opens the door of a container that runs, and begins to ask for its health.
    pub(crate) fn open(
        ns: &NetNs,
        path: &Path,
        serving: &Serving,
        models: Option<Models>,
    ) -> Result<Self, Failure> {
        let failed = |e: io::Error| internal(format!("open {}: {e}", path.display()));
        let listener = words::bind(path).map_err(failed)?;
        let (tell, news) = mpsc::channel(QUEUE);
        let (open, closed) = oneshot::channel();
        let (ask, asked) = mpsc::channel::<Asked>(QUEUE);
        let inside = Inside {
            listener,
            port: serving.port(),
            window: Duration::from_secs(serving.startup_seconds),
            news: tell,
            models: models.is_some().then_some(ask),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = closed => {}
                    () = inside.run() => {}
                }
            });
        };
        let thread = ns.start_thread("door", STACK, work).map_err(|e| {
            // Nobody listens there; the socket is swept if this fails.
            let _ = std::fs::remove_file(path);
            internal(chain(&e))
        })?;
        let models = models.map(|models| tokio::spawn(models.serve(asked)));
        let (path, open, thread) = (path.to_owned(), Some(open), Some(thread));
        Ok(Self { path, news, open, thread, models })
    }

    /// The next change of the container's health; `None` if the thread has ended by itself.
    pub(crate) async fn news(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // If it cannot be removed the sweep will meet it.
        let _ = std::fs::remove_file(&self.path);
        drop(self.open.take());
        if let Some(models) = &self.models {
            models.abort();
        }
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but events; one that panicked is gone as well.
            let _ = thread.join();
        }
    }
}

/// What the thread in the namespace does.
struct Inside {
    listener: UnixListener,
    port: u16,
    window: Duration,
    news: mpsc::Sender<News>,
    models: Option<mpsc::Sender<Asked>>,
}

impl Inside {
    /// Ends only if the socket cannot be used.
    async fn run(self) {
        let Ok(listener) = tokio::net::UnixListener::from_std(self.listener) else { return };
        let listening = listen::serve(listener, self.port, self.models);
        tokio::join!(listening, health::watch(self.port, self.window, self.news));
    }
}
