use provost_protocol::{
    TenantId, Timestamp, TokenId,
    entity::{DeploymentMode, Policies, RuntimeType},
    event::{RuntimeActivated, RuntimeEnrolled, TenantCreated},
};

use super::*;
use crate::{At, Command, apply, decide};

const NOW: Timestamp = Timestamp::from_millis(1_795_325_728_000);

/// One tenant's log, as its actor keeps it.
struct Log {
    state: State,
    seq: u64,
}

impl Log {
    fn of(tenant_type: TenantType) -> Self {
        let mut log = Self {
            state: State::new(TenantId::from_parts(NOW, [1; 10]), 1),
            seq: 0,
        };
        log.take(
            &TenantCreated {
                tenant_type,
                name: "one".to_owned(),
                policies: Policies::default(),
                operator: None,
                time_zone: "UTC".to_owned(),
                subject: None,
            }
            .into(),
        );
        log
    }

    fn take(&mut self, event: &Event) {
        self.seq += 1;
        let at = At {
            tenant: self.state.tenant_id(),
            epoch: 1,
            seq: self.seq,
            time: NOW,
        };
        apply(&mut self.state, at, event);
    }

    fn run(&mut self, command: Command) -> Result<usize, Rejection> {
        let events = decide(&self.state, &command, NOW)?;
        events.iter().for_each(|event| self.take(event));
        Ok(events.len())
    }

    fn rotate(&mut self, step: RotateCa) -> Result<usize, Rejection> {
        self.run(Command::RotateCa(step))
    }

    fn enroll(&mut self, number: u8) -> RuntimeId {
        let runtime = RuntimeId::from_parts(NOW, [number; 10]);
        let enrolled = RuntimeEnrolled {
            runtime,
            token: TokenId::from_parts(NOW, [number; 10]),
            runtime_type: RuntimeType::App,
            deployment_mode: DeploymentMode::Dedicated,
            cnf: "ab".repeat(32),
            binding_key: "key".to_owned(),
            certificate: "certificate".to_owned(),
            serial: format!("{number:032x}"),
            not_after: NOW.plus_millis(1_000),
        };
        self.take(&enrolled.into());
        self.take(&RuntimeActivated { runtime }.into());
        runtime
    }

    fn phase(&self) -> &RotationPhase {
        &self.state.rotation().unwrap().phase
    }
}

fn hash(digits: &str) -> String {
    digits.repeat(32)
}

fn prepare(active: &str, next: &str) -> RotateCa {
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_owned();
    RotateCa::Prepare(CaRotationPrepared {
        active: hash(active),
        next: hash(next),
        next_root: pem.clone(),
        cross: pem,
    })
}

const fn activate(missing: u64, force: bool) -> RotateCa {
    RotateCa::Activate { missing, force }
}

const fn retire(cut_off: u64, force: bool) -> RotateCa {
    RotateCa::Retire { cut_off, force }
}

#[test]
fn a_rotation_goes_from_prepared_over_activated_to_settled_and_can_begin_again() {
    let mut log = Log::of(TenantType::Internal);
    assert_eq!(log.rotate(prepare("a1", "b2")), Ok(1));
    assert!(matches!(log.phase(), RotationPhase::Prepared { next, .. } if *next == hash("b2")));
    assert_eq!(log.state.rotation().unwrap().active, hash("a1"));
    assert_eq!(log.rotate(activate(0, false)), Ok(1));
    let old = hash("a1");
    assert_eq!(*log.phase(), RotationPhase::Activated { old });
    assert_eq!(log.state.rotation().unwrap().active, hash("b2"));
    assert_eq!(log.rotate(retire(0, false)), Ok(1));
    assert_eq!(*log.phase(), RotationPhase::Settled);
    assert_eq!(log.rotate(prepare("b2", "c3")), Ok(1));
    assert_eq!(log.rotate(RotateCa::Abort), Ok(1));
    assert_eq!(*log.phase(), RotationPhase::Settled);
    assert_eq!(log.state.rotation().unwrap().active, hash("b2"));
}

