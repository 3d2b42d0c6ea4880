use std::fs;

use provost_certs::BindingKey;
use tempfile::TempDir;

use super::*;
use crate::{
    clock::Clock,
    durable::STEPS,
    testing::{DAY_MS, desired, document, file, install, other_tenant, tenant, verifying},
};

struct World {
    folder: TempDir,
    signer: BindingKey,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            signer: BindingKey::generate().unwrap(),
        }
    }

    fn floor(&self) -> Floor {
        let clock = Clock::of(|| Timestamp::from_millis(5_000));
        let keys = vec![verifying(&self.signer)];
        Floor::open(self.folder.path(), clock, install(), keys).unwrap()
    }

    fn open(&self) -> Tenants {
        let folder = self.folder.path().join("tenants");
        Tenants::open(
            &folder,
            vec![verifying(&self.signer)],
            [9; 32],
            &self.floor(),
        )
        .unwrap()
    }

    fn license(&self, seq: u64) -> String {
        file(
            &document(Timestamp::from_millis(0), DAY_MS, DAY_MS),
            seq,
            &self.signer,
        )
    }

    fn path(&self) -> PathBuf {
        self.folder
            .path()
            .join("tenants")
            .join(format!("{}.json", tenant()))
    }
}

fn held_seq(tenants: &Tenants) -> Option<u64> {
    tenants
        .find(tenant())
        .and_then(|held| held.license.as_ref().map(|l| l.document.seq))
}

#[test]
fn what_is_held_survives_a_restart_with_the_kernel_away() {
    let world = World::new();
    let tenants = world.open();
    tenants
        .keep_license(tenant(), &world.license(3), &world.floor())
        .unwrap();
    assert!(tenants.keep_desired(&desired(4)).unwrap());
    let tenants = world.open();
    let held = tenants.find(tenant()).unwrap();
    assert_eq!(
        held.license.as_ref().map(|license| license.document.seq),
        Some(3)
    );
    assert_eq!((held.highest, held.desired.revision()), (Some((1, 3)), 4));
    assert!(held.is_stale());
}

