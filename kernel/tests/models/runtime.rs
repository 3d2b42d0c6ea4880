//! The runtime: where it stands in its life, and what that allows.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use provost_kernel::{Command, command::Register};
use provost_protocol::{
    Code, ContractVersion,
    entity::{DeploymentMode, Health, RuntimeStatus, RuntimeType},
};

use crate::world::{World, at, config, hash, runtime_id};

/// Three yes-or-no facts say it all.
#[derive(Debug, Clone, Default)]
struct Naive {
    beaten: bool,
    suspended: bool,
    revoked: bool,
    tenant_suspended: bool,
    last: Option<Result<(), Code>>,
}

#[derive(Debug, Clone)]
enum Step {
    Register(u8),
    Beat,
    Degrade(bool),
    Suspend,
    Resume,
    Revoke,
    SuspendTenant(bool),
}

impl Naive {
    fn status(&self) -> RuntimeStatus {
        match (self.revoked, self.suspended, self.beaten) {
            (true, _, _) => RuntimeStatus::Revoked,
            (false, true, _) => RuntimeStatus::Suspended,
            (false, false, true) => RuntimeStatus::Active,
            (false, false, false) => RuntimeStatus::Registered,
        }
    }

    fn answer(&self, step: &Step) -> Result<(), Code> {
        match step {
            Step::Revoke | Step::SuspendTenant(_) => Ok(()),
            _ if self.revoked => Err(Code::RuntimeRevoked),
            Step::Register(_) if self.suspended => Err(Code::RuntimeSuspended),
            Step::Register(_) if self.tenant_suspended => Err(Code::TenantSuspended),
            _ => Ok(()),
        }
    }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Naive;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Naive> {
        Just(Naive::default()).boxed()
    }

    fn transitions(_state: &Naive) -> BoxedStrategy<Step> {
        prop_oneof![
            4 => (0_u8..3).prop_map(Step::Register),
            4 => Just(Step::Beat),
            2 => any::<bool>().prop_map(Step::Degrade),
            3 => Just(Step::Suspend),
            3 => Just(Step::Resume),
            1 => Just(Step::Revoke),
            2 => any::<bool>().prop_map(Step::SuspendTenant),
        ]
        .boxed()
    }

    fn apply(mut state: Naive, step: &Step) -> Naive {
        let answer = state.answer(step);
        if answer.is_ok() {
            match step {
                Step::Beat => state.beaten |= !state.suspended,
                Step::Suspend => state.suspended = true,
                Step::Resume => state.suspended = false,
                Step::Revoke => state.revoked = true,
                Step::SuspendTenant(suspend) => state.tenant_suspended = *suspend,
                Step::Register(_) | Step::Degrade(_) => {}
            }
        }
        state.last = Some(answer);
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
        let runtime = runtime_id(1);
        let reason = "because".to_owned();
        let command = match step {
            Step::Register(n) => Command::Register(Register {
                runtime,
                runtime_type: RuntimeType::App,
                deployment_mode: DeploymentMode::OnPrem,
                version: format!("1.{n}"),
                capabilities: Vec::new(),
                contract_version: ContractVersion::V0_1,
                token_sha256: Some(hash(n)),
            }),
            Step::Beat => Command::Activate { runtime },
            Step::Degrade(degraded) => {
                let health = if degraded {
                    Health::Degraded
                } else {
                    Health::Healthy
                };
                Command::ReportHealth {
                    runtime,
                    health,
                    last: None,
                }
            }
            Step::Suspend => Command::SuspendRuntime { runtime, reason },
            Step::Resume => Command::ResumeRuntime { runtime, reason },
            Step::Revoke => Command::RevokeRuntime { runtime, reason },
            Step::SuspendTenant(true) => Command::SuspendTenant { reason },
            Step::SuspendTenant(false) => Command::ResumeTenant { reason },
        };
        let got = world
            .run(&command)
            .map(|_| ())
            .map_err(|rejection| rejection.code());
        assert_eq!(Some(got), naive.last, "{command:?}");
        if got.is_ok() && !matches!(command, Command::ReportHealth { .. }) {
            let again = world.run(&command).unwrap();
            assert!(
                again.is_empty(),
                "asked again, nothing follows: {command:?}"
            );
        }
        world
    }

    fn check_invariants(world: &World, naive: &Naive) {
        assert_eq!(
            world.state.runtime(runtime_id(1)).unwrap().status,
            naive.status()
        );
    }
}

prop_state_machine! {
    #![proptest_config(config(256))]
    #[test]
    fn the_runtime_is_as_its_naive_model(sequential 1..30 => Machine);
}
