//! Connections of frames, over a pipe in memory.

use std::time::Duration;

use provost_actors::{
    Peer,
    session::{SessionSettings, serve},
};
use provost_kernel::{Command, session::Ending};
use provost_protocol::{
    Code, RuntimeId, TenantId, codec,
    entity::{DeploymentMode, Health, Limit, RuntimeStatus, RuntimeType},
    frame::FrameDecoder,
    wire::{
        ClientMessage, Confirm, Heartbeat, Hello, Operation, Outcome, Request, ServerMessage,
        Welcome,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::watch,
    task::{JoinHandle, spawn_local},
};

use super::world::*;

#[tokio::test(start_paused = true)]
async fn answers_come_when_they_are_ready_and_name_their_request() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let mut client = Client::open(&world, &peer).await;
        world.store.hold_appends();
        client
            .ask(1, tenant, check("seats", Some(3), Some(1)))
            .await;
        client.ask(2, tenant, check("seats", None, None)).await;
        let (id, quick) = client.answer().await;
        assert_eq!((id, checked(quick).limits.unwrap().used), (2, Some(0)));
        world.store.release_appends();
        let (id, durable) = client.answer().await;
        assert_eq!((id, checked(durable).limits.unwrap().used), (1, Some(3)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_hello_ends_the_connection_with_a_reason() {
    local(async {
        let (world, _, peer) = one_runtime().await;
        let mut trailing = codec::encode_frame(&ClientMessage::Hello(hello(&["v0.2"]))).unwrap();
        trailing.push(0);
        let longer = u32::try_from(trailing.len() - 4).unwrap();
        trailing[..4].copy_from_slice(&longer.to_le_bytes());
        let request = ClientMessage::Request(request(1, peer.identity.tenant, beat()));
        for bytes in [
            vec![4, 0, 0, 0, 1, 200, 200, 200],
            65_537_u32.to_le_bytes().to_vec(),
            trailing,
            codec::encode_frame(&request).unwrap(),
        ] {
            let mut client = Client::connect(&world, &peer, 64 * 1024);
            client.stream.write_all(&bytes).await.unwrap();
            match client.receive().await {
                Some(ServerMessage::Refused(problem)) => assert_eq!(problem.code, Code::Malformed),
                other => panic!("{other:?}"),
            }
            assert_eq!(client.ending().await, Ending::Violation);
        }
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        client.send(&ClientMessage::Hello(hello(&["v9"]))).await;
        assert!(matches!(
            client.receive().await,
            Some(ServerMessage::Refused(_))
        ));
        assert_eq!(client.ending().await, Ending::VersionUnknown);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_cut_after_ten_seconds_and_so_is_who_dribbles() {
    local(async {
        let (world, _, peer) = one_runtime().await;
        let began = tokio::time::Instant::now();
        let client = Client::connect(&world, &peer, 64 * 1024);
        assert_eq!(client.ending().await, Ending::HelloLate);
        assert_eq!(began.elapsed().as_secs(), 10);

        let mut client = Client::connect(&world, &peer, 64 * 1024);
        client
            .stream
            .write_all(&1_000_u32.to_le_bytes())
            .await
            .unwrap();
        for _ in 0..9 {
            seconds(1).await;
            client.stream.write_all(&[1]).await.unwrap();
        }
        assert_eq!(client.ending().await, Ending::HelloLate);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_lets_nobody_be_silent_for_longer() {
    local(async {
        let (world, _, peer) = one_runtime().await;
        let began = tokio::time::Instant::now();
        let mute = Client::connect(&world, &peer, 64 * 1024);
        let silent = Client::open(&world, &peer).await;
        seconds(1).await;
        world.clock.set_back(Duration::from_secs(3_600));
        assert_eq!(mute.ending().await, Ending::HelloLate);
        assert_eq!(began.elapsed().as_secs(), 10);
        assert_eq!(silent.ending().await, Ending::Idle);
        assert_eq!(began.elapsed().as_secs(), 60);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_suspension_and_a_grant_come_down_the_stream_by_themselves() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        let held = client.welcome().await.desired[0].revision;
        world
            .execute(tenant, grant("more", Limit::Flag(true)))
            .await
            .unwrap();
        let granted = client.directive().await;
        assert!(granted.revision > held);
        let suspend = Command::SuspendRuntime {
            runtime: peer.identity.runtime,
            reason: String::new(),
        };
        world.execute(tenant, suspend).await.unwrap();
        let suspended = client.directive().await;
        assert!(suspended.revision > granted.revision);
        assert_eq!(suspended.runtime_status, RuntimeStatus::Suspended);

        client.ask(1, tenant, beat()).await;
        let (_, outcome) = client.answer().await;
        assert!(matches!(outcome, Outcome::Beat(beat) if beat.status == RuntimeStatus::Suspended));
        let mut again = Client::connect(&world, &peer, 64 * 1024);
        assert_eq!(
            again.welcome().await.status,
            RuntimeStatus::Suspended,
            "it stays connected"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn confirmations_of_one_second_are_one_event() {
    local(async {
        let (world, tenant, _) = one_runtime().await;
        let mut clients = Vec::new();
        for number in 20..24 {
            let peer = world.runtime(tenant, number, DeploymentMode::OnPrem).await;
            clients.push(Client::open(&world, &peer).await);
        }
        let revision = world.handle(tenant).await.view().revision();
        seconds(2).await;
        let before = world.count(tenant, CONFIRMED).await;
        for round in 0..2 {
            for client in &mut clients {
                let confirm = Confirm {
                    tenant,
                    revision: revision - 1 + round,
                };
                client.send(&ClientMessage::Confirm(confirm)).await;
            }
            settle().await;
        }
        seconds(3).await;
        let events = world.count(tenant, CONFIRMED).await - before;
        assert!((1..=2).contains(&events), "eight words, {events} events");
        let view = world.handle(tenant).await.view();
        let confirmed = |number| view.runtime(runtime_id(number)).unwrap().confirmed_revision;
        assert!((20..24).all(|number| confirmed(number) == revision));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_younger_session_takes_over_and_the_older_ends() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let mut older = Client::connect(&world, &peer, 64 * 1024);
        let first = older.welcome().await.generation;
        let mut younger = Client::connect(&world, &peer, 64 * 1024);
        assert!(younger.welcome().await.generation > first);
        assert_eq!(older.ending().await, Ending::Replaced);
        settle().await;
        assert!(
            world
                .directory
                .live(tenant, peer.identity.runtime)
                .unwrap()
                .connected
        );
        younger.ask(1, tenant, beat()).await;
        assert_eq!(younger.answer().await.0, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn revocation_closes_the_connection() {
    local(async {
        for by_certificate in [false, true] {
            let (world, tenant, peer) = one_runtime().await;
            let mut client = Client::open(&world, &peer).await;
            if by_certificate {
                world
                    .standing
                    .0
                    .lock()
                    .unwrap()
                    .insert(peer.identity.serial.clone());
            }
            let revoke = Command::RevokeRuntime {
                runtime: peer.identity.runtime,
                reason: "stolen".to_owned(),
            };
            world.execute(tenant, revoke).await.unwrap();
            assert!(matches!(
                client.receive().await,
                Some(ServerMessage::Refused(_))
            ));
            assert_eq!(client.receive().await, None);
            assert_eq!(client.ending().await, Ending::Revoked);
            let mut again = Client::connect(&world, &peer, 64 * 1024);
            again.send(&ClientMessage::Hello(hello(&["v0.2"]))).await;
            assert!(matches!(
                again.receive().await,
                Some(ServerMessage::Refused(_))
            ));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_stops_answers_what_is_open_and_takes_no_more() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let mut client = Client::open(&world, &peer).await;
        world.store.hold_appends();
        client
            .ask(1, tenant, check("seats", Some(3), Some(1)))
            .await;
        settle().await;
        client.draining.send_replace(true);
        assert!(matches!(
            client.receive().await,
            Some(ServerMessage::Goodbye(_))
        ));
        client.ask(2, tenant, beat()).await;
        let (id, refused) = client.answer().await;
        assert!(matches!(refused, Outcome::Refused(problem) if problem.code == Code::Draining));
        assert_eq!(id, 2);
        world.store.release_appends();
        let (id, durable) = client.answer().await;
        assert!(id == 1 && checked(durable).allowed);
        assert_eq!(client.ending().await, Ending::Drained);

        let mut quiet = Client::open(&world, &peer).await;
        quiet.draining.send_replace(true);
        assert!(matches!(
            quiet.receive().await,
            Some(ServerMessage::Goodbye(_))
        ));
        assert_eq!(quiet.ending().await, Ending::Drained);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_cut() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let mut client = Client::connect(&world, &peer, 256);
        client.send(&ClientMessage::Hello(hello(&["v0.2"]))).await;
        let ended = tokio::time::timeout(Duration::from_secs(30), &mut client.served).await;
        assert_eq!(ended.unwrap().unwrap(), Ending::Idle);
        settle().await;
        let live = world.directory.live(tenant, peer.identity.runtime);
        assert!(!live.unwrap().connected);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_behind_a_narrow_line_is_waited_for_and_one_that_dribbles_is_not() {
    local(async {
        let (world, _, peer) = one_runtime().await;
        for (bytes, comes_through) in [(20, true), (1, false)] {
            let mut client = Client::connect(&world, &peer, 64);
            client.send(&ClientMessage::Hello(hello(&["v0.2"]))).await;
            let began = tokio::time::Instant::now();
            let mut read = 0;
            while began.elapsed() < Duration::from_secs(120) && !client.served.is_finished() {
                seconds(5).await;
                let mut some = vec![0; bytes];
                read += client.stream.read(&mut some).await.unwrap_or(0);
                if read >= 200 {
                    break;
                }
            }
            assert_eq!(!client.served.is_finished(), comes_through, "{read} bytes");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_a_session_does_not_sleep_and_one_whose_session_ended_does() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let mut client = Client::open(&world, &peer).await;
        let loads = world.store.loads();
        for id in 0..20 {
            client.ask(id, tenant, beat()).await;
            client.answer().await;
            seconds(25).await;
        }
        assert_eq!(world.store.loads(), loads);
        drop(client);
        seconds(300).await;
        assert_eq!(world.directory.tenants_awake(), 0);
    })
    .await;
}

/// The runtime's end of a connection.
pub(crate) struct Client {
    pub(crate) stream: DuplexStream,
    decoder: FrameDecoder,
    served: JoinHandle<Ending>,
    pub(crate) draining: watch::Sender<bool>,
}

impl Client {
    pub(crate) fn connect(world: &World, peer: &Peer, buffer: usize) -> Self {
        let (near, far) = tokio::io::duplex(buffer);
        let (draining, drained) = watch::channel(false);
        let settings = SessionSettings {
            gateway: world.gateway.clone(),
            identity: peer.identity.clone(),
            address: peer.address,
            draining: drained,
        };
        Self {
            stream: near,
            decoder: FrameDecoder::new(1024 * 1024),
            served: spawn_local(serve(far, settings)),
            draining,
        }
    }

    pub(crate) async fn open(world: &World, peer: &Peer) -> Self {
        let mut client = Self::connect(world, peer, 64 * 1024);
        client.welcome().await;
        client
    }

    pub(crate) async fn welcome(&mut self) -> Welcome {
        self.send(&ClientMessage::Hello(hello(&["v0.1", "v0.2"])))
            .await;
        match self.receive().await {
            Some(ServerMessage::Welcome(welcome)) => welcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, message: &ClientMessage) {
        let frame = codec::encode_frame(message).unwrap();
        self.stream.write_all(&frame).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, id: u64, tenant: TenantId, operation: Operation) {
        let request = request(id, tenant, operation);
        self.send(&ClientMessage::Request(request)).await;
    }

    /// The next message; `None` at the end of the stream.
    pub(crate) async fn receive(&mut self) -> Option<ServerMessage> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(codec::decode(&frame).unwrap());
            }
            if self
                .stream
                .read_buf(self.decoder.buffer_mut())
                .await
                .unwrap()
                == 0
            {
                return None;
            }
        }
    }

    pub(crate) async fn answer(&mut self) -> (u64, Outcome) {
        match self.receive().await {
            Some(ServerMessage::Answer(answer)) => (answer.id, answer.outcome),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn directive(&mut self) -> provost_protocol::wire::DesiredState {
        match self.receive().await {
            Some(ServerMessage::Directive(state)) => state,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ending(self) -> Ending {
        self.served.await.unwrap()
    }
}

/// A tenant with a quota and a runtime that is active.
async fn one_runtime() -> (World, TenantId, Peer) {
    let world = World::new();
    let tenant = world.tenant(1, None).await;
    let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
    world
        .execute(tenant, grant("seats", Limit::Quota(10)))
        .await
        .unwrap();
    world.beat(&peer).await.unwrap();
    (world, tenant, peer)
}

pub(crate) fn hello(versions: &[&str]) -> Hello {
    Hello {
        versions: versions.iter().map(ToString::to_string).collect(),
        runtime_type: RuntimeType::App,
        deployment_mode: DeploymentMode::OnPrem,
        version: "1.0".to_owned(),
        capabilities: Vec::new(),
        nonce: [1; 16],
        last_generation: 0,
        held: Vec::new(),
        have_size: 0,
        clock: START,
    }
}

pub(crate) fn request(id: u64, tenant: TenantId, operation: Operation) -> Request {
    Request {
        id,
        correlation_id: correlation(),
        tenant,
        operation,
    }
}

pub(crate) fn beat() -> Operation {
    Operation::Heartbeat(Heartbeat {
        health: Health::Healthy,
        metrics: provost_protocol::metrics::Metrics::default(),
    })
}

fn runtime_id(number: u8) -> RuntimeId {
    super::world::runtime_id(number)
}

const CONFIRMED: &str = "runtime.desired-state-confirmed";
