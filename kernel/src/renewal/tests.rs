//! Renewals and recoveries, as rules.

use provost_protocol::{
    TenantId, TokenId,
    code::Code,
    entity::{DeploymentMode, Policies, RuntimeType, TenantType},
    event::{Event, RuntimeEnrolled, TenantCreated},
    sign::Issued,
};

use super::*;
use crate::{
    At, Command, apply,
    command::{AllowRecovery, Recover, Renew, ReportCopy},
    decide,
};

/// One tenant with one enrolled runtime, and a clock.
struct World {
    state: State,
    seq: u64,
    now: Timestamp,
}

impl World {
    fn new(level: SecurityLevel) -> Self {
        let mut world = Self {
            state: State::new(tenant(), 1),
            seq: 0,
            now: Timestamp::from_millis(1_795_325_728_000),
        };
        let policies = Policies {
            security_level: level,
            ..Policies::default()
        };
        world.take(
            &TenantCreated {
                tenant_type: TenantType::Company,
                name: "Acme".to_owned(),
                policies,
                operator: None,
                time_zone: "UTC".to_owned(),
                subject: None,
            }
            .into(),
        );
        let not_after = world.now.plus_millis(certificate_ttl_ms(level));
        world.take(
            &RuntimeEnrolled {
                runtime: runtime(),
                token: TokenId::from_parts(Timestamp::EPOCH, [3; 10]),
                runtime_type: RuntimeType::App,
                deployment_mode: DeploymentMode::OnPrem,
                cnf: key(0),
                binding_key: "AAAA".to_owned(),
                certificate: "first".to_owned(),
                serial: "s0".to_owned(),
                not_after,
            }
            .into(),
        );
        world
    }

    fn take(&mut self, event: &Event) {
        self.seq += 1;
        let at = At {
            tenant: tenant(),
            epoch: 1,
            seq: self.seq,
            time: self.now,
        };
        apply(&mut self.state, at, event);
    }

    fn run(&mut self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let events = decide(&self.state, command, self.now)?;
        for event in &events {
            self.take(event);
        }
        Ok(events)
    }

    fn later(&mut self, ms: u64) {
        self.now = self.now.plus_millis(ms);
    }

    fn issued(&self, n: u8) -> Issued {
        Issued {
            certificate: format!("certificate {n}"),
            serial: format!("s{n}"),
            not_after: self.now.plus_millis(ENTERPRISE_TTL_MS),
        }
    }

    fn renew(&mut self, n: u8, shown: u8) -> Result<Vec<Event>, Rejection> {
        let renew = Renew {
            runtime: runtime(),
            key_sha256: key(n),
            asked_with: key(shown),
            issued: self.issued(n),
            perhaps_revoked: perhaps_revoked(&self.state, runtime(), self.now),
        };
        self.run(&Command::Renew(Box::new(renew)))
    }

    fn recover(&mut self, counter: u64, n: u8) -> Result<Vec<Event>, Rejection> {
        let recover = Recover {
            runtime: runtime(),
            counter,
            key_sha256: key(n),
            issued: self.issued(n),
            perhaps_revoked: perhaps_revoked(&self.state, runtime(), self.now),
        };
        self.run(&Command::Recover(Box::new(recover)))
    }

    fn allow(&mut self) {
        let allow = AllowRecovery {
            runtime: runtime(),
            reason: String::new(),
        };
        assert_eq!(self.run(&Command::AllowRecovery(allow)).unwrap().len(), 1);
    }

    fn report_copy(&mut self, counter: u64, n: u8) -> usize {
        let report = ReportCopy {
            runtime: runtime(),
            counter,
            key_sha256: key(n),
            address: "192.0.2.7".to_owned(),
        };
        self.run(&Command::ReportCopy(report)).unwrap().len()
    }

    fn serials(&self) -> Vec<String> {
        self.state.runtime(runtime()).unwrap().serials.clone()
    }
}

fn tenant() -> TenantId {
    TenantId::from_parts(Timestamp::EPOCH, [1; 10])
}

fn runtime() -> RuntimeId {
    RuntimeId::from_parts(Timestamp::EPOCH, [2; 10])
}

