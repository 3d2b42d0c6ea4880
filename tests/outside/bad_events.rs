//! Audit events that are wrong, over the real ports: each gets its code, and the log stays as it was.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Kernel, Runtime, now};

/// A kernel with a runtime that speaks v0.2: one event or many.
async fn scene() -> (Kernel, Runtime) {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut runtime = kernel.runtime(&tenant, "on_prem").await;
    runtime.version = "v0.2";
    (kernel, runtime)
}

/// An event as it should be, but for one thing.
fn spoilt(runtime: &Runtime, field: &str, value: impl Into<Value>) -> Value {
    let mut event = runtime.event(json!({}));
    event[field] = value.into();
    event
}

#[tokio::test]
async fn an_event_that_is_wrong_in_itself_is_refused_by_its_own_code() {
    let (kernel, runtime) = scene().await;
    let before = kernel.events(&runtime.tenant).await.len();
    let ahead = |minutes: u64| now().plus_millis(minutes * 60_000).to_string();
    let nested = |depth: usize| -> Value {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        json!({ "deep": serde_json::from_str::<Value>(&text).unwrap() })
    };
    let large = json!({"x": "y".repeat(48 * 1024)});
    let other = Uuid::now_v7().to_string();
    let v4 = Uuid::from_u128(0x0189_0a5d_ac96_474b_bcce_b302_099a_8057).to_string();
    for (what, event, status, code) in [
        (
            "eleven minutes ahead",
            spoilt(&runtime, "timestamp", ahead(11)),
            422,
            "event_time_refused",
        ),
        (
            "a far future",
            spoilt(&runtime, "timestamp", "9999-12-31T23:59:59.999Z"),
            422,
            "event_time_refused",
        ),
        (
            "no time",
            spoilt(&runtime, "timestamp", "yesterday"),
            400,
            "malformed",
        ),
        (
            "a type of the kernel",
            spoilt(&runtime, "type", "provost.x"),
            422,
            "event_type_reserved",
        ),
        (
            "the same, shouted",
            spoilt(&runtime, "type", "PROVOST.x"),
            422,
            "event_type_reserved",
        ),
        ("no type", spoilt(&runtime, "type", ""), 422, "invalid"),
        (
            "a long type",
            spoilt(&runtime, "type", "x".repeat(129)),
            422,
            "invalid",
        ),
        (
            "the kernel's voice",
            spoilt(&runtime, "actor_type", "system"),
            422,
            "actor_type_refused",
        ),
        (
            "an unknown voice",
            spoilt(&runtime, "actor_type", "ghost"),
            400,
            "malformed",
        ),
        (
            "over 48 KiB",
            spoilt(&runtime, "payload", large),
            422,
            "payload_too_large",
        ),
        (
            "too deep",
            spoilt(&runtime, "payload", nested(32)),
            400,
            "malformed",
        ),
        (
            "no object",
            spoilt(&runtime, "payload", json!([1])),
            400,
            "malformed",
        ),
        (
            "an id that is none",
            spoilt(&runtime, "event_id", "1"),
            400,
            "malformed",
        ),
        (
            "an id without time",
            spoilt(&runtime, "event_id", v4),
            400,
            "malformed",
        ),
        (
            "another tenant's",
            spoilt(&runtime, "tenant_id", other.clone()),
            422,
            "tenant_mismatch",
        ),
        (
            "another runtime's",
            spoilt(&runtime, "runtime_id", other),
            422,
            "tenant_mismatch",
        ),
    ] {
        let answer = runtime.audit(&kernel, &event).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{what}: {answer:?}"
        );
        answer.must_refuse(status, code);
        // The good events beside a bad one are refused with it: nobody would know which.
        let many = json!([runtime.event(json!({})), event]);
        let answer = runtime.audit(&kernel, &many).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{what}: {answer:?}"
        );
    }
    let after = kernel.events(&runtime.tenant).await;
    assert_eq!(after.len(), before, "{:?}", after.last());

    // At the bounds themselves.
    let mut old = runtime.clone();
    old.version = "v0.1";
    let agent = spoilt(&runtime, "actor_type", "agent");
    old.audit(&kernel, &agent)
        .await
        .must_refuse(422, "actor_type_refused");
    for good in [
        agent,
        spoilt(&runtime, "timestamp", ahead(9)),
        spoilt(&runtime, "type", "provostx"),
        spoilt(&runtime, "type", "x".repeat(128)),
        spoilt(&runtime, "payload", json!({"x": "y".repeat(48 * 1024 - 8)})),
        spoilt(&runtime, "payload", nested(20)),
    ] {
        runtime.audit(&kernel, &good).await.must(202);
    }
}

