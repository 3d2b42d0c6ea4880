//! Who may what: suspended, resumed, revoked, attached or not (contract.md, section 2).

use provost_actors::{Clock, Facts, Peer};
use provost_kernel::{Command, session::Ending};
use provost_protocol::{
    Code, Problem, TenantId,
    entity::{DeploymentMode, Limit, RuntimeType},
    wire::{Operation, Outcome, ServerMessage},
};

use super::{session::Client, world::*};

#[tokio::test(start_paused = true)]
async fn every_operation_answers_each_status_as_the_contract_says() {
    local(async {
        for (status, expected) in TABLE {
            let world = World::new();
            let tenant = world.tenant(1, None).await;
            let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
            world
                .execute(tenant, grant("seats", Limit::Quota(10)))
                .await
                .unwrap();
            world.execute(tenant, provider(1, false)).await.unwrap();
            world.beat(&peer).await.unwrap();
            for command in commands(status, &peer) {
                world.execute(tenant, command).await.unwrap();
            }
            let mut seen = Vec::new();
            for operation in [
                "heartbeat",
                "check",
                "consume",
                "audit",
                "resolve",
                "register",
            ] {
                seen.push(answer(&world, &peer, operation).await);
            }
            assert_eq!(seen, expected, "{status}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_not_attached_and_one_that_does_not_exist_look_the_same() {
    local(async {
        let world = World::new();
        let operator = world.tenant(1, None).await;
        let own = world.tenant(2, Some(operator)).await;
        let foreign = world.tenant(3, None).await;
        let shared = world.runtime(operator, 10, DeploymentMode::Shared).await;
        let dedicated = world.runtime(operator, 11, DeploymentMode::Dedicated).await;
        world
            .execute(own, grant("seats", Limit::Flag(true)))
            .await
            .unwrap();
        world.attach(own, &shared).await;

        assert!(world.check(&shared, own).await.unwrap().allowed);
        let mut refusals = Vec::new();
        for (peer, tenant) in [
            (&shared, foreign),
            (&shared, tenant_id(99)),
            (&dedicated, own),
            (&dedicated, tenant_id(99)),
        ] {
            refusals.push(world.check(peer, tenant).await.unwrap_err());
        }
        assert!(refusals.iter().all(|refusal| *refusal == refusals[0]));
        assert_eq!(
            (refusals[0].code, refusals[0].status),
            (Code::IdentityMismatch, 401)
        );

        world.store.panic_in_load(Some(foreign));
        let kept_down = world.restarted();
        let asleep = kept_down.check(&shared, foreign).await.unwrap_err();
        assert_eq!(asleep, refusals[0], "who is not attached wakes nobody");
        assert_eq!(kept_down.directory.tenants_awake(), 1);

        let detach = Command::Detach {
            runtime: shared.identity.runtime,
        };
        world.execute(own, detach).await.unwrap();
        assert_eq!(world.check(&shared, own).await.unwrap_err(), refusals[0]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_certificate_and_an_unknown_runtime_are_refused_before_anything() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let known = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let unknown = peer(tenant, runtime_id(77), 77);
        let nowhere = peer(tenant_id(88), runtime_id(77), 78);
        for stranger in [&unknown, &nowhere] {
            let refused = world.check(stranger, stranger.identity.tenant).await;
            assert_eq!(code(refused), Code::CertificateRefused);
        }
        world
            .standing
            .0
            .lock()
            .unwrap()
            .insert("serial-5".to_owned());
        assert_eq!(code(world.beat(&known).await), Code::CertificateRefused);
        assert_eq!(
            world.directory.fleet_size(),
            0,
            "no place is kept for who does not exist"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_ended_or_was_revoked_gets_no_further_answer_on_a_standing_connection() {
    local(async {
        for (by_time, at_once) in [(true, true), (true, false), (false, true), (false, false)] {
            let world = World::new();
            let tenant = world.tenant(1, None).await;
            let mut peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
            world
                .execute(tenant, grant("seats", Limit::Quota(10)))
                .await
                .unwrap();
            peer.identity.not_after = world.clock.now().plus_millis(30_000);
            let mut client = Client::open(&world, &peer).await;
            client.ask(1, tenant, check("seats", None, None)).await;
            assert!(checked(client.answer().await.1).allowed);
            if by_time {
                seconds(31).await;
            } else {
                // Nobody has told the session yet.
                let serial = peer.identity.serial.clone();
                world.standing.0.lock().unwrap().insert(serial);
            }
            let question = if at_once {
                check("seats", None, None)
            } else {
                check("seats", Some(1), Some(1))
            };
            client.ask(2, tenant, question).await;
            match client.answer().await {
                (2, Outcome::Refused(problem)) => {
                    assert_eq!(problem.code, Code::CertificateRefused);
                }
                other => panic!("{other:?}"),
            }
            // It is not told that the runtime is revoked: that would end its licenses.
            match client.receive().await {
                Some(ServerMessage::Refused(problem)) => {
                    assert_eq!(problem.code, Code::CertificateRefused);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(client.ending().await, Ending::Revoked);
        }
    })
    .await;
}

async fn answer(world: &World, peer: &Peer, operation: &str) -> String {
    let tenant = peer.identity.tenant;
    let outcome = match operation {
        "heartbeat" => world.beat(peer).await.map(|beat| beat.status.to_string()),
        "check" => world
            .check(peer, tenant)
            .await
            .map(|v| v.reason.to_string()),
        "consume" => world
            .consume(peer, 1, 1)
            .await
            .map(|v| v.reason.to_string()),
        "audit" => audit(world, peer, tenant).await,
        "resolve" => world
            .resolve(peer, tenant, "ada")
            .await
            .map(|_| "ok".to_owned()),
        "register" => register(world, peer).await,
        other => panic!("{other}"),
    };
    outcome.unwrap_or_else(|problem| format!("{} {}", problem.status, problem.code))
}

async fn audit(world: &World, peer: &Peer, tenant: TenantId) -> Result<String, Problem> {
    let events = vec![super::audit::event(peer, tenant, 1, 1, "{}")];
    match world.call(peer, tenant, Operation::Audit(events)).await? {
        Outcome::Recorded(_) => Ok("ok".to_owned()),
        other => panic!("{other:?}"),
    }
}

async fn register(world: &World, peer: &Peer) -> Result<String, Problem> {
    let facts = Facts {
        runtime_type: RuntimeType::App,
        deployment_mode: DeploymentMode::OnPrem,
        version: "1.0".to_owned(),
        capabilities: Vec::new(),
        token_sha256: None,
    };
    let registered = world.gateway.register(peer, correlation(), facts).await;
    registered.map(|_| "ok".to_owned())
}

fn commands(status: &str, peer: &Peer) -> Vec<Command> {
    let (runtime, reason) = (peer.identity.runtime, String::new());
    let suspend = Command::SuspendRuntime {
        runtime,
        reason: reason.clone(),
    };
    let tenant = Command::SuspendTenant {
        reason: reason.clone(),
    };
    match status {
        "in force" => vec![],
        "runtime suspended" => vec![suspend],
        "runtime resumed" => vec![suspend, Command::ResumeRuntime { runtime, reason }],
        "tenant suspended" => vec![tenant],
        "tenant resumed" => vec![tenant, Command::ResumeTenant { reason }],
        "revoked" => vec![Command::RevokeRuntime { runtime, reason }],
        other => panic!("{other}"),
    }
}

/// In the order heartbeat, check, consume, audit, resolve, register.
const TABLE: [(&str, [&str; 6]); 6] = [
    ("in force", IN_FORCE),
    (
        "runtime suspended",
        [
            "suspended",
            "RUNTIME_SUSPENDED",
            "RUNTIME_SUSPENDED",
            "ok",
            "403 runtime_suspended",
            "403 runtime_suspended",
        ],
    ),
    ("runtime resumed", IN_FORCE),
    (
        "tenant suspended",
        [
            "suspended",
            "TENANT_SUSPENDED",
            "TENANT_SUSPENDED",
            "ok",
            "403 tenant_suspended",
            "403 tenant_suspended",
        ],
    ),
    ("tenant resumed", IN_FORCE),
    ("revoked", ["401 runtime_revoked"; 6]),
];

const IN_FORCE: [&str; 6] = ["active", "ENTITLED", "ENTITLED", "ok", "ok", "ok"];
