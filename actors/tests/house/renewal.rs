//! Renewal through the gateway: durable before it leaves, the same for the same key.

use provost_actors::Peer;
use provost_kernel::Command;
use provost_protocol::{
    Code, Problem,
    entity::DeploymentMode,
    wire::{Operation, Outcome, Renewed},
};

use super::{
    store::Fault,
    world::{World, local, seconds, tenant_id},
};

#[tokio::test(start_paused = true)]
async fn a_renewed_certificate_is_in_the_log_before_it_leaves_and_is_repeated_for_its_key() {
    local(async {
        let (world, peer) = one_runtime().await;
        let first = renew(&world, &peer, 9).await.unwrap();
        assert!(first.certificate.ends_with(" 9"));
        assert_eq!(world.count(tenant_id(1), RENEWED).await, 1);
        assert_eq!(renew(&world, &peer, 9).await.unwrap(), first);
        assert_eq!(world.count(tenant_id(1), RENEWED).await, 1);
        // Also by a kernel that was restarted meanwhile.
        let after = world.restarted();
        assert_eq!(renew(&after, &peer, 9).await.unwrap(), first);
        // Its own key, and one that has a certificate, get no other.
        assert_eq!(code(renew(&after, &peer, 1).await), Code::CsrRefused);
        let log = after.log(tenant_id(1)).await;
        let event = log.last().unwrap().envelope.to_bytes().unwrap();
        assert!(
            String::from_utf8(event)
                .unwrap()
                .contains(&first.certificate)
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_requests_for_one_key_at_once_hear_one_certificate() {
    local(async {
        let (world, peer) = one_runtime().await;
        let (one, other) = (renew(&world, &peer, 9), renew(&world, &peer, 9));
        let both = tokio::join!(Box::pin(one), Box::pin(other));
        assert_eq!(both.0.unwrap(), both.1.unwrap());
        assert_eq!(world.count(tenant_id(1), RENEWED).await, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_durable_does_not_leave() {
    local(async {
        let (world, peer) = one_runtime().await;
        world.store.fail(1, Fault::Refused);
        assert_eq!(
            code(renew(&world, &peer, 9).await),
            Code::StorageUnavailable
        );
        renew(&world, &peer, 9).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn suspended_runtimes_renew_and_revoked_ones_do_not() {
    local(async {
        let (world, peer) = one_runtime().await;
        let (tenant, runtime) = (peer.identity.tenant, peer.identity.runtime);
        let reason = String::new();
        let suspend = Command::SuspendRuntime {
            runtime,
            reason: reason.clone(),
        };
        world.execute(tenant, suspend).await.unwrap();
        let suspend = Command::SuspendTenant {
            reason: reason.clone(),
        };
        world.execute(tenant, suspend).await.unwrap();
        renew(&world, &peer, 9).await.unwrap();
        let revoke = Command::RevokeRuntime { runtime, reason };
        world.execute(tenant, revoke).await.unwrap();
        assert_eq!(code(renew(&world, &peer, 8).await), Code::RuntimeRevoked);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_seventh_renewal_of_an_hour_is_told_when_to_come_back() {
    local(async {
        let (world, peer) = one_runtime().await;
        for _ in 0..6 {
            renew(&world, &peer, 9).await.unwrap();
        }
        seconds(600).await;
        let refused = renew(&world, &peer, 9).await.unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        assert_eq!(refused.retry_after_ms, Some(3_000_000));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_refused() {
    local(async {
        let (world, peer) = one_runtime().await;
        let csr = Operation::Renew { csr: Vec::new() };
        let refused = world.call(&peer, peer.identity.tenant, csr).await;
        assert_eq!(refused.unwrap_err().code, Code::CsrRefused);
    })
    .await;
}

async fn one_runtime() -> (World, Peer) {
    let world = World::new();
    let tenant = world.tenant(1, None).await;
    let peer = world.runtime(tenant, 1, DeploymentMode::OnPrem).await;
    (world, peer)
}

async fn renew(world: &World, peer: &Peer, key: u8) -> Result<Renewed, Problem> {
    let operation = Operation::Renew { csr: vec![key] };
    match world.call(peer, peer.identity.tenant, operation).await? {
        Outcome::Renewed(renewed) => Ok(renewed),
        other => panic!("{other:?}"),
    }
}

fn code(answer: Result<Renewed, Problem>) -> Code {
    answer.unwrap_err().code
}

const RENEWED: &str = "runtime.certificate-renewed";
