//! What runtimes send as JSON: audit events first of all.

use provost_protocol::{
    enrolment::EnrolRequest,
    json::{self, Limits},
    v01::{
        AUDIT_BYTES_MAX, AuditEvent, AuditRequest, CheckRequest, HeartbeatRequest, RegisterRequest,
        ResolveRequest,
    },
};
use serde::de::DeserializeOwned;

/// Reads any bytes as the body of each call, and as one audit event.
pub fn target(data: &[u8]) {
    read::<AuditRequest>(data);
    read::<RegisterRequest>(data);
    read::<HeartbeatRequest>(data);
    read::<ResolveRequest>(data);
    read::<CheckRequest>(data);
    read::<EnrolRequest>(data);
    if let Some(event) = read::<AuditEvent>(data) {
        // The payload is kept byte for byte as it came.
        let text = std::str::from_utf8(data).expect("JSON is UTF-8");
        assert!(text.contains(event.payload.as_str()));
    }
}

fn read<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    let limits = Limits {
        bytes_max: AUDIT_BYTES_MAX,
    };
    let read = json::parse::<T>(data, &limits);
    if data.len() > limits.bytes_max {
        assert!(read.is_err());
    }
    read.ok()
}
