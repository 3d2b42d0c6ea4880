//! A log as evidence: what restores lost and what forked, against whole copies of every history.

use proptest::prelude::*;
use provost_kernel::{
    At, Command, State, apply,
    command::{IssueLicense, ReportHeld},
    decide,
    license::{Sequence, next_sequence},
    limits::{EPOCHS_KEPT_MAX, FORKS_KEPT_MAX},
    state::{Held, HistoryRecord},
};
use provost_protocol::{
    event::{Event, LogForked, LogRangeLost, LogRestored, TenantResumed},
    tlog::{Frontier, Hash, leaf_hash},
};

use crate::world::{World, at, config, hash, own, runtime_id, tenant_id};

/// One event, told apart from every other one there ever was.
#[derive(Debug, Clone, PartialEq)]
struct Leaf {
    unique: u64,
    epoch: u64,
    event: Event,
}

/// A log with all its events and the state that they make.
#[derive(Debug, Clone)]
struct Log {
    leaves: Vec<Leaf>,
    epoch: u64,
    state: State,
}

/// Everything that happens: histories come and go, runtimes keep what they were shown.
struct Model {
    log: Log,
    backups: Vec<Log>,
    /// What each runtime holds: the epoch, and every event of the log it was shown.
    held: Vec<(u8, u64, Vec<Leaf>)>,
    unique: u64,
    newest_epoch: u64,
    /// Whether the log was ever replaced without a new epoch.
    tampered: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Backup,
    Hold(u8),
    /// A restore as it should be: a new epoch that nobody has had.
    Restore(prop::sample::Index),
    /// The data is replaced by an older copy of itself.
    Replace(prop::sample::Index),
    Report(prop::sample::Index),
}

impl Log {
    fn push(&mut self, unique: &mut u64, event: Event) {
        *unique += 1;
        let at = At {
            tenant: tenant_id(1),
            epoch: self.epoch,
            seq: size(&self.leaves) + 1,
            time: at("2026-11-22T00:00:00Z"),
        };
        apply(&mut self.state, at, &event);
        self.leaves.push(Leaf {
            unique: *unique,
            epoch: self.epoch,
            event,
        });
    }

    /// Where the first restore into an epoch after `epoch` stands.
    fn boundary(&self, epoch: u64) -> Option<usize> {
        self.leaves
            .iter()
            .position(|leaf| leaf.epoch > epoch && matches!(leaf.event, Event::LogRestored(_)))
    }

    fn went_through(&self, epoch: u64) -> bool {
        self.leaves.iter().any(|leaf| leaf.epoch == epoch)
    }

    /// The report of who holds these events of an epoch.
    fn report(&self, runtime: u8, epoch: u64, held: &[Leaf]) -> ReportHeld {
        ReportHeld {
            runtime: runtime_id(runtime),
            held: Held {
                epoch,
                size: size(held),
                root: root(held),
            },
            own_root: self.leaves.get(..held.len()).map(root),
        }
    }

    /// What must follow from it, from the events alone.
    fn expected(&self, report: &ReportHeld, held: &[Leaf]) -> Option<Event> {
        if self.leaves.starts_with(held) {
            return None;
        }
        let Held { epoch, size, root } = report.held;
        let went_through = self.went_through(epoch);
        let boundary = self.boundary(epoch);
        if let Some(restored) = boundary.filter(|&at| at < held.len() || !went_through) {
            let known = self.leaves.iter().any(|leaf| {
                matches!(&leaf.event, Event::LogRangeLost(lost)
                    if lost.old_epoch == epoch && lost.to_seq >= size)
            });
            let lost = LogRangeLost {
                old_epoch: epoch,
                from_seq: size.min(u64::try_from(restored).unwrap() + 1),
                to_seq: size,
                root,
                runtime_id: report.runtime,
            };
            return (!known).then(|| lost.into());
        }
        let known = self.leaves.iter().any(|leaf| {
            matches!(&leaf.event, Event::LogForked(fork)
                if (fork.epoch, fork.held_size, fork.held_root) == (epoch, size, root))
        });
        let fork = LogForked {
            epoch,
            held_size: size,
            held_root: root,
            own_root: report.own_root,
            runtime_id: report.runtime,
        };
        (!known).then(|| fork.into())
    }
}

