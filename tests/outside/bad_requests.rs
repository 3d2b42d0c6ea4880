//! Requests that are wrong: each gets its own code, and nothing of it stands in the log.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Ask, Kernel, Runtime};

/// A kernel with one runtime, and with strangers of whom it may learn nothing.
struct Scene {
    kernel: Kernel,
    runtime: Runtime,
    shared: Runtime,
    /// A tenant that exists, and is somebody else's.
    other: String,
    other_runtime: String,
}

impl Scene {
    async fn new() -> Self {
        let kernel = Kernel::start().await;
        let tenant = kernel.company().await;
        kernel
            .grant(&tenant, json!({"feature": "reports", "limit": true}))
            .await;
        let runtime = kernel.runtime(&tenant, "on_prem").await;
        let shared = kernel.runtime(&tenant, "shared").await;
        let other = kernel.company().await;
        let other_runtime = kernel.runtime(&other, "on_prem").await.id;
        Self {
            kernel,
            runtime,
            shared,
            other,
            other_runtime,
        }
    }

    fn check(&self) -> Ask {
        self.runtime.checking("reports", json!({}))
    }

    /// A check as it should be, with another body.
    fn body(&self, change: impl FnOnce(&mut Value)) -> Ask {
        let mut ask = self.check();
        let mut body = serde_json::from_slice(&ask.body).unwrap();
        change(&mut body);
        ask.body = body.to_string().into_bytes();
        ask
    }

    /// Sends each of them, and expects what is said with it.
    async fn refuse(&self, cases: Vec<(&str, Ask, u16, &str)>) {
        let before = self.kernel.events(&self.runtime.tenant).await.len();
        for (what, ask, status, code) in cases {
            let answer = self.runtime.send(&self.kernel, &ask).await;
            assert_eq!(
                (answer.status, answer.code()),
                (status, code),
                "{what}: {}",
                answer.text
            );
            answer.must_refuse(status, code);
        }
        let after = self.kernel.events(&self.runtime.tenant).await;
        assert_eq!(
            after.len(),
            before,
            "a refused request left {:?}",
            after.last()
        );
        let answer = self.runtime.send(&self.kernel, &self.check()).await;
        assert_eq!(
            answer.must(200).json["allowed"],
            true,
            "a good one still goes through"
        );
    }
}

#[tokio::test]
async fn bad_headers_are_named() {
    let scene = Scene::new().await;
    let with = |name: &str, value: &str| scene.check().header(name, Some(value));
    let without = |name: &str| scene.check().header(name, None);
    let mut twice = scene.check();
    twice
        .headers
        .push(("x-tenant-id".to_owned(), scene.runtime.tenant.clone()));
    let beat = format!("/kernel/runtimes/{}/heartbeat", scene.other_runtime);
    let unborn = Uuid::now_v7().to_string();
    // Headers and body agree: only the certificate says otherwise.
    let acting_for = |tenant: &str| {
        let mut asking = scene.runtime.clone();
        asking.tenant = tenant.to_owned();
        asking.checking("reports", json!({}))
    };
    scene
        .refuse(vec![
            (
                "no version",
                without("x-contract-version"),
                400,
                "header_missing",
            ),
            (
                "a version to come",
                with("x-contract-version", "v9"),
                400,
                "version_unknown",
            ),
            ("no tenant", without("x-tenant-id"), 400, "header_missing"),
            ("two tenants", twice, 400, "header_missing"),
            (
                "a tenant that is no id",
                with("x-tenant-id", "acme"),
                400,
                "id_malformed",
            ),
            ("no runtime", without("x-runtime-id"), 400, "header_missing"),
            (
                "a correlation that is no id",
                with("x-correlation-id", "1"),
                400,
                "id_malformed",
            ),
            (
                "another runtime",
                with("x-runtime-id", &scene.other_runtime),
                401,
                "identity_mismatch",
            ),
            (
                "another's path",
                scene.runtime.asking(&beat, &json!({"status": "healthy"})),
                401,
                "identity_mismatch",
            ),
            ("no token", without("authorization"), 401, "token_refused"),
            (
                "a wrong token",
                with("authorization", "Bearer rt_x"),
                401,
                "token_refused",
            ),
            (
                "another's tenant",
                acting_for(&scene.other),
                401,
                "identity_mismatch",
            ),
            (
                "another's tenant in the header alone",
                with("x-tenant-id", &scene.other),
                401,
                "identity_mismatch",
            ),
            (
                "no one's tenant",
                acting_for(&unborn),
                401,
                "identity_mismatch",
            ),
        ])
        .await;
    let spoken = scene
        .runtime
        .send(&scene.kernel, &with("x-contract-version", "v9"))
        .await;
    assert!(
        spoken.str("detail").contains("v0.1") && spoken.str("detail").contains("v0.2"),
        "{spoken:?}"
    );
}

