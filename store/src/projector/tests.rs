use provost_kernel::{
    Command, State,
    command::{CreateTenant, Grant},
    decide,
};
use provost_protocol::{
    CorrelationId, Timestamp,
    entity::{Feature, Limit, Mode, Policies, TenantType},
    envelope::{ActorRef, Source},
    tlog::leaf_hash,
};

use super::*;

fn tenant() -> TenantId {
    TenantId::from_parts(Timestamp::from_millis(1), [1; 10])
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_325_728_000)
}

fn grant(feature: &str, minutes: u64) -> Command {
    Command::Grant(Grant {
        feature: Feature::parse(feature).unwrap(),
        runtime: None,
        limit: Limit::Unlimited,
        time_window: None,
        mode: Mode::Enforce,
        valid_until: now().plus_millis(minutes * 60_000),
    })
}

/// A tenant that is created, granted x for an hour, y for two, and x again for three.
fn events() -> Vec<Envelope> {
    let create = Command::CreateTenant(CreateTenant {
        tenant_type: TenantType::Company,
        name: "Acme".to_owned(),
        policies: Policies::default(),
        operator: None,
        time_zone: "Europe/Lisbon".to_owned(),
        region: None,
    });
    let mut state = State::new(tenant(), 1);
    let mut events = Vec::new();
    for command in [create, grant("x", 60), grant("y", 120), grant("x", 180)] {
        for event in decide(&state, &command, now()).unwrap() {
            let at = At {
                tenant: tenant(),
                epoch: 1,
                seq: u64::try_from(events.len()).unwrap() + 1,
                time: now(),
            };
            apply(&mut state, at, &event);
            events.push(Envelope {
                tenant: tenant(),
                epoch: 1,
                seq: at.seq,
                time: now(),
                actor: ActorRef::system(),
                source: Source::Kernel,
                correlation_id: CorrelationId::from_parts(now(), [1; 10]),
                idempotency: None,
                event,
            });
        }
    }
    events
}

/// Applies the events in groups of so many.
fn projected(db: &Db, group: usize) {
    for (number, events) in (1..).zip(events().chunks(group)) {
        let mut projector = Projector::new(db);
        for event in events {
            projector
                .project(event, leaf_hash(&event.to_bytes().unwrap()))
                .unwrap();
        }
        projector.commit(Position::new(1, number)).unwrap();
    }
}

fn opened() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    (dir, db)
}

#[test]
fn one_group_or_many_the_state_is_the_same() {
    let (_one, one) = opened();
    let (_many, many) = opened();
    projected(&one, usize::MAX);
    projected(&many, 1);
    let entities = one.entities(tenant(), "", None, usize::MAX).unwrap();
    assert!(entities.len() >= 3);
    assert_eq!(
        entities,
        many.entities(tenant(), "", None, usize::MAX).unwrap()
    );
    assert_eq!(one.head(tenant()).unwrap(), many.head(tenant()).unwrap());
    assert_eq!(one.head(tenant()).unwrap().unwrap().seq, 4);
    // The end that x had first is due no more, although it never stood in the state of one group.
    let due = [
        (now().plus_millis(120 * 60_000), tenant()),
        (now().plus_millis(180 * 60_000), tenant()),
    ];
    assert_eq!(one.due(Timestamp::MAX, 9).unwrap(), due);
    assert_eq!(many.due(Timestamp::MAX, 9).unwrap(), due);
}

#[test]
fn nothing_is_seen_before_the_commit_and_the_watermark_comes_with_it() {
    let (_dir, db) = opened();
    let mut projector = Projector::new(&db);
    for event in events() {
        projector
            .project(&event, leaf_hash(&event.to_bytes().unwrap()))
            .unwrap();
    }
    assert!(db.is_empty());
    projector.commit(Position::new(3, 77)).unwrap();
    assert_eq!(db.watermark().unwrap(), Some(Position::new(3, 77)));
    assert_eq!(db.tenants(None, 9).unwrap(), [tenant()]);
}

#[test]
fn a_damaged_value_fails_the_event_that_reads_it() {
    let (_dir, db) = opened();
    projected(&db, usize::MAX);
    db.damage(&format!("t/{}/tenant/self", tenant()), &[1, 2, 3]);
    let mut event = events().pop().unwrap();
    event.seq += 1;
    let bytes = event.to_bytes().unwrap();
    let failed = Projector::new(&db).project(&event, leaf_hash(&bytes));
    assert!(matches!(failed, Err(DbError::Value { .. })), "{failed:?}");
}
