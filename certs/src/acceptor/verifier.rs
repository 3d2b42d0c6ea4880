//! Verifies a client certificate: webpki the chain, we the name, `Standing` the serial number.

use std::sync::Arc;

use provost_protocol::{InstallId, Timestamp, sign::Standing};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate::{self, CertificateFault, Leaf};

/// Takes a runtime of our installation, or nobody at all.
#[derive(Debug)]
pub(super) struct RuntimeVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    install: InstallId,
    standing: Arc<dyn Standing>,
}

impl RuntimeVerifier {
    /// Takes runtimes of `install` whose certificates one of the roots has signed.
    pub(super) fn new(
        (trusted, install): (&[CertificateDer<'static>], InstallId),
        standing: Arc<dyn Standing>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for root in trusted {
            roots.add(root.clone())?;
        }
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self {
            chain,
            install,
            standing,
        })
    }

    fn check(&self, der: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateFault> {
        let peer = Leaf::parse(der)?.as_runtime(self.install)?;
        let millis = i64::try_from(now.as_secs())
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        self.standing.check(&peer, Timestamp::from_millis(millis))?;
        Ok(())
    }
}

impl ClientCertVerifier for RuntimeVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // A root signs runtimes itself. What stands between is no work of ours, and would outlive
        // the root: it is not looked at.
        self.chain.verify_client_cert(end_entity, &[], now)?;
        self.check(end_entity, now)
            .map_err(certificate::to_rustls)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
