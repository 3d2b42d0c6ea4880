//! Desired state from end to end: whatever the network, the disks and the processes do, the
//! runtime ends with the kernel's last word, and never goes back to one before.
//!
//! Messages are a bag: they come in any order, twice, late, from a session long gone, or never.
//! Both sides are started again at any moment, the kernel also from an older copy in a new epoch.

use std::collections::BTreeMap;

use proptest::prelude::*;
use provost_kernel::{
    At, Caller, Command, State, apply,
    command::{Grant, LimitRuntime},
    desired::{Confirmations, Held, Offer, Surroundings, desired_state},
};
use provost_protocol::{
    Timestamp,
    entity::{Feature, Limit, Mode},
    event::{Confirmation, LogRestored},
    wire::DesiredState,
};

use crate::world::{World, at, config, own, runtime_id};

/// The kernel's side, the network, and the connector's side.
struct Model {
    kernel: World,
    confirmations: Confirmations,
    /// Everything that was ever said, by revision.
    said: BTreeMap<u64, DesiredState>,
    down: Vec<DesiredState>,
    up: Vec<u64>,
    held: Held,
    disk: Option<DesiredState>,
    writing: Option<u64>,
    /// The highest revision that was ever on the connector's disk.
    highest: u64,
}

#[derive(Debug, Clone)]
enum Step {
    /// An operator does something.
    Rule(u8, u8),
    Wait(u32),
    /// A beat's answer, a directive or a Welcome is on its way.
    Say,
    Deliver(prop::sample::Index),
    /// It comes, and will come again.
    Duplicate(prop::sample::Index),
    Lose(prop::sample::Index),
    Kept,
    Confirm,
    ConfirmationComes(prop::sample::Index),
    ConfirmationIsLost(prop::sample::Index),
    Record,
    Disconnect,
    ConnectorCrashes,
    KernelCrashes,
    KernelIsRestored(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        5 => (0..8_u8, any::<u8>()).prop_map(|(what, which)| Step::Rule(what, which)),
        1 => (1..100_000_u32).prop_map(Step::Wait),
        5 => Just(Step::Say),
        5 => index().prop_map(Step::Deliver),
        2 => index().prop_map(Step::Duplicate),
        2 => index().prop_map(Step::Lose),
        5 => Just(Step::Kept),
        3 => Just(Step::Confirm),
        3 => index().prop_map(Step::ConfirmationComes),
        1 => index().prop_map(Step::ConfirmationIsLost),
        2 => Just(Step::Record),
        1 => Just(Step::Disconnect),
        1 => Just(Step::ConnectorCrashes),
        1 => Just(Step::KernelCrashes),
        1 => index().prop_map(Step::KernelIsRestored),
    ]
}

impl Model {
    fn new() -> Self {
        let mut kernel = World::company(at("2026-11-22T00:00:00Z"), "UTC");
        kernel.create_token(1, 1).unwrap();
        kernel.enroll(1, 1).unwrap();
        Self {
            kernel,
            confirmations: Confirmations::default(),
            said: BTreeMap::new(),
            down: Vec::new(),
            up: Vec::new(),
            held: Held::default(),
            disk: None,
            writing: None,
            highest: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Rule(what, which) => self.rule(what, which),
            Step::Wait(millis) => self.kernel.now = self.kernel.now.plus_millis(millis.into()),
            Step::Say => self.say(),
            Step::Deliver(index) if !self.down.is_empty() => {
                let state = self.down.remove(index.index(self.down.len()));
                self.hear(state);
            }
            Step::Duplicate(index) if !self.down.is_empty() => {
                self.hear(index.get(&self.down).clone());
            }
            Step::Lose(index) if !self.down.is_empty() => {
                self.down.remove(index.index(self.down.len()));
            }
            Step::Kept => self.kept(),
            Step::Confirm => self.confirm(),
            Step::ConfirmationComes(index) if !self.up.is_empty() => {
                let revision = self.up.remove(index.index(self.up.len()));
                self.confirmation(revision);
            }
            Step::ConfirmationIsLost(index) if !self.up.is_empty() => {
                self.up.remove(index.index(self.up.len()));
            }
            Step::Record => self.record(),
            Step::Disconnect => self.held.disconnected(),
            Step::ConnectorCrashes => {
                (self.held, self.writing) = (Held::restored(self.disk.clone()), None);
            }
            Step::KernelCrashes => {
                self.confirmations = Confirmations::default();
                self.replay();
            }
            Step::KernelIsRestored(index) => self.restore(index),
            Step::Deliver(_)
            | Step::Duplicate(_)
            | Step::Lose(_)
            | Step::ConfirmationComes(_)
            | Step::ConfirmationIsLost(_) => {}
        }
    }

