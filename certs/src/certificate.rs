//! What a leaf certificate says, read strictly: one URI name, one role, whole DER.
//!
//! The chain itself is verified by webpki; this module reads what webpki does not: it counts every
//! URI name (webpki skips those it finds malformed, which would hide a second one) and wants each
//! purpose to be written out (webpki lets a certificate without any purposes pass for all).

use std::sync::Arc;

use provost_protocol::{
    InstallId, Timestamp,
    sign::{PeerIdentity, StandingError},
    spiffe::SpiffeId,
};
use rustls::{CertificateError, OtherError};
use rustls_pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, prelude::FromDer};

use crate::crypto;

/// Why a peer's certificate was refused. In each case the holder of the certificate must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// Not a certificate, or one that contradicts itself.
    #[error("the certificate is malformed")]
    Malformed,
    /// Signed by nobody we trust.
    #[error("the certificate is not signed by our authority")]
    UnknownAuthority,
    /// The chain holds no certificate with the SHA-256 that the enrolment token names.
    #[error("the chain does not hold the root that the enrolment token names")]
    RootNotPinned,
    /// Outside its validity now.
    #[error("the certificate is outside its validity")]
    Expired,
    /// Its serial number is revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// A certificate authority's own certificate, used as a leaf.
    #[error("a certificate authority is not a peer")]
    Authority,
    /// Not meant for this side of a connection.
    #[error("the certificate is not for this purpose")]
    Purpose,
    /// No URI name at all.
    #[error("the certificate names nobody: it has no URI name")]
    Nameless,
    /// More than one URI name: which one would count?
    #[error("the certificate has more than one URI name")]
    ManyNames,
    /// A URI name that is none of ours.
    #[error("the certificate's name is none of this product")]
    ForeignName,
    /// A name of ours, of another installation.
    #[error("the certificate belongs to another installation")]
    OtherInstall,
    /// The kernel's name where a runtime's is due, or the other way round.
    #[error("the certificate's name has the wrong role")]
    WrongRole,
}

/// A leaf certificate, parsed. Nothing here says that it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) name: SpiffeId,
    pub(crate) serial: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) spki: Vec<u8>,
    purposes: Purposes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Purposes {
    client: bool,
    server: bool,
}

impl Leaf {
    /// Reads a certificate's DER.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, CertificateFault> {
        let (rest, certificate) = x509_parser::certificate::X509Certificate::from_der(der)
            .map_err(|_| CertificateFault::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateFault::Malformed);
        }
        let tbs = &certificate.tbs_certificate;
        let constraints = tbs
            .basic_constraints()
            .map_err(|_| CertificateFault::Malformed)?;
        if constraints.is_some_and(|extension| extension.value.ca) {
            return Err(CertificateFault::Authority);
        }
        let purposes = tbs
            .extended_key_usage()
            .map_err(|_| CertificateFault::Malformed)?
            .ok_or(CertificateFault::Purpose)?;
        Ok(Self {
            name: only_name(tbs)?,
            serial: serial_text(tbs.raw_serial()),
            not_before: timestamp(tbs.validity.not_before.timestamp()),
            not_after: timestamp(tbs.validity.not_after.timestamp()),
            spki: tbs.subject_pki.raw.to_vec(),
            purposes: Purposes {
                client: purposes.value.client_auth,
                server: purposes.value.server_auth,
            },
        })
    }

    /// Takes the leaf for a runtime of `install`, or says why it is none.
    pub(crate) fn as_runtime(&self, install: InstallId) -> Result<PeerIdentity, CertificateFault> {
        let SpiffeId::Runtime {
            install: named,
            tenant,
            runtime,
        } = self.name
        else {
            return Err(CertificateFault::WrongRole);
        };
        if named != install {
            return Err(CertificateFault::OtherInstall);
        }
        if !self.purposes.client {
            return Err(CertificateFault::Purpose);
        }
        Ok(PeerIdentity {
            tenant,
            runtime,
            serial: self.serial.clone(),
            key_sha256: self.key_sha256(),
            not_before: self.not_before,
            not_after: self.not_after,
            root_sha256: None,
        })
    }

    /// Takes the leaf for a kernel and says of which installation, or why it is none.
    pub(crate) fn as_kernel(&self) -> Result<InstallId, CertificateFault> {
        let SpiffeId::Kernel { install } = self.name else {
            return Err(CertificateFault::WrongRole);
        };
        if self.purposes.server {
            Ok(install)
        } else {
            Err(CertificateFault::Purpose)
        }
    }

    /// The installation that the name belongs to.
    pub(crate) const fn install(&self) -> InstallId {
        match self.name {
            SpiffeId::Kernel { install } | SpiffeId::Runtime { install, .. } => install,
        }
    }

    /// The SHA-256 of the public key's SPKI.
    pub(crate) fn key_sha256(&self) -> [u8; 32] {
        crypto::sha256(&self.spki)
    }
}

