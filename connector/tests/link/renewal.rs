//! The certificate is renewed while the session goes on.

use provost_certs::Keystore;
use provost_protocol::{
    Code, Problem,
    entity::RuntimeStatus,
    sign::CertificateIssuer,
    wire::{Beat, ClientMessage, Operation, Outcome},
};

use crate::world::*;

#[tokio::test]
async fn a_renewed_certificate_is_shown_right_after_an_answered_beat() {
    let world = World::enrolled().await;
    world.age(15 * HOUR_MS);
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let renewal = until_renewal(&mut peer, &world).await;
    let outcome = world.renewed(&renewal.csr);
    peer.answer(renewal.id, outcome).await;
    // It stays as it is until a beat was answered; then it says goodbye, with nothing open.
    let mut beaten = renewal.beaten;
    loop {
        let ClientMessage::Request(request) = (match peer.hear().await {
            ClientMessage::Goodbye(_) => break,
            other => other,
        }) else {
            continue;
        };
        if matches!(request.operation, Operation::Heartbeat(_)) {
            beaten += 1;
        }
        let outcome = quick(&world, request.operation);
        peer.answer(request.id, outcome).await;
    }
    assert!(beaten > renewal.beaten, "no beat was answered in between");
    let (again, _) = world.welcome(2).await;
    assert_ne!(again.serial, peer.serial);
    let status = connector.status().certificate.unwrap();
    assert_eq!(status.serial, again.serial);
    assert_eq!(status.warning, None);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key_and_a_refused_key_is_dropped() {
    let world = World::enrolled().await;
    world.age(15 * HOUR_MS);
    let key = |csr: &[u8]| world.authority.requested_key(csr).unwrap();
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let first = until_renewal(&mut peer, &world).await;
    // The answer is lost, and the process with it.
    drop(peer);
    connector.shutdown().await;
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(2).await;
    let second = until_renewal(&mut peer, &world).await;
    assert_eq!(key(&first.csr), key(&second.csr));
    let problem = Problem::new(Code::CsrRefused, "the key has a certificate");
    peer.answer(second.id, Outcome::Refused(problem)).await;
    let dropped = world.data.path().join("keys/pending.key");
    until("the key is dropped", || !dropped.exists()).await;
    connector.shutdown().await;
    let _connector = world.start().await;
    let (mut peer, _) = world.welcome(3).await;
    let third = until_renewal(&mut peer, &world).await;
    assert_ne!(key(&second.csr), key(&third.csr));
}

#[tokio::test]
async fn a_certificate_for_another_key_or_runtime_is_not_taken() {
    let world = World::enrolled().await;
    world.age(15 * HOUR_MS);
    let keystore = Keystore::open(&world.data.path().join("keys")).unwrap();
    let held = keystore.pair().unwrap().identity().serial.clone();
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let renewal = until_renewal(&mut peer, &world).await;
    let other = provost_certs::TlsKey::generate().unwrap();
    let outcome = world.renewed(&other.request_der().unwrap());
    peer.answer(renewal.id, outcome).await;
    // It goes on with what it has: the next request is answered as before.
    let beat = peer
        .play(&world, "", |message| match message {
            ClientMessage::Request(request) => Some(request.id),
            _ => None,
        })
        .await;
    assert!(beat > 0);
    assert_eq!(keystore.pair().unwrap().identity().serial, held);
    assert_eq!(connector.status().certificate.unwrap().serial, held);
}

/// A renewal that was asked for.
struct Asked {
    id: u64,
    csr: Vec<u8>,
    /// Beats that were answered before.
    beaten: u32,
}

async fn until_renewal(peer: &mut Peer, world: &World) -> Asked {
    let mut beaten = 0;
    loop {
        let ClientMessage::Request(request) = peer.hear().await else {
            continue;
        };
        match request.operation {
            Operation::Renew { csr } => {
                return Asked {
                    id: request.id,
                    csr,
                    beaten,
                };
            }
            operation => {
                beaten += u32::from(matches!(operation, Operation::Heartbeat(_)));
                let outcome = quick(world, operation);
                peer.answer(request.id, outcome).await;
            }
        }
    }
}

/// As a kernel that wants a beat every half second, and has nothing else to say.
fn quick(world: &World, operation: Operation) -> Outcome {
    match operation {
        Operation::Heartbeat(_) => Outcome::Beat(Beat {
            status: RuntimeStatus::Active,
            heartbeat_interval_ms: 500,
            signed_time: world.time(),
            desired: desired(1),
        }),
        _ => Outcome::Refused(Problem::new(Code::Overloaded, "not now").retry_after_ms(60_000)),
    }
}

const HOUR_MS: u64 = 60 * 60 * 1_000;