#[test]
fn no_step_is_taken_out_of_turn() {
    let phase = |result| matches!(result, Err(Rejection::RotationPhase(_)));
    let mut log = Log::of(TenantType::Internal);
    for step in [activate(0, true), retire(0, true), RotateCa::Abort] {
        assert!(phase(log.rotate(step)), "settled");
    }
    log.rotate(prepare("a1", "b2")).unwrap();
    for step in [prepare("a1", "c3"), retire(0, true)] {
        assert!(phase(log.rotate(step)), "prepared");
    }
    log.rotate(activate(0, false)).unwrap();
    for step in [prepare("b2", "c3"), activate(0, true), RotateCa::Abort] {
        assert!(phase(log.rotate(step)), "activated");
    }
    log.rotate(retire(0, false)).unwrap();
    assert!(
        phase(log.rotate(prepare("a1", "c3"))),
        "of a root that is gone"
    );
}

#[test]
fn activation_and_retirement_wait_for_the_fleet_or_for_an_operator_who_insists() {
    let mut log = Log::of(TenantType::Internal);
    log.rotate(prepare("a1", "b2")).unwrap();
    let missing = Err(Rejection::RotationNotAdopted { missing: 3 });
    assert_eq!(log.rotate(activate(3, false)), missing);
    assert_eq!(log.rotate(activate(3, true)), Ok(1));
    let cut_off = Err(Rejection::RotationInUse { cut_off: 2 });
    assert_eq!(log.rotate(retire(2, false)), cut_off);
    assert_eq!(log.rotate(retire(2, true)), Ok(1));
}

#[test]
fn a_rotation_is_the_installations_alone() {
    let mut log = Log::of(TenantType::Company);
    assert!(log.rotate(prepare("a1", "b2")).is_err());
}

#[test]
fn a_bundle_is_confirmed_once_by_each_runtime_that_is_not_revoked() {
    let mut log = Log::of(TenantType::Company);
    let (one, two) = (log.enroll(1), log.enroll(2));
    let revoke = Command::RevokeRuntimes {
        runtimes: vec![two],
        reason: String::new(),
    };
    assert_eq!(log.run(revoke), Ok(1));
    let stranger = RuntimeId::from_parts(NOW, [9; 10]);
    let confirm = |bundle: &str| {
        Command::ConfirmTrust(ConfirmTrust {
            bundle: hash(bundle),
            runtimes: vec![one, one, two, stranger],
        })
    };
    assert_eq!(log.run(confirm("d4")), Ok(1));
    assert_eq!(log.state.trust(one).unwrap().bundle, hash("d4"));
    assert!(log.state.trust(two).is_none());
    assert_eq!(log.run(confirm("d4")), Ok(0), "no news");
    assert_eq!(log.run(confirm("e5")), Ok(1));
    assert_eq!(log.state.trust(one).unwrap().bundle, hash("e5"));
}

#[test]
fn one_certificate_is_revoked_once_and_only_where_it_is_the_runtimes() {
    let mut log = Log::of(TenantType::Company);
    let (one, two) = (log.enroll(10), log.enroll(11));
    let revoke = |runtime, serial: &str| Command::RevokeCertificate {
        runtime,
        serial: serial.to_owned(),
        reason: "lost".to_owned(),
    };
    let serial = format!("{:032x}", 10);
    assert_eq!(log.run(revoke(two, &serial)), Err(Rejection::NotFound));
    assert_eq!(log.run(revoke(one, &serial.to_ascii_uppercase())), Ok(1));
    assert_eq!(log.run(revoke(one, &serial)), Ok(0));
    assert_eq!(log.run(revoke(two, &serial)), Err(Rejection::NotFound));
    let status = log.state.runtime(one).unwrap().status;
    assert_eq!(status, RuntimeStatus::Active, "the runtime goes on");
}

#[test]
fn a_whole_tenant_is_revoked_a_page_at_a_time_and_again_without_an_event() {
    let mut log = Log::of(TenantType::Company);
    let runtimes: Vec<_> = (1..=5).map(|number| log.enroll(number)).collect();
    let revoke = |runtimes: &[RuntimeId]| Command::RevokeRuntimes {
        runtimes: runtimes.to_vec(),
        reason: String::new(),
    };
    assert_eq!(log.run(revoke(&runtimes)), Ok(5));
    assert_eq!(log.run(revoke(&runtimes)), Ok(0));
    let max = usize::try_from(REVOKED_AT_ONCE_MAX).unwrap();
    let many = vec![runtimes[0]; max + 1];
    assert!(matches!(
        log.run(revoke(&many)),
        Err(Rejection::TooMany { .. })
    ));
}
