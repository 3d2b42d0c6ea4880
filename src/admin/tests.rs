//! The admin API over real actors and a store in memory, asked as HTTP.

mod bad;
mod directives;
mod evidence;
mod given_up;
mod revocations;
mod rotation;
pub(crate) mod world;

use serde_json::json;

use self::world::world;

#[tokio::test]
async fn a_tenant_is_created_suspended_and_resumed_and_its_log_says_by_whom() {
    world(|world| async move {
        let root = world.root();
        let made = world
            .post(&root, "/v1/tenants", json!({"name": "Acme"}))
            .await;
        assert_eq!(
            (made.status, &made.body["status"]),
            (201, &json!("active")),
            "{made:?}"
        );
        let tenant = made.text("tenant_id");
        let reason = json!({"reason": "unpaid"});
        let path = format!("/v1/tenants/{tenant}");
        let suspended = world.post(&root, &format!("{path}/suspend"), reason).await;
        assert_eq!(suspended.body["status"], "suspended");
        assert_eq!(suspended.header("x-event-seq"), Some("2"));
        let resumed = world
            .post(&root, &format!("{path}/resume"), json!({}))
            .await;
        assert_eq!(resumed.body["status"], "active");

        let log = world.get(&root, &format!("{path}/audit?limit=2")).await;
        let events = log.body["items"].as_array().unwrap();
        let kinds: Vec<_> = events.iter().map(|event| &event["kind"]).collect();
        assert_eq!(
            kinds,
            ["tenant.resumed", "tenant.suspended"],
            "newest first"
        );
        assert_eq!(events[1]["data"]["reason"], "unpaid");
        assert_eq!(events[1]["source"], "admin");
        assert_eq!(
            events[1]["actor"]["id"],
            format!("admin-key/{}", world.root.id())
        );
        let cursor = log.text("next_cursor");
        let rest = world
            .get(&root, &format!("{path}/audit?page[cursor]={cursor}"))
            .await;
        assert_eq!(rest.body["items"][0]["kind"], "tenant.created");
        assert_eq!(rest.body["next_cursor"], json!(null));
        let after = world
            .get(&root, &format!("{path}/audit?after=1&limit=1"))
            .await;
        assert_eq!(after.body["items"][0]["seq"], 2);
        let cursor = after.text("next_cursor");
        let rest = world
            .get(&root, &format!("{path}/audit?page%5Bcursor%5D={cursor}"))
            .await;
        assert_eq!(rest.body["items"][0]["seq"], 3);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_idempotency_key_answers_the_first_outcome_secrets_included() {
    world(|world| async move {
        let root = world.root();
        let once = [("idempotency-key", "k1")];
        let body = json!({"name": "Acme"});
        let first = world
            .send("POST", "/v1/tenants", Some(&root), body.clone(), &once)
            .await;
        let again = world
            .send("POST", "/v1/tenants", Some(&root), body, &once)
            .await;
        assert_eq!((first.status, again.status), (201, 201), "{again:?}");
        assert_eq!(first.body["tenant_id"], again.body["tenant_id"]);
        assert_eq!(first.header("idempotency-replayed"), None);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let other = json!({"name": "Other"});
        let conflict = world
            .send("POST", "/v1/tenants", Some(&root), other, &once)
            .await;
        assert_eq!(conflict.code(), "idempotency_conflict");

        let path = format!("/v1/tenants/{}/tokens", first.text("tenant_id"));
        let body = json!({"runtime_type": "app", "deployment_mode": "on_prem"});
        let conflict = world
            .send("POST", &path, Some(&root), body.clone(), &once)
            .await;
        assert_eq!(
            conflict.code(),
            "idempotency_conflict",
            "another path is another request"
        );
        let once = [("idempotency-key", "k2")];
        let first = world
            .send("POST", &path, Some(&root), body.clone(), &once)
            .await;
        let again = world
            .send("POST", &path, Some(&root), body.clone(), &once)
            .await;
        assert!(first.text("token").starts_with("pvt1."), "{first:?}");
        assert_eq!(first.body, again.body);
        let fresh = world.send("POST", &path, Some(&root), body, &[]).await;
        assert_ne!(first.text("token"), fresh.text("token"));
        let listed = world.get(&root, &path).await;
        assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
        assert!(!listed.body.to_string().contains("secret"), "{listed:?}");

        let body = json!({"name": "script", "role": "auditor"});
        let first = world
            .send("POST", "/v1/admin-keys", Some(&root), body.clone(), &once)
            .await;
        let again = world
            .send("POST", "/v1/admin-keys", Some(&root), body, &once)
            .await;
        assert_eq!(first.body, again.body);
        let status = world.get(&first.text("key"), "/v1/status").await;
        assert_eq!(status.status, 200, "the key that was answered works");
    })
    .await;
}

#[tokio::test]
async fn a_token_enrolls_with_the_secret_it_shows() {
    world(|world| async move {
        let root = world.root();
        let tenant = world.tenant("Acme", None).await;
        let path = format!("/v1/tenants/{tenant}/tokens");
        let body = json!({"runtime_type": "app", "deployment_mode": "on_prem", "uses": 1});
        let made = world.post(&root, &path, body).await;
        let runtime = world.enroll(&tenant, &made.text("token")).await;
        let shown = world
            .get(&root, &format!("/v1/tenants/{tenant}/runtimes/{runtime}"))
            .await;
        assert_eq!(shown.body["status"], "registered", "{shown:?}");
        assert_eq!(shown.body["live"], json!(null));
        assert!(!shown.body.to_string().contains("token"), "{shown:?}");
    })
    .await;
}

#[tokio::test]
async fn a_revoked_runtime_is_told_of_with_its_serials_each_time_and_stays_revoked() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let runtime = world.runtime(&tenant, "on_prem").await;
        let path = format!("/v1/tenants/{tenant}/runtimes/{runtime}");
        for reason in ["stolen", "really"] {
            let revoke = format!("{path}/revoke");
            let revoked = world.post(&root, &revoke, json!({"reason": reason})).await;
            assert_eq!(revoked.body["status"], "revoked", "{revoked:?}");
        }
        let told = world.revoked.lock().unwrap().clone();
        let once = (tenant.clone(), runtime.clone(), vec!["0a".to_owned()]);
        assert_eq!(told, [once.clone(), once]);
        let resumed = world
            .post(&root, &format!("{path}/resume"), json!({}))
            .await;
        assert_eq!(resumed.code(), "runtime_revoked");
    })
    .await;
}

