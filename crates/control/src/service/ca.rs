//! The certificate authority of a state folder: it lets commands in `belljar exec` call
//! `https://sts.us-east-1.amazonaws.com` and reach this service.
//!
//! **Invariant**: its certificate says that it can vouch for AWS's names and this machine's own
//! and for nothing else (X.509 name constraints, critical), so that whoever trusts it, or steals
//! its key, has nothing to use against any other host. And nobody trusts it but commands in a
//! bell jar, where AWS cannot be reached.

use belljar_domain::aws_names::SUFFIXES;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Its folder, in the service's.
const FOLDER: &str = "ca";
const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";
const NAME: &str = "Belljar: AWS's names inside belljar exec, and no other";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is valid.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// It is made anew when it is older, at the service's next start.
const RENEW_AFTER: Duration = Duration::from_secs(8 * 365 * 24 * 60 * 60);
/// How long a certificate is valid, beside a day before it was made (clocks differ).
const LEAF_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Bytes of a file that are read.
const MAX_FILE: u64 = 64 << 10;

/// Why there is no certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file or folder.
    #[error("cannot keep the certificate authority in {}", .path.display())]
    File {
        /// It.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Making a certificate.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// Making it fit for TLS.
    #[error("cannot prepare TLS")]
    Tls(#[from] rustls::Error),
    /// The kernel gave no random numbers.
    #[error("cannot draw a random number")]
    Random,
}

/// Where the certificate is that commands are to trust.
#[must_use]
pub fn certificate_path(state: &Path) -> PathBuf {
    state.join("service").join(FOLDER).join(CERTIFICATE)
}

/// The authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    random: SystemRandom,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens that of a service's folder; makes one if there is none, or none that will do.
    pub(super) fn open(service: &Path) -> Result<Self, CaError> {
        let folder = service.join(FOLDER);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| CaError::File { path: folder.clone(), source })?;
        match Self::load(&folder) {
            Some(authority) => Ok(authority),
            None => Self::make(&folder),
        }
    }

    /// `None` unless certificates made with the key are what somebody who trusts the certificate
    /// accepts, for every name, now and for a good while.
    fn load(folder: &Path) -> Option<Self> {
        let path = folder.join(CERTIFICATE);
        let age = fs::metadata(&path).ok()?.modified().ok()?.elapsed().unwrap_or_default();
        let certificate = CertificateDer::from_pem_slice(&read(&path).ok()?).ok()?;
        let key = String::from_utf8(read(&folder.join(KEY)).ok()?).ok()?;
        let issuer = Issuer::new(params(), KeyPair::from_pem(&key).ok()?);
        let authority = Self { issuer, random: SystemRandom::new() };
        let will_do = age < RENEW_AFTER && authority.is_trusted_by(&certificate);
        will_do.then_some(authority)
    }

    fn is_trusted_by(&self, certificate: &CertificateDer<'static>) -> bool {
        let names = SUFFIXES.map(|suffix| format!("x.{suffix}"));
        names
            .iter()
            .map(String::as_str)
            .chain(["localhost"])
            .all(|name| self.certificate(name).is_ok_and(|leaf| trusts(certificate, &leaf, name)))
    }

    /// The key comes first: where there is a certificate there is its key.
    fn make(folder: &Path) -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let random = SystemRandom::new();
        let now = SystemTime::now();
        let mut params = params();
        params.serial_number = Some(serial(&random)?);
        params.not_before = (now - DAY).into();
        params.not_after = (now + AUTHORITY_LIFE).into();
        let certificate = params.self_signed(&key)?;
        keep(folder, KEY, &key.serialize_pem(), 0o600)?;
        keep(folder, CERTIFICATE, &certificate.pem(), 0o644)?;
        Ok(Self { issuer: Issuer::new(params, key), random })
    }

    /// A certificate for a host name; `localhost` stands for the loopback addresses too. Whether
    /// it is a name to vouch for is the caller's to know; a client refuses any other.
    pub(super) fn certificate_for(
        &self,
        name: &str,
        key: &KeyPair,
    ) -> Result<CertificateDer<'static>, CaError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        if name == "localhost" {
            let own = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            params.subject_alt_names.extend(own.map(SanType::IpAddress));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial(&self.random)?);
        let now = SystemTime::now();
        params.not_before = (now - DAY).into();
        params.not_after = (now + LEAF_LIFE).into();
        Ok(params.signed_by(key, &self.issuer)?.into())
    }

    fn certificate(&self, name: &str) -> Result<CertificateDer<'static>, CaError> {
        self.certificate_for(name, &KeyPair::generate()?)
    }
}

