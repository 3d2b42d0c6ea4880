//! What operators direct, as answers to heartbeats show it over HTTP.

use serde::Serialize;

use crate::{
    Timestamp,
    entity::Limit,
    json::RawJson,
    v01::EntitlementLimits,
    wire::{DesiredLimit, DesiredState},
};

/// One directive. Level-triggered: whatever stands is in every answer.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Directive {
    /// Every check is denied until the kernel resumes.
    Kill,
    /// An entitlement is narrowed for a while.
    Limit {
        feature: String,
        /// Whether anything is left of it.
        allowed: bool,
        limits: EntitlementLimits,
        until: Timestamp,
    },
}

/// Lists what a desired state directs at a moment: a kill first, then limits by feature.
#[must_use]
pub fn directives_of(state: &DesiredState, now: Timestamp) -> Vec<RawJson> {
    let kill = state.killed.then_some(Directive::Kill);
    let limits = state.limits.iter().filter(|limit| now < limit.until);
    kill.into_iter()
        .chain(limits.map(shown))
        .filter_map(|directive| RawJson::of(&directive).ok())
        .collect()
}

fn shown(limit: &DesiredLimit) -> Directive {
    let allowed = match limit.limit {
        Limit::Flag(flag) => flag,
        Limit::Quota(quota) => quota > 0,
        Limit::Unlimited => true,
    };
    Directive::Limit {
        feature: limit.feature.to_string(),
        allowed,
        limits: EntitlementLimits::of(limit.limit, None),
        until: limit.until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TenantId,
        entity::{RuntimeStatus, TenantStatus},
    };

    #[test]
    fn what_stands_is_written_as_documented_and_what_has_ended_is_not() {
        let until: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let limit = |feature: &str, limit, until| DesiredLimit {
            feature: feature.parse().unwrap(),
            limit,
            until,
        };
        let state = DesiredState {
            tenant: TenantId::from_parts(Timestamp::EPOCH, [1; 10]),
            revision: 1,
            tenant_status: TenantStatus::Active,
            runtime_status: RuntimeStatus::Active,
            license_epoch: 0,
            license_seq: 0,
            revocation_generation: 0,
            trust_bundle: String::new(),
            heartbeat_interval_ms: 10_000,
            limits: vec![
                limit("a", Limit::Quota(5), until),
                limit("b:c", Limit::Flag(false), until),
                limit("old", Limit::Quota(1), Timestamp::EPOCH),
            ],
            killed: true,
        };
        let texts: Vec<String> = directives_of(&state, until.minus_millis(1))
            .iter()
            .map(|directive| directive.as_str().to_owned())
            .collect();
        assert_eq!(
            texts,
            [
                r#"{"type":"kill"}"#,
                r#"{"type":"limit","feature":"a","allowed":true,"limits":{"quota":5},"until":"2026-12-01T00:00:00.000Z"}"#,
                r#"{"type":"limit","feature":"b:c","allowed":false,"limits":{},"until":"2026-12-01T00:00:00.000Z"}"#,
            ]
        );
    }
}