impl Model {
    fn new() -> Self {
        let world = World::company(at("2026-11-22T00:00:00Z"), "UTC");
        let created = Leaf {
            unique: 0,
            epoch: 1,
            event: world.log[0].1.clone(),
        };
        Self {
            log: Log {
                leaves: vec![created],
                epoch: 1,
                state: world.state,
            },
            backups: Vec::new(),
            held: Vec::new(),
            unique: 0,
            newest_epoch: 1,
            tampered: false,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(count) => (0..count).for_each(|_| {
                self.log.push(&mut self.unique, resumed());
            }),
            Step::Backup => self.backups.push(self.log.clone()),
            Step::Hold(runtime) => {
                let (epoch, leaves) = (self.log.epoch, self.log.leaves.clone());
                self.held.push((runtime % 4, epoch, leaves));
            }
            Step::Restore(pick) if !self.backups.is_empty() => {
                let backup = pick.get(&self.backups).clone();
                let restored = LogRestored {
                    old_epoch: backup.epoch,
                    size: size(&backup.leaves),
                    root: root(&backup.leaves),
                };
                self.newest_epoch += 1;
                self.log = backup;
                self.log.epoch = self.newest_epoch;
                self.log.push(&mut self.unique, restored.into());
            }
            Step::Replace(pick) if !self.backups.is_empty() => {
                self.log = pick.get(&self.backups).clone();
                self.tampered = true;
            }
            Step::Report(pick) if !self.held.is_empty() => {
                let (runtime, epoch, held) = pick.get(&self.held).clone();
                self.report(runtime, epoch, &held);
            }
            Step::Restore(_) | Step::Replace(_) | Step::Report(_) => {}
        }
    }

    fn report(&mut self, runtime: u8, epoch: u64, held: &[Leaf]) {
        let report = self.log.report(runtime, epoch, held);
        let now = at("2026-11-22T00:00:00Z");
        let events = decide(&self.log.state, &Command::ReportHeld(report), now).unwrap();
        let expected: Vec<Event> = self.log.expected(&report, held).into_iter().collect();
        assert_eq!(events, expected);
        for event in events {
            self.is_true(held, &event);
            self.log.push(&mut self.unique, event);
        }
        let again = decide(&self.log.state, &Command::ReportHeld(report), now).unwrap();
        assert_eq!(again, Vec::new(), "what is known is not news");
        let forked = |history: &HistoryRecord| history.is_forked(self.log.epoch);
        let stopped = self.log.state.history().is_some_and(forked);
        assert!(self.tampered || !stopped, "an honest log is signed on");
    }

