//! The authority as the rest of the house sees it: a request goes in, a certificate comes out.

use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    certificate::CSR_DER_MAX,
    sign::{CertificateIssuer, IssueError, Issued},
};

use crate::{
    authority::{Authority, AuthorityError, CheckedCsr, CsrError, IssuedCertificate},
    roots::Roots,
};

impl CertificateIssuer for Authority {
    fn requested_key(&self, csr: &[u8]) -> Result<[u8; 32], IssueError> {
        checked(csr).map(|csr| *csr.key_sha256())
    }

    fn issue(
        &self,
        csr: &[u8],
        whom: (TenantId, RuntimeId),
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Issued, IssueError> {
        issued(self.issue_runtime(&checked(csr)?, whom, now, ttl_ms))
    }
}

impl CertificateIssuer for Roots {
    fn requested_key(&self, csr: &[u8]) -> Result<[u8; 32], IssueError> {
        checked(csr).map(|csr| *csr.key_sha256())
    }

    fn issue(
        &self,
        csr: &[u8],
        whom: (TenantId, RuntimeId),
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Issued, IssueError> {
        issued(self.issue_runtime(&checked(csr)?, whom, now, ttl_ms))
    }
}

fn checked(csr: &[u8]) -> Result<CheckedCsr, IssueError> {
    let refused = |error: CsrError| IssueError::Request(error.to_string());
    if csr.len() > CSR_DER_MAX {
        return Err(refused(CsrError::TooLarge));
    }
    CheckedCsr::from_der(csr).map_err(refused)
}

fn issued(issued: Result<IssuedCertificate, AuthorityError>) -> Result<Issued, IssueError> {
    let issued = issued.map_err(|error| IssueError::Authority(error.to_string()))?;
    Ok(Issued {
        certificate: issued.pem,
        serial: issued.serial,
        not_after: issued.not_after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrolment::{TlsKey, TlsPair};

    #[test]
    fn a_request_becomes_a_certificate_for_its_key_and_its_runtime() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_795_325_728_000);
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let authority = Authority::create(dir.path(), id.parse().unwrap(), now).unwrap();
        let key = TlsKey::generate().unwrap();
        let csr = key.request_der().unwrap();
        assert_eq!(authority.requested_key(&csr), Ok(key.spki_sha256()));
        let whom = (id.parse().unwrap(), id.parse().unwrap());
        let issued = authority.issue(&csr, whom, now, 60_000).unwrap();
        assert_eq!(issued.not_after, now.plus_millis(60_000));
        let pair = TlsPair::new(key, issued.certificate).unwrap();
        assert_eq!(pair.identity().serial, issued.serial);
        assert_eq!((pair.identity().tenant, pair.identity().runtime), whom);
    }

    #[test]
    fn what_is_no_request_or_too_long_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let authority = Authority::create(dir.path(), id, Timestamp::EPOCH).unwrap();
        let mut long = TlsKey::generate().unwrap().request_der().unwrap();
        long.resize(CSR_DER_MAX + 1, 0);
        for csr in [&b"no request"[..], &long, &[]] {
            let refused = authority.requested_key(csr);
            assert!(
                matches!(refused, Err(IssueError::Request(_))),
                "{refused:?}"
            );
        }
    }
}
