//! The name in a certificate.

use provost_protocol::spiffe::SpiffeId;

/// Reads any text as a name; a name has one spelling.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = text.parse::<SpiffeId>() {
        assert_eq!(id.to_string(), text);
    }
}
