//! Kills and limits from the operator's word to the answer of the next check, and how long a
//! silent session is borne.

use provost_kernel::{Command, command::LimitRuntime};
use provost_protocol::{
    RuntimeId,
    entity::{DeploymentMode, Limit, RuntimeStatus},
    verdict::Reason,
    wire::{ClientMessage, Confirm, Outcome, ServerMessage},
};

use super::{
    session::{Client, beat, hello},
    world::*,
};

#[tokio::test(start_paused = true)]
async fn a_kill_comes_down_the_stream_denies_every_check_and_is_confirmed() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        world
            .execute(tenant, grant("seats", Limit::Quota(10)))
            .await
            .unwrap();
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        assert!(!client.welcome().await.desired[0].killed);

        world
            .execute(tenant, kill(peer.identity.runtime))
            .await
            .unwrap();
        let killed = client.directive().await;
        assert!(killed.killed);
        let verdict = world.check(&peer, tenant).await.unwrap();
        assert_eq!(verdict.reason, Reason::Killed);
        let taken = world.consume(&peer, 1, 1).await.unwrap();
        assert_eq!(taken.reason, Reason::Killed, "nothing is taken either");
        let confirm = Confirm {
            tenant,
            revision: killed.revision,
        };
        client.send(&ClientMessage::Confirm(confirm)).await;
        seconds(3).await;
        let view = world.handle(tenant).await.view();
        let record = view.runtime(peer.identity.runtime).unwrap();
        assert_eq!(record.confirmed_revision, killed.revision);

        // The kernel is started again: a kill is in its log.
        let restarted = world.restarted();
        let verdict = restarted.check(&peer, tenant).await.unwrap();
        assert_eq!(verdict.reason, Reason::Killed);
        restarted
            .execute(tenant, resume(peer.identity.runtime))
            .await
            .unwrap();
        assert!(restarted.check(&peer, tenant).await.unwrap().allowed);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_revision_says_all_that_it_stands_for_however_long_ago_the_caller_was_seen() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        world.beat(&peer).await.unwrap();
        let known = world.gateway.known(&peer.identity).await.unwrap();
        let before = world.gateway.desired(&known, known.tenant()).unwrap();
        assert!(!before.killed);
        // It was seen, then waited for a turn; meanwhile an operator spoke.
        world
            .execute(tenant, kill(peer.identity.runtime))
            .await
            .unwrap();
        let after = world.gateway.desired(&known, known.tenant()).unwrap();
        assert!(
            after.revision > before.revision && after.killed,
            "{after:?}"
        );
        let suspend = Command::SuspendRuntime {
            runtime: peer.identity.runtime,
            reason: "unpaid".to_owned(),
        };
        world.execute(tenant, suspend).await.unwrap();
        let after = world.gateway.desired(&known, known.tenant()).unwrap();
        assert_eq!(after.runtime_status, RuntimeStatus::Suspended);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_check_of_one_session_is_judged_by_what_is_so_when_it_comes() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        client.welcome().await;
        let (runtime, reason) = (peer.identity.runtime, String::new());
        let suspended = Command::SuspendTenant {
            reason: reason.clone(),
        };
        let resumed = Command::ResumeTenant {
            reason: reason.clone(),
        };
        let runtime_suspended = Command::SuspendRuntime { runtime, reason };
        let steps = [
            (grant("seats", Limit::Quota(10)), Reason::Entitled),
            (suspended, Reason::TenantSuspended),
            (resumed, Reason::Entitled),
            (kill(runtime), Reason::Killed),
            (resume(runtime), Reason::Entitled),
            (grant("seats", Limit::Flag(false)), Reason::FeatureOff),
            (runtime_suspended, Reason::RuntimeSuspended),
        ];
        for (id, (command, expected)) in (1..).zip(steps) {
            world.execute(tenant, command).await.unwrap();
            client.ask(id, tenant, check("seats", None, None)).await;
            let verdict = loop {
                match client.receive().await {
                    Some(ServerMessage::Answer(answer)) => break checked(answer.outcome),
                    Some(ServerMessage::Directive(_)) => {}
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(verdict.reason, expected);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_told_and_the_kernels_own_check_obeys_it() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let free = world.runtime(tenant, 6, DeploymentMode::OnPrem).await;
        world
            .execute(tenant, grant("seats", Limit::Quota(10)))
            .await
            .unwrap();
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        client.welcome().await;
        let limit = Command::LimitRuntime(LimitRuntime {
            runtime: peer.identity.runtime,
            feature: "seats".parse().unwrap(),
            limit: Limit::Quota(2),
            until: world.now().plus_millis(60_000),
            reason: String::new(),
        });
        world.execute(tenant, limit).await.unwrap();
        let told = client.directive().await;
        assert_eq!(told.limits.len(), 1);
        assert!(world.consume(&peer, 2, 1).await.unwrap().allowed);
        let denied = world.consume(&peer, 1, 2).await.unwrap();
        assert_eq!(denied.reason, Reason::QuotaExhausted);
        assert_eq!(denied.limits.unwrap().quota, Some(2));
        let other = world.check(&free, tenant).await.unwrap();
        assert_eq!(other.limits.unwrap().quota, Some(10), "another runtime");
        seconds(61).await;
        assert!(world.consume(&peer, 1, 3).await.unwrap().allowed);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_told_to_beat_later_is_not_cut_for_its_silence() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        client.welcome().await;
        // A fleet of 100,000 is there: beats are asked for every 200 s.
        world.store.pretend_online(100_000);
        world.directory.grace_after_start().await.unwrap();
        client.ask(1, tenant, beat()).await;
        let (_, outcome) = client.answer().await;
        let Outcome::Beat(told) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(told.heartbeat_interval_ms > 170_000);
        seconds(told.heartbeat_interval_ms / 1_000).await;
        client.ask(2, tenant, beat()).await;
        let (id, _) = client.answer().await;
        assert_eq!(id, 2, "it was still there");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_states_with_limits_do_not_make_a_welcome_too_large() {
    local(async {
        let world = World::new();
        let operator = world.tenant(1, None).await;
        let peer = world.runtime(operator, 5, DeploymentMode::Shared).await;
        let mut held = Vec::new();
        for number in 10..40_u8 {
            let tenant = world.tenant(number, Some(operator)).await;
            world.attach(tenant, &peer).await;
            for feature in 0..8 {
                let limit = Command::LimitRuntime(LimitRuntime {
                    runtime: peer.identity.runtime,
                    feature: format!("{}.f{feature}", "x".repeat(120)).parse().unwrap(),
                    limit: Limit::Quota(1),
                    until: world.now().plus_millis(HOUR_MS),
                    reason: String::new(),
                });
                world.execute(tenant, limit).await.unwrap();
            }
            let revision = 0;
            held.push(provost_protocol::wire::HeldRevision { tenant, revision });
        }
        let mut client = Client::connect(&world, &peer, 1024 * 1024);
        let hello = provost_protocol::wire::Hello {
            deployment_mode: DeploymentMode::Shared,
            held,
            ..hello(&["v0.2"])
        };
        client.send(&ClientMessage::Hello(hello)).await;
        let Some(provost_protocol::wire::ServerMessage::Welcome(welcome)) = client.receive().await
        else {
            panic!("no welcome")
        };
        let bytes = provost_protocol::codec::encode(&welcome).unwrap().len();
        assert!(bytes < 64 * 1_024, "{bytes}");
        let told = welcome.desired.len();
        assert!(told > 10 && told < 31, "{told}");
        for _ in told..31 {
            assert_eq!(client.directive().await.limits.len(), 8);
        }
    })
    .await;
}

fn kill(runtime: RuntimeId) -> Command {
    Command::KillRuntime {
        runtime,
        reason: "leaked".to_owned(),
    }
}

fn resume(runtime: RuntimeId) -> Command {
    Command::ResumeRuntime {
        runtime,
        reason: String::new(),
    }
}
