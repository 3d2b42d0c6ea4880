//! The bytes of every message of `provost/1`.
//!
//! Each enum's variants stand in one table with a pattern and a value each: a variant without a
//! line does not compile, and a variant that moves changes bytes.

use std::collections::BTreeMap;

use provost_protocol::{
    Code, Problem, Timestamp, codec,
    entity::{
        DeploymentMode, Feature, Health, Limit, Mode, ProviderKind, RuntimeStatus, RuntimeType,
        SecurityLevel, TenantStatus, TimeWindow,
    },
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    verdict::{Limits, Reason, Verdict},
    wire::{
        Answer, Beat, Check, CheckpointAnswer, ClientMessage, Confirm, DesiredLimit, DesiredState,
        Goodbye, Heartbeat, HeldCheckpoint, HeldRevision, Hello, IN_FLIGHT_MAX, Operation, Outcome,
        Recorded, Renewed, Request, Resolve, Resolved, ResolvedEntitlement, ServerMessage,
        TrustBundle, Trusts, Welcome, WirePolicies,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::common::{
    self, CORRELATION, EVENT, EVENT_OTHER, IDENTITY, INDIVIDUAL, REQUEST, RUNTIME, SIGNED_TIME,
    TENANT, id, time,
};

/// Lists values of an enum by name, and matches every variant on the way.
macro_rules! table {
    ($function:ident: $enum:ident { $($pattern:pat => { $($name:literal: $value:expr,)+ })* }) => {
        fn $function() -> Vec<(&'static str, $enum)> {
            let table = vec![$($(($name, $value),)+)*];
            for (name, value) in &table {
                let names: &[&str] = match value { $($pattern => &[$($name),+],)* };
                assert!(names.contains(name), "{name} stands at another variant");
            }
            table
        }
    };
}

table!(operations: Operation {
    Operation::Heartbeat(_) => {
        "heartbeat": Operation::Heartbeat(Heartbeat {
            health: Health::Degraded,
            metrics: BTreeMap::from([("cpu_load".to_owned(), 0.25), ("sessions".to_owned(), 17.0)]).into(),
        }),
    }
    Operation::Resolve(_) => {
        "resolve": Operation::Resolve(Resolve { external_token: "eyJhbGciOiJFUzI1NiJ9".to_owned() }),
    }
    Operation::Check(_) => {
        "check": Operation::Check(Check {
            feature: feature("course_access:cloud-fundamentals"),
            consume: None,
            idempotency: None,
        }),
        "check-consume": Operation::Check(Check {
            feature: feature("exercise.grade"),
            consume: Some(300),
            idempotency: Some(id(REQUEST)),
        }),
    }
    Operation::Audit(_) => {
        "audit": Operation::Audit(vec![b"{\"a\": 1}".to_vec(), "{\"é\":2}".as_bytes().to_vec()]),
    }
    Operation::PullLicense => {
        "pull-license": Operation::PullLicense,
    }
    Operation::Checkpoint { .. } => {
        "checkpoint": Operation::Checkpoint {
            held: Some(HeldCheckpoint { epoch: 1_795_325_728, note: CHECKPOINT.to_owned() }),
        },
        "checkpoint-first": Operation::Checkpoint { held: None },
    }
    Operation::TrustBundle => { "trust-bundle": Operation::TrustBundle, }
    Operation::Renew { .. } => {
        "renew": Operation::Renew { csr: vec![0x30, 0x03, 0x02, 0x01, 0x00] },
    }
});

table!(outcomes: Outcome {
    Outcome::Refused(_) => { "refused": Outcome::Refused(problem()), }
    Outcome::Beat(_) => {
        "beat": Outcome::Beat(Beat {
            status: RuntimeStatus::Suspended,
            heartbeat_interval_ms: 31_250,
            signed_time: SIGNED_TIME.to_owned(),
            desired: desired(),
        }),
    }
    Outcome::Resolved(_) => { "resolved": Outcome::Resolved(Box::new(resolved())), }
    Outcome::Checked(_) => {
        "checked": Outcome::Checked(Verdict {
            allowed: true,
            reason: Reason::Entitled,
            limits: Some(Limits {
                quota: Some(100),
                used: Some(43),
                remaining: Some(57),
                time_window: Some(TimeWindow::Month),
                resets_at: Some(time("2026-12-01T00:00:00Z")),
                mode: Mode::Warn,
            }),
        }),
        "checked-denied": Outcome::Checked(Verdict::denied(Reason::TenantSuspended)),
    }
    Outcome::Recorded(_) => {
        "recorded": Outcome::Recorded(vec![
            Recorded { event_id: id(EVENT), seq: 4711 },
            Recorded { event_id: id(EVENT_OTHER), seq: 4712 },
        ]),
    }
    Outcome::License(_) => {
        "license": Outcome::License("-----BEGIN LICENSE FILE-----\n".to_owned()),
    }
    Outcome::Checkpoint(_) => {
        "checkpoint": Outcome::Checkpoint(CheckpointAnswer {
            note: CHECKPOINT.to_owned(),
            epoch: 1_795_325_728,
            consistency: vec![[0x5a; 32], [0xa5; 32]],
        }),
    }
    Outcome::TrustBundle(_) => {
        "trust-bundle": Outcome::TrustBundle(TrustBundle {
            id: "ab".repeat(32),
            roots: vec!["-----BEGIN CERTIFICATE-----\n".to_owned()],
        }),
    }
    Outcome::Renewed(_) => {
        "renewed": Outcome::Renewed(Renewed {
            certificate: "-----BEGIN CERTIFICATE-----\n".to_owned(),
            not_after: time("2026-12-01T00:00:00Z"),
        }),
    }
});

table!(client_messages: ClientMessage {
    ClientMessage::Hello(_) => { "client.hello": ClientMessage::Hello(hello()), }
    ClientMessage::Request(_) => {
        "client.request": ClientMessage::Request(request(Operation::PullLicense)),
    }
    ClientMessage::Confirm(_) => {
        "client.confirm": ClientMessage::Confirm(Confirm { tenant: id(TENANT), revision: 70_000 }),
    }
    ClientMessage::Goodbye(_) => { "client.goodbye": ClientMessage::Goodbye(goodbye()), }
    ClientMessage::Trusts(_) => {
        "client.trusts": ClientMessage::Trusts(Trusts { bundle: "ab".repeat(32) }),
    }
});

table!(server_messages: ServerMessage {
    ServerMessage::Welcome(_) => { "server.welcome": ServerMessage::Welcome(welcome()), }
    ServerMessage::Answer(_) => {
        "server.answer": ServerMessage::Answer(answer(Outcome::Recorded(Vec::new()))),
    }
    ServerMessage::Directive(_) => { "server.directive": ServerMessage::Directive(desired()), }
    ServerMessage::Goodbye(_) => { "server.goodbye": ServerMessage::Goodbye(goodbye()), }
    ServerMessage::Refused(_) => { "server.refused": ServerMessage::Refused(problem()), }
});

/// Every message a connector sends, with each operation in a request of its own.
fn every_client_message() -> Vec<(String, ClientMessage)> {
    let mut all: Vec<_> = client_messages()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    all.extend(operations().into_iter().map(|(name, operation)| {
        (
            format!("client.request.{name}"),
            ClientMessage::Request(request(operation)),
        )
    }));
    all
}

/// Every message the kernel sends, with each outcome in an answer of its own.
fn every_server_message() -> Vec<(String, ServerMessage)> {
    let mut all: Vec<_> = server_messages()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    all.extend(outcomes().into_iter().map(|(name, outcome)| {
        (
            format!("server.answer.{name}"),
            ServerMessage::Answer(answer(outcome)),
        )
    }));
    all
}

#[test]
fn every_message_keeps_its_bytes() {
    for (name, message) in every_client_message() {
        keeps_its_bytes(&name, &message);
    }
    for (name, message) in every_server_message() {
        keeps_its_bytes(&name, &message);
    }
}

#[test]
fn every_file_of_bytes_belongs_to_a_message() {
    let mut expected: Vec<String> = every_client_message()
        .into_iter()
        .map(|(name, _)| name)
        .chain(every_server_message().into_iter().map(|(name, _)| name))
        .map(|name| format!("{name}.hex"))
        .collect();
    expected.push("words.txt".to_owned());
    expected.sort_unstable();
    assert_eq!(common::names("wire"), expected);
}

#[test]
fn every_message_comes_out_of_a_stream_cut_at_any_byte() {
    for (name, message) in every_client_message() {
        let frame = codec::encode_frame(&message).unwrap();
        for cut in 0..frame.len() {
            let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
            decoder.push(&frame[..cut]);
            assert_eq!(decoder.next_frame().unwrap(), None, "{name} cut at {cut}");
            decoder.push(&frame[cut..]);
            let body = decoder.next_frame().unwrap().unwrap();
            assert_eq!(
                codec::decode::<ClientMessage>(&body).unwrap(),
                message,
                "{name}"
            );
            assert_eq!(decoder.pending(), 0, "{name}");
        }
    }
}

#[test]
fn a_message_cut_short_or_with_bytes_after_it_is_refused() {
    for (name, message) in every_server_message() {
        let bytes = codec::encode(&message).unwrap();
        for cut in 0..bytes.len() {
            assert!(
                codec::decode::<ServerMessage>(&bytes[..cut]).is_err(),
                "{name} cut at {cut}"
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            codec::decode::<ServerMessage>(&longer),
            Err(codec::CodecError::Trailing(1)),
            "{name}"
        );
    }
}

/// Compares the whole frame with its file, and reads the message back from the file's bytes.
fn keeps_its_bytes<T>(name: &str, message: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let frame = codec::encode_frame(message).unwrap();
    let lines: Vec<String> = frame.chunks(HEX_BYTES_PER_LINE).map(hex::encode).collect();
    common::compare(
        &format!("golden/wire/{name}.hex"),
        &(lines.join("\n") + "\n"),
    );
    let stored: String = common::golden(&format!("wire/{name}.hex"))
        .split_whitespace()
        .collect();
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
    decoder.push(&hex::decode(stored).unwrap());
    let body = decoder.next_frame().unwrap().unwrap();
    assert_eq!(&codec::decode::<T>(&body).unwrap(), message, "{name}");
}

fn feature(text: &str) -> Feature {
    text.parse().unwrap()
}

fn request(operation: Operation) -> Request {
    Request {
        id: 300,
        correlation_id: id(CORRELATION),
        tenant: id(TENANT),
        operation,
    }
}

fn answer(outcome: Outcome) -> Answer {
    Answer { id: 300, outcome }
}

fn problem() -> Problem {
    Problem::new(Code::Overloaded, "the tenant has too much to do").retry_after_ms(1500)
}

fn goodbye() -> Goodbye {
    Goodbye {
        reason: "draining".to_owned(),
        retry_after_ms: 5000,
    }
}

fn hello() -> Hello {
    Hello {
        versions: vec!["v0.1".to_owned(), "v0.2".to_owned()],
        runtime_type: RuntimeType::Labs,
        deployment_mode: DeploymentMode::OnPrem,
        version: "2.4.1".to_owned(),
        capabilities: vec!["video".to_owned()],
        nonce: [0xa5; 16],
        last_generation: 6,
        held: vec![HeldRevision {
            tenant: id(TENANT),
            revision: 70_000,
        }],
        have_size: 0,
        clock: time("2026-11-22T05:35:28.123Z"),
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: "v0.2".to_owned(),
        generation: 7,
        status: RuntimeStatus::Active,
        policies: WirePolicies {
            security_level: SecurityLevel::Enterprise,
            data_residency: Some("eu".to_owned()),
            heartbeat_interval_ms: 30_000,
            grace_ms: 90_000,
            license_ttl_ms: 86_400_000,
            offline_max_ms: 691_200_000,
        },
        desired: vec![desired()],
        signed_time: SIGNED_TIME.to_owned(),
        frame_bytes_max: FRAME_BYTES_MAX,
        in_flight_max: IN_FLIGHT_MAX,
    }
}

fn desired() -> DesiredState {
    let limit = |text: &str, limit, until| DesiredLimit {
        feature: feature(text),
        limit,
        until,
    };
    DesiredState {
        tenant: id(TENANT),
        revision: 70_001,
        tenant_status: TenantStatus::Suspended,
        runtime_status: RuntimeStatus::Active,
        license_epoch: 1,
        license_seq: 12,
        revocation_generation: 0,
        trust_bundle: "ca-1".to_owned(),
        heartbeat_interval_ms: 30_000,
        limits: vec![
            limit(
                "course_access",
                Limit::Flag(false),
                time("2026-12-01T00:00:00Z"),
            ),
            limit(
                "exercise.grade",
                Limit::Quota(5),
                time("2026-12-01T00:00:00Z"),
            ),
            limit("video", Limit::Unlimited, Timestamp::MAX),
        ],
        killed: true,
    }
}

fn resolved() -> Resolved {
    Resolved {
        identity: id(IDENTITY),
        tenant: id(INDIVIDUAL),
        external_id: "248289761001".to_owned(),
        provider: ProviderKind::Oidc,
        roles: vec!["learner".to_owned()],
        attributes: BTreeMap::from([("locale".to_owned(), "pt-BR".to_owned())]),
        entitlements: vec![ResolvedEntitlement {
            runtime: id(RUNTIME),
            feature: feature("exercise.grade"),
            limit: Limit::Quota(100),
            time_window: Some(TimeWindow::Rolling { minutes: 90 }),
            mode: Mode::Shadow,
            valid_until: Timestamp::MAX,
        }],
        token_expires: time("2026-11-22T06:35:28Z"),
    }
}

/// The shape of a checkpoint; its signature is for the eye only.
const CHECKPOINT: &str = "01935a2b-6c00-7a00-8c00-000000000001/audit/\
    01935a2b-6c00-7a01-8c00-0000000000a1/1\n\
    4711\nWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=\n\n\
    — 01935a2b-6c00-7a00-8c00-000000000001/audit/\
    01935a2b-6c00-7a01-8c00-0000000000a1/1 c2lnbmF0dXJl\n";

/// Short enough to read beside a table of the fields.
const HEX_BYTES_PER_LINE: usize = 32;