#[test]
fn a_lower_sequence_is_refused_and_the_last_good_license_stays() {
    let world = World::new();
    let tenants = world.open();
    tenants
        .keep_license(tenant(), &world.license(3), &world.floor())
        .unwrap();
    for tenants in [tenants, world.open()] {
        let refused = tenants.keep_license(tenant(), &world.license(2), &world.floor());
        let Err(KeepError::License(refused)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(refused.verdict, Verdict::SequenceRollback);
        assert_eq!(held_seq(&tenants), Some(3));
        // The same again is no rollback.
        tenants
            .keep_license(tenant(), &world.license(3), &world.floor())
            .unwrap();
    }
}

#[test]
fn a_license_that_is_not_to_be_relied_on_changes_nothing() {
    let world = World::new();
    let tenants = world.open();
    tenants
        .keep_license(tenant(), &world.license(3), &world.floor())
        .unwrap();
    let before = fs::read(world.path()).unwrap();
    let plain = document(Timestamp::from_millis(0), DAY_MS, DAY_MS);
    let stranger = BindingKey::generate().unwrap();
    let copied = LicenseFor { cnf: [8; 32] };
    for (text, verdict) in [
        ("not a license".to_owned(), Verdict::Malformed),
        (file(&plain, 4, &stranger), Verdict::KeyUnknown),
        (
            file(&copied.of(&plain), 4, &world.signer),
            Verdict::NotBoundToThisRuntime,
        ),
        (
            file(
                &document(Timestamp::from_millis(0), 1_000, 1_000),
                4,
                &world.signer,
            ),
            Verdict::Expired,
        ),
    ] {
        let refused = tenants.keep_license(tenant(), &text, &world.floor());
        let Err(KeepError::License(refused)) = refused else {
            panic!("{verdict}: {refused:?}")
        };
        assert_eq!(refused.verdict, verdict);
    }
    let others = tenants.keep_license(other_tenant(), &world.license(4), &world.floor());
    assert!(matches!(others, Err(KeepError::OtherTenant)), "{others:?}");
    assert_eq!(held_seq(&tenants), Some(3));
    assert_eq!(fs::read(world.path()).unwrap(), before);
}

struct LicenseFor {
    cnf: [u8; 32],
}

impl LicenseFor {
    fn of(&self, plain: &license::LicenseDocument) -> license::LicenseDocument {
        license::LicenseDocument {
            cnf: self.cnf,
            ..plain.clone()
        }
    }
}

#[test]
fn a_crash_at_any_step_of_a_write_leaves_the_tenant_before_or_after_it() {
    let world = World::new();
    let tenants = world.open();
    tenants
        .keep_license(tenant(), &world.license(3), &world.floor())
        .unwrap();
    let before = fs::read(world.path()).unwrap();
    tenants
        .keep_license(tenant(), &world.license(4), &world.floor())
        .unwrap();
    let after = fs::read(world.path()).unwrap();
    for step in STEPS {
        durable::write(&world.path(), &before).unwrap();
        let stopped = durable::write_stepwise(&world.path(), &after, |at| {
            let path = PathBuf::from("stopped");
            if at == step {
                Err(DurableError::Damaged { path })
            } else {
                Ok(())
            }
        });
        stopped.unwrap_err();
        let seq = held_seq(&world.open());
        assert!(seq == Some(3) || seq == Some(4), "{step:?}: {seq:?}");
    }
}

#[test]
fn an_older_desired_state_is_ignored_and_each_is_confirmed_once_per_stream() {
    let world = World::new();
    let tenants = world.open();
    assert!(tenants.keep_desired(&desired(4)).unwrap());
    assert!(!tenants.keep_desired(&desired(3)).unwrap());
    assert!(!tenants.keep_desired(&desired(4)).unwrap());
    let due = tenants.take_confirmations(tenant());
    assert_eq!(
        due,
        [Confirm {
            tenant: tenant(),
            revision: 4
        }]
    );
    assert_eq!(tenants.take_confirmations(tenant()), []);
    tenants.disconnected();
    assert_eq!(tenants.take_confirmations(tenant()), due);
}

#[test]
fn nothing_is_in_force_that_could_not_be_written() {
    let world = World::new();
    let tenants = world.open();
    tenants
        .keep_license(tenant(), &world.license(3), &world.floor())
        .unwrap();
    fs::remove_dir_all(world.folder.path().join("tenants")).unwrap();
    let failed = tenants.keep_license(tenant(), &world.license(4), &world.floor());
    assert!(matches!(failed, Err(KeepError::Disk(_))), "{failed:?}");
    assert!(tenants.keep_desired(&desired(9)).is_err());
    assert_eq!(held_seq(&tenants), Some(3));
    assert_eq!(tenants.take_confirmations(tenant()), []);
}

#[test]
fn a_mode_is_observed_once_for_each_change() {
    let world = World::new();
    let tenants = world.open();
    tenants
        .keep_license(tenant(), &world.license(3), &world.floor())
        .unwrap();
    let now = Timestamp::from_millis(5_000);
    assert_eq!(tenants.observe(true, now), []);
    assert_eq!(tenants.observe(false, now).len(), 1);
    assert_eq!(tenants.observe(false, now), []);
    let later = Timestamp::from_millis(0).plus_millis(3 * DAY_MS);
    assert_eq!(
        tenants.observe(false, later)[0].1.to,
        crate::mode::Mode::Locked
    );
}

#[test]
fn another_license_of_a_place_that_was_held_is_refused_for_ever() {
    let world = World::new();
    let tenants = world.open();
    let first = world.license(3);
    tenants
        .keep_license(tenant(), &first, &world.floor())
        .unwrap();
    let document = document(Timestamp::from_millis(0), DAY_MS / 2, DAY_MS);
    let second = file(&document, 3, &world.signer);
    assert_ne!(first, second);
    for tenants in [tenants, world.open()] {
        let refused = tenants.keep_license(tenant(), &second, &world.floor());
        let Err(KeepError::Second { seq: 3 }) = refused else {
            panic!("{refused:?}")
        };
        tenants
            .keep_license(tenant(), &first, &world.floor())
            .unwrap();
    }
}

fn killed(revision: u64, killed: bool) -> DesiredState {
    DesiredState {
        killed,
        ..desired(revision)
    }
}

#[test]
fn a_kill_is_confirmed_once_it_was_obeyed_and_asks_for_that_once() {
    let world = World::new();
    let tenants = world.open();
    tenants.keep_desired(&killed(4, true)).unwrap();
    assert_eq!(tenants.take_confirmations(tenant()), []);
    assert_eq!(tenants.kill_to_obey(tenant()).unwrap().revision, 4);
    let tenants = world.open();
    let kill = tenants.kill_to_obey(tenant()).expect("after a crash");
    assert_eq!(kill.revision, 4);
    tenants.obeyed(tenant(), kill).unwrap();
    assert_eq!(tenants.take_confirmations(tenant()).len(), 1);

    let tenants = world.open();
    assert_eq!(tenants.kill_to_obey(tenant()), None, "it was");
    tenants.keep_desired(&killed(5, true)).unwrap();
    assert_eq!(tenants.kill_to_obey(tenant()), None, "killed is killed");
    tenants.keep_desired(&killed(6, false)).unwrap();
    tenants.keep_desired(&killed(7, true)).unwrap();
    let again = tenants.kill_to_obey(tenant()).expect("killed again");
    assert_eq!(again.revision, 7);
}

#[test]
fn who_is_killed_again_while_a_kill_is_obeyed_has_another_to_obey() {
    let world = World::new();
    let tenants = world.open();
    tenants.keep_desired(&killed(4, true)).unwrap();
    let first = tenants.kill_to_obey(tenant()).unwrap();
    // The same kill, of which something else has changed.
    tenants.keep_desired(&killed(5, true)).unwrap();
    assert_eq!(tenants.kill_to_obey(tenant()).unwrap().number, first.number);
    tenants.keep_desired(&killed(6, false)).unwrap();
    tenants.keep_desired(&killed(7, true)).unwrap();
    tenants.obeyed(tenant(), first).unwrap();
    assert_eq!(tenants.take_confirmations(tenant()), [], "not of this one");
    let second = tenants.kill_to_obey(tenant()).unwrap();
    assert_ne!(second.number, first.number);
    tenants.obeyed(tenant(), second).unwrap();
    assert_eq!(tenants.take_confirmations(tenant()).len(), 1);
}
