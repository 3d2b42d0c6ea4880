//! One meaning of events: live, replayed, and through a store that keeps only encoded bytes.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use provost_kernel::{
    Caller, Command, Entities, Entity, EntityKey, State, apply,
    command::{Attach, Consume, Grant, IssueLicense, LimitRuntime, Register, ReportHeld, Resolve},
    license::next_sequence,
    state::Held,
};
use provost_protocol::{
    ContractVersion, IdentityId, ProviderId, Timestamp, codec,
    entity::{
        DeploymentMode, Feature, Health, KeyPurpose, Limit, Mode, ProviderKind, Role,
        RuntimeStatus, RuntimeType, TenantStatus, TimeWindow,
    },
    envelope::ENVELOPE_BYTES_MAX,
    event::{Confirmation, Event, ProviderKeys, ProviderSettings, Sighting, Subject},
    ids::AdminKeyId,
};

use crate::world::{World, at, config, hash, own, runtime_id, tenant_id, token_id};

/// A store as sled will be: text keys, encoded values.
#[derive(Debug, Default)]
struct Encoded(BTreeMap<String, Vec<u8>>);

impl Entities for Encoded {
    fn entity(&self, key: &EntityKey) -> Option<Arc<Entity>> {
        self.0
            .get(&key.to_string())
            .map(|bytes| Arc::new(codec::decode(bytes).unwrap()))
    }

    fn put(&mut self, key: EntityKey, entity: Entity) {
        let bytes = codec::encode(&entity).unwrap();
        assert!(
            bytes.len() < 64 * 1_024,
            "a value of the store stays below 64 KiB"
        );
        self.0.insert(key.to_string(), bytes);
    }

    fn remove(&mut self, key: &EntityKey) {
        self.0.remove(&key.to_string());
    }
}

type Pick = (u8, u8, u8, u64);

/// Any command, made of a few numbers so that commands meet the same few entities.
fn command(world: &World, (kind, a, b, n): Pick) -> Command {
    let (runtime, reason) = (runtime_id(a % 4), "because".to_owned());
    let feature = Feature::parse(["x", "x:y", "z.q"][usize::from(b % 3)]).unwrap();
    let scope = (a % 2 == 0).then_some(runtime);
    let subject = Subject {
        issuer: "https://idp".to_owned(),
        subject: format!("s{}", b % 3),
    };
    let provider = ProviderId::from_parts(Timestamp::EPOCH, [b % 3; 10]);
    match kind {
        0 => Command::SuspendTenant { reason },
        1 => Command::ResumeTenant { reason },
        2 => Command::AddProvider {
            provider,
            settings: settings(b),
        },
        3 => Command::RemoveProvider { provider },
        4 => Command::RevokeToken {
            token: token_id(a % 4),
        },
        5 => Command::ReportMisuse {
            token: token_id(1),
            cnf: hash(a),
            address: "1.2.3.4".into(),
        },
        6 | 7 => Command::Register(Register {
            runtime,
            runtime_type: RuntimeType::App,
            deployment_mode: DeploymentMode::OnPrem,
            version: format!("{b}"),
            capabilities: vec!["c".to_owned()],
            contract_version: ContractVersion::V0_2,
            token_sha256: (n % 2 == 0).then(|| hash(b)),
        }),
        8 | 9 => Command::Activate { runtime },
        10 => Command::ReportHealth {
            runtime,
            health: Health::ALL[usize::from(b % 2)],
            last: None,
        },
        11 => Command::SuspendRuntime { runtime, reason },
        12 => Command::ResumeRuntime { runtime, reason },
        13 if n % 4 == 0 => Command::RevokeRuntime { runtime, reason },
        13 | 14 => Command::Attach(Attach {
            runtime: runtime_id(8),
            operator: tenant_id(9),
            deployment_mode: DeploymentMode::Shared,
            status: RuntimeStatus::Active,
            cnf: hash(8),
        }),
        15 => Command::Detach {
            runtime: runtime_id(8),
        },
        16 => Command::AdmitIndividual {
            tenant: tenant_id(20 + b % 3),
            subject,
            provider,
        },
        17 | 18 => Command::Resolve(Box::new(Resolve {
            caller: if a % 2 == 0 { shared() } else { own(1) },
            subject,
            provider: ProviderKind::Oidc,
            roles: vec!["member".to_owned()],
            attributes: BTreeMap::from([("locale".to_owned(), "pt".to_owned())]),
            token_expires: world.now.plus_millis(n),
            identity: IdentityId::from_parts(world.now, [b; 10]),
        })),
        19..=22 => Command::Grant(Grant {
            feature,
            runtime: scope,
            limit: [Limit::Quota(n % 20), Limit::Unlimited][usize::from(b % 2)],
            time_window: [
                None,
                Some(TimeWindow::Day),
                Some(TimeWindow::Rolling { minutes: 90 }),
            ][usize::from(b % 3)],
            mode: Mode::ALL[usize::from(a % 3)],
            valid_until: world.now.plus_millis(n * 60_000),
        }),
        23 => Command::RemoveEntitlement {
            feature,
            runtime: scope,
        },
        24 => Command::Expire,
        25..=30 => {
            let caller = if a % 3 == 0 { shared() } else { own(a % 4) };
            Command::Consume(Consume {
                caller,
                feature,
                amount: n % 7,
                prior: None,
            })
        }
        31 => Command::IssueLicense(IssueLicense {
            runtime,
            sequence: next_sequence(&world.state, runtime),
            kid: "kid".to_owned(),
            cnf: hash(a),
            issued: world.now,
            expiry: world.now.plus_millis(n),
            grace_ms: 1,
            revision: 1,
            license_sha256: hash(b),
        }),
        32 => Command::MarkLost {
            runtimes: vec![runtime, runtime_id(b % 4)],
        },
        33 => Command::MarkReturned {
            runtimes: vec![runtime, runtime_id(b % 4)],
        },
        34 => Command::Confirm {
            confirmed: vec![Confirmation {
                runtime,
                revision: n % 30,
            }],
        },
        35 => Command::CreateAdminKey {
            key: AdminKeyId::from_parts(Timestamp::EPOCH, [b; 10]),
            name: "ci".to_owned(),
            role: Role::Admin,
            secret_sha256: hash(b),
        },
        36 => Command::ReportHeld(ReportHeld {
            runtime,
            held: Held {
                epoch: n % 3,
                size: n % 5,
                root: [b % 3; 32],
            },
            own_root: (n % 2 == 0).then_some([1; 32]),
        }),
        37..=42 => directive(world, (a, b, n)),
        _ => Command::CreateKey {
            kid: format!("k{b}"),
            purpose: KeyPurpose::License,
            public_key: "spki".to_owned(),
        },
    }
}

