//! Events as they stand in the journal.

use provost_protocol::envelope::{ENVELOPE_BYTES_MAX, Envelope};

/// Reads any bytes as a stored event, and what was read again from what it writes.
pub fn target(data: &[u8]) {
    let Ok(envelope) = Envelope::from_bytes(data) else {
        return;
    };
    assert!(data.len() <= ENVELOPE_BYTES_MAX);
    // Escapes may make the text longer than it came.
    let Ok(written) = envelope.to_bytes() else {
        return;
    };
    let again = Envelope::from_bytes(&written).expect("what was written is read");
    assert_eq!(again, envelope);
    assert_eq!(again.to_bytes().as_deref(), Ok(written.as_slice()));
}