    /// What operators do; a refusal is as good.
    fn rule(&mut self, what: u8, which: u8) {
        let (runtime, reason) = (runtime_id(1), String::new());
        let feature: Feature = ["x", "x:y", "z"][usize::from(which % 3)].parse().unwrap();
        let command = match what {
            0 => Command::KillRuntime { runtime, reason },
            1 => Command::ResumeRuntime { runtime, reason },
            2 => Command::SuspendRuntime { runtime, reason },
            3 => Command::SuspendTenant { reason },
            4 => Command::ResumeTenant { reason },
            5 => Command::LimitRuntime(LimitRuntime {
                runtime,
                feature,
                limit: Limit::Quota(u64::from(which % 5)),
                until: self.kernel.now.plus_millis(u64::from(which) * 1_000 + 1),
                reason,
            }),
            6 => Command::UnlimitRuntime {
                runtime,
                feature,
                reason,
            },
            _ => Command::Grant(Grant {
                feature,
                runtime: None,
                limit: Limit::Quota(which.into()),
                time_window: None,
                mode: Mode::Enforce,
                valid_until: Timestamp::MAX,
            }),
        };
        drop(self.kernel.run(&command));
    }

    fn caller(&self) -> Caller {
        let state = &self.kernel.state;
        Caller {
            tenant_status: state.tenant().unwrap().status,
            status: state.runtime(runtime_id(1)).unwrap().status,
            killed: state.is_killed(runtime_id(1)),
            ..own(1)
        }
    }

    fn wanted(&self) -> DesiredState {
        let surroundings = Surroundings {
            trust_bundle: "bundle".to_owned(),
            heartbeat_interval_ms: 10_000,
        };
        desired_state(&self.kernel.state, &self.caller(), &surroundings).unwrap()
    }

    fn say(&mut self) {
        let state = self.wanted();
        let before = self.said.entry(state.revision).or_insert(state.clone());
        assert_eq!(*before, state, "a revision says one thing");
        self.down.push(state);
    }

    fn hear(&mut self, state: DesiredState) {
        let revision = state.revision;
        if self.held.offer(state) == Offer::Keep {
            self.writing = Some(revision);
        }
    }

    fn kept(&mut self) {
        if let Some(revision) = self.writing.take() {
            self.disk = self.held.kept(revision).cloned();
            assert!(self.disk.is_some());
        }
    }

    fn confirm(&mut self) {
        if let Some(revision) = self.held.to_confirm() {
            self.held.confirmed(revision);
            self.up.push(revision);
        }
    }

    fn confirmation(&mut self, revision: u64) {
        let runtime = runtime_id(1);
        let word = Confirmation { runtime, revision };
        self.confirmations.add(word, self.kernel.now);
    }

    fn record(&mut self) {
        let confirmed = self.confirmations.take(self.kernel.now);
        if !confirmed.is_empty() {
            self.kernel.run(&Command::Confirm { confirmed }).unwrap();
        }
    }

    /// The kernel is started again: what it is follows from its log.
    fn replay(&mut self) {
        let mut state = State::new(self.kernel.state.tenant_id(), 1);
        for (at, event) in &self.kernel.log {
            apply(&mut state, *at, event);
        }
        assert_eq!(state, self.kernel.state);
        self.kernel.state = state;
    }

    /// The kernel is started from a part of its log, in a new epoch.
    fn restore(&mut self, index: prop::sample::Index) {
        let enrolled = 3;
        let size = enrolled + index.index(self.kernel.log.len() - enrolled + 1);
        let (old_epoch, tenant) = (self.kernel.state.epoch(), self.kernel.state.tenant_id());
        self.kernel.log.truncate(size);
        let mut state = State::new(tenant, 1);
        for (at, event) in &self.kernel.log {
            apply(&mut state, *at, event);
        }
        let restored = LogRestored {
            old_epoch,
            size: u64::try_from(size).unwrap(),
            root: [0; 32],
        };
        let at = At {
            tenant,
            epoch: old_epoch + 1,
            seq: u64::try_from(size).unwrap() + 1,
            time: self.kernel.now,
        };
        apply(&mut state, at, &restored.clone().into());
        self.kernel.log.push((at, restored.into()));
        self.kernel.state = state;
        self.confirmations = Confirmations::default();
    }

    fn check(&mut self) {
        let revision = self.disk.as_ref().map_or(0, |state| state.revision);
        assert!(revision >= self.highest, "the runtime went back");
        self.highest = revision;
        if let Some(state) = &self.disk {
            assert_eq!(self.said.get(&revision), Some(state));
        }
        assert_eq!(self.held.revision(), revision, "disk first");
        let confirmed = self.kernel.state.runtime(runtime_id(1)).unwrap();
        assert!(
            confirmed.confirmed_revision <= self.highest,
            "said and not done"
        );
    }

    /// The storm is over: one session, in which all comes.
    fn settle(&mut self) {
        self.held.disconnected();
        self.say();
        while let Some(state) = self.down.pop() {
            self.hear(state);
            self.kept();
            self.check();
        }
        self.confirm();
        while let Some(revision) = self.up.pop() {
            self.confirmation(revision);
        }
        self.kernel.now = self.kernel.now.plus_millis(2_000);
        self.record();
        self.check();
    }
}

proptest! {
    #![proptest_config(config(400))]
    #[test]
    fn the_runtime_ends_with_the_kernels_last_word_and_never_goes_back(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
            model.check();
        }
        model.settle();
        let wanted = model.wanted();
        prop_assert_eq!(model.disk.as_ref(), Some(&wanted));
        let runtime = model.kernel.state.runtime(runtime_id(1)).unwrap();
        prop_assert_eq!(runtime.confirmed_revision, wanted.revision);
        let killed = model.kernel.state.is_killed(runtime_id(1));
        prop_assert_eq!(wanted.killed, killed);
    }
}
