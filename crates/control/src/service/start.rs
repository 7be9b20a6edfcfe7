//! From settings to a running service, and to its end.

use super::front::{self, Sockets};
use super::tls::Tls;
use super::{Address, Config, Service, ServiceError, address, upkeep};
use crate::api::runtime::asynchronous::queue;
use crate::api::s3::{self, FindKey, S3};
use crate::fabric::{self, Fabric};
use crate::network::{Networks, flow_logs};
use crate::nodes::Nodes;
use crate::serving::Table;
use crate::{reconcile, state};
use belljar_store::objects::Objects;
use belljar_store::{State, StoreError, identity};
use std::fs::{File, Permissions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// The unix socket, in the service's folder.
pub(crate) const SOCKET: &str = "socket";

/// A service that listens.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where it is.
    pub address: Address,
    /// A role that training jobs can name.
    pub role_arn: String,
    /// Whether its first access key was made just now.
    pub first_start: bool,
}

/// Runs a service until `stop` is ready; requests that are being answered are finished, and jobs
/// that run go on. `ready` is called once, when it listens.
///
/// # Errors
/// If the state is another service's or broken, or the address cannot be had.
pub async fn run(
    mut config: Config,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&Ready),
) -> Result<(), ServiceError> {
    config.state = state::State::open(&config.state)?.path().to_owned();
    let state = State::open(&config.state)?;
    // That of a service that was killed: nobody is to be led there while this one is not yet ready.
    address::remove(&config.state);
    let made = identities(&config, &state).await?;
    let tcp = listen(config.listen)?;
    let endpoint = endpoint(tcp.local_addr().unwrap_or(config.listen));
    let sockets = Sockets { tcp, unix: listen_unix(state.folder())? };
    let tls = Tls::open(state.folder())?;
    let state = Arc::new(state);
    let objects = Objects::open(&state.folder().join("objects"))?;
    let s3 = s3(&config, &state, objects.clone());
    let network = Networks::open(&state, &config).await?;
    let service = Arc::new(Service {
        config,
        state,
        s3,
        objects,
        wanted: Notify::new(),
        asked: Notify::new(),
        network,
        fabric: Fabric::default(),
        flow_logs: Default::default(),
        nodes: Nodes::default(),
        endpoints: Table::default(),
        tls,
    });
    let ready_at = Ready {
        address: Address {
            endpoint,
            pid: std::process::id(),
            region: service.config.region.clone(),
            account: service.config.account.clone(),
            s3_endpoint: service.config.outside_s3.as_ref().map(|s3| s3.endpoint.clone()),
        },
        role_arn: format!(
            "arn:aws:iam::{}:role/{}",
            service.config.account,
            identity::DEFAULT_ROLE
        ),
        first_start: made.new,
    };
    let ((stopping, stopped), (leaving, left)) = (watch::channel(false), watch::channel(false));
    let reconciler = reconcile::Reconciler::new(service.clone());
    let threads = front::start(&service, &sockets, &stopped)?;
    drop(sockets);
    let reconciler = tokio::spawn(reconcile::run(reconciler, stopped.clone()));
    let fabric = tokio::spawn(fabric::run(service.clone(), left));
    let records = tokio::spawn(flow_logs::run(service.clone(), stopped.clone()));
    let queue = tokio::spawn(queue::run(service.clone(), stopped));
    address::write(&service.config.state, &ready_at.address)?;
    ready(&ready_at);
    tokio::select! {
        () = stop => {}
        never = upkeep::keep(&service) => match never {},
    }
    address::remove(&service.config.state);
    // Threads that are gone need no telling.
    let _ = stopping.send(true);
    let joined = tokio::task::spawn_blocking(move || {
        threads.into_iter().for_each(|thread| {
            // A panic was told by the panic hook.
            let _ = thread.join();
        });
    });
    let _ = joined.await;
    let _ = tokio::join!(reconciler, queue, records);
    // The fabric last: it may end now, and its last records are fetched.
    let _ = leaving.send(true);
    let _ = fabric.await;
    let _ = std::fs::remove_file(service.state.folder().join(SOCKET));
    Ok(())
}

/// Makes the first key and role, and forgets the keys that are over.
async fn identities(config: &Config, state: &State) -> Result<identity::Made, StoreError> {
    let (account, now) = (config.account.clone(), (config.now)());
    let made = state.db().write(move |c| {
        let made = identity::ensure_root(c, &account, now)?;
        identity::expire_keys(c, now)?;
        // A key can be there before the first start (`belljar keys create`), a role cannot.
        if identity::list_roles(c, "/", "", 1)?.is_empty() {
            identity::ensure_default(c, &account, now)?;
        }
        Ok::<_, StoreError>(made)
    });
    made.await
}

/// The own S3, for all who have a key.
fn s3(config: &Config, state: &Arc<State>, objects: Objects) -> S3 {
    let keys = state.clone();
    let find: FindKey = Arc::new(move |id| keys.db().read(|c| identity::find_key(c, id)));
    let settings = s3::Config {
        region: config.region.clone(),
        account: config.account.clone(),
        hosts: Vec::new(),
    };
    s3::service(objects, find, settings)
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServiceError> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| ServiceError::Listen { address, source })
}

/// What clients are told: an address that can be called, also where every one is listened on.
fn endpoint(mut address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(a) if a.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(a) if a.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

/// Makes the unix socket (0600), in the place of one that a killed service left. The folder is
/// named by its descriptor: a socket's path is short, and a state folder's may be long.
fn listen_unix(folder: &Path) -> Result<UnixListener, ServiceError> {
    let path = folder.join(SOCKET);
    let bind = || -> io::Result<UnixListener> {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let held = File::open(folder)?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", held.as_raw_fd());
        let listener = UnixListener::bind(short)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| ServiceError::Socket { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_an_address_that_can_be_called() {
        let of = |text: &str| endpoint(text.parse().unwrap());
        assert_eq!(of("127.0.0.1:1"), "http://127.0.0.1:1");
        assert_eq!(of("0.0.0.0:1"), "http://127.0.0.1:1");
        assert_eq!(of("[::]:1"), "http://[::1]:1");
    }

    #[test]
    fn the_socket_is_private_and_replaces_a_dead_one_whatever_the_paths_length() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("x".repeat(120));
        std::fs::create_dir(&folder).unwrap();
        for _ in 0..2 {
            drop(listen_unix(&folder).unwrap());
            let mode = std::fs::metadata(folder.join(SOCKET)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