/// What does not differ from one authority to the next.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let names = SUFFIXES.into_iter().chain(["localhost"]);
    let mut permitted: Vec<GeneralSubtree> =
        names.map(|name| GeneralSubtree::DnsName(name.to_owned())).collect();
    let own = [(IpAddr::from([127, 0, 0, 0]), 8), (Ipv6Addr::LOCALHOST.into(), 128)];
    permitted.extend(
        own.map(|(ip, bits)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(ip, bits))),
    );
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() });
    params
}

fn serial(random: &SystemRandom) -> Result<SerialNumber, CaError> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes).map_err(|_| CaError::Random)?;
    // Positive, and without a leading zero (RFC 5280, 4.1.2.2).
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Whether somebody who trusts this authority, and no other, accepts a certificate.
fn trusts(authority: &CertificateDer<'static>, leaf: &CertificateDer<'_>, name: &str) -> bool {
    let mut roots = RootCertStore::empty();
    let Ok(name) = ServerName::try_from(name) else { return false };
    if roots.add(authority.clone()).is_err() {
        return false;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.is_ok_and(|v| v.verify_server_cert(leaf, &[], &name, &[], UnixTime::now()).is_ok())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, MAX_FILE), &mut bytes)?;
    Ok(bytes)
}

/// Writes beside the final name, syncs, renames.
fn keep(folder: &Path, name: &str, text: &str, mode: u32) -> Result<(), CaError> {
    let path = folder.join(name);
    let write = || -> io::Result<()> {
        let mut temporary = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
        temporary.as_file().sync_all()?;
        temporary.persist(&path).map_err(|e| e.error)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|source| CaError::File { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(folder: &Path) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(&read(&folder.join("ca/ca.pem")).unwrap()).unwrap()
    }

    #[test]
    fn wardens_know_where_the_certificate_is() {
        let state = Path::new("/s");
        assert_eq!(certificate_path(state), state.join(belljar_domain::fabric::AUTHORITY));
        let socket = state.join("service").join(crate::service::SOCKET);
        assert_eq!(socket, state.join(belljar_domain::fabric::SERVICE_SOCKET));
    }

    #[test]
    fn it_vouches_for_aws_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let root = certificate(dir.path());
        let accepted = |name: &str| trusts(&root, &authority.certificate(name).unwrap(), name);
        for name in [
            "sts.us-east-1.amazonaws.com",
            "a.dotted.bucket.s3.eu-west-1.amazonaws.com",
            "sts.cn-north-1.amazonaws.com.cn",
            "sagemaker.us-east-1.api.aws",
            "localhost",
        ] {
            assert!(accepted(name), "{name}");
        }
        for name in ["example.com", "amazonaws.com.example.com", "notamazonaws.com", "amazon.com"] {
            assert!(!accepted(name), "{name}");
        }
        let own = authority.certificate("localhost").unwrap();
        assert!(trusts(&root, &own, "127.0.0.1") && trusts(&root, &own, "::1"));
    }

    #[test]
    fn addresses_elsewhere_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::from([192, 0, 2, 1])));
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &authority.issuer).unwrap();
        assert!(!trusts(&certificate(dir.path()), leaf.der(), "192.0.2.1"));
    }

    #[test]
    fn it_stays_the_same_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        Authority::open(dir.path()).unwrap();
        let first = certificate(dir.path());
        Authority::open(dir.path()).unwrap();
        assert_eq!(certificate(dir.path()), first);
        let mode =
            |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("ca"), mode("ca/ca.key"), mode("ca/ca.pem")), (0o700, 0o600, 0o644));
        assert_eq!(fs::read_dir(dir.path().join("ca")).unwrap().count(), 2);
    }

    /// A service can be killed between any two files; a file can be half there or another's.
    #[test]
    fn what_does_not_belong_together_is_made_anew() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Authority::open(other.path()).unwrap();
        for name in ["ca.key", "ca.pem"] {
            let path = dir.path().join("ca").join(name);
            for damage in 0..3 {
                Authority::open(dir.path()).unwrap();
                let before = certificate(dir.path());
                match damage {
                    0 => fs::remove_file(&path).unwrap(),
                    1 => fs::write(&path, "half a").unwrap(),
                    _ => drop(fs::copy(other.path().join("ca").join(name), &path).unwrap()),
                }
                let authority = Authority::open(dir.path()).unwrap();
                assert_ne!(certificate(dir.path()), before, "{name} {damage}");
                assert!(authority.is_trusted_by(&certificate(dir.path())));
            }
        }
    }
}
