//! Bad input at the admin API: a clear answer each, and nothing in any log.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::world::{world, world_with};
use crate::config::Limits;

#[tokio::test]
async fn bad_input_gets_a_clear_answer_and_changes_nothing() {
    world(|world| async move {
        let root = world.root();
        let id = world.tenant("Acme", None).await;
        let t = format!("/v1/tenants/{id}");
        let long = "x".repeat(70 * 1024);
        let post = |path: &str, body: &str| ("POST", path.to_owned(), body.to_owned());
        let get = |path: &str| ("GET", path.to_owned(), String::new());
        let entitlements = format!("{t}/entitlements");
        let tokens = format!("{t}/tokens");
        let providers = format!("{t}/providers");
        let grant = |rest: &str| post(&entitlements, &format!(r#"{{"feature":"a",{rest}}}"#));
        let token = |rest: &str| {
            let text = format!(r#"{{"runtime_type":"app","deployment_mode":"on_prem"{rest}}}"#);
            post(&tokens, &text)
        };
        let provider = |alg: &str, rest: &str| {
            let text = format!(
                r#"{{"kind":"oidc","issuer":"i","audience":"a","algorithms":["{alg}"]{rest}}}"#
            );
            post(&providers, &text)
        };
        for ((method, path, body), status, code) in [
            (post("/v1/tenants", ""), 400, "malformed"),
            (post("/v1/tenants", "{"), 400, "malformed"),
            (post("/v1/tenants", "[]"), 400, "malformed"),
            (post("/v1/tenants", r#"{"name":"a","name":"b"}"#), 400, "malformed"),
            (post("/v1/tenants", r#"{"name":"a","extra":1}"#), 400, "malformed"),
            (post("/v1/tenants", r#"{"name":"a"} x"#), 400, "malformed"),
            (post("/v1/tenants", r#"{"name":""}"#), 422, "invalid"),
            (post("/v1/tenants", r#"{"name":"a","type":"internal"}"#), 422, "invalid"),
            (post("/v1/tenants", r#"{"name":"a","type":"individual"}"#), 422, "invalid"),
            (post("/v1/tenants", r#"{"name":"a","type":"club"}"#), 400, "malformed"),
            (post("/v1/tenants", r#"{"name":"a","time_zone":"Mars"}"#), 422, "invalid"),
            (
                post("/v1/tenants", r#"{"name":"a","operator":"01890a5d-ac96-774b-bcce-b302099a8057"}"#),
                422,
                "invalid",
            ),
            (
                post(
                    "/v1/tenants",
                    r#"{"name":"a","policies":{"security_level":"standard","data_residency":"eu"}}"#,
                ),
                422,
                "residency",
            ),
            (post("/v1/tenants", &format!(r#"{{"name":"{long}"}}"#)), 413, "body_too_large"),
            (get("/v1/tenants/1"), 400, "id_malformed"),
            (get("/v1/tenants/01890a5d-ac96-774b-bcce-b302099a8057"), 404, "not_found"),
            (get("/v1/tenants?limit=0"), 422, "invalid"),
            (get("/v1/tenants?limit=101"), 422, "invalid"),
            (get("/v1/tenants?limit=x"), 400, "malformed"),
            (get("/v1/tenants?page=2"), 400, "malformed"),
            (get("/v1/tenants?page[cursor]=!"), 400, "malformed"),
            (get(&format!("{t}/runtimes?page[cursor]=dG9rZW4veA")), 400, "malformed"),
            (get(&format!("{t}/audit?after=1&page[cursor]=YQ")), 422, "invalid"),
            (get(&format!("{t}/audit?after=-1")), 400, "malformed"),
            (get(&format!("{t}/runtimes/01890a5d-ac96-774b-bcce-b302099a8057")), 404, "not_found"),
            (get(&format!("{t}/licenses/01890a5d-ac96-774b-bcce-b302099a8057")), 404, "not_found"),
            (get("/v1/nowhere"), 404, "not_found"),
            (("PATCH", t.clone(), String::new()), 405, "method_not_allowed"),
            (("DELETE", format!("{t}/entitlements"), String::new()), 400, "malformed"),
            (("DELETE", format!("{t}/entitlements?feature=a%20b"), String::new()), 422, "invalid"),
            (("DELETE", format!("{t}/entitlements?feature=a"), String::new()), 404, "not_found"),
            (post(&format!("{t}/suspend"), r#"{"reason":7}"#), 400, "malformed"),
            (post(&format!("{t}/suspend"), &format!(r#"{{"reason":"{}"}}"#, "x".repeat(501))), 422, "invalid"),
            (grant(r#""limit":-1"#), 400, "malformed"),
            (grant(r#""limit":1.5"#), 400, "malformed"),
            (grant(r#""limit":9007199254740992"#), 422, "invalid"),
            (grant(r#""limit":1,"time_window":"fortnight""#), 400, "malformed"),
            (grant(r#""limit":1,"mode":"maybe""#), 400, "malformed"),
            (
                grant(r#""limit":1,"runtime_id":"01890a5d-ac96-774b-bcce-b302099a8057""#),
                422,
                "invalid",
            ),
            (token(r#","uses":0"#), 422, "invalid"),
            (token(r#","ttl_ms":0"#), 422, "invalid"),
            (token(r#","ttl_ms":99999999999"#), 422, "invalid"),
            (provider("HS256", r#","jwks":{},"required_claims":{"o":"a"}"#), 422, "invalid"),
            (provider("none", r#","jwks":{},"required_claims":{"o":"a"}"#), 422, "invalid"),
            (provider("ES256", r#","jwks":{}"#), 422, "invalid"),
            (provider("ES256", r#","required_claims":{"o":"a"}"#), 422, "invalid"),
            (provider("ES256", r#","jwks":[],"required_claims":{"o":"a"}"#), 422, "invalid"),
            (
                provider("ES256", r#","jwks_url":"http://x","required_claims":{"o":"a"}"#),
                422,
                "invalid",
            ),
            (post(&format!("{t}/attachments"), r#"{"runtime_id":"x"}"#), 400, "malformed"),
            (post("/v1/admin-keys", r#"{"name":"x","role":"god"}"#), 400, "malformed"),
            (
                post("/v1/admin-keys", &format!(r#"{{"name":"x","role":"super_admin","tenant_id":"{id}"}}"#)),
                422,
                "invalid",
            ),
        ] {
            let said = world.raw(method, &path, Some(&root), body.clone(), &[]).await;
            let place = format!("{method} {path} {}", &body[..body.len().min(100)]);
            assert_eq!((said.status, said.code().as_str()), (status, code), "{place}: {said:?}");
            assert_eq!(said.header("content-type"), Some("application/problem+json"), "{place}");
            assert_eq!(said.body["correlation_id"], said.header("x-correlation-id").unwrap());
        }
        let shown = world.get(&root, &t).await;
        assert_eq!(shown.body["seq"], 1, "only its creation: {shown:?}");
        assert_eq!(world.get(&root, "/v1/tenants").await.body["items"].as_array().unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn who_shows_no_key_in_force_or_comes_from_elsewhere_is_refused() {
    world(|world| async move {
        let root = world.root();
        let mut forged = root.clone();
        forged.replace_range(root.len() - 4.., "AAAA");
        let known = "/v1/status";
        for (key, headers, code) in [
            (None, &[][..], "key_refused"),
            (Some("pvk_short"), &[], "key_refused"),
            (Some(forged.as_str()), &[], "key_refused"),
            (
                Some(root.as_str()),
                &[("host", "evil.example")],
                "origin_refused",
            ),
            (
                Some(root.as_str()),
                &[("origin", "https://evil.example")],
                "origin_refused",
            ),
            (
                Some(root.as_str()),
                &[("x-correlation-id", "mine")],
                "id_malformed",
            ),
            (Some(root.as_str()), &[], ""),
        ] {
            let said = world.send("GET", known, key, Value::Null, headers).await;
            assert_eq!(said.code(), code, "{said:?}");
        }
        let said = world.send("GET", known, None, Value::Null, &[]).await;
        assert_eq!(said.header("www-authenticate"), Some("Bearer"));
        let basic = [("authorization", "Basic cm9vdA==")];
        assert_eq!(
            world
                .send("GET", known, None, Value::Null, &basic)
                .await
                .code(),
            "key_refused"
        );
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let echo = [("x-correlation-id", id)];
        let said = world
            .send("GET", known, Some(&root), Value::Null, &echo)
            .await;
        assert_eq!(said.header("x-correlation-id"), Some(id));
        let long = "k".repeat(256);
        let keyed = [("idempotency-key", long.as_str())];
        let said = world.send(
            "POST",
            "/v1/tenants",
            Some(&root),
            json!({"name": "a"}),
            &keyed,
        );
        assert_eq!(said.await.code(), "malformed");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_asks_too_often_waits_and_others_do_not() {
    let limits = Limits {
        admin_requests_per_second: NonZeroU32::MIN,
        admin_burst: NonZeroU32::new(3).unwrap(),
        ..Limits::default()
    };
    world_with(limits, |world| async move {
        let root = world.root();
        let other = world.key(&world.root.tenant().to_string(), "auditor").await;
        let said = world.get(&root, "/v1/status").await;
        assert_eq!(said.header("x-ratelimit-limit"), Some("3"));
        assert_eq!(said.header("x-ratelimit-remaining"), Some("1"));
        world.get(&root, "/v1/status").await;
        let refused = world.get(&root, "/v1/status").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (429, "rate_limited")
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
        assert_eq!(world.get(&other, "/v1/status").await.status, 200);
    })
    .await;
}
