//! What the kernel sends, as one frame's body.

use provost_protocol::wire::ServerMessage;

/// Reads any bytes as a message of the kernel.
pub fn target(data: &[u8]) {
    crate::message::<ServerMessage>(data);
}
