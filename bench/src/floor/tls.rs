//! Who a floor is: a certificate under a root of its own that names the kernel, so that the same
//! client connects to both; and bare rustls, set up as the daemon's port is.

use std::sync::Arc;

use provost_protocol::{InstallId, spiffe::SpiffeId};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use tokio_rustls::TlsAcceptor;

/// Who a floor is.
pub(super) struct Identity {
    config: Arc<ServerConfig>,
    root_pem: String,
}

impl Identity {
    /// Makes one for a server that takes clients of `clients_pem`.
    pub(super) fn new(install: InstallId, clients_pem: &str, alpn: &[u8]) -> anyhow::Result<Self> {
        let (chain, key, root_pem) = certificates(install)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(clients_pem.as_bytes()) {
            roots.add(root?)?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![alpn.to_vec()];
        // Resumption off, as the daemon has it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
            root_pem,
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    pub(super) fn root_pem(&self) -> &str {
        &self.root_pem
    }
}

type Certificates = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, String);

/// A root, and a leaf with the kernel's name; the chain holds both, as the kernel's does.
fn certificates(install: InstallId) -> anyhow::Result<Certificates> {
    let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut root = CertificateParams::default();
    root.distinguished_name = named("floor root");
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = root.self_signed(&root_key)?;
    let (root_der, root_pem) = (certificate.der().clone(), certificate.pem());
    let issuer = Issuer::new(root, root_key);

    let name = SpiffeId::Kernel { install }.to_string();
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name = named("floor");
    leaf.subject_alt_names = vec![SanType::URI(name.as_str().try_into()?)];
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let leaf = leaf.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((vec![leaf.der().clone(), root_der], key, root_pem))
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
