//! Every runtime of a tenant is revoked: part by part, and nothing of what came of it is lost.

use std::future::poll_fn;

use provost_kernel::limits::REVOKED_AT_ONCE_MAX;
use serde_json::json;

use super::world::{Said, World, world};

async fn fleet(world: &World, count: u64) -> String {
    let tenant = world.tenant("Acme", None).await;
    let tokens = format!("/v1/tenants/{tenant}/tokens");
    let body = json!({"runtime_type": "app", "deployment_mode": "on_prem", "uses": count});
    let token = world.post(&world.root(), &tokens, body).await.text("token");
    for _ in 0..count {
        world.enroll(&tenant, &token).await;
    }
    tenant
}

async fn revoke(world: &World, tenant: &str, body: serde_json::Value) -> Said {
    let path = format!("/v1/tenants/{tenant}/runtimes/revoke");
    world.post(&world.root(), &path, body).await
}

#[tokio::test]
async fn a_fleet_is_revoked_in_parts_each_of_which_says_who_was_not_told() {
    world(|world| async move {
        let tenant = fleet(&world, 5).await;
        let tokens = format!("/v1/tenants/{tenant}/tokens");
        let body = json!({"runtime_type": "app", "deployment_mode": "on_prem"});
        world.post(&world.root(), &tokens, body).await;

        let mut cursor = json!(null);
        for (count, open_tokens) in [(2, json!(null)), (2, json!(null)), (1, json!(1))] {
            let mut body = json!({"limit": 2});
            if !cursor.is_null() {
                body["cursor"] = cursor;
            }
            let said = revoke(&world, &tenant, body).await.body;
            assert_eq!(said["runtimes"], count, "{said}");
            assert_eq!(said["not_reached_count"], count, "none is connected");
            assert_eq!(said["open_tokens"], open_tokens, "one was not used");
            assert_eq!(said["next_cursor"].is_null(), count == 1, "{said}");
            cursor = said["next_cursor"].clone();
        }
        assert_eq!(world.revoked.lock().unwrap().len(), 5);

        let again = revoke(&world, &tenant, json!({})).await.body;
        assert_eq!(again["runtimes"], 0, "{again}");
        assert_eq!(again["already_revoked"], 5, "{again}");
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_fills_in_the_midst_loses_nothing_of_what_was_done_before() {
    world(|world| async move {
        let tenant = fleet(&world, REVOKED_AT_ONCE_MAX + 1).await;
        let mut said = Box::pin(revoke(&world, &tenant, json!({})));
        let said = poll_fn(|cx| {
            let polled = said.as_mut().poll(cx);
            // The first hundred are durable and told, the next command has yet to come.
            let told = !world.revoked.lock().unwrap().is_empty();
            world.store.refuse_writes(told);
            polled
        })
        .await;
        assert_eq!(said.status, 200, "{said:?}");
        assert_eq!(said.body["runtimes"], REVOKED_AT_ONCE_MAX);
        let rest = json!({"cursor": said.text("next_cursor")});
        let refused = revoke(&world, &tenant, rest.clone()).await;
        assert_eq!(refused.code(), "storage_unavailable");
        world.store.refuse_writes(false);
        let done = revoke(&world, &tenant, rest).await.body;
        assert_eq!(
            (&done["runtimes"], &done["next_cursor"]),
            (&json!(1), &json!(null))
        );
    })
    .await;
}

#[tokio::test]
async fn who_is_named_behind_an_unknown_outcome_is_named_though_nothing_was_done_before() {
    world(|world| async move {
        let tenant = fleet(&world, 3).await;
        world.store.lose_answers(true);
        let said = revoke(&world, &tenant, json!({})).await;
        assert_eq!(said.status, 200, "{said:?}");
        assert_eq!(said.body["runtimes"], 0, "{said:?}");
        assert_eq!(said.body["not_reached_count"], 3, "{said:?}");
        world.store.lose_answers(false);
        let rest = json!({"cursor": said.text("next_cursor")});
        let done = revoke(&world, &tenant, rest).await;
        assert_eq!(done.body["already_revoked"], 3, "{done:?}");
        assert_eq!(done.body["next_cursor"], json!(null), "{done:?}");
    })
    .await;
}

#[tokio::test]
async fn one_that_is_revoked_already_is_counted_as_that() {
    world(|world| async move {
        let tenant = fleet(&world, 1).await;
        let listed = format!("/v1/tenants/{tenant}/runtimes");
        let listed = world.get(&world.root(), &listed).await.body;
        let runtime = listed["items"][0]["runtime_id"].as_str().unwrap();
        let path = format!("/v1/tenants/{tenant}/runtimes/{runtime}/revoke");
        for (runtimes, already, named) in [(1, 0, 1), (0, 1, 0)] {
            let said = world.post(&world.root(), &path, json!({})).await;
            let said = &said.body["revocation"];
            assert_eq!(said["runtimes"], runtimes, "{said}");
            assert_eq!(said["already_revoked"], already, "{said}");
            assert_eq!(said["not_reached_count"], named, "{said}");
        }
    })
    .await;
}

#[tokio::test]
async fn limits_and_cursors_that_are_none_are_refused() {
    world(|world| async move {
        let tenant = fleet(&world, 1).await;
        for (body, code) in [
            (json!({"limit": 0}), "invalid"),
            (json!({"limit": 10_001}), "invalid"),
            (json!({"cursor": "?"}), "malformed"),
            // base64url of "token/", a place in another list.
            (json!({"cursor": "dG9rZW4v"}), "malformed"),
            (json!({"surprise": 1}), "malformed"),
        ] {
            let refused = revoke(&world, &tenant, body.clone()).await;
            assert_eq!(refused.code(), code, "{body}");
        }
        let untouched = revoke(&world, &tenant, json!({})).await.body;
        assert_eq!(untouched["runtimes"], 1);
    })
    .await;
}