fn directive(world: &World, (a, b, n): (u8, u8, u64)) -> Command {
    let (runtime, reason) = (
        runtime_id([1, 2, 8][usize::from(a % 3)]),
        "because".to_owned(),
    );
    let feature = Feature::parse(["x", "x:y"][usize::from(b % 2)]).unwrap();
    let sighting = |address: u8| Sighting {
        address: format!("192.0.2.{address}:7"),
        serial: hash(a),
        generation: n,
        seen: world.now,
    };
    match b % 6 {
        0 => Command::KillRuntime { runtime, reason },
        1 | 2 => Command::LimitRuntime(LimitRuntime {
            runtime,
            feature,
            limit: [Limit::Quota(n % 5), Limit::Flag(false)][usize::from(a % 2)],
            until: world.now.plus_millis(n * 60_000),
            reason,
        }),
        3 => Command::UnlimitRuntime {
            runtime,
            feature,
            reason,
        },
        4 => Command::ReportClone {
            runtime,
            sightings: vec![sighting(a), sighting(b)],
        },
        _ => Command::ResolveClone { runtime, reason },
    }
}

fn settings(n: u8) -> ProviderSettings {
    ProviderSettings {
        kind: ProviderKind::Oidc,
        issuer: format!("https://idp{n}"),
        audience: "provost".to_owned(),
        algorithms: vec!["EdDSA".to_owned()],
        keys: ProviderKeys::JwksInline("{\"keys\":[]}".to_owned()),
        required_claims: BTreeMap::from([("org".to_owned(), "acme".to_owned())]),
        roles_claim: None,
        individuals: true,
    }
}

fn shared() -> Caller {
    Caller {
        runtime: runtime_id(8),
        tenant: tenant_id(9),
        tenant_status: TenantStatus::Active,
        status: RuntimeStatus::Active,
        killed: false,
    }
}

proptest! {
    #![proptest_config(config(256))]
    #[test]
    fn live_replayed_and_stored_states_are_equal(
        picks in prop::collection::vec((0_u8..44, any::<u8>(), any::<u8>(), 0_u64..1_000), 1..80)
    ) {
        let mut world = World::company(at("2026-10-24T22:00:00Z"), "Europe/Lisbon");
        world.create_token(1, 3).unwrap();
        for runtime in 1..=2 {
            world.enroll(1, runtime).unwrap();
        }
        for pick in picks {
            world.now = world.now.plus_millis(pick.3 * 10_000);
            let command = command(&world, pick);
            let before = world.clone();
            match world.run(&command) {
                Ok(_) => needs_are_enough(&before, &command, &world),
                Err(rejection) => {
                    prop_assert!(rejection.code().status() < 500);
                    prop_assert_eq!(&before.state, &world.state);
                }
            }
        }

        let mut replayed = State::new(world.state.tenant_id(), 1);
        let mut stored = Encoded::default();
        for (at, event) in &world.log {
            let data = event.to_data().unwrap();
            prop_assert!(data.len() < ENVELOPE_BYTES_MAX - 1_024);
            let read = Event::from_data(event.kind(), event.version(), &data).unwrap();
            prop_assert_eq!(&read, event);
            apply(&mut replayed, *at, &read);
            apply(&mut stored, *at, &read);
        }
        prop_assert_eq!(&replayed, &world.state);
        let mut loaded = State::new(world.state.tenant_id(), 1);
        for (key, bytes) in &stored.0 {
            loaded.load(key.parse().unwrap(), Arc::new(codec::decode(bytes).unwrap()));
        }
        prop_assert_eq!(&loaded, &world.state);
    }
}

/// With only the hot entities and those the command needs, the same follows and the same changes.
fn needs_are_enough(full: &World, command: &Command, after: &World) {
    let needs = command.needs();
    let mut small = World::empty(full.now);
    for (key, entity) in full
        .state
        .iter()
        .filter(|(key, _)| key.is_hot() || needs.contains(key))
    {
        small.state.load(key.clone(), entity.clone());
    }
    small.log.clone_from(&full.log);
    small.run(command).unwrap();
    assert_eq!(small.log, after.log, "{command:?} needs more than it says");
    for (key, entity) in small.state.iter() {
        assert_eq!(
            after.state.get(key),
            Some(&**entity),
            "{key} after {command:?}"
        );
    }
}
