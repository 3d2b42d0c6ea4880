//! What a connector sends, as one frame's body.

use provost_protocol::wire::ClientMessage;

/// Reads any bytes as a message of a connector.
pub fn target(data: &[u8]) {
    crate::message::<ClientMessage>(data);
}
