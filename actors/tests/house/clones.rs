//! Two living copies of one runtime are noticed; one that comes back is not taken for two.

use provost_actors::{Facts, Peer};
use provost_kernel::Command;
use provost_protocol::{
    TenantId,
    entity::{DeploymentMode, RuntimeType},
    event::Event,
    wire::{ClientMessage, Hello, ServerMessage, Welcome},
};

use super::{
    session::{Client, hello},
    world::*,
};

/// One process that uses the runtime's identity.
struct Process {
    nonce: u8,
    generation: u64,
}

impl Process {
    async fn connect(&mut self, world: &World, peer: &Peer) -> (Client, Welcome) {
        let mut client = Client::connect(world, peer, 64 * 1024);
        let hello = Hello {
            nonce: [self.nonce; 16],
            last_generation: self.generation,
            ..hello(&["v0.2"])
        };
        client.send(&ClientMessage::Hello(hello)).await;
        match client.receive().await {
            Some(ServerMessage::Welcome(welcome)) => {
                self.generation = welcome.generation;
                (client, welcome)
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn world_with_runtime() -> (World, TenantId, Peer) {
    let world = World::new();
    let tenant = world.tenant(1, None).await;
    let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
    (world, tenant, peer)
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_reconnects_and_restarts_is_no_clone() {
    local(async {
        let (world, tenant, peer) = world_with_runtime().await;
        let mut process = Process {
            nonce: 1,
            generation: 0,
        };
        for round in 0..12_u8 {
            let (client, _) = process.connect(&world, &peer).await;
            // Every other connection is cut without a word.
            if round % 2 == 0 {
                drop(client);
            }
            seconds(2).await;
            process.nonce += u8::from(round % 4 == 3);
        }
        assert_eq!(world.count(tenant, CLONED).await, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_copies_that_take_turns_are_both_named_once_an_hour() {
    local(async {
        let (world, tenant, peer) = world_with_runtime().await;
        let mut one = Process {
            nonce: 1,
            generation: 0,
        };
        drop(one.connect(&world, &peer).await);
        let mut other = Process { nonce: 2, ..one };
        for _ in 0..5 {
            drop(other.connect(&world, &peer).await);
            seconds(1).await;
            drop(one.connect(&world, &peer).await);
            seconds(1).await;
        }
        let log = world.log(tenant).await;
        let alarms: Vec<_> = log
            .iter()
            .filter_map(|stored| match &stored.envelope.event {
                Event::RuntimeCloned(cloned) => Some(cloned),
                _ => None,
            })
            .collect();
        assert_eq!(alarms.len(), 1, "once an hour");
        let [first, second] = &alarms[0].sightings[..] else {
            panic!("{alarms:?}")
        };
        assert_ne!(first.generation, second.generation);
        assert_eq!(first.serial, second.serial);
        seconds(3_600).await;
        drop(other.connect(&world, &peer).await);
        seconds(1).await;
        drop(one.connect(&world, &peer).await);
        seconds(1).await;
        assert_eq!(
            world.count(tenant, CLONED).await,
            1,
            "forgotten with the actor"
        );
        drop(other.connect(&world, &peer).await);
        seconds(1).await;
        assert_eq!(world.count(tenant, CLONED).await, 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_was_seen_before_an_operator_resolved_it_proves_nothing_any_more() {
    local(async {
        let (world, tenant, peer) = world_with_runtime().await;
        let runtime = peer.identity.runtime;
        let mut one = Process {
            nonce: 1,
            generation: 0,
        };
        drop(one.connect(&world, &peer).await);
        let mut other = Process { nonce: 2, ..one };
        let both = async |one: &mut Process, other: &mut Process| {
            for process in [other, one] {
                drop(process.connect(&world, &peer).await);
                seconds(1).await;
            }
        };
        both(&mut one, &mut other).await;
        drop(other.connect(&world, &peer).await);
        seconds(1).await;
        assert_eq!(world.count(tenant, CLONED).await, 1);

        let reason = "the copy is gone".to_owned();
        let resolve = Command::ResolveClone { runtime, reason };
        world.execute(tenant, resolve).await.unwrap();
        world.directory.copies_resolved(tenant, runtime);
        settle().await;
        drop(one.connect(&world, &peer).await);
        seconds(1).await;
        assert_eq!(world.count(tenant, CLONED).await, 1, "it is alone");
        both(&mut one, &mut other).await;
        assert_eq!(world.count(tenant, CLONED).await, 2, "it is not");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_goes_on_with_a_replaced_token_is_named_with_who_replaced_it() {
    local(async {
        let (world, tenant, peer) = world_with_runtime().await;
        let register = async |token: &str, peer: &Peer| {
            let facts = Facts {
                runtime_type: RuntimeType::App,
                deployment_mode: DeploymentMode::OnPrem,
                version: "1.0".to_owned(),
                capabilities: Vec::new(),
                token_sha256: Some(token.to_owned()),
            };
            let registered = world.gateway.register(peer, correlation(), facts).await;
            registered.unwrap();
        };
        let (old, new) = ("0a".repeat(32), "0b".repeat(32));
        let mut other = peer.clone();
        other.address.set_port(1);
        register(&old, &peer).await;
        register(&new, &other).await;
        let stale = async || {
            let known = world.gateway.known(&peer.identity).await.unwrap();
            world.gateway.token_stale(&known, &peer, &old);
            settle().await;
            world.count(tenant, CLONED).await
        };
        assert_eq!(stale().await, 0, "it was under way");
        seconds(20).await;
        world.beat(&other).await.unwrap();
        seconds(20).await;
        world.beat(&other).await.unwrap();
        seconds(21).await;
        assert_eq!(stale().await, 1);
        assert_eq!(stale().await, 1, "once an hour");
    })
    .await;
}

const CLONED: &str = "runtime.cloned";