fn key(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

#[test]
fn a_renewed_runtime_keeps_every_serial_in_force_and_a_revocation_names_all() {
    let mut world = World::new(SecurityLevel::Enterprise);
    world.renew(1, 0).unwrap();
    world.later(12 * HOUR_MS);
    world.renew(2, 1).unwrap();
    assert_eq!(world.serials(), ["s0", "s1", "s2"]);
    // The first two have ended; what is in force is named, and nothing else.
    world.later(12 * HOUR_MS + 1);
    world.renew(3, 2).unwrap();
    assert_eq!(world.serials(), ["s2", "s3"]);
    let revoke = Command::RevokeRuntime {
        runtime: runtime(),
        reason: String::new(),
    };
    let Event::RuntimeRevoked(revoked) = world.run(&revoke).unwrap().remove(0) else {
        panic!("a revocation is one event")
    };
    assert_eq!(revoked.serials, ["s2", "s3"]);
    assert_eq!(world.renew(4, 3), Err(Rejection::RuntimeRevoked));
    assert_eq!(world.recover(1, 4), Err(Rejection::RuntimeRevoked));
}

#[test]
fn a_lost_answer_is_repeated_for_the_same_key_for_a_quarter_of_an_hour() {
    let mut world = World::new(SecurityLevel::Standard);
    world.renew(1, 0).unwrap();
    world.later(ENROLMENT_REPEAT_MS - 1);
    assert_eq!(world.renew(1, 0), Ok(Vec::new()));
    let (requested, shown) = (key(1), key(0));
    let keys = Keys {
        requested: &requested,
        shown: Some(&shown),
    };
    let Renewal::Again(last) = renew(&world.state, runtime(), keys, world.now) else {
        panic!("the answer is repeated")
    };
    assert_eq!(last.certificate, "certificate 1");
    world.later(1);
    assert_eq!(world.renew(1, 0), Err(Rejection::KeyInUse));
}

#[test]
fn a_key_that_has_a_certificate_in_force_gets_no_other() {
    let mut world = World::new(SecurityLevel::Standard);
    assert_eq!(world.renew(0, 0), Err(Rejection::KeyInUse), "the shown one");
    world.renew(1, 0).unwrap();
    world.later(HOUR_MS);
    assert_eq!(world.renew(0, 1), Err(Rejection::KeyInUse), "the first one");
    assert_eq!(world.renew(1, 0), Err(Rejection::KeyInUse), "the newest");
    assert_eq!(world.renew(2, 1).unwrap().len(), 1);
}

#[test]
fn a_fifth_certificate_waits_until_one_of_four_has_ended() {
    let mut world = World::new(SecurityLevel::Enterprise);
    for n in 1..=3 {
        world.later(HOUR_MS);
        world.renew(n, n - 1).unwrap();
    }
    world.later(HOUR_MS);
    let refused = world.renew(4, 3).unwrap_err();
    assert_eq!(refused.code(), Code::RateLimited);
    assert_eq!(refused.retry_after_ms(), Some(20 * HOUR_MS));
    world.later(20 * HOUR_MS + 1);
    world.renew(4, 3).unwrap();
    assert_eq!(world.serials(), ["s1", "s2", "s3", "s4"]);
}

#[test]
fn certificates_that_were_revoked_keep_nobody_out() {
    let mut world = World::new(SecurityLevel::Standard);
    // A thief with the TLS key renews as often as it may.
    for n in 1..=3 {
        world.later(60_000);
        world.renew(n, n - 1).unwrap();
    }
    assert_eq!(world.recover(1, 9).unwrap_err().code(), Code::RateLimited);
    for n in 1..=3 {
        world
            .run(&Command::RevokeCertificate {
                runtime: runtime(),
                serial: format!("s{n}"),
                reason: "stolen".to_owned(),
            })
            .unwrap();
    }
    assert_eq!(world.recover(1, 9).unwrap().len(), 1);
    // A key that was certified once is not certified again, revoked or not.
    assert_eq!(world.renew(2, 9), Err(Rejection::KeyInUse));
}

#[test]
fn a_suspended_runtime_of_a_suspended_tenant_renews() {
    let mut world = World::new(SecurityLevel::Standard);
    let reason = String::new();
    world
        .run(&Command::SuspendRuntime {
            runtime: runtime(),
            reason: reason.clone(),
        })
        .unwrap();
    world.run(&Command::SuspendTenant { reason }).unwrap();
    assert_eq!(world.renew(1, 0).unwrap().len(), 1);
    assert_eq!(world.recover(1, 2).unwrap().len(), 1);
}

#[test]
fn a_standard_runtime_recovers_with_the_next_counter_only() {
    let mut world = World::new(SecurityLevel::Standard);
    world.later(30 * 24 * HOUR_MS);
    assert_eq!(world.recover(2, 1), Err(Rejection::CounterAhead));
    assert_eq!(world.recover(1, 1).unwrap().len(), 1);
    assert_eq!(world.serials(), ["s1"]);
    // The answer was lost: the same again, and later under the next counter.
    assert_eq!(world.recover(1, 1), Ok(Vec::new()));
    world.later(ENROLMENT_REPEAT_MS);
    assert_eq!(world.recover(1, 1), Err(Rejection::Stale("the recovery")));
    assert_eq!(world.recover(2, 2).unwrap().len(), 1);
}

#[test]
fn another_key_at_a_used_counter_is_a_copy_and_an_alarm_once_an_hour() {
    let mut world = World::new(SecurityLevel::Standard);
    world.recover(1, 1).unwrap();
    world.recover(2, 2).unwrap();
    for (counter, n) in [(2, 3), (1, 1), (1, 9), (0, 9)] {
        let refused = Rejection::CounterUsed { counter, held: 2 };
        assert_eq!(refused.code(), Code::RecoveryRefused);
        assert_eq!(world.recover(counter, n), Err(refused), "{counter} {n}");
    }
    assert_eq!(world.report_copy(2, 3), 1);
    assert_eq!(world.report_copy(2, 3), 0);
    world.later(HOUR_MS);
    assert_eq!(world.report_copy(1, 3), 1);
    assert_eq!(world.report_copy(7, 3), 0, "no copy: it is ahead");
}

#[test]
fn an_enterprise_runtime_recovers_once_by_an_operators_word() {
    let mut world = World::new(SecurityLevel::Enterprise);
    world.later(48 * HOUR_MS);
    assert_eq!(world.recover(1, 1), Err(Rejection::RecoveryNeedsOperator));
    world.allow();
    assert_eq!(world.recover(1, 1).unwrap().len(), 1);
    assert_eq!(
        world.recover(1, 1),
        Ok(Vec::new()),
        "a lost answer needs none"
    );
    assert_eq!(world.recover(2, 2), Err(Rejection::RecoveryNeedsOperator));
    world.allow();
    world.later(24 * HOUR_MS);
    assert_eq!(world.recover(2, 2), Err(Rejection::RecoveryNeedsOperator));
}

#[test]
fn an_operators_word_lifts_what_a_kernel_set_back_has_forgotten() {
    let mut world = World::new(SecurityLevel::Standard);
    assert_eq!(world.recover(5, 1), Err(Rejection::CounterAhead));
    world.allow();
    assert_eq!(world.recover(5, 1).unwrap().len(), 1);
    assert_eq!(world.recover(6, 2).unwrap().len(), 1);
}

#[test]
fn an_operators_word_lets_in_whose_answer_was_lost_and_who_renewed_since() {
    let mut world = World::new(SecurityLevel::Standard);
    world.recover(1, 1).unwrap();
    world.renew(2, 0).unwrap();
    let used = Err(Rejection::CounterUsed {
        counter: 1,
        held: 1,
    });
    assert_eq!(world.recover(1, 1), used, "perhaps a copy");
    world.allow();
    assert_eq!(world.recover(1, 1), Err(Rejection::Stale("the recovery")));
    assert_eq!(world.recover(2, 3).unwrap().len(), 1);
    world.allow();
    let copied = world.recover(2, 9);
    assert!(
        matches!(copied, Err(Rejection::CounterUsed { .. })),
        "another key"
    );
}

const HOUR_MS: u64 = 60 * 60 * 1_000;