    /// An honest log raises no false alarm, and names exactly what is gone.
    fn is_true(&self, held: &[Leaf], event: &Event) {
        match event {
            Event::LogRangeLost(lost) if !self.tampered => {
                let from = usize::try_from(lost.from_seq).unwrap() - 1;
                // Of an epoch that is wholly undone nobody knows where it began.
                if self.log.went_through(lost.old_epoch) {
                    assert_eq!(held[..from], self.log.leaves[..from]);
                }
                let gone = |leaf: &Leaf| !self.log.leaves.contains(leaf);
                assert!(held[from..].iter().all(gone));
                assert_eq!(size(held), lost.to_seq);
            }
            Event::LogRangeLost(_) => {}
            other => assert!(self.tampered, "a false alarm: {other:?}"),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => (1_u8..5).prop_map(Step::Append),
        2 => Just(Step::Backup),
        5 => any::<u8>().prop_map(Step::Hold),
        2 => pick().prop_map(Step::Restore),
        1 => pick().prop_map(Step::Replace),
        8 => pick().prop_map(Step::Report),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn what_was_lost_and_what_forked_is_named_once_and_truly(steps in steps()) {
        let mut model = Model::new();
        steps.into_iter().for_each(|step| model.step(step));
    }

    #[test]
    fn a_log_that_was_only_ever_restored_never_calls_itself_forked(steps in steps()) {
        let mut model = Model::new();
        let honest = steps.into_iter().filter(|step| !matches!(step, Step::Replace(_)));
        honest.for_each(|step| model.step(step));
        prop_assert!(!model.tampered);
        let forks = model.log.leaves.iter().filter(|l| matches!(l.event, Event::LogForked(_)));
        prop_assert_eq!(forks.count(), 0);
    }
}

#[test]
fn an_older_copy_of_the_data_is_a_fork_and_nothing_more_is_signed_until_a_new_epoch() {
    let mut model = Model::new();
    model.step(Step::Append(9));
    model.step(Step::Backup);
    model.step(Step::Append(5));
    model.step(Step::Hold(1));
    model.log = model.backups[0].clone();
    model.tampered = true;
    let (_, epoch, held) = model.held[0].clone();
    model.report(1, epoch, &held);
    let Some(Event::LogForked(fork)) = model.log.leaves.last().map(|leaf| &leaf.event) else {
        panic!("no fork recorded");
    };
    assert_eq!((fork.epoch, fork.held_size, fork.own_root), (1, 15, None));
    let history = model.log.state.history().unwrap();
    assert!(history.is_forked(1) && !history.is_forked(2));
    // Longer than the runtime's checkpoint again: another root where it had its own.
    model.step(Step::Append(9));
    let report = model.log.report(2, epoch, &held);
    assert!(report.own_root.is_some_and(|root| root != report.held.root));
    let events = decide(
        &model.log.state,
        &Command::ReportHeld(report),
        at("2026-11-22T00:00:00Z"),
    );
    assert_eq!(events, Ok(Vec::new()), "the same fork, of another runtime");
}

#[test]
fn a_checkpoint_of_an_epoch_that_this_log_never_had_is_a_fork_whatever_its_root() {
    let mut model = Model::new();
    model.step(Step::Append(3));
    let held = model.log.leaves.clone();
    let report = model.log.report(1, 2, &held);
    assert_eq!(report.own_root, Some(report.held.root));
    let events = decide(
        &model.log.state,
        &Command::ReportHeld(report),
        at("2026-11-22T00:00:00Z"),
    );
    assert!(
        matches!(events.as_deref(), Ok([Event::LogForked(_)])),
        "{events:?}"
    );
}

#[test]
fn many_forks_and_restores_take_no_more_room_than_there_is() {
    let mut log = Model::new().log;
    let mut unique = 0;
    for n in 0..300_u64 {
        let held = |runtime, size| ReportHeld {
            runtime: runtime_id(runtime),
            held: Held {
                epoch: log.epoch,
                size,
                root: [7; 32],
            },
            own_root: None,
        };
        let report = held(u8::try_from(n % 200).unwrap(), 1_000 + n);
        let events = decide(
            &log.state,
            &Command::ReportHeld(report),
            at("2026-11-22T00:00:00Z"),
        );
        for event in events.unwrap() {
            log.push(&mut unique, event);
        }
        log.epoch += 1;
        let restored = LogRestored {
            old_epoch: log.epoch - 1,
            size: size(&log.leaves),
            root: [1; 32],
        };
        log.push(&mut unique, restored.into());
    }
    let history = log.state.history().unwrap();
    assert_eq!(history.restores.len(), EPOCHS_KEPT_MAX);
    assert_eq!(history.forks.len(), FORKS_KEPT_MAX);
    // Long forgotten by the log, and still known of the runtime that holds it.
    let report = ReportHeld {
        runtime: runtime_id(199),
        held: Held {
            epoch: log.state.witness(runtime_id(199)).unwrap().fork.epoch,
            size: 1_199,
            root: [7; 32],
        },
        own_root: None,
    };
    assert!(!history.forks.contains(&report.held));
    assert_eq!(
        log.state.witness(runtime_id(199)).unwrap().fork,
        report.held
    );
}

#[test]
fn licenses_after_a_restore_are_of_the_new_epoch_and_never_go_backwards() {
    let mut world = World::company(at("2026-11-22T00:00:00Z"), "UTC");
    world.create_token(1, 1).unwrap();
    world.enroll(1, 1).unwrap();
    let issue = |world: &mut World| {
        let sequence = next_sequence(&world.state, runtime_id(1));
        let issue = Command::IssueLicense(IssueLicense {
            runtime: runtime_id(1),
            sequence,
            kid: "kid".to_owned(),
            cnf: hash(1),
            issued: world.now,
            expiry: world.now.plus_millis(1_000),
            grace_ms: 0,
            revision: world.state.revision(),
            license_sha256: hash(2),
        });
        world.run(&issue).unwrap();
        sequence
    };
    issue(&mut world);
    let backup = world.clone();
    let before = issue(&mut world);
    let revision = world.state.revision();
    assert_eq!(before, Sequence { epoch: 1, seq: 2 });

    let mut world = backup;
    let restored = LogRestored {
        old_epoch: 1,
        size: u64::try_from(world.log.len()).unwrap(),
        root: [1; 32],
    };
    let at = At {
        tenant: tenant_id(1),
        epoch: TODAY,
        seq: restored.size + 1,
        time: world.now,
    };
    apply(&mut world.state, at, &restored.into());
    assert_eq!(world.state.epoch(), TODAY);
    assert!(
        world.state.revision() > revision,
        "no connector holds a higher one"
    );
    let after = issue(&mut world);
    assert_eq!(
        after,
        Sequence {
            epoch: TODAY,
            seq: 1
        }
    );
    assert!(before.admits(after) && !after.admits(before));
    assert!(
        world.state.check_facts(&own(1)).is_ok(),
        "the tenant goes on"
    );
}

#[test]
fn a_revision_after_a_restore_is_above_every_earlier_one_and_exact_in_json() {
    let mut log = Model::new().log;
    let mut unique = 0;
    let mut highest = 0;
    // The first restore is of the first epoch; every later one is made a second after another.
    for epoch in [TODAY, TODAY + 1, TODAY + 2, LAST_EXACT_EPOCH] {
        let backup = log.clone();
        for _ in 0..1_000 {
            log.push(&mut unique, resumed());
            assert!(log.state.revision() > highest, "epoch {}", log.epoch);
            highest = log.state.revision();
        }
        log = backup;
        let restored = LogRestored {
            old_epoch: log.epoch,
            size: size(&log.leaves),
            root: root(&log.leaves),
        };
        log.epoch = epoch;
        assert!(
            log.state.tenant().unwrap().revision_in(epoch) > highest,
            "shown before anything is written in the new epoch"
        );
        log.push(&mut unique, restored.into());
        assert!(log.state.revision() > highest, "epoch {epoch}");
        assert!(log.state.revision() < 1 << 53, "epoch {epoch}");
        highest = log.state.revision();
    }
}

fn root(leaves: &[Leaf]) -> Hash {
    let mut tree = Frontier::default();
    for leaf in leaves {
        tree.append(leaf_hash(&leaf.unique.to_be_bytes()));
    }
    tree.root()
}

fn size(leaves: &[Leaf]) -> u64 {
    u64::try_from(leaves.len()).unwrap()
}

/// Something that happens, and that runtimes should know.
fn resumed() -> Event {
    let reason = "again".to_owned();
    TenantResumed { reason }.into()
}

/// Seconds since 1970, as a restore of these days has them.
const TODAY: u64 = 1_795_325_728;

/// In the year 2239; JSON readers lose exactness from 2^33 on, in 2242.
const LAST_EXACT_EPOCH: u64 = 8_500_000_000;
