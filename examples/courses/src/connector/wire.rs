//! The bodies of the local API as this pilot reads and writes them; fields it does not know pass by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

#[derive(Debug, Deserialize)]
pub(super) struct Registered {
    pub(super) runtime_id: Uuid,
    pub(super) status: String,
    pub(super) runtime_token: String,
    pub(super) contract_version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Beat {
    pub(super) status: String,
    pub(super) heartbeat_interval_ms: u64,
    #[serde(default)]
    pub(super) directives: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Resolved {
    pub(super) identity: Identity,
}

/// Who the kernel says a person is; `tenant_id` is the individual's own tenant.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Identity {
    pub(crate) identity_id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) external_id: String,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// The kernel's answer to a check.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) limits: Option<Limits>,
}

/// The limits that stood behind a verdict, as far as the pilot shows them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Limits {
    #[serde(default)]
    pub(crate) quota: Option<Value>,
    #[serde(default)]
    pub(crate) remaining: Option<Value>,
    #[serde(default)]
    pub(crate) resets_at: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) detail: String,
}

/// An audit event. Kept byte for byte until it is delivered: its id makes a second delivery harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) event_id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) runtime_id: Uuid,
    pub(crate) actor_type: String,
    pub(crate) actor_id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) timestamp: String,
    pub(crate) correlation_id: Uuid,
    pub(crate) payload: Value,
}

/// The present as the contract writes it: RFC 3339, UTC, milliseconds.
pub(crate) fn now_rfc3339() -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::now_utc()
        .format(&format)
        .expect("the format names only parts every time has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_exactly_three_digits() {
        let now = now_rfc3339();
        assert_eq!(now.len(), "2026-01-01T00:00:00.000Z".len());
        assert!(now.ends_with('Z'));
    }

    #[test]
    fn a_verdict_may_carry_what_the_pilot_does_not_know() {
        let verdict: Verdict = serde_json::from_str(
            r#"{"allowed":false,"reason":"QUOTA","limits":{"quota":2,"mode":"enforce"},"later":[1]}"#,
        )
        .unwrap();
        assert_eq!(verdict.limits.unwrap().quota, Some(Value::from(2)));
    }
}
