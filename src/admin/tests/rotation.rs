//! The steps of a rotation over the admin API, and who may take them.

use provost_kernel::Command;
use provost_protocol::token::EnrolmentToken;
use serde_json::json;

use super::world::world;

const CA: &str = "/v1/keys/ca";
const STEPS: &str = "/v1/keys/ca/rotation";

#[tokio::test]
async fn a_rotation_goes_step_by_step_and_the_keys_shown_are_those_to_trust() {
    world(|world| async move {
        let root = world.root();
        let roots = async || {
            let keys = world.get(&root, "/v1/keys").await;
            let certificates = keys.text("root_pem").matches("BEGIN CERTIFICATE").count();
            (keys.text("root_sha256"), certificates)
        };
        let first = roots().await;
        assert_eq!(first.1, 1);
        let early = world.post(&root, STEPS, json!({"step": "activate"})).await;
        assert_eq!((early.status, early.code().as_str()), (409, "conflict"));

        let prepared = world.post(&root, STEPS, json!({"step": "prepare"})).await;
        assert_eq!(prepared.body["ca"]["phase"], "prepared", "{prepared:?}");
        assert_eq!(roots().await, (first.0.clone(), 2));
        let next = prepared.body["ca"]["next"].clone();
        let activated = world.post(&root, STEPS, json!({"step": "activate"})).await;
        assert_eq!(activated.body["ca"]["active"], next, "{activated:?}");
        assert_eq!(activated.body["ca"]["old"], first.0.as_str());

        let tenant = world.tenant("Acme", None).await;
        let body = json!({"runtime_type": "app", "deployment_mode": "on_prem"});
        let path = format!("/v1/tenants/{tenant}/tokens");
        let token = world.post(&root, &path, body).await.text("token");
        let token: EnrolmentToken = token.parse().unwrap();
        assert_eq!(json!(hex::encode(token.root_sha256())), next);

        let retired = world.post(&root, STEPS, json!({"step": "retire"})).await;
        assert_eq!(retired.body["ca"]["phase"], "settled", "{retired:?}");
        assert_eq!(retired.body["ca"]["adoption"], json!(null));
        assert_eq!((json!(roots().await.0), roots().await.1), (next, 1));
    })
    .await;
}

#[tokio::test]
async fn a_step_that_the_log_took_behind_its_callers_back_is_taken_into_use() {
    world(|world| async move {
        assert!(world.ca.catch_up().await.unwrap(), "as a start does");
        assert!(!world.ca.catch_up().await.unwrap());
        let prepare = Command::RotateCa(world.ca.make_next().await.unwrap());
        world.execute(&world.internal(), prepare).await;
        assert_eq!(world.ca.roots().now().bundle().root_pems().len(), 1);
        assert!(world.ca.catch_up().await.unwrap());
        assert_eq!(world.ca.roots().now().bundle().root_pems().len(), 2);
        assert!(!world.ca.catch_up().await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_step_waits_for_active_runtimes_and_goes_on_where_an_operator_insists() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let runtime = world.runtime(&tenant, "on_prem").await;
        world.post(&root, STEPS, json!({"step": "prepare"})).await;
        let shown = world.get(&root, CA).await;
        assert_eq!(shown.body["adoption"]["active"], 0, "not active yet");
        let activate = Command::Activate {
            runtime: runtime.parse().unwrap(),
        };
        world.execute(&tenant, activate).await;
        let shown = world.get(&root, CA).await;
        assert_eq!(shown.body["adoption"]["missing"], 1, "{shown:?}");
        let named = world
            .get(&root, &format!("{CA}/runtimes?adoption=missing"))
            .await;
        assert_eq!(named.body["items"][0]["runtime_id"], runtime.as_str());
        let refused = world.post(&root, STEPS, json!({"step": "activate"})).await;
        assert_eq!(refused.code(), "rotation_not_adopted");
        assert!(
            refused.text("detail").starts_with("1 active"),
            "{refused:?}"
        );
        let forced = json!({"step": "activate", "force": true});
        let forced = world.post(&root, STEPS, forced).await;
        assert_eq!(forced.body["cut_off"], 1, "{forced:?}");
        let refused = world.post(&root, STEPS, json!({"step": "retire"})).await;
        assert_eq!(refused.code(), "rotation_in_use");
    })
    .await;
}

#[tokio::test]
async fn who_is_suspended_is_named_and_no_step_waits_for_it() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let runtime = world.runtime(&tenant, "on_prem").await;
        let id = runtime.parse().unwrap();
        world
            .execute(&tenant, Command::Activate { runtime: id })
            .await;
        let suspend = format!("/v1/tenants/{tenant}/runtimes/{runtime}/suspend");
        world.post(&root, &suspend, json!({})).await;
        world.post(&root, STEPS, json!({"step": "prepare"})).await;
        let shown = world.get(&root, CA).await;
        let adoption = &shown.body["adoption"];
        assert_eq!(
            (&adoption["missing"], &adoption["suspended"]),
            (&json!(0), &json!(1))
        );
        let path = format!("{CA}/runtimes?adoption=suspended");
        let named = world.get(&root, &path).await;
        assert_eq!(named.body["items"][0]["runtime_id"], runtime.as_str());
        let activated = world.post(&root, STEPS, json!({"step": "activate"})).await;
        assert_eq!(activated.body["cut_off"], 1, "{activated:?}");
    })
    .await;
}

#[tokio::test]
async fn a_list_of_a_fleet_comes_in_pages_that_leave_nobody_out() {
    world(|world| async move {
        let root = world.root();
        let mut expected = Vec::new();
        for name in ["A", "B"] {
            let tenant = world.tenant(name, None).await;
            for _ in 0..3 {
                let runtime = world.runtime(&tenant, "on_prem").await;
                let id = runtime.parse().unwrap();
                world
                    .execute(&tenant, Command::Activate { runtime: id })
                    .await;
                expected.push(runtime);
            }
        }
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{CA}/runtimes?limit=2{cursor}");
            let page = world.get(&root, &path).await;
            let items = page.body["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            found.extend(
                items
                    .iter()
                    .map(|one| one["runtime_id"].as_str().unwrap().to_owned()),
            );
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&page%5Bcursor%5D={next}"),
                None => break,
            }
        }
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    })
    .await;
}

#[tokio::test]
async fn the_authority_is_the_installations_and_nobody_elses() {
    world(|world| async move {
        let tenant = world.tenant("Acme", None).await;
        for role in ["admin", "auditor"] {
            let key = world.key(&tenant, role).await;
            let seen = world.get(&key, CA).await;
            assert_eq!(seen.code(), "not_found", "{role}");
        }
        let key = world.key(&tenant, "admin").await;
        let step = world.post(&key, STEPS, json!({"step": "prepare"})).await;
        assert_eq!(step.code(), "not_found");
    })
    .await;
}
