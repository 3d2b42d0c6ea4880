use crate::world::*;

#[tokio::test]
async fn bad_input_gets_a_clear_answer() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (_peer, _) = world.welcome(1).await;
    until("up", || connector.status().link.state == "up").await;
    let good = registered(&connector).await;
    let (t, r) = (tenant().to_string(), runtime().to_string());
    let other = "01890a5d-ac96-774b-bcce-b302099a8099";
    let at = |path: &str, headers: &str| format!("POST {path} HTTP/1.1\r\n{headers}");
    let check = "/kernel/entitlements/check";
    let body = format!(r#"{{"tenant_id":"{t}","runtime_id":"{r}","feature":"a"}}"#);
    let audit = "/kernel/audit/events";
    let event = |actor: &str, kind: &str, of: &str| {
        format!(
            r#"{{"event":{{"event_id":"{other}","tenant_id":"{of}","actor_type":"{actor}",
            "actor_id":"x","type":"{kind}","timestamp":"2026-01-01T00:00:00Z",
            "correlation_id":"{other}","payload":{{}}}}}}"#
        )
    };
    let without = |name: &str| {
        let kept: Vec<_> = good
            .split("\r\n")
            .filter(|line| !line.starts_with(name))
            .collect();
        kept.join("\r\n")
    };
    for (head, body, status, code) in [
        (
            at(check, &without("X-Contract")),
            body.clone(),
            400,
            "header_missing",
        ),
        (
            at(check, &good.replace("v0.1", "v9")),
            body.clone(),
            400,
            "version_unknown",
        ),
        (
            at(check, &without("X-Tenant")),
            body.clone(),
            400,
            "header_missing",
        ),
        (
            at(check, &without("Authorization")),
            body.clone(),
            400,
            "header_missing",
        ),
        (
            at(check, &format!("{good}x")),
            body.clone(),
            401,
            "token_refused",
        ),
        (
            at(check, &good.replace(&r, other)),
            body.clone(),
            401,
            "identity_mismatch",
        ),
        (
            at(check, &good.replace(&r, "nonsense")),
            body.clone(),
            400,
            "id_malformed",
        ),
        (
            at(check, &good),
            body.replace(&t, other),
            422,
            "tenant_mismatch",
        ),
        (at(check, &good), "{".to_owned(), 400, "malformed"),
        (
            at(check, &good),
            body.replace('{', r#"{"feature":"b","#),
            400,
            "malformed",
        ),
        (
            at(check, &good),
            body.replace(r#""a""#, r#""a b""#),
            422,
            "invalid",
        ),
        (at(check, &good), " ".repeat(40_000), 413, "body_too_large"),
        (
            at(audit, &good),
            event("system", "x", &t),
            422,
            "actor_type_refused",
        ),
        (
            at(audit, &good),
            event("agent", "x", &t),
            422,
            "actor_type_refused",
        ),
        (
            at(audit, &good),
            event("user", "provost.x", &t),
            422,
            "event_type_reserved",
        ),
        (
            at(audit, &good),
            event("user", "x", other),
            422,
            "tenant_mismatch",
        ),
        (
            at(audit, &good),
            r#"{"event":[]}"#.to_owned(),
            422,
            "invalid",
        ),
        (
            format!("GET {check} HTTP/1.1"),
            String::new(),
            405,
            "method_not_allowed",
        ),
        (
            "GET /nowhere HTTP/1.1".to_owned(),
            String::new(),
            404,
            "not_found",
        ),
        (
            "GET /status HTTP/1.1\r\nHost: evil.example".to_owned(),
            String::new(),
            403,
            "origin_refused",
        ),
        (
            "GET /status HTTP/1.1\r\nOrigin: https://evil.example".to_owned(),
            String::new(),
            403,
            "origin_refused",
        ),
        (
            "GET /status HTTP/1.1\r\nX-Correlation-Id: 7".to_owned(),
            String::new(),
            400,
            "id_malformed",
        ),
    ] {
        let (found, problem, headers) = local(&connector, &head, &body).await;
        assert_eq!(
            (found, problem["code"].as_str()),
            (status, Some(code)),
            "{head}\n{body}\n{problem}"
        );
        assert!(
            headers.contains("content-type: application/problem+json"),
            "{headers}"
        );
        let correlation = problem["correlation_id"].as_str().unwrap();
        assert!(
            headers.contains(&format!("x-correlation-id: {correlation}")),
            "{headers}"
        );
    }
    let head = at(audit, &format!("{good}\r\nX-Correlation-Id: {other}"));
    let (status, answer, headers) = local(&connector, &head, &event("user", "x", &t)).await;
    assert_eq!(
        (status, answer["event_id"].as_str()),
        (202, Some(other)),
        "{answer}"
    );
    assert!(headers.contains(other));
    connector.shutdown().await;
}

#[tokio::test]
async fn registering_again_replaces_the_token() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (_peer, _) = world.welcome(1).await;
    until("up", || connector.status().link.state == "up").await;
    let first = registered(&connector).await;
    let second = registered(&connector).await;
    let path = format!("POST /kernel/runtimes/{}/heartbeat HTTP/1.1\r\n", runtime());
    let body = r#"{"status":"healthy"}"#;
    let (status, problem, _) = local(&connector, &(path.clone() + &first), body).await;
    assert_eq!((status, &problem["code"]), (401, &"token_refused".into()));
    let (status, beat, _) = local(&connector, &(path + &second), body).await;
    assert_eq!((status, &beat["status"]), (200, &"active".into()), "{beat}");
    assert!(!beat["signed_time"].as_str().unwrap().is_empty());
    connector.shutdown().await;
}
