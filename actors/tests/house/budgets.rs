//! Fairness between sessions of one thread: by counts, never by time.

use std::num::NonZeroU32;

use provost_actors::{Peer, Rates};
use provost_kernel::Command;
use provost_protocol::{
    Code, TenantId, codec,
    entity::{DeploymentMode, Limit},
    wire::{ClientMessage, HeldRevision, Hello, Outcome, ServerMessage},
};

use super::{
    session::{Client, beat, hello, request},
    world::*,
};

/// Two tenants with a feature each and a runtime each.
async fn neighbours() -> (World, [(TenantId, Peer); 2]) {
    let world = World::new();
    let mut both = Vec::new();
    for number in [1, 2] {
        let tenant = world.tenant(number, None).await;
        let peer = world
            .runtime(tenant, number + 10, DeploymentMode::OnPrem)
            .await;
        let seats: Command = grant("seats", Limit::Quota(10));
        world.execute(tenant, seats).await.unwrap();
        world.beat(&peer).await.unwrap();
        both.push((tenant, peer));
    }
    (world, both.try_into().unwrap())
}

/// So many checks, written at one blow.
fn blast(tenant: TenantId, count: u64) -> Vec<u8> {
    let frames = (1..=count).map(|id| {
        let message = ClientMessage::Request(request(id, tenant, check("seats", None, None)));
        codec::encode_frame(&message).unwrap()
    });
    frames.collect::<Vec<_>>().concat()
}

/// How many of so many answers were given at all, and how many the budget refused.
async fn answers(client: &mut Client, count: u64) -> (u64, u64) {
    let (mut served, mut limited) = (0, 0);
    for _ in 0..count {
        match client.answer().await.1 {
            Outcome::Refused(problem) if problem.code == Code::RateLimited => {
                assert!(problem.retry_after_ms.is_some_and(|millis| millis >= 10));
                limited += 1;
            }
            // In time and within the budget, whether there was room for it or not.
            Outcome::Refused(problem) => {
                assert_eq!(problem.code, Code::Overloaded);
                served += 1;
            }
            Outcome::Checked(_) => served += 1,
            other => panic!("{other:?}"),
        }
    }
    (served, limited)
}