#[tokio::test]
async fn an_entitlement_is_set_listed_replaced_under_its_tag_and_removed() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let path = format!("/v1/tenants/{tenant}/entitlements");
        let body = json!({"feature": "exports:a/b", "limit": 5, "time_window": "month"});
        let set = world.send("PUT", &path, Some(&root), body, &[]).await;
        assert_eq!(
            (set.status, &set.body["limit"]),
            (200, &json!(5)),
            "{set:?}"
        );
        let tag = set.header("etag").unwrap().to_owned();

        let more = json!({"feature": "exports:a/b", "limit": "unlimited"});
        let matched = [("if-match", tag.as_str())];
        let replaced = world
            .send("PUT", &path, Some(&root), more.clone(), &matched)
            .await;
        assert_eq!(replaced.body["limit"], "unlimited");
        let stale = world.send("PUT", &path, Some(&root), more, &matched).await;
        assert_eq!(
            (stale.status, stale.code().as_str()),
            (412, "precondition_failed")
        );

        let flag = json!({"feature": "audits", "limit": true});
        world.post(&root, &path, flag).await;
        let first = world.get(&root, &format!("{path}?limit=1")).await;
        assert_eq!(first.body["items"][0]["feature"], "audits");
        let next = format!("{path}?limit=1&page[cursor]={}", first.text("next_cursor"));
        let second = world.get(&root, &next).await;
        assert_eq!(second.body["items"][0]["feature"], "exports:a/b");
        assert_eq!(second.body["next_cursor"], json!(null));

        let one = format!("{path}?feature=exports:a%2Fb");
        let removed = world
            .send("DELETE", &one, Some(&root), json!(null), &[])
            .await;
        assert_eq!(removed.status, 200, "{removed:?}");
        let gone = world
            .send("DELETE", &one, Some(&root), json!(null), &[])
            .await;
        assert_eq!(gone.status, 404);
    })
    .await;
}

