//! Desired state: the highest revision wins, is kept before it is in force, and never goes back.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use provost_kernel::desired::{Confirmations, Held, Offer};
use provost_protocol::{
    Timestamp,
    entity::{RuntimeStatus, TenantStatus},
    event::Confirmation,
    wire::DesiredState,
};

use crate::world::{config, runtime_id, tenant_id};

#[derive(Debug, Clone, Default)]
struct Naive {
    on_disk: u64,
    writing: Option<u64>,
    told: u64,
    offer: Option<bool>,
}

#[derive(Debug, Clone)]
enum Step {
    Offer(u64),
    /// The write came back.
    Kept,
    /// A write that was overtaken came back.
    KeptOvertaken(u64),
    Crash,
    Confirm,
    Disconnect,
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Naive;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Naive> {
        Just(Naive::default()).boxed()
    }

    fn transitions(state: &Naive) -> BoxedStrategy<Step> {
        let top = state.writing.unwrap_or(0).max(state.on_disk) + 3;
        prop_oneof![
            5 => (1..top).prop_map(Step::Offer),
            4 => Just(Step::Kept),
            1 => (1..top).prop_map(Step::KeptOvertaken),
            1 => Just(Step::Crash),
            2 => Just(Step::Confirm),
            1 => Just(Step::Disconnect),
        ]
        .boxed()
    }

    fn apply(mut state: Naive, step: &Step) -> Naive {
        state.offer = None;
        match step {
            Step::Offer(revision) => {
                let news = *revision > state.on_disk && Some(*revision) > state.writing;
                state.offer = Some(news);
                if news {
                    state.writing = Some(*revision);
                }
            }
            Step::Kept => state.on_disk = state.writing.take().unwrap_or(state.on_disk),
            Step::KeptOvertaken(_) => {}
            Step::Crash => (state.writing, state.told) = (None, 0),
            Step::Confirm => state.told = state.told.max(state.on_disk),
            Step::Disconnect => state.told = 0,
        }
        state
    }

    fn preconditions(state: &Naive, step: &Step) -> bool {
        match step {
            Step::KeptOvertaken(revision) => state.writing != Some(*revision),
            _other => true,
        }
    }
}

struct Machine;

impl StateMachineTest for Machine {
    /// The machine, its disk, and what is being written.
    type SystemUnderTest = (Held, Option<DesiredState>, Option<u64>);
    type Reference = Reference;

    fn init_test(_state: &Naive) -> Self::SystemUnderTest {
        (Held::default(), None, None)
    }

    fn apply(
        (mut held, mut disk, mut writing): Self::SystemUnderTest,
        naive: &Naive,
        step: Step,
    ) -> Self::SystemUnderTest {
        match step {
            Step::Offer(revision) => {
                let offer = held.offer(desired(1, revision));
                assert_eq!(
                    Some(offer == Offer::Keep),
                    naive.offer,
                    "revision {revision}"
                );
                if offer == Offer::Keep {
                    writing = Some(revision);
                }
            }
            Step::Kept => {
                if let Some(revision) = writing.take() {
                    disk = held.kept(revision).cloned();
                    assert!(disk.is_some());
                }
            }
            Step::KeptOvertaken(revision) => assert_eq!(held.kept(revision), None),
            Step::Crash => (held, writing) = (Held::restored(disk.clone()), None),
            Step::Confirm => {
                if let Some(revision) = held.to_confirm() {
                    held.confirmed(revision);
                }
            }
            Step::Disconnect => held.disconnected(),
        }
        (held, disk, writing)
    }

    fn check_invariants((held, ..): &Self::SystemUnderTest, naive: &Naive) {
        assert_eq!(held.revision(), naive.on_disk);
        let expected = Some(naive.on_disk).filter(|&revision| revision > naive.told);
        assert_eq!(held.to_confirm(), expected);
    }
}

fn desired(tenant: u8, revision: u64) -> DesiredState {
    DesiredState {
        tenant: tenant_id(tenant),
        revision,
        tenant_status: TenantStatus::Active,
        runtime_status: RuntimeStatus::Active,
        license_epoch: 0,
        license_seq: 0,
        revocation_generation: 0,
        trust_bundle: "bundle".to_owned(),
        heartbeat_interval_ms: 10_000,
        limits: Vec::new(),
        killed: false,
    }
}

prop_state_machine! {
    #![proptest_config(config(256))]
    #[test]
    fn desired_state_is_as_its_naive_model(sequential 1..40 => Machine);
}

#[test]
fn a_state_of_another_tenant_is_ignored() {
    let mut held = Held::restored(Some(desired(1, 5)));
    assert_eq!(held.offer(desired(2, 1_000)), Offer::Ignore);
    assert_eq!(held.revision(), 5);
}

proptest! {
    #![proptest_config(config(256))]
    #[test]
    fn confirmations_leave_once_a_second_and_none_is_lost(
        words in prop::collection::vec((0_u8..5, 1_u64..50, 0_u64..400), 1..60)
    ) {
        let mut gathered = Confirmations::default();
        let (mut now, mut left) = (Timestamp::EPOCH, Vec::new());
        let (mut expected, mut got) = (BTreeMap::new(), BTreeMap::new());
        for (runtime, revision, wait) in words {
            let runtime = runtime_id(runtime);
            gathered.add(Confirmation { runtime, revision }, now);
            let highest = expected.entry(runtime).or_insert(0);
            *highest = revision.max(*highest);
            now = now.plus_millis(wait);
            let batch = gathered.take(now);
            if !batch.is_empty() {
                left.push(now);
            }
            for one in batch {
                let highest = got.entry(one.runtime).or_insert(0);
                *highest = one.revision.max(*highest);
            }
        }
        if let Some(deadline) = gathered.deadline() {
            for one in gathered.take(deadline.max(now)) {
                let highest = got.entry(one.runtime).or_insert(0);
                *highest = one.revision.max(*highest);
            }
        }
        prop_assert_eq!(got, expected);
        for pair in left.windows(2) {
            prop_assert!(pair[1].millis_since(pair[0]) >= 1_000);
        }
    }
}
