//! Certificate requests, alone and within a request to enroll.

use provost_certs::{CheckedCsr, check_request};
use provost_protocol::{
    enrolment::EnrolRequest,
    json::{self, Limits},
};

/// Reads any bytes as a request in PEM, and as the body of an enrolment.
pub fn target(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(csr) = CheckedCsr::from_pem(text)
    {
        let again = CheckedCsr::from_pem(text).expect("it was read before");
        assert_eq!(csr.der_sha256(), again.der_sha256());
    }
    let limits = Limits {
        bytes_max: BODY_BYTES_MAX,
    };
    if let Ok(request) = json::parse::<EnrolRequest>(data, &limits)
        && let Ok(checked) = check_request(&request)
    {
        assert_eq!(checked.cnf.len(), 64);
    }
}

/// What the port allows for this call.
const BODY_BYTES_MAX: usize = 64 * 1_024;
