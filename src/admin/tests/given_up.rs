//! Callers that hang up, or whose deadline comes, in the midst of a change.

use std::pin::pin;

use futures_util::poll;
use serde_json::json;
use tokio::task::yield_now;

use super::world::{World, world};

/// Drives a request for so many turns and then hangs up; says whether it was answered before.
async fn hang_up_after<T>(turns: usize, request: impl Future<Output = T>) -> bool {
    let mut request = pin!(request);
    for _ in 0..turns {
        if poll!(request.as_mut()).is_ready() {
            return true;
        }
        yield_now().await;
    }
    false
}

async fn is_revoked(world: &World, path: &str) -> bool {
    let shown = world.get(&world.root(), path).await;
    shown.body["status"] == "revoked"
}

fn is_told(world: &World, runtime: &str) -> bool {
    let told = world.revoked.lock().unwrap();
    told.iter().any(|(_, of, _)| of == runtime)
}

#[tokio::test]
async fn a_runtime_that_the_log_calls_revoked_is_shut_out_whenever_its_caller_hung_up() {
    world(|world| async move {
        let (root, tenant) = (world.root(), world.tenant("Acme", None).await);
        let mut in_the_midst = 0;
        for turns in 0..60 {
            let runtime = world.runtime(&tenant, "on_prem").await;
            let path = format!("/v1/tenants/{tenant}/runtimes/{runtime}");
            let revoke = format!("{path}/revoke");
            let request = world.post(&root, &revoke, json!({}));
            let answered = hang_up_after(turns, request).await;
            // What was begun goes on; what was not, never will.
            for _ in 0..200 {
                yield_now().await;
            }
            let revoked = is_revoked(&world, &path).await;
            assert_eq!(revoked, is_told(&world, &runtime), "after {turns} turns");
            in_the_midst += usize::from(revoked && !answered);
        }
        assert!(
            in_the_midst > 0,
            "some hung up too early to hear the answer"
        );
    })
    .await;
}