impl From<StandingError> for CertificateFault {
    fn from(error: StandingError) -> Self {
        match error {
            StandingError::Revoked => Self::Revoked,
            // The enum may grow; whatever it says, the certificate is good no longer.
            _ => Self::Expired,
        }
    }
}

/// Wraps a fault for rustls, so that it comes out of the handshake unchanged.
pub(crate) fn to_rustls(fault: CertificateFault) -> rustls::Error {
    let error = match fault {
        // rustls then sends the alert that says so.
        CertificateFault::Revoked => CertificateError::Revoked,
        CertificateFault::Expired => CertificateError::Expired,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    rustls::Error::InvalidCertificate(error)
}

/// What a certificate error of rustls means in our words; `None` for any other error.
pub(crate) fn from_rustls(error: &rustls::Error) -> Option<CertificateFault> {
    let rustls::Error::InvalidCertificate(error) = error else {
        return None;
    };
    Some(match error {
        CertificateError::Other(OtherError(other)) => match other.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => CertificateFault::Authority,
            _ => other
                .downcast_ref()
                .copied()
                .unwrap_or(CertificateFault::Malformed),
        },
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => CertificateFault::Expired,
        CertificateError::Revoked => CertificateFault::Revoked,
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            CertificateFault::UnknownAuthority
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            CertificateFault::Purpose
        }
        _ => CertificateFault::Malformed,
    })
}

/// Reads every certificate of a PEM text; anything else in it is an error.
pub(crate) fn certificates_in(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let blocks = pem::parse_many(pem).ok()?;
    let good = (1..=CHAIN_MAX).contains(&blocks.len())
        && blocks.iter().all(|block| block.tag() == "CERTIFICATE");
    good.then(|| {
        blocks
            .into_iter()
            .map(|block| block.into_contents().into())
            .collect()
    })
}

/// Writes a certificate in PEM.
pub(crate) fn to_pem(der: &CertificateDer<'_>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der.to_vec()), config)
}

fn only_name(
    tbs: &x509_parser::certificate::TbsCertificate<'_>,
) -> Result<SpiffeId, CertificateFault> {
    let names = tbs
        .subject_alternative_name()
        .map_err(|_| CertificateFault::Malformed)?
        .ok_or(CertificateFault::Nameless)?;
    let mut uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
    let only = uris.next().ok_or(CertificateFault::Nameless)?;
    if uris.next().is_some() {
        return Err(CertificateFault::ManyNames);
    }
    only.parse().map_err(|_| CertificateFault::ForeignName)
}

/// 32 hex digits, whatever zeros DER has dropped or put in front.
pub(crate) fn serial_text(raw: &[u8]) -> String {
    let digits = hex::encode(raw);
    format!("{:0>32}", digits.trim_start_matches('0'))
}

fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

/// A leaf, its root, and room for a few more roots in a trust bundle.
const CHAIN_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_has_one_spelling() {
        for raw in [&[0x00, 0xab][..], &[0xab], &[0x00, 0x00, 0xab]] {
            assert_eq!(serial_text(raw), format!("{}ab", "0".repeat(30)));
        }
        assert_eq!(serial_text(&[0x00, 0x0f]), format!("{}f", "0".repeat(31)));
    }

    #[test]
    fn every_fault_survives_the_way_through_rustls() {
        for fault in [
            CertificateFault::Expired,
            CertificateFault::Revoked,
            CertificateFault::ManyNames,
            CertificateFault::RootNotPinned,
        ] {
            assert_eq!(from_rustls(&to_rustls(fault)), Some(fault));
        }
        assert_eq!(from_rustls(&rustls::Error::DecryptError), None);
    }

    #[test]
    fn rubbish_is_malformed() {
        assert_eq!(Leaf::parse(b"rubbish"), Err(CertificateFault::Malformed));
        assert!(certificates_in("rubbish").is_none());
    }
}
