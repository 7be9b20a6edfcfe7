//! TLS and plain HTTP on one port: the first byte of a connection tells them apart. Certificates
//! are made when somebody asks for a name, and kept in memory for a while.

use super::ca::{Authority, CaError};
use belljar_domain::aws_names::is_aws;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// First byte of a TLS connection: a handshake record (RFC 8446, 5.1). No HTTP method has it.
const HANDSHAKE: u8 = 22;
/// For a handshake, from its first byte on.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Certificates that are kept; when there are more, all are forgotten. Making one takes less than
/// a millisecond.
const MAX_KEPT: usize = 256;
/// How long one is handed out; it is valid for longer.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Speaks TLS where it is spoken to.
#[derive(Clone)]
pub(crate) struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A connection whose kind is known.
pub(crate) enum Kind<S> {
    /// As it is.
    Plain(Replay<S>),
    /// Within TLS.
    Tls(Box<TlsStream<Replay<S>>>),
}

impl Tls {
    /// Opens the certificate authority in a service's folder, or makes it.
    ///
    /// # Errors
    /// If it can neither be read nor made.
    pub(crate) fn open(service: &Path) -> Result<Self, CaError> {
        let authority = Authority::open(service)?;
        let key = KeyPair::generate()?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = ring::sign::any_ecdsa_type(&der)?;
        let certificates = Certificates { authority, key, signer, kept: Mutex::default() };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Waits at most `first` for a connection's first byte, and for a handshake if there is one.
    ///
    /// # Errors
    /// If nothing comes in time, or the handshake fails.
    pub(super) async fn accept<S>(&self, mut stream: S, first: Duration) -> io::Result<Kind<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let byte = tokio::time::timeout(first, stream.read_u8()).await??;
        let stream = Replay::new(Some(byte), stream);
        if byte != HANDSHAKE {
            return Ok(Kind::Plain(stream));
        }
        let shaking = self.0.accept(stream);
        Ok(Kind::Tls(Box::new(tokio::time::timeout(HANDSHAKE_TIME, shaking).await??)))
    }
}

/// Makes certificates for those who ask.
struct Certificates {
    authority: Authority,
    /// One for all certificates of this process.
    key: KeyPair,
    signer: Arc<dyn SigningKey>,
    kept: Mutex<HashMap<String, (Instant, Arc<CertifiedKey>)>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Who gives no name has called an address.
        let name = hello.server_name().unwrap_or("localhost").to_ascii_lowercase();
        self.find(name)
    }
}

impl Certificates {
    fn find(&self, name: String) -> Option<Arc<CertifiedKey>> {
        if name != "localhost" && !is_aws(&name) {
            return None;
        }
        let mut kept = self.kept.lock().ok()?;
        if let Some((made, certificate)) = kept.get(&name)
            && made.elapsed() < KEPT_FOR
        {
            return Some(Arc::clone(certificate));
        }
        let made = match self.authority.certificate_for(&name, &self.key) {
            Ok(certificate) => CertifiedKey::new(vec![certificate], Arc::clone(&self.signer)),
            Err(e) => {
                tracing::warn!(error = %e, "no certificate could be made");
                return None;
            }
        };
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        let made = Arc::new(made);
        kept.insert(name, (Instant::now(), Arc::clone(&made)));
        Some(made)
    }
}

/// A stream whose first byte was read already.
#[derive(Debug)]
pub(crate) struct Replay<S> {
    byte: Option<u8>,
    stream: S,
}

impl<S> Replay<S> {
    /// A stream, and the byte that was read of it.
    pub(super) const fn new(byte: Option<u8>, stream: S) -> Self {
        Self { byte, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replay<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(byte) = self.byte.take()
        {
            buffer.put_slice(&[byte]);
            // What else is there already comes along.
            if let Poll::Ready(Err(e)) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
                return Poll::Ready(Err(e));
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replay<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
