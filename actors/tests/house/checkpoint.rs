//! Checkpoints: what a runtime was shown is continued, or an alarm.

use provost_actors::Peer;
use provost_kernel::Command;
use provost_protocol::{
    Code, Problem, TenantId,
    entity::DeploymentMode,
    envelope::{ActorRef, Envelope, Source},
    event::{Event, LogForked, LogRangeLost, LogRestored},
    note::sign_note,
    sign::Signer,
    tlog::{Checkpoint, origin, verify_consistency},
    wire::{CheckpointAnswer, HeldCheckpoint, Operation, Outcome},
};
use provost_store::{Append, Backend, Stamped};

use super::{
    store::{Fault, Gate},
    world::*,
};

#[tokio::test(start_paused = true)]
async fn a_runtime_is_shown_where_its_log_ends_and_that_it_continues_what_it_holds() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let first = world.checkpoint(&peer, None).await.unwrap();
        assert_eq!((first.epoch, first.consistency.len()), (1, 0));
        let held = read(&first, tenant);
        assert_eq!(held.size, size(&world, tenant).await);
        for reason in ["a", "b", "c"] {
            toggle(&world, tenant, reason).await;
        }
        seconds(600).await;
        let next = world.checkpoint(&peer, Some(&first)).await.unwrap();
        let now = read(&next, tenant);
        assert!(now.size >= held.size + 3);
        let (old, new) = ((held.size, held.root), (now.size, now.root));
        verify_consistency(old, new, &next.consistency).unwrap();
        assert_eq!(alarms(&world, tenant).await, Vec::<Event>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_checkpoint_in_ten_minutes_is_signed_and_one_more_for_who_comes_back() {
    local(async {
        let (world, _, peer) = one_runtime().await;
        world.checkpoint(&peer, None).await.unwrap();
        world.checkpoint(&peer, None).await.unwrap();
        beating(&world, &peer, 60).await;
        let refused = world.checkpoint(&peer, None).await.unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        assert_eq!(refused.retry_after_ms, Some(540_000));
        beating(&world, &peer, 540).await;
        world.checkpoint(&peer, None).await.unwrap();
        assert_eq!(code(world.checkpoint(&peer, None).await), Code::RateLimited);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_this_kernel_did_not_sign_raises_no_alarm() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let good = read(&world.checkpoint(&peer, None).await.unwrap(), tenant);
        let larger = Checkpoint {
            size: 1_000,
            ..good.clone()
        };
        let elsewhere = Checkpoint {
            origin: origin(install(), tenant_id(9), 1),
            ..good
        };
        let notes = [
            larger.sign(&Stamp::new(8)),
            elsewhere.sign(&Stamp::new(CHECKPOINT_KEY)),
            sign_note("x\n", &larger.origin, &Stamp::new(CHECKPOINT_KEY)),
            String::new(),
        ];
        for note in notes {
            seconds(600).await;
            let held = HeldCheckpoint { epoch: 1, note };
            let refused = world.ask(&peer, tenant, Some(held)).await;
            assert_eq!(code(refused), Code::Invalid);
        }
        assert_eq!(alarms(&world, tenant).await, Vec::<Event>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shared_runtime_is_shown_its_own_tenants_log_only() {
    local(async {
        let world = World::new();
        let operator = world.tenant(1, None).await;
        let customer = world.tenant(2, Some(operator)).await;
        let peer = world.runtime(operator, 5, DeploymentMode::Shared).await;
        world.beat(&peer).await.unwrap();
        world.attach(customer, &peer).await;
        let refused = world.ask(&peer, customer, None).await;
        assert_eq!(code(refused), Code::IdentityMismatch);
        world.ask(&peer, operator, None).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_suspended_are_shown_it_too() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        toggle(&world, tenant, "unpaid").await;
        world.checkpoint(&peer, None).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_older_copy_of_the_data_is_found_out_recorded_once_and_signs_nothing_more() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let older = size(&world, tenant).await;
        toggle(&world, tenant, "unpaid").await;
        let shown = world.checkpoint(&peer, None).await.unwrap();
        let held = read(&shown, tenant);

        let world = world.over_copy(copy(&world, tenant, older).await);
        let refused = world.checkpoint(&peer, Some(&shown)).await;
        assert_eq!(code(refused), Code::LogForked);
        let fork = Event::LogForked(LogForked {
            epoch: 1,
            held_size: held.size,
            held_root: held.root,
            own_root: None,
            runtime_id: peer.identity.runtime,
        });
        assert_eq!(
            alarms(&world, tenant).await.as_slice(),
            std::slice::from_ref(&fork)
        );

        // Grown past it, and started anew: the log still is not what was shown.
        toggle(&world, tenant, "other").await;
        let world = world.restarted();
        for held in [Some(&shown), None] {
            seconds(600).await;
            assert_eq!(code(world.checkpoint(&peer, held).await), Code::LogForked);
        }
        assert_eq!(alarms(&world, tenant).await, [fork], "once");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_restore_lost_is_named_before_the_new_epoch_is_shown() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let kept = size(&world, tenant).await;
        let before = world.checkpoint(&peer, None).await.unwrap();
        toggle(&world, tenant, "unpaid").await;
        toggle(&world, tenant, "paid").await;
        let shown = world.checkpoint(&peer, None).await.unwrap();
        let held = read(&shown, tenant);
        assert_eq!(held.size, kept + 2);

        let store = copy(&world, tenant, kept).await;
        restore(&store, tenant, NEW_EPOCH).await;
        let world = world.over_copy(store);
        world.beat(&peer).await.unwrap();
        world.store.fail(1, Fault::Refused);
        let refused = world.checkpoint(&peer, Some(&shown)).await;
        assert_eq!(code(refused), Code::StorageUnavailable);
        assert_eq!(alarms(&world, tenant).await, Vec::<Event>::new());

        let answer = world.checkpoint(&peer, Some(&shown)).await.unwrap();
        let lost = Event::LogRangeLost(LogRangeLost {
            old_epoch: 1,
            from_seq: kept + 1,
            to_seq: kept + 2,
            root: held.root,
            runtime_id: peer.identity.runtime,
        });
        assert_eq!(
            alarms(&world, tenant).await.as_slice(),
            std::slice::from_ref(&lost)
        );
        assert_eq!((answer.epoch, answer.consistency.len()), (NEW_EPOCH, 0));
        assert_eq!(read(&answer, tenant).size, size(&world, tenant).await);

        // Who was shown less lost nothing: the log continues it over the epochs.
        seconds(600).await;
        let answer = world.checkpoint(&peer, Some(&before)).await.unwrap();
        let (old, new) = (read(&before, tenant), read(&answer, tenant));
        verify_consistency(
            (old.size, old.root),
            (new.size, new.root),
            &answer.consistency,
        )
        .unwrap();
        assert_eq!(alarms(&world, tenant).await, [lost]);
    })
    .await;
}

impl World {
    async fn ask(
        &self,
        peer: &Peer,
        tenant: TenantId,
        held: Option<HeldCheckpoint>,
    ) -> Result<CheckpointAnswer, Problem> {
        match self
            .call(peer, tenant, Operation::Checkpoint { held })
            .await?
        {
            Outcome::Checkpoint(answer) => Ok(answer),
            other => panic!("{other:?}"),
        }
    }

    async fn checkpoint(
        &self,
        peer: &Peer,
        held: Option<&CheckpointAnswer>,
    ) -> Result<CheckpointAnswer, Problem> {
        let held = held.map(|answer| HeldCheckpoint {
            epoch: answer.epoch,
            note: answer.note.clone(),
        });
        self.ask(peer, peer.identity.tenant, held).await
    }
}

async fn one_runtime() -> (World, TenantId, Peer) {
    let world = World::new();
    let tenant = world.tenant(1, None).await;
    let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
    world.beat(&peer).await.unwrap();
    (world, tenant, peer)
}

/// Time passes while the runtime is alive: who is lost is forgotten, and so is what it was given.
async fn beating(world: &World, peer: &Peer, for_seconds: u64) {
    for _ in 0..for_seconds / 30 {
        seconds(30).await;
        world.beat(peer).await.unwrap();
    }
}

/// One more event.
async fn toggle(world: &World, tenant: TenantId, reason: &str) {
    let reason = reason.to_owned();
    let active = world.handle(tenant).await.view().is_active();
    let command = match active {
        true => Command::SuspendTenant { reason },
        false => Command::ResumeTenant { reason },
    };
    world.execute(tenant, command).await.unwrap();
}

fn read(answer: &CheckpointAnswer, tenant: TenantId) -> Checkpoint {
    let key = Stamp::new(CHECKPOINT_KEY).public_key();
    let origin = origin(install(), tenant, answer.epoch);
    Checkpoint::verify(&answer.note, &origin, &key).unwrap()
}

async fn size(world: &World, tenant: TenantId) -> u64 {
    world.store.head(tenant).await.unwrap().unwrap().seq
}

async fn alarms(world: &World, tenant: TenantId) -> Vec<Event> {
    let log = world.log(tenant).await;
    let events = log.into_iter().map(|stored| stored.envelope.event);
    let alarms = |event: &Event| matches!(event, Event::LogForked(_) | Event::LogRangeLost(_));
    events.filter(alarms).collect()
}

/// The store as it was when the log had so many events.
async fn copy(world: &World, tenant: TenantId, size: u64) -> Gate {
    let store = Gate::new();
    let kept = world
        .log(tenant)
        .await
        .into_iter()
        .filter(|e| e.envelope.seq <= size);
    let events = kept.map(|kept| Stamped::stored(kept.envelope, kept.bytes));
    let append = Append {
        tenant,
        expected: 0,
        events: events.collect(),
    };
    store.append(append).await.unwrap();
    store
}

/// What a restore writes first.
async fn restore(store: &Gate, tenant: TenantId, epoch: u64) {
    let head = store.head(tenant).await.unwrap().unwrap();
    let restored = LogRestored {
        old_epoch: head.epoch,
        size: head.seq,
        root: head.frontier.root(),
    };
    let envelope = Envelope {
        tenant,
        epoch,
        seq: head.seq + 1,
        time: START,
        actor: ActorRef::system(),
        source: Source::Kernel,
        correlation_id: correlation(),
        idempotency: None,
        event: restored.into(),
    };
    let append = Append {
        tenant,
        expected: head.seq,
        events: vec![Stamped::new(envelope).unwrap()],
    };
    store.append(append).await.unwrap();
}

const NEW_EPOCH: u64 = 1_800_000_000;
