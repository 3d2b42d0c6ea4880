//! What stands in a certificate: names, the root's own contents, times.

use std::{net::IpAddr, str::FromStr};

use provost_protocol::{InstallId, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose, SanType,
    SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::prelude::FromDer;

use super::{AuthorityError, BACKDATE_MS, SERIAL_BYTES};
use crate::crypto;

/// What a root certificate of ours says.
pub(super) struct RootFacts {
    pub(super) install: InstallId,
    pub(super) spki: Vec<u8>,
    pub(super) not_after: Timestamp,
}

impl RootFacts {
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let (_, root) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
        let common_name = root.subject().iter_common_name().next()?.as_str().ok()?;
        let install = common_name.strip_prefix(ROOT_NAME)?.parse().ok()?;
        let end = root.validity.not_after.timestamp().saturating_mul(1000);
        let not_after = Timestamp::from_millis(end);
        root.is_ca().then(|| Self {
            install,
            spki: root.subject_pki.raw.to_vec(),
            not_after,
        })
    }
}

pub(super) fn root_params(
    install: InstallId,
    now: Timestamp,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common(&format!("{ROOT_NAME}{install}"));
    params.subject_alt_names = vec![uri(&format!("spiffe://{install}"))?];
    let serial = crypto::random::<SERIAL_BYTES>()?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = calendar(now.minus_millis(BACKDATE_MS));
    params.not_after = calendar(now.plus_millis(ROOT_TTL_MS));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

pub(super) fn common(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

pub(super) fn uri(text: &str) -> Result<SanType, AuthorityError> {
    Ok(SanType::URI(
        text.try_into().map_err(AuthorityError::Signing)?,
    ))
}

pub(super) fn network_name(name: &str) -> Result<SanType, AuthorityError> {
    if let Ok(ip) = IpAddr::from_str(name) {
        return Ok(SanType::IpAddress(ip));
    }
    let refused = || AuthorityError::Name {
        name: name.to_owned(),
    };
    rustls_pki_types::DnsName::try_from(name).map_err(|_| refused())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| refused())?))
}

/// Certificates count whole seconds.
pub(super) fn calendar(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_millis().div_euclid(1000))
        .expect("a Timestamp lies between the years 0 and 9999")
}

pub(super) fn whole_second(time: OffsetDateTime) -> Timestamp {
    Timestamp::from_millis(time.unix_timestamp() * 1000)
}

/// Ten years: the root is replaced by a rotation, not by running out.
pub(super) const ROOT_TTL_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// The install id follows; [`Authority::open`] reads it back.
const ROOT_NAME: &str = "provost root ";