#[tokio::test]
async fn a_shared_runtime_of_the_operator_is_attached_and_detached_and_no_other() {
    world(|world| async move {
        let root = world.root();
        let operator = world.tenant("Operator", None).await;
        let customer = world.tenant("Customer", Some(&operator)).await;
        let shared = world.runtime(&operator, "shared").await;
        let own = world.runtime(&operator, "dedicated").await;
        let path = format!("/v1/tenants/{customer}/attachments");
        let made = world
            .post(&root, &path, json!({"runtime_id": shared}))
            .await;
        assert_eq!(
            (made.status, &made.body["operator"]),
            (201, &json!(operator)),
            "{made:?}"
        );
        let refused = world.post(&root, &path, json!({"runtime_id": own})).await;
        assert_eq!(refused.code(), "invalid");
        let listed = world.get(&root, &path).await;
        assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
        let one = format!("{path}/{shared}");
        let detached = world
            .send("DELETE", &one, Some(&root), json!(null), &[])
            .await;
        assert_eq!(detached.status, 200);
        let gone = world
            .send("DELETE", &one, Some(&root), json!(null), &[])
            .await;
        assert_eq!(gone.status, 404);
        let lonely = format!("/v1/tenants/{operator}/attachments");
        let refused = world
            .post(&root, &lonely, json!({"runtime_id": shared}))
            .await;
        assert_eq!(refused.code(), "invalid", "a tenant without operator");
    })
    .await;
}

