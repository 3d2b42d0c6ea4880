//! The bodies of the five v0.1 calls, against JSON written by hand from the contract.

use std::collections::BTreeMap;

use provost_protocol::{
    Code, ContractVersion, Problem,
    entity::{
        ActorType, DeploymentMode, Health, Limit, Mode, ProviderKind, RuntimeStatus, RuntimeType,
        SecurityLevel, TimeWindow,
    },
    v01::{
        AuditAccepted, AuditAcceptedBatch, AuditEvent, AuditRequest, CheckAnswer, CheckContext,
        CheckRequest, Entitlement, EntitlementLimits, HeartbeatAnswer, HeartbeatRequest, Identity,
        PoliciesApplied, RegisterAnswer, RegisterRequest, ResolveAnswer, ResolveRequest,
        ShownRuntimeStatus,
    },
    verdict::{Limits, Reason, Verdict},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::common::{
    self, CORRELATION, EVENT, EVENT_BARE, EVENT_OTHER, IDENTITY, INDIVIDUAL, RUNTIME, TENANT, id,
    time,
};

/// Says how the kernel's answer is written, and that every field v0.1 promises is there.
fn answer_is<T: Serialize>(name: &str, value: &T, promised: &[&str]) {
    let golden: Value = serde_json::from_str(&common::golden(&format!("v0.1/{name}.answer.json")))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let written = serde_json::to_value(value).unwrap();
    assert_eq!(written, golden, "{name}");
    for pointer in promised {
        assert!(written.pointer(pointer).is_some(), "{name} lacks {pointer}");
    }
}

/// Reads a request, alone and again with fields of a later version at every level of objects.
fn request<T: DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str) -> T {
    let text = common::golden(&format!("v0.1/{name}.request.json"));
    let read: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let later = text
        .replacen('{', r#"{"of_a_later_version": {"a": [1]},"#, 1)
        .replace(
            r#""context": {"#,
            r#""context": {"of_the_runtime": "anything","#,
        );
    assert_eq!(
        serde_json::from_str::<T>(&later).ok().as_ref(),
        Some(&read),
        "{name}"
    );
    read
}

fn policies(security_level: SecurityLevel, region: Option<&str>) -> PoliciesApplied {
    PoliciesApplied {
        security_level,
        data_residency: region.map(str::to_owned),
        heartbeat_interval_ms: 30_000,
        grace_ms: 90_000,
        license_ttl_ms: 86_400_000,
        offline_max_ms: 691_200_000,
    }
}

#[test]
fn register_is_read_and_answered_as_the_contract_writes_it() {
    let expected = RegisterRequest {
        tenant_id: id(TENANT),
        runtime_type: RuntimeType::Courses,
        deployment_mode: DeploymentMode::OnPrem,
        version: "2.4.1".to_owned(),
        capabilities: vec!["video".to_owned(), "exercises".to_owned()],
    };
    assert_eq!(request::<RegisterRequest>("register"), expected);
    let promised = ["/runtime_id", "/status", "/policies_applied"];
    for (name, policies) in [
        ("register", policies(SecurityLevel::Enterprise, Some("eu"))),
        ("register.anywhere", policies(SecurityLevel::Standard, None)),
    ] {
        let answer = RegisterAnswer {
            runtime_id: id(RUNTIME),
            status: ShownRuntimeStatus::Registered,
            policies_applied: policies,
            runtime_token: "rt_3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy".to_owned(),
            contract_version: ContractVersion::V0_1,
        };
        answer_is(name, &answer, &promised);
    }
}

#[test]
fn a_heartbeat_is_read_and_answered_as_the_contract_writes_it() {
    let metrics = BTreeMap::from([("cpu_load".to_owned(), 0.25), ("sessions".to_owned(), 17.0)]);
    let full = HeartbeatRequest {
        status: Health::Healthy,
        metrics: Some(metrics),
    };
    assert_eq!(request::<HeartbeatRequest>("heartbeat"), full);
    let bare = HeartbeatRequest {
        status: Health::Degraded,
        metrics: None,
    };
    assert_eq!(request::<HeartbeatRequest>("heartbeat.bare"), bare);
    for (name, status, heartbeat_interval_ms) in [
        ("heartbeat", RuntimeStatus::Active, 31_250),
        ("heartbeat.suspended", RuntimeStatus::Suspended, 30_000),
        ("heartbeat.suspended", RuntimeStatus::Revoked, 30_000),
    ] {
        let answer = HeartbeatAnswer {
            status: status.into(),
            heartbeat_interval_ms,
            directives: Vec::new(),
            signed_time: common::SIGNED_TIME.to_owned(),
        };
        answer_is(name, &answer, &["/status"]);
    }
}

#[test]
fn a_resolve_is_read_and_answered_as_the_contract_writes_it() {
    let expected = ResolveRequest {
        tenant_id: id(TENANT),
        external_token: "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIyNDgyODkifQ.c2lnbmF0dXJl".to_owned(),
    };
    assert_eq!(request::<ResolveRequest>("resolve"), expected);
    let entitlement = |feature: &str, limit, window, until| Entitlement {
        tenant_id: id(TENANT),
        runtime_id: id(RUNTIME),
        feature: feature.to_owned(),
        limits: EntitlementLimits::of(limit, window),
        valid_until: time(until),
    };
    let entitlements = vec![
        entitlement(
            "course_access:cloud-fundamentals",
            Limit::Flag(true),
            None,
            "9999-12-31T23:59:59.999Z",
        ),
        entitlement(
            "exercise.grade",
            Limit::Quota(100),
            Some(TimeWindow::Month),
            "2027-01-01T00:00:00Z",
        ),
    ];
    let attributes = [("locale", "pt-BR"), ("name", "Ana Souza")];
    let mut answer = ResolveAnswer {
        identity: Identity {
            identity_id: id(IDENTITY),
            tenant_id: id(TENANT),
            external_id: "248289761001".to_owned(),
            provider: ProviderKind::AzureAd,
            roles: vec!["learner".to_owned(), "reviewer".to_owned()],
            attributes: attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        },
        entitlements,
    };
    let identity = [
        "/identity/identity_id",
        "/identity/tenant_id",
        "/identity/external_id",
        "/identity/provider",
        "/identity/roles",
        "/identity/attributes",
        "/entitlements",
    ];
    let first = [
        "tenant_id",
        "runtime_id",
        "feature",
        "limits",
        "valid_until",
    ]
    .map(|field| format!("/entitlements/0/{field}"));
    answer_is("resolve", &answer, &identity);
    answer_is("resolve", &answer, &first.each_ref().map(String::as_str));
    answer.identity.tenant_id = id(INDIVIDUAL);
    answer.identity.provider = ProviderKind::Oidc;
    answer.identity.roles.clear();
    answer.identity.attributes.clear();
    answer.entitlements.clear();
    answer_is("resolve.nobody-entitled", &answer, &identity);
}

#[test]
fn a_check_is_read_as_the_contract_writes_it() {
    let mut expected = CheckRequest {
        tenant_id: id(TENANT),
        runtime_id: id(RUNTIME),
        feature: "course_access:cloud-fundamentals".to_owned(),
        context: None,
    };
    assert_eq!(request::<CheckRequest>("check"), expected);
    expected.feature = "exercise.grade".to_owned();
    expected.context = Some(CheckContext {
        resource: Some("cloud-fundamentals".to_owned()),
        consume: Some(3),
    });
    assert_eq!(request::<CheckRequest>("check.consume"), expected);
}

#[test]
fn every_verdict_is_answered_as_the_contract_writes_it() {
    let plain = Limits {
        quota: None,
        used: None,
        remaining: None,
        time_window: None,
        resets_at: None,
        mode: Mode::Enforce,
    };
    let quota = |used: u64, window: &str, resets_at: &str, mode| Limits {
        quota: Some(100),
        used: Some(used),
        remaining: Some(100_u64.saturating_sub(used)),
        time_window: Some(window.parse().unwrap()),
        resets_at: Some(time(resets_at)),
        mode,
    };
    let december = "2026-12-01T00:00:00Z";
    let allowed = |reason, limits: Limits| Verdict {
        allowed: true,
        reason,
        limits: Some(limits),
    };
    let refused = |reason, limits: Limits| Verdict {
        allowed: false,
        reason,
        limits: Some(limits),
    };
    let exhausted = quota(100, "P7D", "2026-11-29T05:35:28.123Z", Mode::Enforce);
    for (name, verdict) in [
        ("check.flag", allowed(Reason::Entitled, plain.clone())),
        ("check.unlimited", allowed(Reason::Entitled, plain.clone())),
        ("check.flag-off", refused(Reason::FeatureOff, plain)),
        ("check.denied", Verdict::denied(Reason::NoEntitlement)),
        ("check.suspended", Verdict::denied(Reason::TenantSuspended)),
        (
            "check.consumed",
            allowed(
                Reason::Entitled,
                quota(43, "month", december, Mode::Enforce),
            ),
        ),
        (
            "check.exhausted",
            refused(Reason::QuotaExhausted, exhausted),
        ),
        (
            "check.warned",
            allowed(
                Reason::QuotaExhausted,
                quota(103, "month", december, Mode::Warn),
            ),
        ),
    ] {
        answer_is(name, &CheckAnswer::from(verdict), &["/allowed", "/reason"]);
    }
}

#[test]
fn an_audit_event_is_read_and_answered_as_the_contract_writes_it() {
    let event =
        |name: &str| -> AuditEvent { request::<AuditRequest>(name).event.decode().unwrap() };
    let full = event("audit");
    let payload: Value = full.payload.decode().unwrap();
    assert_eq!(payload["tags"], json!(["first", null, true]));
    let expected = AuditEvent {
        event_id: id(EVENT),
        tenant_id: id(TENANT),
        runtime_id: Some(id(RUNTIME)),
        actor_type: ActorType::User,
        actor_id: IDENTITY.to_owned(),
        kind: "session.started".to_owned(),
        timestamp: time("2026-11-22T05:35:28.123Z"),
        correlation_id: id(CORRELATION),
        payload: full.payload.clone(),
    };
    assert_eq!(full, expected);
    let bare = event("audit.bare");
    assert_eq!((bare.event_id, bare.runtime_id), (id(EVENT_BARE), None));
    assert_eq!(
        (bare.actor_type, bare.payload.as_str()),
        (ActorType::Runtime, "{}")
    );
    let many: Vec<AuditEvent> = request::<AuditRequest>("audit.array")
        .event
        .decode()
        .unwrap();
    assert_eq!(many.len(), 2);
    assert_eq!(
        (many[1].event_id, many[1].actor_type),
        (id(EVENT_OTHER), ActorType::Agent)
    );

    let first = AuditAccepted {
        event_id: id(EVENT),
        seq: 4711,
    };
    answer_is("audit", &first, &["/event_id", "/seq"]);
    let second = AuditAccepted {
        event_id: id(EVENT_OTHER),
        seq: 4712,
    };
    let batch = AuditAcceptedBatch {
        accepted: vec![first, second],
    };
    answer_is(
        "audit.array",
        &batch,
        &["/accepted/1/event_id", "/accepted/1/seq"],
    );
}

#[test]
fn an_audit_event_keeps_the_bytes_it_was_sent_with() {
    let body = r#"{"event": {"b" : 1.50,  "a":"\u00e9" } }"#;
    let read: AuditRequest = serde_json::from_str(body).unwrap();
    assert_eq!(read.event.as_str(), r#"{"b" : 1.50,  "a":"\u00e9" }"#);
}

#[test]
fn a_refusal_is_a_problem_body_that_leaves_out_what_is_absent() {
    let promised = ["/type", "/title", "/status", "/detail", "/code"];
    let mismatch = Problem::new(
        Code::IdentityMismatch,
        "X-Tenant-Id is not the certificate's tenant",
    )
    .correlated(id(CORRELATION));
    answer_is("problem.identity-mismatch", &mismatch, &promised);
    let overloaded = Problem::new(Code::Overloaded, "the tenant has too much to do")
        .correlated(id(CORRELATION))
        .retry_after_ms(1500);
    answer_is("problem.overloaded", &overloaded, &promised);
    let unknown = "v0.9".parse::<ContractVersion>().unwrap_err().to_string();
    answer_is(
        "problem.version-unknown",
        &Problem::new(Code::VersionUnknown, unknown),
        &promised,
    );
}

#[test]
fn a_revoked_runtime_shows_as_suspended() {
    for (status, shown) in [
        (RuntimeStatus::Registered, "registered"),
        (RuntimeStatus::Active, "active"),
        (RuntimeStatus::Suspended, "suspended"),
        (RuntimeStatus::Revoked, "suspended"),
    ] {
        let written = serde_json::to_value(ShownRuntimeStatus::from(status)).unwrap();
        assert_eq!(written, json!(shown));
    }
}

#[test]
fn a_request_without_a_promised_field_is_refused() {
    for name in ["register", "resolve", "check", "heartbeat", "audit"] {
        let text = common::golden(&format!("v0.1/{name}.request.json"));
        let whole: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        for field in whole.keys().filter(|field| *field != "metrics") {
            let mut without = whole.clone();
            without.remove(field);
            let text = Value::Object(without).to_string();
            let read = match name {
                "register" => serde_json::from_str::<RegisterRequest>(&text).is_ok(),
                "resolve" => serde_json::from_str::<ResolveRequest>(&text).is_ok(),
                "check" => serde_json::from_str::<CheckRequest>(&text).is_ok(),
                "heartbeat" => serde_json::from_str::<HeartbeatRequest>(&text).is_ok(),
                _ => serde_json::from_str::<AuditRequest>(&text).is_ok(),
            };
            assert!(!read, "{name} without {field}");
        }
    }
}
