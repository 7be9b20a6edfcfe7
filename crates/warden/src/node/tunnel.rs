//! The service's S3, as a socket of this machine: what instances write into it arrives at the
//! service, through TLS. So an instance stages in the same way wherever it runs.

use belljar_domain::node::Ticket;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsConnector;

/// For a connection and its handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the kernel refused.
const PAUSE: Duration = Duration::from_millis(50);

/// Opens the socket (0600), in the place of one that a killed node left, and serves it.
pub(super) fn open(ticket: &Ticket, path: &Path) -> io::Result<()> {
    let connector = connector(ticket).map_err(io::Error::other)?;
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    tokio::spawn(serve(listener, connector, ticket.service));
    Ok(())
}

fn connector(ticket: &Ticket) -> Result<TlsConnector, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in
        rustls::pki_types::CertificateDer::pem_slice_iter(ticket.certificate.as_bytes())
    {
        roots.add(certificate?)?;
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn serve(listener: UnixListener, connector: TlsConnector, service: SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(carry(stream, connector.clone(), service));
            }
            Err(e) => {
                tracing::warn!(error = %e, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One connection. Where there is no service it is closed at once, and its client tries again.
async fn carry(mut stream: UnixStream, connector: TlsConnector, service: SocketAddr) {
    let reach = async {
        let tcp = TcpStream::connect(service).await?;
        let _ = tcp.set_nodelay(true);
        connector.connect(ServerName::try_from("localhost").map_err(io::Error::other)?, tcp).await
    };
    let carried = match tokio::time::timeout(CONNECT, reach).await {
        Ok(Ok(mut tls)) => copy_bidirectional(&mut stream, &mut tls).await.map(drop),
        Ok(Err(e)) => Err(e),
        Err(late) => Err(late.into()),
    };
    if let Err(e) = carried {
        tracing::debug!(error = %e, "a connection to the service ended");
    }
}