#[tokio::test]
async fn a_shared_runtime_acts_for_attached_tenants_and_cannot_tell_others_from_none() {
    let scene = Scene::new().await;
    let (kernel, shared) = (&scene.kernel, &scene.shared);
    let attached = json!({"name": "Branch", "type": "company", "operator": shared.tenant});
    let attached = kernel.tenant(attached).await;
    kernel
        .grant(&attached, json!({"feature": "branch", "limit": true}))
        .await;
    let check = |tenant: &str| {
        let mut asking = shared.clone();
        asking.tenant = tenant.to_owned();
        asking.checking("branch", json!({}))
    };

    let mut answers = Vec::new();
    for tenant in [&scene.other, &attached, &Uuid::now_v7().to_string()] {
        let answer = shared.send(kernel, &check(tenant)).await;
        answer.must_refuse(401, "identity_mismatch");
        answers.push((answer.str("detail"), answer.str("title")));
    }
    answers.dedup();
    assert_eq!(
        answers.len(),
        1,
        "the three are not told apart: {answers:?}"
    );

    let body = json!({"runtime_id": shared.id});
    kernel
        .post(&format!("/v1/tenants/{attached}/attachments"), body)
        .await;
    let answer = shared.send(kernel, &check(&attached)).await.must(200);
    assert_eq!(answer.json["allowed"], true, "{answer:?}");
}

#[tokio::test]
async fn bad_bodies_are_named() {
    let scene = Scene::new().await;
    let (tenant, runtime) = (&scene.runtime.tenant, &scene.runtime.id);
    let twice = format!(
        r#"{{"tenant_id":"{tenant}","runtime_id":"{runtime}","feature":"reports","feature":"beta"}}"#
    );
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let large = format!(r#"{{"feature":"{}"}}"#, "x".repeat(70_000));
    let audit = |event: Value| {
        scene
            .runtime
            .asking("/kernel/audit/events", &json!({"event": event}))
    };
    let event = |change: &dyn Fn(&mut Value)| {
        let mut event = scene.runtime.event(json!({}));
        change(&mut event);
        audit(event)
    };
    scene
        .refuse(vec![
            ("nothing", scene.check().text(""), 400, "malformed"),
            (
                "half",
                scene.check().text("{\"tenant_id\":"),
                400,
                "malformed",
            ),
            (
                "no UTF-8",
                scene.check().text(vec![0xff, 0xfe]),
                400,
                "malformed",
            ),
            ("a key twice", scene.check().text(twice), 400, "malformed"),
            ("too deep", scene.check().text(deep), 400, "malformed"),
            ("two values", scene.check().text("{} {}"), 400, "malformed"),
            (
                "a wrong shape",
                scene.body(|body| body["feature"] = json!(7)),
                400,
                "malformed",
            ),
            (
                "too large",
                scene.check().text(large),
                413,
                "body_too_large",
            ),
            (
                "another tenant",
                scene.body(|body| body["tenant_id"] = json!(scene.other)),
                422,
                "tenant_mismatch",
            ),
            (
                "another runtime",
                scene.body(|body| body["runtime_id"] = json!(scene.other_runtime)),
                422,
                "tenant_mismatch",
            ),
            (
                "a feature that is none",
                scene.body(|body| body["feature"] = json!("a b")),
                422,
                "invalid",
            ),
            (
                "nothing to take",
                scene.body(|body| body["context"] = json!({"consume": 0})),
                422,
                "invalid",
            ),
            (
                "the kernel's own type",
                event(&|event| event["type"] = json!("provost.x")),
                422,
                "event_type_reserved",
            ),
            (
                "the kernel's own voice",
                event(&|event| event["actor_type"] = json!("system")),
                422,
                "actor_type_refused",
            ),
            (
                "a far future",
                event(&|event| event["timestamp"] = json!("2999-01-01T00:00:00.000Z")),
                422,
                "event_time_refused",
            ),
            (
                "another tenant's event",
                event(&|event| event["tenant_id"] = json!(scene.other)),
                422,
                "tenant_mismatch",
            ),
            (
                "a large payload",
                event(&|event| event["payload"] = json!({"x": "x".repeat(50_000)})),
                422,
                "payload_too_large",
            ),
        ])
        .await;
}

#[tokio::test]
async fn wrong_methods_and_paths_are_named() {
    let scene = Scene::new().await;
    let path = |path: &str| scene.check().path(path);
    scene
        .refuse(vec![
            (
                "GET",
                scene.check().method(Method::GET),
                405,
                "method_not_allowed",
            ),
            (
                "PUT",
                scene.check().method(Method::PUT),
                405,
                "method_not_allowed",
            ),
            (
                "DELETE",
                scene.check().method(Method::DELETE),
                405,
                "method_not_allowed",
            ),
            ("no path", path("/kernel/nothing"), 404, "not_found"),
            (
                "the admin API's path",
                path("/v1/tenants"),
                404,
                "not_found",
            ),
        ])
        .await;
}
