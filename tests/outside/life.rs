//! What happens to a runtime after it began: suspended, resumed, revoked; and a whole life in v0.1.

use serde_json::json;

use crate::world::Kernel;

#[tokio::test]
async fn a_suspended_tenant_is_denied_everything_but_its_record() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let mut runtime = kernel.runtime(&tenant, "on_prem").await;
    kernel
        .post(
            &format!("/v1/tenants/{tenant}/suspend"),
            json!({"reason": "unpaid"}),
        )
        .await;

    let denied = runtime.check(&kernel, "reports").await.must(200);
    assert_eq!(
        (&denied.json["allowed"], &denied.json["reason"]),
        (&json!(false), &json!("TENANT_SUSPENDED"))
    );
    assert_eq!(
        runtime.beat(&kernel).await.must(200).str("status"),
        "suspended"
    );
    runtime
        .audit(&kernel, &runtime.event(json!({})))
        .await
        .must(202);
    runtime
        .resolve(&kernel, "a.b.c")
        .await
        .must_refuse(403, "tenant_suspended");
    runtime
        .register(&kernel)
        .await
        .must_refuse(403, "tenant_suspended");

    kernel
        .post(
            &format!("/v1/tenants/{tenant}/resume"),
            json!({"reason": "paid"}),
        )
        .await;
    assert_eq!(
        runtime.check(&kernel, "reports").await.must(200).json["allowed"],
        true
    );
    assert_eq!(
        runtime.beat(&kernel).await.must(200).str("status"),
        "active"
    );
}

#[tokio::test]
async fn a_suspended_runtime_waits_and_a_revoked_one_is_out() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let mut runtime = kernel.runtime(&tenant, "on_prem").await;
    let other = kernel.runtime(&tenant, "on_prem").await;
    let path = format!("/v1/tenants/{tenant}/runtimes/{}", runtime.id);

    kernel.post(&format!("{path}/suspend"), json!({})).await;
    let denied = runtime.check(&kernel, "reports").await.must(200);
    assert_eq!(
        (&denied.json["allowed"], &denied.json["reason"]),
        (&json!(false), &json!("RUNTIME_SUSPENDED"))
    );
    assert_eq!(
        runtime.beat(&kernel).await.must(200).str("status"),
        "suspended"
    );
    runtime
        .register(&kernel)
        .await
        .must_refuse(403, "runtime_suspended");
    kernel.post(&format!("{path}/resume"), json!({})).await;
    assert_eq!(
        runtime.check(&kernel, "reports").await.must(200).json["allowed"],
        true
    );

    kernel
        .post(&format!("{path}/revoke"), json!({"reason": "stolen"}))
        .await;
    let ask = runtime.checking("reports", json!({}));
    // On the connection that is open it hears why; a new one is not even shaken hands with.
    if let Ok(refused) = runtime.try_send(&kernel, &ask).await {
        assert_eq!(refused.status, 401, "{refused:?}");
    }
    let fresh = runtime.with_certificate(&kernel, &runtime.key_pem, &runtime.certificate_pem);
    match fresh.try_send(&kernel, &ask).await {
        Ok(refused) => assert_eq!(refused.status, 401, "{refused:?}"),
        Err(error) => assert!(!error.is_timeout(), "{error:?}"),
    }
    assert_eq!(
        other.check(&kernel, "reports").await.must(200).json["allowed"],
        true
    );
}

#[tokio::test]
async fn a_pure_v01_runtime_walks_its_whole_start() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(
            &tenant,
            json!({"feature": "reports", "limit": 2, "time_window": "month"}),
        )
        .await;
    let mut runtime = kernel.enroll(&tenant, "dedicated").await;
    let kernel_name = format!("spiffe://{}/kernel", runtime.install);
    assert_eq!(
        runtime.enrolment["kernel_name"], kernel_name,
        "what its client must look for"
    );

    let registered = runtime.register(&kernel).await.must(201);
    assert_eq!(
        registered.header("x-correlation-id").map(str::len),
        Some(36)
    );
    let beat = runtime.beat(&kernel).await.must(200);
    assert!(
        ["active", "registered"].contains(&beat.str("status").as_str()),
        "{beat:?}"
    );
    let check = runtime.check(&kernel, "reports").await.must(200);
    assert_eq!(
        check.json["limits"]["quota"], 2,
        "a number in v0.1: {check:?}"
    );
    let mut event = runtime.event(json!({"any": [1, {"thing": null}]}));
    runtime.audit(&kernel, &event).await.must(202);

    event = runtime.event(json!({}));
    event["actor_type"] = json!("agent");
    runtime
        .audit(&kernel, &event)
        .await
        .must_refuse(422, "actor_type_refused");
    runtime.version = "v0.2";
    runtime.audit(&kernel, &event).await.must(202);
}
