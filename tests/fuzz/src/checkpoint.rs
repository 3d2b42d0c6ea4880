//! Checkpoints of tenants' logs.

use provost_protocol::tlog::Checkpoint;

/// Reads any text as a checkpoint's text; it has one spelling.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_text(), text);
    }
    let origin = text.lines().next().unwrap_or_default();
    assert!(Checkpoint::verify(text, origin, &crate::STRANGER).is_err());
}
