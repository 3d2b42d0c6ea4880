//! Properties of frames and messages: whatever is said is read back, and nothing read panics.

use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};
use provost_protocol::{
    Code, Problem, Timestamp, codec,
    entity::{
        DeploymentMode, Feature, Health, Limit, Mode, ProviderKind, RuntimeStatus, RuntimeType,
        SecurityLevel, TenantStatus, TimeWindow,
    },
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    verdict::{Limits, Reason, Verdict},
    wire::{
        Answer, Beat, Check, ClientMessage, Confirm, DesiredLimit, DesiredState, Goodbye,
        Heartbeat, HeldRevision, Hello, Operation, Outcome, Recorded, Request, Resolve, Resolved,
        ResolvedEntitlement, ServerMessage, Trusts, Welcome, WirePolicies,
    },
};
use serde::{Serialize, de::DeserializeOwned};

macro_rules! ids {
    ($($function:ident: $id:ident;)*) => {$(
        fn $function() -> impl Strategy<Value = provost_protocol::$id> {
            (0..Timestamp::MAX.as_millis(), any::<[u8; 10]>()).prop_map(|(millis, random)| {
                provost_protocol::$id::from_parts(Timestamp::from_millis(millis), random)
            })
        }
    )*};
}

ids! {
    tenant: TenantId;
    runtime: RuntimeId;
    identity: IdentityId;
    event: EventId;
    correlation: CorrelationId;
    key: RequestId;
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn feature() -> impl Strategy<Value = Feature> {
    "[a-zA-Z0-9_-]{1,8}(\\.[a-z0-9]{1,5}){0,2}(:[a-z0-9._/-]{1,8})?"
        .prop_map(|text| text.parse().unwrap())
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        any::<bool>().prop_map(Limit::Flag),
        any::<u64>().prop_map(Limit::Quota),
        Just(Limit::Unlimited),
    ]
}

fn window() -> impl Strategy<Value = TimeWindow> {
    prop_oneof![
        Just(TimeWindow::Month),
        Just(TimeWindow::Week),
        (1_u32..5_000_000).prop_map(|minutes| TimeWindow::Rolling { minutes }),
    ]
}

fn problem() -> impl Strategy<Value = Problem> {
    (
        select(Code::ALL),
        text(),
        option::of(correlation()),
        option::of(any::<u64>()),
    )
        .prop_map(|(code, detail, correlation_id, retry_after_ms)| Problem {
            correlation_id,
            retry_after_ms,
            ..Problem::new(code, detail)
        })
}

