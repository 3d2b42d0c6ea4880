//! An installation, its acceptor on a free port, and certificates good and bad.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use provost_certs::{
    AcceptError, Accepted, Acceptor, AcceptorSettings, Alpn, Authority, Certificates, CheckedCsr,
    RUNTIME_TTL_MS, RuntimeTls, TlsKey, TlsPair, TrustBundle,
};
use provost_protocol::{InstallId, RuntimeId, TenantId, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

pub(crate) const INSTALL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
pub(crate) const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
/// Long enough for two busy cores; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type RawStream = tokio_rustls::client::TlsStream<TcpStream>;

/// One installation that accepts connections.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) authority: Arc<Authority>,
    pub(crate) standing: Arc<Certificates>,
    pub(crate) acceptor: Acceptor,
    pub(crate) listener: TcpListener,
    pub(crate) addr: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_deadline(PATIENCE).await
    }

    pub(crate) async fn with_deadline(handshake_deadline: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), INSTALL.parse().unwrap(), now()).unwrap();
        let authority = Arc::new(authority);
        let standing = Arc::new(Certificates::new());
        let settings = AcceptorSettings {
            authority: Arc::clone(&authority),
            names: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
            standing: Arc::clone(&standing) as _,
            handshake_deadline,
        };
        let acceptor = Acceptor::new(settings, now()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        Self {
            folder,
            authority,
            standing,
            acceptor,
            listener,
            addr,
        }
    }

    pub(crate) fn install(&self) -> InstallId {
        self.authority.install()
    }

    /// Accepts the next connection.
    pub(crate) async fn accept(&self) -> Result<Accepted, AcceptError> {
        let (tcp, _) = self.listener.accept().await.unwrap();
        self.acceptor.accept(tcp).await
    }

    /// A runtime's pair, issued as the kernel issues it.
    pub(crate) fn pair(&self) -> TlsPair {
        issue(&self.authority, now(), RUNTIME_TTL_MS)
    }

    pub(crate) fn runtime_tls(&self, pair: &TlsPair) -> RuntimeTls {
        let trust = TrustBundle::from_pem(&self.authority.root_pem()).unwrap();
        RuntimeTls::new(&trust, self.install(), pair, Alpn::Provost1).unwrap()
    }

    /// A certificate with any names and purposes, signed by this installation's key.
    pub(crate) fn forge(&self, uris: &[String], purposes: &[ExtendedKeyUsagePurpose]) -> Forged {
        forge(self.folder.path(), uris, purposes)
    }

    /// A client that believes our root and shows any certificate, or none; no rule of ours helps
    /// or hinders it.
    pub(crate) fn raw_client(&self, shown: Option<&Forged>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.root_pem().as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        match shown {
            Some(forged) => builder
                .with_client_auth_cert(forged.chain(), forged.key.clone_key())
                .unwrap(),
            None => builder.with_no_client_auth(),
        }
    }

    pub(crate) async fn raw_connect(&self, config: ClientConfig) -> std::io::Result<RawStream> {
        raw_connect(&Arc::new(config), &self.addr).await
    }
}

pub(crate) async fn raw_connect(
    config: &Arc<ClientConfig>,
    addr: &str,
) -> std::io::Result<RawStream> {
    let tcp = TcpStream::connect(addr).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, tcp)
        .await
}

/// A certificate that no code of ours would issue.
pub(crate) struct Forged {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// What stands between it and the root.
    pub(crate) between: Option<CertificateDer<'static>>,
}

impl Forged {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        std::iter::once(&self.der)
            .chain(&self.between)
            .cloned()
            .collect()
    }
}

/// Signs with the CA key that lies in `folder`.
pub(crate) fn forge(
    folder: &Path,
    uris: &[String],
    purposes: &[ExtendedKeyUsagePurpose],
) -> Forged {
    forged_by(&root_in(folder), uris, purposes)
}

/// Signs with an authority of its own, which the CA key that lies in `folder` has signed.
pub(crate) fn forge_below(
    folder: &Path,
    uris: &[String],
    purposes: &[ExtendedKeyUsagePurpose],
) -> Forged {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "between");
    let between = params.signed_by(&key, &root_in(folder)).unwrap();
    let der = between.der().clone();
    let issuer = Issuer::from_ca_cert_der(&der, key).unwrap();
    Forged {
        between: Some(der.clone()),
        ..forged_by(&issuer, uris, purposes)
    }
}

fn root_in(folder: &Path) -> Issuer<'static, KeyPair> {
    let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
    let ca_key = KeyPair::from_pem(&read("ca.key")).unwrap();
    Issuer::from_ca_cert_pem(&read("root.pem"), ca_key).unwrap()
}

fn forged_by(
    issuer: &Issuer<'_, KeyPair>,
    uris: &[String],
    purposes: &[ExtendedKeyUsagePurpose],
) -> Forged {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    for uri in uris {
        params
            .subject_alt_names
            .push(SanType::URI(uri.as_str().try_into().unwrap()));
    }
    params.extended_key_usages = purposes.to_vec();
    let der = params.signed_by(&key, issuer).unwrap().der().clone();
    Forged {
        der,
        between: None,
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    }
}

pub(crate) fn issue(authority: &Authority, now: Timestamp, ttl_ms: u64) -> TlsPair {
    let key = TlsKey::generate().unwrap();
    let csr = CheckedCsr::from_pem(&key.request_pem().unwrap()).unwrap();
    let issued = authority
        .issue_runtime(&csr, subject(), now, ttl_ms)
        .unwrap();
    TlsPair::new(key, issued.pem).unwrap()
}

/// The pair as a client without our rules shows it.
pub(crate) fn shown(pair: &TlsPair) -> Forged {
    let key = pair.key().to_pem();
    Forged {
        between: None,
        der: CertificateDer::from_pem_slice(pair.certificate_pem().as_bytes()).unwrap(),
        key: PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).unwrap(),
    }
}

pub(crate) fn subject() -> (TenantId, RuntimeId) {
    (INSTALL.parse().unwrap(), OTHER.parse().unwrap())
}

pub(crate) fn runtime_name(install: &str) -> String {
    format!("spiffe://{install}/tenant/{INSTALL}/runtime/{OTHER}")
}

pub(crate) fn kernel_name(install: &str) -> String {
    format!("spiffe://{install}/kernel")
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// rustls checks certificates against the machine's clock, so these tests begin there too.
pub(crate) fn now() -> Timestamp {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap())
}
