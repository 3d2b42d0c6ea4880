//! A tenant's log: found by filters, signed, proved.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_kernel::{Command, command::ReportHeld, state::Held};
use provost_protocol::{
    RuntimeId, Timestamp,
    note::parse_verifier_key,
    tlog::{self, Checkpoint, Proof},
};
use serde_json::{Value, json};

use super::world::{Said, World, world};

/// A company that was suspended and resumed so often, and the path of its log.
async fn log(world: &World, rounds: usize) -> (String, String) {
    let tenant = world.tenant("Acme", None).await;
    let path = format!("/v1/tenants/{tenant}");
    for _ in 0..rounds {
        for act in ["suspend", "resume"] {
            let done = world
                .post(&world.root(), &format!("{path}/{act}"), json!({}))
                .await;
            assert_eq!(done.status, 200, "{done:?}");
        }
    }
    (tenant, format!("{path}/audit"))
}

fn seqs(said: &Said) -> Vec<u64> {
    let items = said.body["items"].as_array().unwrap();
    items
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn events_are_found_by_what_they_are_newest_first_and_page_by_page() {
    world(|world| async move {
        let root = world.root();
        let (tenant, path) = log(&world, 2).await;
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let caused = [("x-correlation-id", id)];
        let reason = json!({"reason": "unpaid"});
        let suspend = format!("/v1/tenants/{tenant}/suspend");
        world
            .send("POST", &suspend, Some(&root), reason, &caused)
            .await;
        let newest = world.get(&root, &path).await;
        let time = newest.body["items"][0]["time"].as_str().unwrap().to_owned();
        let actor = format!("admin-key/{}", world.root.id());
        for (query, wanted) in [
            ("type=tenant.suspended".to_owned(), vec![6, 4, 2]),
            ("type=tenant.created".to_owned(), vec![1]),
            ("type=unheard.of".to_owned(), vec![]),
            (format!("actor={actor}"), vec![6, 5, 4, 3, 2, 1]),
            (format!("correlation_id={id}"), vec![6]),
            (format!("correlation_id={id}&type=tenant.resumed"), vec![]),
            (format!("runtime_id={id}"), vec![]),
            (format!("until={time}&type=tenant.created"), vec![1]),
            ("since=2999-01-01T00:00:00Z".to_owned(), vec![]),
            (format!("since={time}&correlation_id={id}"), vec![6]),
        ] {
            let found = world.get(&root, &format!("{path}?{query}")).await;
            assert_eq!(found.status, 200, "{query}: {found:?}");
            assert_eq!(seqs(&found), wanted, "{query}");
        }

        let query = format!("{path}?type=tenant.suspended&limit=2");
        let first = world.get(&root, &query).await;
        assert_eq!(seqs(&first), [6, 4]);
        let cursor = first.text("next_cursor");
        let second = world
            .get(&root, &format!("{query}&page[cursor]={cursor}"))
            .await;
        assert_eq!(seqs(&second), [2]);
        assert_eq!(second.body["next_cursor"], Value::Null);
        for other in [
            "",
            "type=tenant.resumed&",
            "type=tenant.suspended&since=2020-01-01T00:00:00Z&",
        ] {
            let refused = world
                .get(&root, &format!("{path}?{other}page[cursor]={cursor}"))
                .await;
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (400, "malformed"),
                "{other}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_is_signed_and_consistent_with_every_earlier_one() {
    world(|world| async move {
        let root = world.root();
        let (tenant, path) = log(&world, 0).await;
        let checkpoint = format!("{path}/checkpoint");
        let mut held: Vec<(u64, tlog::Hash)> = Vec::new();
        for _ in 0..5 {
            let act = format!("/v1/tenants/{tenant}/suspend");
            world.post(&root, &act, json!({})).await;
            let act = format!("/v1/tenants/{tenant}/resume");
            world.post(&root, &act, json!({})).await;
            let said = world.get(&root, &checkpoint).await;
            let key = said.text("verifier_key");
            let (origin, key) = parse_verifier_key(&key).unwrap();
            assert!(
                origin.ends_with(&format!("/audit/{tenant}/{}", said.body["epoch"])),
                "{origin}"
            );
            let note = said.text("checkpoint");
            let signed = Checkpoint::verify(&note, origin, &key).unwrap();
            assert_eq!(said.body["size"], signed.size);
            assert_eq!(said.text("root"), hex::encode(signed.root));
            assert_eq!(said.body.get("consistency"), None);
            held.push((signed.size, signed.root));
            for earlier in &held {
                let since = format!("{checkpoint}?from_size={}", earlier.0);
                let said = world.get(&root, &since).await;
                let path: Vec<tlog::Hash> = said.body["consistency"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|hash| STANDARD.decode(hash.as_str().unwrap()).unwrap())
                    .map(|hash| hash.try_into().unwrap())
                    .collect();
                let now = (signed.size, signed.root);
                tlog::verify_consistency(*earlier, now, &path).unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_event_is_proved_with_its_exact_bytes() {
    world(|world| async move {
        let root = world.root();
        let (tenant, path) = log(&world, 3).await;
        let log = world.get(&root, &format!("{path}?after=0&limit=100")).await;
        for event in log.body["items"].as_array().unwrap() {
            let seq = event["seq"].as_u64().unwrap();
            let said = world.get(&root, &format!("{path}/{seq}/proof")).await;
            assert_eq!((said.status, &said.body["seq"]), (200, &json!(seq)));
            let leaf = STANDARD.decode(said.text("leaf")).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&leaf).unwrap(), *event);
            let key = said.text("verifier_key");
            let (origin, key) = parse_verifier_key(&key).unwrap();
            let proof = Proof::parse(&said.text("proof")).unwrap();
            assert_eq!(proof.index, seq - 1);
            let signed = proof.verify(&leaf, origin, &key).unwrap();
            assert_eq!(said.body["size"], signed.size);
            proof.verify(&leaf[1..], origin, &key).unwrap_err();
        }
        assert_eq!(log.body["items"].as_array().unwrap().len(), 7, "{tenant}");
    })
    .await;
}

#[tokio::test]
async fn evidence_is_shown_to_whoever_sees_the_tenant_and_to_no_other() {
    world(|world| async move {
        let operator = world.tenant("Operator", None).await;
        let customer = world.tenant("Customer", Some(&operator)).await;
        let stranger = world.tenant("Stranger", None).await;
        let auditor = world.key(&operator, "auditor").await;
        let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
        for place in ["", "?type=tenant.created", "/checkpoint", "/1/proof"] {
            for (tenant, status) in [
                (operator.as_str(), 200),
                (&customer, 200),
                (&stranger, 404),
                (nobody, 404),
            ] {
                let path = format!("/v1/tenants/{tenant}/audit{place}");
                let said = world.get(&auditor, &path).await;
                assert_eq!(said.status, status, "{path}: {said:?}");
                let open = world.send("GET", &path, None, Value::Null, &[]).await;
                assert_eq!(open.status, 401, "{path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_log_is_refused_by_name() {
    world(|world| async move {
        let root = world.root();
        let (_, path) = log(&world, 1).await;
        let long = "x".repeat(300);
        for (place, status, code) in [
            ("?type=", 422, "invalid"),
            (&*format!("?type={long}"), 422, "invalid"),
            ("?actor=", 422, "invalid"),
            (&*format!("?actor={long}"), 422, "invalid"),
            ("?runtime_id=1", 400, "id_malformed"),
            ("?correlation_id=1", 400, "id_malformed"),
            ("?since=yesterday", 422, "invalid"),
            ("?until=2026-01-01", 422, "invalid"),
            (
                "?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
                422,
                "invalid",
            ),
            ("?type=a&after=1", 422, "invalid"),
            ("?type=%ff", 400, "malformed"),
            ("?kind=a", 400, "malformed"),
            ("?page[cursor]=YmVmb3Jl", 400, "malformed"),
            ("?limit=101&type=a", 422, "invalid"),
            ("/checkpoint?from_size=4", 422, "invalid"),
            ("/checkpoint?from_size=-1", 400, "malformed"),
            ("/checkpoint?size=1", 400, "malformed"),
            ("/0/proof", 404, "not_found"),
            ("/4/proof", 404, "not_found"),
            ("/18446744073709551615/proof", 404, "not_found"),
            ("/x/proof", 400, "malformed"),
            ("/-1/proof", 400, "malformed"),
            ("/1", 404, "not_found"),
        ] {
            let said = world.get(&root, &format!("{path}{place}")).await;
            assert_eq!(
                (said.status, said.code().as_str()),
                (status, code),
                "{place}: {said:?}"
            );
        }
        let good = world
            .get(&root, &format!("{path}/checkpoint?from_size=3"))
            .await;
        assert_eq!(good.body["consistency"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn in_an_epoch_that_forked_nothing_is_signed_and_everything_is_still_read() {
    world(|world| async move {
        let root = world.root();
        let (tenant, path) = log(&world, 1).await;
        let (other, _) = log(&world, 1).await;
        let fork = Command::ReportHeld(ReportHeld {
            runtime: RuntimeId::from_parts(Timestamp::EPOCH, [5; 10]),
            held: Held {
                epoch: 1,
                size: 9,
                root: [9; 32],
            },
            own_root: None,
        });
        let signed = ["/checkpoint", "/checkpoint?from_size=3", "/1/proof"];
        for place in signed {
            let said = world.get(&root, &format!("{path}{place}")).await;
            assert_eq!(said.status, 200, "{place}: {said:?}");
        }

        world.execute(&tenant, fork).await;

        for place in signed.iter().chain(&["/99/proof"]) {
            let said = world.get(&root, &format!("{path}{place}")).await;
            assert_eq!(
                (said.status, said.code().as_str()),
                (409, "log_forked"),
                "{place}: {said:?}"
            );
        }
        let read = world.get(&root, &path).await;
        assert_eq!(read.body["items"][0]["kind"], "log.forked", "{read:?}");
        // A fork is one log's: the others are signed on.
        let others = format!("/v1/tenants/{other}/audit/checkpoint");
        assert_eq!(world.get(&root, &others).await.status, 200);
    })
    .await;
}
