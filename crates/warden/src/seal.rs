//! The seal, read back.

use belljar_domain::SealReading;
use belljar_linux::reading;
use belljar_linux::reading::{Namespaces, ProcessReading};
use belljar_linux::seal_net::SealedNet;

/// What the kernel says of the container's first process and of its network, and how many packets
/// it has recorded.
pub(crate) async fn read(
    pid: i32,
    net: &SealedNet,
    host: &Namespaces,
) -> belljar_linux::Result<(SealReading, u64)> {
    let net = net.read().await?;
    let process: ProcessReading = reading::read(pid)?;
    let shared =
        |(kind, inode): (&String, &u64)| (host.get(kind) == Some(inode)).then(|| kind.clone());
    let seal = SealReading {
        interfaces: net.interfaces,
        addresses: net.addresses,
        routes: net.routes,
        rules: net.rules,
        shared_with_host: process.namespaces.iter().filter_map(shared).collect(),
        namespaces: process.namespaces,
        capabilities: process.capabilities,
        no_new_privileges: process.no_new_privileges,
        seccomp_mode: process.seccomp_mode,
        seccomp_filters: process.seccomp_filters,
        uid_map: process.uid_map,
        mounts: process.mounts,
    };
    Ok((seal, net.recorded))
}
