use super::*;
use crate::service::ca::certificate_path;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

const FIRST: Duration = Duration::from_secs(5);

/// A state folder with a service's folder, and its TLS.
fn opened() -> (tempfile::TempDir, Tls) {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::open(&dir.path().join("service")).unwrap();
    (dir, tls)
}

/// A client that trusts the authority of a state folder, and no other.
fn client(state: &Path) -> TlsConnector {
    let pem = std::fs::read(certificate_path(state)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// What a client at `name` hears of a server that repeats what it is told.
async fn ask(state: &Path, tls: &Tls, name: &'static str) -> io::Result<String> {
    let (near, far) = tokio::io::duplex(16 << 10);
    let tls = tls.clone();
    let server = tokio::spawn(async move {
        let Kind::Tls(mut stream) = tls.accept(far, FIRST).await? else {
            return Err(io::Error::other("not TLS"));
        };
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await?;
        stream.write_all(&heard).await?;
        stream.shutdown().await
    });
    let name = ServerName::try_from(name).unwrap();
    let mut stream = client(state).connect(name, near).await?;
    stream.write_all(b"hello").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    server.await.unwrap()?;
    Ok(answer)
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_reaches_every_name_of_aws() {
    let (state, tls) = opened();
    for name in [
        "sts.us-east-1.amazonaws.com",
        "my.bucket.s3.us-east-1.amazonaws.com",
        "localhost",
        "127.0.0.1",
        "::1",
    ] {
        assert_eq!(ask(state.path(), &tls, name).await.unwrap(), "hello", "{name}");
    }
}

#[tokio::test]
async fn no_other_name_is_vouched_for() {
    let (state, tls) = opened();
    for name in ["example.com", "amazonaws.com.example.com", "192.0.2.1"] {
        assert!(ask(state.path(), &tls, name).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let ((_state, tls), (other, _)) = (opened(), opened());
    let error = ask(other.path(), &tls, "sts.us-east-1.amazonaws.com").await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn plain_http_is_left_as_it_is() {
    let (_state, tls) = opened();
    let (mut near, far) = tokio::io::duplex(64);
    near.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let Kind::Plain(mut stream) = tls.accept(far, FIRST).await.unwrap() else {
        panic!("taken for TLS")
    };
    let mut heard = [0; 16];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"GET / HTTP/1.1\r\n");
    stream.write_all(b"HTTP/1.1 200 OK").await.unwrap();
    drop(stream);
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn silence_and_half_a_handshake_end() {
    let (_state, tls) = opened();
    let (near, far) = tokio::io::duplex(64);
    assert!(tls.accept(far, Duration::from_millis(5)).await.is_err());
    drop(near);
    let (mut near, far) = tokio::io::duplex(64);
    near.write_all(&[HANDSHAKE, 3, 1]).await.unwrap();
    drop(near);
    assert!(tls.accept(far, FIRST).await.is_err());
}

#[test]
fn what_is_kept_is_bounded() {
    let (state, _) = opened();
    let authority = Authority::open(&state.path().join("service")).unwrap();
    let key = KeyPair::generate().unwrap();
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = ring::sign::any_ecdsa_type(&der).unwrap();
    let all = Certificates { authority, key, signer, kept: Mutex::default() };
    let first = all.find("b0.s3.amazonaws.com".into()).unwrap();
    let again = all.find("b0.s3.amazonaws.com".into()).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    for n in 0..MAX_KEPT + 10 {
        all.find(format!("b{n}.s3.amazonaws.com")).unwrap();
    }
    assert!(all.kept.lock().unwrap().len() <= MAX_KEPT);
    assert!(all.find("example.com".into()).is_none());
}
