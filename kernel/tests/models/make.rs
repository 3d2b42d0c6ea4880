//! What the rules are asked with.

use std::collections::BTreeMap;

use provost_kernel::{
    Caller, Command, answer,
    command::{Attach, AuditEntry, AuditPrior, Consume, CreateIndividual, Grant, Prior, Resolve},
};
use provost_protocol::{
    ContractVersion, EventId, IdentityId, Timestamp,
    entity::{
        ActorType, DeploymentMode, Feature, Limit, Mode, Policies, ProviderKind, RuntimeStatus,
    },
    event::{AuditRecorded, Subject},
    json::RawJson,
    verdict::Reason,
};

use crate::world::{World, at, hash, own, runtime_id, tenant_id};

pub(super) fn company() -> World {
    World::company(at("2026-11-22T00:00:00Z"), "UTC")
}

pub(super) fn individual() -> World {
    let mut world = World::empty(at("2026-11-22T00:00:00Z"));
    world.run(&create_individual("ada")).unwrap();
    world
}

pub(super) fn create_individual(name: &str) -> Command {
    Command::CreateIndividual(CreateIndividual {
        operator: tenant_id(9),
        subject: person(name),
        name: name.to_owned(),
        policies: Policies::default(),
        time_zone: "UTC".to_owned(),
    })
}

pub(super) fn person(name: &str) -> Subject {
    Subject {
        issuer: "https://idp".to_owned(),
        subject: name.to_owned(),
    }
}

pub(super) fn shared() -> Caller {
    Caller {
        runtime: runtime_id(8),
        tenant: tenant_id(9),
        ..own(8)
    }
}

pub(super) fn attach() -> Attach {
    Attach {
        runtime: runtime_id(8),
        operator: tenant_id(9),
        deployment_mode: DeploymentMode::Shared,
        status: RuntimeStatus::Active,
        cnf: hash(8),
    }
}

pub(super) fn resolve(name: &str) -> Command {
    Command::Resolve(Box::new(Resolve {
        caller: shared(),
        subject: person(name),
        provider: ProviderKind::Oidc,
        roles: Vec::new(),
        attributes: BTreeMap::new(),
        token_expires: Timestamp::MAX,
        identity: IdentityId::from_parts(Timestamp::EPOCH, [1; 10]),
    }))
}

pub(super) fn grant(limit: Limit, mode: Mode) -> Command {
    Command::Grant(Grant {
        feature: Feature::parse("exports").unwrap(),
        runtime: None,
        limit,
        time_window: None,
        mode,
        valid_until: Timestamp::MAX,
    })
}

pub(super) fn consume(caller: Caller, amount: u64, prior: Option<Prior>) -> Command {
    let feature = Feature::parse("exports:pdf").unwrap();
    Command::Consume(Consume {
        caller,
        feature,
        amount,
        prior,
    })
}

pub(super) fn take(world: &mut World, caller: Caller, amount: u64) -> (bool, Reason) {
    let events = world.run(&consume(caller, amount, None)).unwrap();
    let verdict = answer(&events[0]).unwrap();
    (verdict.allowed, verdict.reason)
}

pub(super) fn audit(entry: AuditEntry) -> Command {
    Command::RecordAudit {
        caller: own(1),
        events: vec![entry],
    }
}

pub(super) fn entry(n: u8) -> AuditEntry {
    AuditEntry {
        recorded: AuditRecorded {
            event_id: EventId::from_parts(Timestamp::EPOCH, [n; 10]),
            kind: "user.login".to_owned(),
            received_at: Timestamp::EPOCH,
            event: RawJson::parse("{\"type\":\"user.login\"}").unwrap(),
        },
        actor: ActorType::User,
        timestamp: Timestamp::EPOCH,
        payload_bytes: 2,
        version: ContractVersion::V0_1,
        prior: AuditPrior::New,
    }
}
