//! The bytes of every word that travels inside messages: an enum that is reordered changes them.

use provost_protocol::{
    Code, ContractVersion, codec,
    entity::{
        ActorType, DeploymentMode, Health, KeyPurpose, Limit, Liveness, Mode, ProviderKind, Role,
        RuntimeStatus, RuntimeType, SecurityLevel, TenantStatus, TenantType, TimeWindow,
    },
    verdict::Reason,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::common;

#[test]
fn every_word_keeps_its_bytes() {
    let mut text = String::new();
    words(&mut text, "TenantType", TenantType::ALL);
    words(&mut text, "TenantStatus", TenantStatus::ALL);
    words(&mut text, "SecurityLevel", SecurityLevel::ALL);
    words(&mut text, "ProviderKind", ProviderKind::ALL);
    words(&mut text, "RuntimeType", RuntimeType::ALL);
    words(&mut text, "DeploymentMode", DeploymentMode::ALL);
    words(&mut text, "RuntimeStatus", RuntimeStatus::ALL);
    words(&mut text, "Health", Health::ALL);
    words(&mut text, "Liveness", Liveness::ALL);
    words(&mut text, "ActorType", ActorType::ALL);
    words(&mut text, "Mode", Mode::ALL);
    words(&mut text, "Role", Role::ALL);
    words(&mut text, "KeyPurpose", KeyPurpose::ALL);
    words(&mut text, "ContractVersion", &ContractVersion::SPOKEN);
    words(&mut text, "Limit", &limits());
    words(&mut text, "TimeWindow", &windows());
    words(&mut text, "Reason", &reasons());
    words(&mut text, "Code", Code::ALL);
    common::compare("golden/wire/words.txt", &text);
}

/// Adds one line for each value: type, value as JSON, its bytes.
fn words<T>(text: &mut String, name: &str, values: &[T])
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    for value in values {
        let bytes = codec::encode(value).unwrap();
        assert_eq!(&codec::decode::<T>(&bytes).unwrap(), value);
        let json = serde_json::to_string(value).unwrap();
        text.push_str(&format!("{name} {json} {}\n", hex::encode(bytes)));
    }
}

/// Lists an enum's variants, and does not compile when one is missing.
macro_rules! every {
    ($enum:ident: $($variant:ident)*) => {{
        let every = [$($enum::$variant),*];
        for value in every {
            match value { $($enum::$variant => {})* }
        }
        every
    }};
}

fn reasons() -> [Reason; 14] {
    every!(Reason: Entitled NoEntitlement EntitlementExpired FeatureOff QuotaExhausted
        TenantSuspended RuntimeSuspended RuntimeRevoked ResolveNeeded Killed NoLease
        LicenseExpired NoLicense NotMetered)
}

fn limits() -> Vec<Limit> {
    let limits = vec![
        Limit::Flag(false),
        Limit::Flag(true),
        Limit::Quota(300),
        Limit::Unlimited,
    ];
    for limit in &limits {
        match limit {
            Limit::Flag(_) | Limit::Quota(_) | Limit::Unlimited => {}
        }
    }
    limits
}

fn windows() -> Vec<TimeWindow> {
    let rolling = |minutes| TimeWindow::Rolling { minutes };
    vec![
        TimeWindow::Hour,
        TimeWindow::Day,
        TimeWindow::Week,
        TimeWindow::Month,
        TimeWindow::Year,
        rolling(90),
        rolling(120),
        rolling(24 * 60),
        rolling(7 * 24 * 60),
    ]
}
