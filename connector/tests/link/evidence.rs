//! What the kernel signed once binds it.

use provost_connector::Connector;
use provost_protocol::wire::{ClientMessage, HeldCheckpoint, Operation};

use crate::world::*;

#[tokio::test]
async fn a_checkpoint_is_asked_for_at_every_welcome_kept_and_shown_again() {
    let world = World::enrolled().await;
    world.log.write(1, &[1, 2, 3]);
    let connector = world.start().await;
    let (mut peer, hello) = world.welcome(1).await;
    assert_eq!(hello.have_size, 0);
    let license = world.license(1, 1);
    assert_eq!(peer.play(&world, &license, asked).await, None);
    until("a checkpoint", || size(&connector) == Some((1, 3))).await;
    connector.shutdown().await;
    drop(peer);

    world.log.write(1, &[1, 2, 3, 4, 5]);
    let connector = world.start().await;
    let (mut peer, hello) = world.welcome(2).await;
    assert_eq!(hello.have_size, 3);
    let held = peer.play(&world, &license, asked).await.unwrap();
    assert!(held.epoch == 1 && held.note.contains("\n3\n"), "{held:?}");
    until("the next", || size(&connector) == Some((1, 5))).await;
    assert_eq!(connector.status().fork, None);
    assert!(
        connector
            .status()
            .to_text()
            .contains("5 events of epoch 1 held")
    );
    connector.shutdown().await;
}

#[tokio::test]
async fn a_log_that_was_rewritten_is_an_alarm_and_the_old_checkpoint_stays() {
    for kernel_knows in [false, true] {
        let world = World::enrolled().await;
        world.log.write(1, &[1, 2, 3]);
        let connector = world.start().await;
        let license = world.license(1, 1);
        let (mut peer, _) = world.welcome(1).await;
        peer.play(&world, &license, asked).await;
        until("a checkpoint", || size(&connector) == Some((1, 3))).await;
        drop(peer);

        world.log.write(1, &[1, 9, 3, 4]);
        if kernel_knows {
            world.log.says_forked();
        }
        let (mut peer, _) = world.welcome(2).await;
        let alarm = peer
            .play(&world, &license, |m| events_of(m, "connector.log-forked"))
            .await;
        assert_eq!(alarm["payload"]["held_size"], 3);
        assert_eq!(alarm["payload"]["shown"].is_null(), kernel_knows);
        until("the alarm", || connector.status().fork.is_some()).await;
        assert!(connector.status().to_text().contains("ALARM"));
        assert_eq!(size(&connector), Some((1, 3)));
        connector.shutdown().await;
        drop(peer);

        // Known after a restart, and not reported twice.
        let connector = world.start().await;
        assert!(connector.status().fork.is_some());
        let (mut peer, hello) = world.welcome(3).await;
        assert_eq!(hello.have_size, 3);
        let held = peer.play(&world, &license, asked).await.unwrap();
        assert_eq!(held.epoch, 1);
        assert_eq!(size(&connector), Some((1, 3)));
        // A restore begins a new epoch: the alarm is over, what was shown is kept.
        world.log.write(7, &[1, 2, 8]);
        connector.shutdown().await;
        drop(peer);
        let connector = world.start().await;
        let (mut peer, _) = world.welcome(4).await;
        let held = peer.play(&world, &license, asked).await.unwrap();
        assert_eq!(
            held.epoch, 1,
            "what is held of the old epoch is what is shown"
        );
        until("the new epoch", || size(&connector) == Some((7, 3))).await;
        assert_eq!(connector.status().fork, None);
        let path = world.data.path().join("checkpoints.json");
        let kept = std::fs::read_to_string(path).unwrap();
        assert_eq!(kept.matches("\"note\"").count(), 2, "{kept}");
        connector.shutdown().await;
    }
}

fn asked(message: &ClientMessage) -> Option<Option<HeldCheckpoint>> {
    match message {
        ClientMessage::Request(request) => match &request.operation {
            Operation::Checkpoint { held } => Some(held.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn size(connector: &Connector) -> Option<(u64, u64)> {
    let held = connector.status().checkpoint?;
    Some((held.epoch, held.size))
}
