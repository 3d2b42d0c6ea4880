//! Commands that meet the same few entities, so that they change, collide and end.

use provost_kernel::{
    Command,
    command::{AuditEntry, AuditPrior, CreateToken, Enroll, Grant},
};
use provost_protocol::{
    ContractVersion, EventId, Timestamp, TokenId,
    entity::{ActorType, DeploymentMode, Feature, Limit, Mode, RuntimeType},
    event::AuditRecorded,
    json::RawJson,
};

use crate::log::{Log, caller, runtime};

/// Makes any command of three numbers.
pub(crate) fn command(log: &Log, (kind, a, n): (u8, u8, u64)) -> Command {
    let reason = "because".to_owned();
    match kind {
        0 => Command::SuspendTenant { reason },
        1 | 2 => Command::ResumeTenant { reason },
        3..=6 => grant(log, a, n),
        7 => Command::RemoveEntitlement {
            feature: feature(a),
            runtime: None,
        },
        8 => Command::Expire,
        9 | 10 => create_token(log, a),
        11 => Command::RevokeToken {
            token: token(log, a),
        },
        12 | 13 => enroll(log, a, a),
        14 | 15 => Command::Activate {
            runtime: runtime(a % 4),
        },
        16 => Command::MarkLost {
            runtimes: vec![runtime(a % 4)],
        },
        17 => Command::MarkReturned {
            runtimes: vec![runtime(a % 4)],
        },
        _ => audit(log, n, u64::from(a % 3) + 1),
    }
}

/// Grants one of a few features until `minutes` from now.
pub(crate) fn grant(log: &Log, a: u8, minutes: u64) -> Command {
    Command::Grant(Grant {
        feature: feature(a),
        runtime: None,
        limit: Limit::Quota(minutes),
        time_window: None,
        mode: Mode::Enforce,
        valid_until: log.now.plus_millis((minutes + 1) * 60_000),
    })
}

/// Allows three runtimes to enroll.
pub(crate) fn create_token(log: &Log, a: u8) -> Command {
    Command::CreateToken(CreateToken {
        token: token(log, a),
        secret_sha256: hash(a % 4),
        runtime_type: RuntimeType::App,
        deployment_mode: DeploymentMode::OnPrem,
        uses: 3,
        expires: log.now.plus_millis(24 * 3_600_000),
    })
}

/// Enrolls a runtime by a token.
pub(crate) fn enroll(log: &Log, by: u8, a: u8) -> Command {
    Command::Enroll(Box::new(Enroll {
        runtime: runtime(a % 4),
        token: token(log, by),
        secret_sha256: hash(by % 4),
        cnf: hash(a % 4),
        binding_key: "key".to_owned(),
        certificate: "certificate".to_owned(),
        serial: format!("{a:02x}"),
        not_after: log.now.plus_millis(86_400_000),
    }))
}

/// Records so many events of a runtime, with ids that follow from the log's place.
pub(crate) fn audit(log: &Log, n: u64, count: u64) -> Command {
    let entry = |offset: u64| AuditEntry {
        recorded: AuditRecorded {
            event_id: event_id(log.seq + 1 + offset),
            kind: "page.opened".to_owned(),
            received_at: log.now,
            event: RawJson::parse(&format!("{{\"n\":{n}}}")).expect("this is JSON"),
        },
        actor: ActorType::User,
        timestamp: log.now,
        payload_bytes: 10,
        version: ContractVersion::V0_2,
        prior: AuditPrior::New,
    };
    Command::RecordAudit {
        caller: caller(log.state.tenant_id(), runtime(1)),
        events: (0..count).map(entry).collect(),
    }
}

/// The audit event that the event of a sequence records.
pub(crate) fn event_id(seq: u64) -> EventId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&seq.to_be_bytes());
    EventId::from_parts(Timestamp::from_millis(1), random)
}

/// One of four tokens of the log's tenant: no two tenants issue the same.
pub(crate) fn token(log: &Log, a: u8) -> TokenId {
    let mut random = [a % 4; 10];
    random[..4].copy_from_slice(&log.state.tenant_id().as_bytes()[12..]);
    TokenId::from_parts(Timestamp::from_millis(1), random)
}

fn feature(a: u8) -> Feature {
    Feature::parse(["x", "x:y", "z.q"][usize::from(a % 3)]).expect("these are features")
}

fn hash(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}