#[tokio::test]
async fn bytes_that_are_no_event_are_refused_before_anything_is_read_from_them() {
    let (kernel, runtime) = scene().await;
    let before = kernel.events(&runtime.tenant).await.len();
    let good = json!({"event": runtime.event(json!({"said": "MARK"}))});
    let ask = runtime.asking("/kernel/audit/events", &good);
    let text = good.to_string();
    let (head, tail) = text.split_once("MARK").unwrap();
    let around = |middle: &[u8]| [head.as_bytes(), middle, tail.as_bytes()].concat();
    let twice = text.replacen('{', "{\"event\":{},", 1);
    let many: Vec<Value> = (0..1_001).map(|_| runtime.event(json!({}))).collect();
    for (what, body, status, code) in [
        ("no UTF-8", around(&[0xc3, 0x28]), 400, "malformed"),
        ("a lone surrogate", around(br"\ud800"), 400, "malformed"),
        ("a zero byte", around(&[0]), 400, "malformed"),
        ("cut short", around(b"")[..40].to_vec(), 400, "malformed"),
        (
            "two events under one name",
            twice.into_bytes(),
            400,
            "malformed",
        ),
        (
            "endless depth",
            around(b"").iter().copied().chain([b'['; 4_000]).collect(),
            400,
            "malformed",
        ),
        ("no event", b"{\"event\":[]}".to_vec(), 422, "invalid"),
        (
            "1,001 events",
            json!({ "event": many }).to_string().into_bytes(),
            413,
            "body_too_large",
        ),
        ("over 1 MiB", vec![b' '; 1_100_000], 413, "body_too_large"),
    ] {
        let answer = runtime.send(&kernel, &ask.clone().text(body)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{what}: {answer:?}"
        );
        answer.must_refuse(status, code);
    }
    let after = kernel.events(&runtime.tenant).await;
    assert_eq!(after.len(), before, "{:?}", after.last());
    runtime.send(&kernel, &ask).await.must(202);
}

#[tokio::test]
async fn an_event_id_names_one_event_for_ever() {
    let (mut kernel, runtime) = scene().await;
    let event = runtime.event(json!({"page": 7}));
    let mut other = event.clone();
    other["payload"]["page"] = json!(8);
    let first = runtime.audit(&kernel, &event).await.must(202);

    let again = runtime.audit(&kernel, &event).await.must(202);
    assert_eq!(first.json, again.json, "the same bytes, the same answer");
    runtime
        .audit(&kernel, &other)
        .await
        .must_refuse(409, "event_conflict");
    let many = json!([runtime.event(json!({})), other]);
    runtime
        .audit(&kernel, &many)
        .await
        .must_refuse(409, "event_conflict");
    let new = runtime.event(json!({}));
    let mut clash = new.clone();
    clash["payload"] = json!({"page": 9});
    let within = json!([new, clash]);
    runtime
        .audit(&kernel, &within)
        .await
        .must_refuse(409, "event_conflict");

    kernel.kill();
    kernel.serve().await;
    let again = runtime.audit(&kernel, &event).await.must(202);
    assert_eq!(first.json, again.json, "also after a crash");
    runtime
        .audit(&kernel, &other)
        .await
        .must_refuse(409, "event_conflict");
    let events = kernel.events(&runtime.tenant).await;
    let recorded = |event: &&Value| event["kind"] == "audit.recorded";
    assert_eq!(events.iter().filter(recorded).count(), 1, "{events:?}");
}

#[tokio::test]
async fn nobody_writes_an_event_at_the_admin_port() {
    let (kernel, runtime) = scene().await;
    let log = format!("/v1/tenants/{}/audit", runtime.tenant);
    let before = kernel.events(&runtime.tenant).await.len();
    let event = json!({"event": runtime.event(json!({}))});
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = kernel.ask(method, &log, Some(event.clone())).await;
        answer.must_refuse(405, "method_not_allowed");
    }
    let path = "/kernel/audit/events";
    let answer = kernel.ask(Method::POST, path, Some(event)).await;
    answer.must_refuse(404, "not_found");

    let key = std::fs::read_to_string(kernel.data().join("admin.key")).unwrap();
    let suspend = format!(
        "http://{}/v1/tenants/{}/suspend",
        kernel.admin_port(),
        runtime.tenant
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let deep = format!("{{\"reason\":{}{}}}", "[".repeat(4_000), "]".repeat(4_000));
    for (body, status, code) in [
        (b"{\"reason\":\"\xc3\x28\"}".to_vec(), 400, "malformed"),
        (deep.into_bytes(), 400, "malformed"),
        (
            b"{\"reason\":\"a\",\"reason\":\"b\"}".to_vec(),
            400,
            "malformed",
        ),
        (vec![b' '; 70_000], 413, "body_too_large"),
    ] {
        let asked = client.post(&suspend).bearer_auth(key.trim()).body(body);
        let answer = crate::world::Answer::read(asked.send().await.unwrap()).await;
        answer.must_refuse(status, code);
    }
    for (query, status, code) in [
        ("?since=tomorrow", 422, "invalid"),
        ("?type=%ff", 400, "malformed"),
        ("?correlation_id=1", 400, "id_malformed"),
        ("?page[cursor]=%00", 400, "malformed"),
        ("/99999/proof", 404, "not_found"),
        ("/checkpoint?from_size=99999", 422, "invalid"),
    ] {
        let answer = kernel.get(&format!("{log}{query}")).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{query}: {answer:?}"
        );
    }
    assert_eq!(kernel.events(&runtime.tenant).await.len(), before);
}
