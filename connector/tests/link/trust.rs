//! Which roots the connector believes: asked about when the kernel names others, kept, said back.

use provost_certs::{Authority, TrustBundle};
use provost_protocol::wire::{ClientMessage, DesiredState, Operation, ServerMessage};

use crate::world::{World, desired, now, until};

fn naming(bundle: &str) -> ServerMessage {
    ServerMessage::Directive(DesiredState {
        trust_bundle: bundle.to_owned(),
        ..desired(9)
    })
}

fn word(message: &ClientMessage) -> Option<String> {
    match message {
        ClientMessage::Trusts(trusts) => Some(trusts.bundle.clone()),
        _ => None,
    }
}

/// What lies on disk, by its name.
fn on_disk(world: &World) -> String {
    let pem = std::fs::read_to_string(world.data.path().join("keys/root.pem")).unwrap();
    TrustBundle::from_pem(&pem).unwrap().id()
}

fn other_root(world: &World) -> String {
    let folder = tempfile::tempdir().unwrap();
    let install = world.authority.install();
    Authority::create(folder.path(), install, now())
        .unwrap()
        .root_pem()
}

#[tokio::test]
async fn roots_that_the_kernel_names_are_on_disk_before_they_are_said_to_be_trusted() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let license = world.license(1, 9);
    let next = other_root(&world);
    world.roots.lock().unwrap().push(next);
    let both = world.bundle().id;
    peer.say(naming(&both)).await;
    let seen = peer
        .play(&world, &license, |message| {
            word(message).map(|word| (word, on_disk(&world)))
        })
        .await;
    assert_eq!(seen, (both.clone(), both.clone()));
    drop(peer);

    // Said again in the next session, for it may not have come; and never asked about again.
    let (mut peer, _) = world.welcome(2).await;
    peer.say(naming(&both)).await;
    let said = peer.play(&world, &license, |message| match message {
        ClientMessage::Request(request) if request.operation == Operation::TrustBundle => {
            panic!("it holds them")
        }
        message => word(message),
    });
    assert_eq!(said.await, both);
    connector.shutdown().await;
}

#[tokio::test]
async fn roots_of_strangers_are_not_taken_whatever_the_kernel_says() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let license = world.license(1, 9);
    let before = on_disk(&world);
    let stranger = other_root(&world);
    *world.roots.lock().unwrap() = vec![stranger];
    peer.say(naming(&world.bundle().id)).await;
    peer.play(&world, &license, |message| match message {
        ClientMessage::Request(request) if request.operation == Operation::TrustBundle => Some(()),
        _ => None,
    })
    .await;
    // The answer is taken in while the next beat is asked for.
    drop(peer);
    let (_peer, _) = world.welcome(2).await;
    assert_eq!(on_disk(&world), before);
    connector.shutdown().await;
}

#[tokio::test]
async fn a_root_that_is_retired_is_forgotten_without_a_word() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let license = world.license(1, 9);
    world.roots.lock().unwrap().push(other_root(&world));
    peer.say(naming(&world.bundle().id)).await;
    peer.play(&world, &license, word).await;
    world.roots.lock().unwrap().pop();
    let one = world.bundle().id;
    peer.say(naming(&one)).await;
    let asked = peer.play(&world, &license, |message| match message {
        ClientMessage::Request(request) if request.operation == Operation::TrustBundle => Some(()),
        _ => None,
    });
    asked.await;
    until("the bundle is kept", || on_disk(&world) == one).await;
    connector.shutdown().await;
}
