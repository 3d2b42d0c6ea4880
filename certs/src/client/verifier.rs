//! Verifies the kernel: webpki the chain to our root, we the name.

use std::{borrow::Cow, sync::Arc};

use provost_protocol::InstallId;
use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{
    certificate::{self, CertificateFault, Leaf},
    crypto::sha256,
};

/// What a client believes.
#[derive(Debug)]
pub(super) enum Trust {
    /// These roots, and the kernel of this installation.
    Roots {
        /// The trust bundle.
        roots: Arc<RootCertStore>,
        /// Whose kernel it must be.
        install: InstallId,
    },
    /// The one root with this hash, and any kernel that it vouches for: the token says no more.
    Pinned {
        /// SHA-256 of the root's DER.
        root_sha256: [u8; 32],
    },
}

/// Takes the kernel, and nobody else of the same authority.
#[derive(Debug)]
pub(super) struct KernelVerifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl KernelVerifier {
    pub(super) fn new(trust: Trust, provider: &CryptoProvider) -> Self {
        Self {
            trust,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn roots(
        &self,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<Cow<'_, RootCertStore>, CertificateFault> {
        match &self.trust {
            Trust::Roots { roots, .. } => Ok(Cow::Borrowed(roots)),
            Trust::Pinned { root_sha256 } => {
                let root = pinned(intermediates, root_sha256)?;
                let mut roots = RootCertStore::empty();
                roots.add(root).map_err(|_| CertificateFault::Malformed)?;
                Ok(Cow::Owned(roots))
            }
        }
    }

    fn check_name(&self, end_entity: &CertificateDer<'_>) -> Result<(), CertificateFault> {
        let named = Leaf::parse(end_entity)?.as_kernel()?;
        match &self.trust {
            Trust::Roots { install, .. } if named != *install => {
                Err(CertificateFault::OtherInstall)
            }
            Trust::Roots { .. } | Trust::Pinned { .. } => Ok(()),
        }
    }
}

impl ServerCertVerifier for KernelVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let roots = self.roots(intermediates).map_err(certificate::to_rustls)?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        self.check_name(end_entity)
            .map_err(certificate::to_rustls)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Finds the root with this hash among what the server sent after its leaf.
pub(super) fn pinned(
    chain: &[CertificateDer<'_>],
    root_sha256: &[u8; 32],
) -> Result<CertificateDer<'static>, CertificateFault> {
    let found = chain.iter().find(|der| sha256(der) == *root_sha256);
    found
        .map(|der| der.clone().into_owned())
        .ok_or(CertificateFault::RootNotPinned)
}
