//! Tokens of identity providers that must not be believed.

use serde_json::json;

use crate::world::{Idp, Kernel};

#[tokio::test]
async fn tokens_that_prove_nothing_are_refused() {
    let kernel = Kernel::start().await;
    let (tenant, neighbour) = (kernel.company().await, kernel.company().await);
    let idp = Idp::new("https://login.example.org");
    idp.trusted_by(&kernel, &tenant).await;
    let theirs = Idp::new("https://login.neighbour.example");
    theirs.trusted_by(&kernel, &neighbour).await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let with = |field: &str, value: serde_json::Value| {
        let mut claims = idp.claims("ada");
        claims[field] = value;
        idp.sign(&claims)
    };
    let good = idp.token("ada");

    for (what, token) in [
        ("expired", with("exp", json!(1_600_000_000))),
        (
            "for another audience",
            with("aud", json!("https://elsewhere.example")),
        ),
        ("of another organisation", with("org", json!("umbrella"))),
        ("of an unknown key", Idp::new(&idp.issuer).token("ada")),
        ("signed by nobody", idp.unsigned("ada")),
        ("of another tenant's issuer", theirs.token("ada")),
        (
            "of an unknown issuer",
            Idp::new("https://nobody.example").token("ada"),
        ),
        ("cut", good[..good.len() - 4].to_owned()),
        ("no token", "hello".to_owned()),
    ] {
        let answer = runtime.resolve(&kernel, &token).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "external_token_refused"),
            "{what}: {}",
            answer.text
        );
    }
    runtime.resolve(&kernel, &good).await.must(200);
    let events = kernel.events(&tenant).await;
    let created = events
        .iter()
        .filter(|event| event["kind"] == "identity.created")
        .count();
    assert_eq!(created, 1, "{events:?}");
}

#[tokio::test]
async fn keys_are_never_fetched_from_where_only_the_kernel_can_go() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let port = kernel.admin_port().port();
    let (mut refused_at_once, mut fetched) = (0, 0);
    for (number, host) in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "localhost",
    ]
    .iter()
    .enumerate()
    {
        let idp = Idp::new(&format!("https://login{number}.example.org"));
        let mut settings = idp.settings();
        settings.as_object_mut().unwrap().remove("jwks");
        settings["jwks_url"] = json!(format!("https://{host}:{port}/jwks.json"));
        let path = format!("/v1/tenants/{tenant}/providers");
        let added = kernel
            .ask(reqwest::Method::POST, &path, Some(settings))
            .await;
        if added.status == 422 {
            refused_at_once += 1;
            continue;
        }
        assert_eq!(added.status, 201, "{added:?}");
        runtime
            .resolve(&kernel, &idp.token("ada"))
            .await
            .must_refuse(503, "provider_unavailable");
        fetched += 1;
    }
    assert_eq!(refused_at_once + fetched, 5);
}