#[tokio::test]
async fn a_provider_is_added_listed_and_removed() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let path = format!("/v1/tenants/{tenant}/providers");
        let body = json!({
            "kind": "oidc", "issuer": "https://id.example", "audience": "a",
            "algorithms": ["ES256"], "jwks": {"keys": []}, "required_claims": {"org": "acme"},
        });
        let made = world.post(&root, &path, body.clone()).await;
        assert_eq!(
            (made.status, &made.body["jwks_inline"]),
            (201, &json!(true)),
            "{made:?}"
        );
        let again = world.post(&root, &path, body).await;
        assert_eq!(again.code(), "conflict");
        let one = format!("{path}/{}", made.text("provider_id"));
        let removed = world
            .send("DELETE", &one, Some(&root), json!(null), &[])
            .await;
        assert_eq!(removed.status, 200);
        assert_eq!(world.get(&root, &path).await.body["items"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_key_sees_its_own_tenant_and_those_it_operates_and_nothing_else_exists() {
    world(|world| async move {
        let operator = world.tenant("Operator", None).await;
        let customer = world.tenant("Customer", Some(&operator)).await;
        let stranger = world.tenant("Stranger", None).await;
        let admin = world.key(&operator, "admin").await;
        let auditor = world.key(&operator, "auditor").await;
        let own = world.key(&customer, "admin").await;

        let listed = world.get(&auditor, "/v1/tenants").await;
        let listed = listed.body["items"].as_array().unwrap();
        let mut names: Vec<_> = listed
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["Customer", "Operator"]);
        let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
        let foreign = world.get(&admin, &format!("/v1/tenants/{stranger}")).await;
        let unknown = world.get(&admin, &format!("/v1/tenants/{nobody}")).await;
        let without_id = |mut body: serde_json::Value| {
            body.as_object_mut().unwrap().remove("correlation_id");
            body
        };
        assert_eq!(foreign.status, 404);
        assert_eq!(
            without_id(foreign.body),
            without_id(unknown.body),
            "not told apart"
        );

        let grant = json!({"feature": "exports", "limit": true});
        for (key, tenant, code) in [
            (&admin, &customer, ""),
            (&admin, &operator, "role_insufficient"),
            (&own, &customer, "role_insufficient"),
            (&own, &operator, "not_found"),
            (&own, &stranger, "not_found"),
            (&auditor, &customer, "role_insufficient"),
        ] {
            let path = format!("/v1/tenants/{tenant}/entitlements");
            let said = world.post(key, &path, grant.clone()).await;
            assert_eq!(said.code(), code, "{said:?}");
        }
        let suspend = format!("/v1/tenants/{customer}/suspend");
        assert_eq!(world.post(&admin, &suspend, json!({})).await.status, 200);
        let token = json!({"runtime_type": "app", "deployment_mode": "on_prem"});
        let tokens = format!("/v1/tenants/{customer}/tokens");
        assert_eq!(
            world.post(&own, &tokens, token).await.code(),
            "tenant_suspended"
        );

        let made = world
            .post(&admin, "/v1/tenants", json!({"name": "Third"}))
            .await;
        assert_eq!(
            made.body["operator"],
            json!(operator),
            "its own, unless it says so"
        );
        let super_admin = json!({"name": "x", "role": "super_admin"});
        let made = world.post(&admin, "/v1/admin-keys", super_admin).await;
        assert_eq!(made.code(), "role_insufficient");
    })
    .await;
}

#[tokio::test]
async fn every_path_of_the_document_is_served_and_asks_for_a_key() {
    world(|world| async move {
        let document = world
            .send("GET", "/openapi.json", None, json!(null), &[])
            .await
            .body;
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let mut operations = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            let parts = path
                .split('/')
                .map(|part| if part.starts_with('{') { id } else { part });
            let place = parts.collect::<Vec<_>>().join("/");
            for (method, operation) in item.as_object().unwrap() {
                let method = method.to_uppercase();
                let said = world.send(&method, &place, None, json!(null), &[]).await;
                let open = operation["security"] == json!([]);
                let expected = if open { 200 } else { 401 };
                assert_eq!(said.status, expected, "{method} {path}: {said:?}");
                operations += 1;
            }
            let patched = world.send("PATCH", &place, None, json!(null), &[]).await;
            assert_eq!(patched.code(), "method_not_allowed", "{path}");
        }
        assert_eq!(operations, super::routes::all().count() + 4);
    })
    .await;
}

#[tokio::test]
async fn probes_say_ready_until_the_kernel_drains_or_the_store_is_gone() {
    world(|world| async move {
        let probe = |path: &'static str| world.send("GET", path, None, json!(null), &[]);
        assert_eq!(probe("/healthz").await.status, 200);
        assert_eq!(probe("/readyz").await.status, 200);
        assert_eq!(probe("/metrics").await.status, 200);
        world
            .draining
            .store(true, std::sync::atomic::Ordering::SeqCst);
        let draining = probe("/readyz").await;
        assert_eq!(
            (draining.code().as_str(), draining.header("retry-after")),
            ("draining", Some("5"))
        );
        let status = world.get(&world.root(), "/v1/status").await;
        assert_eq!(
            (&status.body["draining"], &status.body["store_ready"]),
            (&json!(true), &json!(true))
        );
    })
    .await;
}

#[tokio::test]
async fn writes_that_fail_answer_503_and_reads_go_on() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        world.store.refuse_writes(true);
        let path = format!("/v1/tenants/{tenant}");
        let refused = world
            .post(&root, &format!("{path}/suspend"), json!({}))
            .await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "storage_unavailable")
        );
        assert_eq!(refused.header("retry-after"), Some("30"));
        assert_eq!(world.get(&root, &path).await.body["status"], "active");
        world.store.refuse_writes(false);
        let done = world
            .post(&root, &format!("{path}/suspend"), json!({}))
            .await;
        assert_eq!(done.body["status"], "suspended", "{done:?}");
    })
    .await;
}