fn goodbye() -> impl Strategy<Value = Goodbye> {
    (text(), any::<u64>()).prop_map(|(reason, retry_after_ms)| Goodbye {
        reason,
        retry_after_ms,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let facts = (
        vec(text(), 0..3),
        text(),
        vec(text(), 0..3),
        any::<[u8; 16]>(),
        any::<u64>(),
    );
    let kind = (select(RuntimeType::ALL), select(DeploymentMode::ALL));
    let held =
        (tenant(), any::<u64>()).prop_map(|(tenant, revision)| HeldRevision { tenant, revision });
    (facts, kind, vec(held, 0..3), any::<u64>(), time()).prop_map(
        |(facts, (runtime_type, deployment_mode), held, have_size, clock)| {
            let (versions, version, capabilities, nonce, last_generation) = facts;
            Hello {
                versions,
                runtime_type,
                deployment_mode,
                version,
                capabilities,
                nonce,
                last_generation,
                held,
                have_size,
                clock,
            }
        },
    )
}

fn desired() -> impl Strategy<Value = DesiredState> {
    let limits = (feature(), limit(), time()).prop_map(|(feature, limit, until)| DesiredLimit {
        feature,
        limit,
        until,
    });
    let status = (select(TenantStatus::ALL), select(RuntimeStatus::ALL));
    (
        tenant(),
        any::<[u64; 5]>(),
        status,
        text(),
        vec(limits, 0..3),
        any::<bool>(),
    )
        .prop_map(
            |(tenant, numbers, (tenant_status, runtime_status), trust_bundle, limits, killed)| {
                let [
                    revision,
                    license_epoch,
                    license_seq,
                    revocation_generation,
                    beat,
                ] = numbers;
                DesiredState {
                    tenant,
                    revision,
                    tenant_status,
                    runtime_status,
                    license_epoch,
                    license_seq,
                    revocation_generation,
                    trust_bundle,
                    heartbeat_interval_ms: beat,
                    limits,
                    killed,
                }
            },
        )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let policies = (
        select(SecurityLevel::ALL),
        option::of(text()),
        any::<[u64; 4]>(),
    )
        .prop_map(|(security_level, data_residency, numbers)| WirePolicies {
            security_level,
            data_residency,
            heartbeat_interval_ms: numbers[0],
            grace_ms: numbers[1],
            license_ttl_ms: numbers[2],
            offline_max_ms: numbers[3],
        });
    let numbers = (any::<u64>(), any::<u32>(), any::<u32>());
    let status = select(RuntimeStatus::ALL);
    (
        text(),
        numbers,
        status,
        policies,
        vec(desired(), 0..3),
        text(),
    )
        .prop_map(
            |(version, numbers, status, policies, desired, signed_time)| Welcome {
                version,
                generation: numbers.0,
                status,
                policies,
                desired,
                signed_time,
                frame_bytes_max: numbers.1,
                in_flight_max: numbers.2,
            },
        )
}

fn operation() -> impl Strategy<Value = Operation> {
    let metrics = btree_map(text(), prop::num::f64::NORMAL | prop::num::f64::ZERO, 0..3);
    prop_oneof![
        (select(Health::ALL), metrics).prop_map(|(health, metrics)| Operation::Heartbeat(
            Heartbeat {
                health,
                metrics: metrics.into()
            }
        )),
        text().prop_map(|external_token| Operation::Resolve(Resolve { external_token })),
        (feature(), option::of(any::<u64>()), option::of(key())).prop_map(
            |(feature, consume, idempotency)| {
                Operation::Check(Check {
                    feature,
                    consume,
                    idempotency,
                })
            }
        ),
        vec(vec(any::<u8>(), 0..20), 0..4).prop_map(Operation::Audit),
        Just(Operation::PullLicense),
        Just(Operation::TrustBundle),
        vec(any::<u8>(), 0..20).prop_map(|csr| Operation::Renew { csr }),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let number = || option::of(any::<u64>());
    let reasons = select(&[Reason::Entitled, Reason::QuotaExhausted, Reason::NotMetered][..]);
    let limits = (
        number(),
        number(),
        number(),
        option::of(window()),
        option::of(time()),
    )
        .prop_map(|(quota, used, remaining, time_window, resets_at)| Limits {
            quota,
            used,
            remaining,
            time_window,
            resets_at,
            mode: Mode::Warn,
        });
    (any::<bool>(), reasons, option::of(limits)).prop_map(|(allowed, reason, limits)| Verdict {
        allowed,
        reason,
        limits,
    })
}

fn resolved() -> impl Strategy<Value = Resolved> {
    let entitlement = (runtime(), feature(), limit(), option::of(window()), time()).prop_map(
        |(runtime, feature, limit, time_window, valid_until)| ResolvedEntitlement {
            runtime,
            feature,
            limit,
            time_window,
            mode: Mode::Shadow,
            valid_until,
        },
    );
    let person = (
        identity(),
        tenant(),
        text(),
        select(ProviderKind::ALL),
        vec(text(), 0..3),
    );
    let claims = btree_map(text(), text(), 0..3);
    (person, claims, vec(entitlement, 0..3), time()).prop_map(
        |(person, attributes, entitlements, token_expires)| Resolved {
            identity: person.0,
            tenant: person.1,
            external_id: person.2,
            provider: person.3,
            roles: person.4,
            attributes,
            entitlements,
            token_expires,
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let beat = (select(RuntimeStatus::ALL), any::<u64>(), text(), desired()).prop_map(
        |(status, heartbeat_interval_ms, signed_time, desired)| Beat {
            status,
            heartbeat_interval_ms,
            signed_time,
            desired,
        },
    );
    let recorded = (event(), any::<u64>()).prop_map(|(event_id, seq)| Recorded { event_id, seq });
    prop_oneof![
        problem().prop_map(Outcome::Refused),
        beat.prop_map(Outcome::Beat),
        resolved().prop_map(|resolved| Outcome::Resolved(Box::new(resolved))),
        verdict().prop_map(Outcome::Checked),
        vec(recorded, 0..4).prop_map(Outcome::Recorded),
        text().prop_map(Outcome::License),
    ]
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        hello().prop_map(ClientMessage::Hello),
        (any::<u64>(), correlation(), tenant(), operation()).prop_map(
            |(id, correlation_id, tenant, operation)| {
                ClientMessage::Request(Request {
                    id,
                    correlation_id,
                    tenant,
                    operation,
                })
            }
        ),
        (tenant(), any::<u64>())
            .prop_map(|(tenant, revision)| ClientMessage::Confirm(Confirm { tenant, revision })),
        goodbye().prop_map(ClientMessage::Goodbye),
        text().prop_map(|bundle| ClientMessage::Trusts(Trusts { bundle })),
    ]
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    prop_oneof![
        welcome().prop_map(ServerMessage::Welcome),
        (any::<u64>(), outcome())
            .prop_map(|(id, outcome)| ServerMessage::Answer(Answer { id, outcome })),
        desired().prop_map(ServerMessage::Directive),
        goodbye().prop_map(ServerMessage::Goodbye),
        problem().prop_map(ServerMessage::Refused),
    ]
}

/// Sends messages through one stream, in pieces as long as `cuts` say, and reads them back.
fn through_the_stream<T: Serialize + DeserializeOwned>(messages: &[T], cuts: &[usize]) -> Vec<T> {
    let stream: Vec<u8> = messages
        .iter()
        .flat_map(|message| codec::encode_frame(message).unwrap())
        .collect();
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
    let (mut rest, mut cuts, mut read) = (stream.as_slice(), cuts.iter().cycle(), Vec::new());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
        decoder.push(piece);
        rest = after;
        while let Some(body) = decoder.next_frame().unwrap() {
            read.push(codec::decode(&body).unwrap());
        }
    }
    assert_eq!(decoder.pending(), 0);
    read
}

proptest! {
    #[test]
    fn what_a_connector_says_is_read_back_however_the_stream_is_split(
        messages in vec(client_message(), 1..4), cuts in vec(1_usize..40, 1..20),
    ) {
        prop_assert_eq!(through_the_stream(&messages, &cuts), messages);
    }

    #[test]
    fn what_the_kernel_says_is_read_back_however_the_stream_is_split(
        messages in vec(server_message(), 1..4), cuts in vec(1_usize..40, 1..20),
    ) {
        prop_assert_eq!(through_the_stream(&messages, &cuts), messages);
    }

    #[test]
    fn arbitrary_bytes_are_a_message_or_an_error_and_never_a_panic(
        mut bytes in vec(any::<u8>(), 1..200),
    ) {
        let _ = codec::decode::<ClientMessage>(&bytes);
        bytes[0] = codec::FORMAT_VERSION;
        if let Ok(message) = codec::decode::<ClientMessage>(&bytes) {
            prop_assert!(codec::encode(&message).is_ok());
        }
        if let Ok(message) = codec::decode::<ServerMessage>(&bytes) {
            prop_assert!(codec::encode(&message).is_ok());
        }
    }

    #[test]
    fn a_message_with_one_byte_changed_is_a_message_or_an_error_and_never_a_panic(
        message in server_message(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = codec::encode(&message).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = codec::decode::<ServerMessage>(&bytes) {
            prop_assert!(codec::encode(&read).is_ok());
        }
    }
}