#[tokio::test(start_paused = true)]
async fn a_session_at_full_blast_gives_others_their_turn_after_64_frames() {
    local(async {
        let (world, [(loud, greedy), (quiet, polite)]) = neighbours().await;
        let mut greedy = Client::connect(&world, &greedy, 4 * 1024 * 1024);
        let mut polite = Client::connect(&world, &polite, 64 * 1024);
        greedy.welcome().await;
        polite.welcome().await;
        settle().await;
        tokio::io::AsyncWriteExt::write_all(&mut greedy.stream, &blast(loud, BLAST))
            .await
            .unwrap();
        polite.ask(1, quiet, check("seats", None, None)).await;
        assert_eq!(polite.answer().await.0, 1);
        // What the greedy one was answered by then stands in its stream.
        let mut early = 0;
        while let Some(answered) = at_once(greedy.answer()) {
            assert!(answered.0 <= BLAST);
            early += 1;
        }
        assert!(early <= 8 * 64, "{early} of its frames went before");
        let (served, limited) = answers(&mut greedy, BLAST - early).await;
        assert_eq!((served, limited), (BLAST - early, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_beyond_its_budget_is_refused_and_its_neighbour_never() {
    local(async {
        let (mut world, [(loud, greedy), (quiet, polite)]) = neighbours().await;
        let second = world.runtime(loud, 21, DeploymentMode::OnPrem).await;
        let number = |count| NonZeroU32::new(count).unwrap();
        world.gateway = world.gateway.clone().with_rates(Rates {
            connection: number(100),
            connection_burst: number(300),
            tenant: number(150),
            tenant_burst: number(400),
        });
        let mut greedy = [greedy, second].map(|peer| Client::connect(&world, &peer, 1024 * 1024));
        let mut polite = Client::connect(&world, &polite, 64 * 1024);
        for client in &mut greedy {
            client.welcome().await;
        }
        polite.welcome().await;
        let began = tokio::time::Instant::now();
        for client in &mut greedy {
            tokio::io::AsyncWriteExt::write_all(&mut client.stream, &blast(loud, 1_000))
                .await
                .unwrap();
        }
        let [one, other] = &mut greedy;
        let asking = async {
            for id in 1..=250 {
                polite.ask(id, quiet, check("seats", None, None)).await;
                let (answered, outcome) = polite.answer().await;
                assert_eq!(answered, id);
                assert!(
                    checked(outcome).allowed,
                    "a neighbour's blast is not its own"
                );
            }
        };
        let (first, second, ()) = tokio::join!(answers(one, 1_000), answers(other, 1_000), asking);
        let served = first.0 + second.0;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap();
        let most = 400 + 150 * (millis + 1) / 1_000 + 1;
        assert!((400..=most).contains(&served), "{served} in {millis} ms");
        assert!(
            first.1 > 0 && second.1 > 0,
            "both of its connections heard so"
        );
    })
    .await;
}

/// What a future has to say without waiting.
#[tokio::test(start_paused = true)]
async fn whoever_holds_many_tenants_pays_for_each_that_it_names_in_hello() {
    local(async {
        let mut world = World::new();
        let own = world.tenant(1, None).await;
        let peer = world.runtime(own, 20, DeploymentMode::Shared).await;
        let mut held = Vec::new();
        for number in 2..12 {
            let tenant = world.tenant(number, Some(own)).await;
            world.attach(tenant, &peer).await;
            held.push(HeldRevision {
                tenant,
                revision: 0,
            });
        }
        let number = |count| NonZeroU32::new(count).unwrap();
        world.gateway = world.gateway.clone().with_rates(Rates {
            connection: number(1),
            connection_burst: number(4),
            tenant: number(1_000),
            tenant_burst: number(2_000),
        });
        let mut client = Client::connect(&world, &peer, 1024 * 1024);
        let hello = Hello {
            deployment_mode: DeploymentMode::Shared,
            held,
            ..hello(&["v0.2"])
        };
        client.send(&ClientMessage::Hello(hello)).await;
        let Some(ServerMessage::Welcome(welcome)) = client.receive().await else {
            panic!("it is welcome all the same");
        };
        let told = welcome.desired.len();
        assert!((2..=5).contains(&told), "{told} of eleven");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_runtime_beyond_its_budget_beats_on_and_is_not_lost_for_it() {
    local(async {
        let (mut world, [(loud, greedy), _]) = neighbours().await;
        let number = |count| NonZeroU32::new(count).unwrap();
        world.gateway = world.gateway.clone().with_rates(Rates {
            connection: number(1),
            connection_burst: number(260),
            tenant: number(1_000),
            tenant_burst: number(2_000),
        });
        let mut client = Client::connect(&world, &greedy, 1024 * 1024);
        client.welcome().await;
        tokio::io::AsyncWriteExt::write_all(&mut client.stream, &blast(loud, 300))
            .await
            .unwrap();
        let (_, limited) = answers(&mut client, 300).await;
        assert!(limited >= 10, "{limited}");
        for id in 1..=20 {
            let mut asked = blast(loud, id % 4 + 1);
            let message = ClientMessage::Request(request(id, loud, beat()));
            asked.extend(codec::encode_frame(&message).unwrap());
            tokio::io::AsyncWriteExt::write_all(&mut client.stream, &asked)
                .await
                .unwrap();
            answers(&mut client, id % 4 + 1).await;
            match client.answer().await {
                (answered, Outcome::Beat(_)) => assert_eq!(answered, id),
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Fewer than the budget of a connection: turns alone keep it back.
const BLAST: u64 = 3_500;
