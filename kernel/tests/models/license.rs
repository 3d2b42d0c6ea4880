//! The license sequence: never backwards, not even after a restore.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use provost_kernel::{
    Command, Rejection, State,
    command::IssueLicense,
    license::{Licensee, Sequence, plan_license},
};
use provost_protocol::entity::{DeploymentMode, RuntimeType};

use crate::world::{World, at, config, hash, own, runtime_id, tenant_id};

/// Every license ever issued, as (epoch, number).
#[derive(Debug, Clone)]
struct Naive {
    epoch: u64,
    issued: Vec<(u64, u64)>,
}

#[derive(Debug, Clone)]
enum Step {
    Issue,
    /// Two plans were signed at once: the second is refused.
    IssueTwice,
    /// A restore from a backup.
    RaiseEpoch,
}

impl Naive {
    fn issue(&mut self) {
        let in_epoch = self
            .issued
            .iter()
            .filter(|(epoch, _)| *epoch == self.epoch)
            .count();
        self.issued
            .push((self.epoch, u64::try_from(in_epoch).unwrap() + 1));
    }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Naive;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Naive> {
        Just(Naive {
            epoch: 1,
            issued: Vec::new(),
        })
        .boxed()
    }

    fn transitions(_state: &Naive) -> BoxedStrategy<Step> {
        prop_oneof![6 => Just(Step::Issue), 2 => Just(Step::IssueTwice), 1 => Just(Step::RaiseEpoch)]
            .boxed()
    }

    fn apply(mut state: Naive, step: &Step) -> Naive {
        match step {
            Step::Issue | Step::IssueTwice => state.issue(),
            Step::RaiseEpoch => state.epoch += 1,
        }
        state
    }
}

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = World;
    type Reference = Reference;

    fn init_test(_state: &Naive) -> World {
        let mut world = World::company(at("2026-11-22T00:00:00Z"), "UTC");
        world.create_token(1, 1).unwrap();
        world.enroll(1, 1).unwrap();
        world
    }

    fn apply(mut world: World, naive: &Naive, step: Step) -> World {
        match step {
            Step::Issue => issue(&mut world, false),
            Step::IssueTwice => issue(&mut world, true),
            Step::RaiseEpoch => {
                let mut restored = State::new(tenant_id(1), naive.epoch);
                for (key, entity) in world.state.iter() {
                    restored.load(key.clone(), entity.clone());
                }
                world.state = restored;
            }
        }
        world
    }

    fn check_invariants(world: &World, naive: &Naive) {
        let head = world.state.license(runtime_id(1)).map(|head| head.sequence);
        let newest = naive
            .issued
            .last()
            .map(|&(epoch, seq)| Sequence { epoch, seq });
        assert_eq!(head, newest);
        let Some(head) = head else { return };
        for &(epoch, seq) in &naive.issued {
            let earlier = Sequence { epoch, seq };
            assert!(
                earlier.admits(head),
                "a holder of {earlier:?} takes {head:?}"
            );
            assert_eq!(head.admits(earlier), earlier == head, "no holder goes back");
        }
    }
}

fn issue(world: &mut World, twice: bool) {
    let licensee = Licensee {
        caller: own(1),
        runtime_type: RuntimeType::App,
        deployment_mode: DeploymentMode::OnPrem,
        cnf: hash(1),
    };
    let plan = plan_license(&world.state, &licensee, world.now).unwrap();
    let command = Command::IssueLicense(IssueLicense {
        runtime: plan.runtime,
        sequence: plan.sequence,
        kid: "kid".to_owned(),
        cnf: plan.cnf,
        issued: plan.issued,
        expiry: plan.expiry,
        grace_ms: plan.grace_ms,
        revision: plan.revision,
        license_sha256: hash(2),
    });
    world.run(&command).unwrap();
    if twice {
        let refused = world.run(&command);
        assert_eq!(refused, Err(Rejection::Stale("the license sequence")));
    }
}

prop_state_machine! {
    #![proptest_config(config(128))]
    #[test]
    fn the_license_sequence_is_as_its_naive_model(sequential 1..40 => Machine);
}
