//! Proofs that an event is in a log.

use provost_protocol::tlog::Proof;

/// Reads any text as a proof; it has one spelling, and proves nothing without a signature.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(proof) = Proof::parse(text) {
        assert_eq!(proof.to_text(), text);
        assert!(proof.verify(b"leaf", "origin", &crate::STRANGER).is_err());
    }
}
