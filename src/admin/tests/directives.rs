//! Kill, limit, copies; and changes under a tag.

use provost_kernel::Command;
use provost_protocol::{RuntimeId, Timestamp, event::Sighting};
use serde_json::json;

use super::world::world;

#[tokio::test]
async fn a_runtime_is_killed_shown_so_and_resumed_by_who_governs_its_tenant() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let runtime = world.runtime(&tenant, "on_prem").await;
        let path = format!("/v1/tenants/{tenant}/runtimes/{runtime}");
        let own = world.key(&tenant, "admin").await;

        let reason = json!({"reason": "leaked key"});
        let killed = world.post(&own, &format!("{path}/kill"), reason).await;
        assert_eq!(killed.status, 200, "{killed:?}");
        assert_eq!(killed.body["killed"]["reason"], "leaked key");
        let listed = world
            .get(&own, &format!("/v1/tenants/{tenant}/runtimes"))
            .await;
        assert_eq!(listed.body["items"][0]["killed"], killed.body["killed"]);
        let refused = world.post(&own, &format!("{path}/resume"), json!({})).await;
        assert_eq!(refused.code(), "role_insufficient");
        let resumed = world
            .post(&root, &format!("{path}/resume"), json!({}))
            .await;
        assert_eq!(resumed.body["killed"], json!(null));
        assert_ne!(killed.header("etag"), resumed.header("etag"));
    })
    .await;
}

#[tokio::test]
async fn a_limit_is_set_shown_and_taken_away_and_narrows_only() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let runtime = world.runtime(&tenant, "on_prem").await;
        let path = format!("/v1/tenants/{tenant}/runtimes/{runtime}/limits");
        let limit =
            |limit| json!({"feature": "a.b:c", "limit": limit, "until": "2999-01-01T00:00:00Z"});
        let none = world.get(&root, &path).await;
        assert_eq!(none.body["limits"], json!([]));
        let tag = none.header("etag").unwrap().to_owned();
        let matched = [("if-match", tag.as_str())];

        let set = world
            .send("PUT", &path, Some(&root), limit(json!(5)), &matched)
            .await;
        assert_eq!(set.status, 200, "{set:?}");
        assert_eq!(set.body["limits"][0]["limit"], 5);
        let stale = world
            .send("PUT", &path, Some(&root), limit(json!(6)), &matched)
            .await;
        assert_eq!(stale.code(), "precondition_failed");
        let wider = world
            .send("PUT", &path, Some(&root), limit(json!(true)), &[])
            .await;
        assert_eq!(wider.code(), "invalid");
        let shown = world
            .get(&root, &format!("/v1/tenants/{tenant}/runtimes/{runtime}"))
            .await;
        assert_eq!(shown.body["limits"], set.body["limits"]);

        let one = format!("{path}?feature=a.b:c");
        let own = world.key(&tenant, "admin").await;
        let refused = world
            .send("DELETE", &one, Some(&own), json!(null), &[])
            .await;
        assert_eq!(refused.code(), "role_insufficient", "its vendor set it");
        let gone = world
            .send("DELETE", &one, Some(&root), json!(null), &[])
            .await;
        assert_eq!(gone.body["limits"], json!([]));
        let again = world
            .send("DELETE", &one, Some(&root), json!(null), &[])
            .await;
        assert_eq!(again.status, 404);
        let elsewhere = world.tenant("Other", None).await;
        let other = world.runtime(&elsewhere, "on_prem").await;
        let strange = path.replace(&runtime, &other);
        assert_eq!(world.get(&root, &strange).await.status, 404);
        let set = world
            .send("PUT", &strange, Some(&root), limit(json!(5)), &[])
            .await;
        assert_eq!(set.status, 404, "it does not act for this tenant");
    })
    .await;
}

#[tokio::test]
async fn copies_are_shown_with_both_sightings_until_they_are_resolved() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let runtime = world.runtime(&tenant, "on_prem").await;
        let path = format!("/v1/tenants/{tenant}/runtimes/{runtime}");
        let sighting = |address: &str| Sighting {
            address: address.to_owned(),
            serial: "5a".to_owned(),
            generation: 7,
            seen: Timestamp::EPOCH,
        };
        let report = Command::ReportClone {
            runtime: runtime.parse::<RuntimeId>().unwrap(),
            sightings: vec![sighting("192.0.2.1:1"), sighting("192.0.2.2:1")],
        };
        world.execute(&tenant, report).await;
        let shown = world.get(&root, &path).await;
        assert_eq!(shown.body["copies"]["alarms"], 1);
        let addresses: Vec<_> = shown.body["copies"]["sightings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|copy| copy["address"].as_str().unwrap())
            .collect();
        assert_eq!(addresses, ["192.0.2.1:1", "192.0.2.2:1"]);
        let resolved = world
            .post(&root, &format!("{path}/resolve-clone"), json!({}))
            .await;
        assert_eq!(resolved.body["copies"], json!(null), "{resolved:?}");
    })
    .await;
}

/// Each has read the same; whoever looks before it decides lets all of them through.
#[tokio::test]
async fn of_many_changes_under_one_tag_exactly_one_goes_through() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let path = format!("/v1/tenants/{tenant}/entitlements");
        let body = |limit: u64| json!({"feature": "exports", "limit": limit});
        let set = world.send("PUT", &path, Some(&root), body(1), &[]).await;
        let tag = set.header("etag").unwrap().to_owned();
        let matched = [("if-match", tag.as_str())];
        let change = |limit| world.send("PUT", &path, Some(&root), body(limit), &matched);
        let (a, b, c, d) = tokio::join!(change(2), change(3), change(4), change(5));
        let mut statuses = [a.status, b.status, c.status, d.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412]);

        let suspend = format!("/v1/tenants/{tenant}/suspend");
        let shown = world.get(&root, &format!("/v1/tenants/{tenant}")).await;
        let tag = shown.header("etag").unwrap().to_owned();
        let matched = [("if-match", tag.as_str()), ("idempotency-key", "once")];
        let once = world
            .send("POST", &suspend, Some(&root), json!({}), &matched)
            .await;
        let again = world
            .send("POST", &suspend, Some(&root), json!({}), &matched)
            .await;
        assert_eq!(
            (once.status, again.status),
            (200, 200),
            "repeated, not refused"
        );
        let stale = world
            .send("POST", &suspend, Some(&root), json!({}), &matched[..1])
            .await;
        assert_eq!(stale.code(), "precondition_failed");
        let nothing = [("if-match", "*")];
        let absent = json!({"feature": "nothing", "limit": true});
        let absent = world
            .send("PUT", &path, Some(&root), absent, &nothing)
            .await;
        assert_eq!(absent.status, 412, "there is none to replace");
    })
    .await;
}
