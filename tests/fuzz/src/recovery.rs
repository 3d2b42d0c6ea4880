//! What asks for a certificate after enrolment: renewal, and both halves of a recovery.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_certs::{CheckedCsr, CheckedRecovery, check_recovery};
use provost_protocol::{
    certificate::{ChallengeRequest, RECOVERY_REQUEST_MAX, RecoveryRequest, RenewRequest},
    json::{self, Limits},
};

/// Reads any bytes as each of the bodies; a recovery is believed as it was signed or not at all.
pub fn target(data: &[u8]) {
    let limits = Limits {
        bytes_max: RECOVERY_REQUEST_MAX,
    };
    if let Ok(wish) = json::parse::<ChallengeRequest>(data, &limits) {
        assert!(data.len() <= RECOVERY_REQUEST_MAX);
        assert_ne!(wish.tenant_id.as_bytes(), &[0; 16], "an id of version 7");
    }
    if let Ok(request) = json::parse::<RenewRequest>(data, &limits)
        && let Ok(der) = STANDARD.decode(&request.csr)
        && let Ok(csr) = CheckedCsr::from_der(&der)
    {
        let again = CheckedCsr::from_der(&der).expect("it was read before");
        assert_eq!(csr.key_sha256(), again.key_sha256());
    }
    let Some((request, checked)) = recovery(data) else {
        return;
    };
    assert!(!checked.proves(None), "there is no key to prove");
    let stranger = STANDARD.encode([SPKI_HEAD, &crate::STRANGER].concat());
    assert!(!checked.proves(Some(&stranger)));
    if checked.proves(Some(SIGNER)) {
        assert_eq!((request.counter, checked.nonce), (1, [7; 32]));
        let elsewhere = check_recovery(&request, [0; 32]).expect("it was checked before");
        assert!(!elsewhere.proves(Some(SIGNER)), "of another connection");
    }
}

/// Whether the bytes are a recovery that the seeds' key signed, which the good seed is.
#[must_use]
pub fn proven(data: &[u8]) -> bool {
    recovery(data).is_some_and(|(_, checked)| checked.proves(Some(SIGNER)))
}

fn recovery(data: &[u8]) -> Option<(RecoveryRequest, CheckedRecovery)> {
    let limits = Limits {
        bytes_max: RECOVERY_REQUEST_MAX,
    };
    let request = json::parse::<RecoveryRequest>(data, &limits).ok()?;
    let checked = check_recovery(&request, EXPORTER).ok()?;
    Some((request, checked))
}

/// Of the connection on which the good seed was signed.
const EXPORTER: [u8; 32] = [3; 32];

/// What stands before a key of Ed25519 in its SPKI (RFC 8410).
const SPKI_HEAD: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The second test key of RFC 8032, section 7.1: it has signed the good seed.
const SIGNER: &str = "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
