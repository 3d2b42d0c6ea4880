//! What happens while a session opens.

use std::{future::poll_fn, task::Poll, time::Duration};

use provost_kernel::{Command, session::Ending};
use provost_protocol::{entity::DeploymentMode, wire::ClientMessage};
use tokio::{task::spawn_local, time::timeout};

use super::{
    session::{Client, hello},
    world::*,
};

#[tokio::test(start_paused = true)]
async fn whoever_is_revoked_at_any_moment_of_its_opening_does_not_stay() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let handle = world.handle(tenant).await;
        for turns in 0..80 {
            let (turns, by_serial) = (turns / 2, turns % 2 == 0);
            let peer = world
                .runtime(
                    tenant,
                    10 + 2 * turns + u8::from(by_serial),
                    DeploymentMode::OnPrem,
                )
                .await;
            let mut client = Client::connect(&world, &peer, 64 * 1024);
            client.send(&ClientMessage::Hello(hello(&["v0.2"]))).await;
            let (world, handle) = (world.clone(), handle.clone());
            let revoke = async move {
                for _ in 0..turns {
                    behind_the_others().await;
                }
                if by_serial {
                    let serial = peer.identity.serial.clone();
                    world.standing.0.lock().unwrap().insert(serial);
                    handle.look_again();
                } else {
                    let revoke = Command::RevokeRuntime {
                        runtime: peer.identity.runtime,
                        reason: String::new(),
                    };
                    world.execute(tenant, revoke).await.unwrap();
                }
            };
            spawn_local(revoke).await.unwrap();
            // Without a word from it, and long before its silence would end it.
            let ended = timeout(Duration::from_secs(5), client.ending()).await;
            let ended = ended.unwrap_or_else(|_| panic!("it stays, revoked after {turns} turns"));
            assert_ne!(ended, Ending::Idle);
        }
    })
    .await;
}

/// One turn of every task that is ready now: what the runtime's own yielding waits for is coarser.
async fn behind_the_others() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
