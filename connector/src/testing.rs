//! Values that several tests of this crate begin with.

use provost_certs::BindingKey;
use provost_protocol::{
    InstallId, RuntimeId, TenantId, Timestamp,
    entity::{DeploymentMode, Limit, Mode, RuntimeStatus, SecurityLevel, TenantStatus},
    license::{LicenseDocument, LicenseEntitlement, OfflinePolicies, RevocationTerms, license_id},
    sign::{KeyId, Signer},
    wire::DesiredState,
};

pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

pub(crate) fn install() -> InstallId {
    "01890a5d-ac96-774b-bcce-b302099a8050".parse().unwrap()
}

pub(crate) fn tenant() -> TenantId {
    "01890a5d-ac96-774b-bcce-b302099a8051".parse().unwrap()
}

pub(crate) fn other_tenant() -> TenantId {
    "01890a5d-ac96-774b-bcce-b302099a8052".parse().unwrap()
}

pub(crate) fn runtime() -> RuntimeId {
    "01890a5d-ac96-774b-bcce-b302099a8053".parse().unwrap()
}

/// A license in force from `issued` for `life_ms`, then in grace for `grace_ms`.
pub(crate) fn document(issued: Timestamp, life_ms: u64, grace_ms: u64) -> LicenseDocument {
    LicenseDocument {
        license: license_id(runtime(), tenant()),
        install: install(),
        tenant: tenant(),
        tenant_status: TenantStatus::Active,
        runtime: runtime(),
        deployment_mode: DeploymentMode::Shared,
        kid: KeyId::of(&[0; 32]),
        cnf: [9; 32],
        epoch: 1,
        seq: 1,
        created: issued,
        issued,
        nbf: issued,
        expiry: issued.plus_millis(life_ms),
        grace_ms,
        revocations: RevocationTerms {
            min_generation: 0,
            max_age_ms: None,
        },
        revision: 1,
        policies: OfflinePolicies {
            security_level: SecurityLevel::Standard,
            offline_max_ms: life_ms + grace_ms,
        },
        entitlements: vec![entitlement("report_export", Limit::Flag(true), issued)],
    }
}

pub(crate) fn entitlement(feature: &str, limit: Limit, at: Timestamp) -> LicenseEntitlement {
    LicenseEntitlement {
        feature: feature.parse().unwrap(),
        runtime: None,
        limit,
        time_window: None,
        mode: Mode::Enforce,
        valid_until: Timestamp::MAX,
        created: at,
        updated: at,
        window: None,
    }
}

/// A license file of the given sequence.
pub(crate) fn file(document: &LicenseDocument, seq: u64, signer: &BindingKey) -> String {
    LicenseDocument {
        seq,
        ..document.clone()
    }
    .sign(signer)
    .unwrap()
}

pub(crate) fn verifying(signer: &BindingKey) -> provost_protocol::license::VerifyingKey {
    provost_protocol::license::VerifyingKey::new(signer.public_key())
}

pub(crate) fn desired(revision: u64) -> DesiredState {
    DesiredState {
        tenant: tenant(),
        revision,
        tenant_status: TenantStatus::Active,
        runtime_status: RuntimeStatus::Active,
        license_epoch: 1,
        license_seq: 1,
        revocation_generation: 0,
        trust_bundle: "root-1".to_owned(),
        heartbeat_interval_ms: 30_000,
        limits: Vec::new(),
        killed: false,
    }
}

/// The identity whose files lie in `folder`; enrolled by an authority of its own at the first call.
pub(crate) fn identity(folder: &std::path::Path) -> crate::identity::Identity {
    use provost_certs::{Keystore, TlsKey, TlsPair};

    let keystore = Keystore::open(&folder.join("keys")).unwrap();
    if keystore.pair().is_err() {
        let key = TlsKey::generate().unwrap();
        let pem = certified(&key);
        keystore
            .save_pair(&TlsPair::new(key, pem).unwrap())
            .unwrap();
    }
    let pair = keystore.pair().unwrap();
    crate::identity::Identity::open(folder, keystore, &pair).unwrap()
}

/// A certificate of [`runtime`] for this key, by an authority of its own.
pub(crate) fn certified(key: &provost_certs::TlsKey) -> String {
    use provost_protocol::sign::CertificateIssuer;

    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp::from_millis(1_795_325_728_000);
    let authority = provost_certs::Authority::create(folder.path(), install(), now).unwrap();
    let csr = key.request_der().unwrap();
    let issued = authority.issue(&csr, (tenant(), runtime()), now, DAY_MS);
    issued.unwrap().certificate
}

/// Who [`runtime`] is.
pub(crate) fn me() -> crate::core::Me {
    crate::core::Me {
        tenant: tenant(),
        runtime: runtime(),
        install: install(),
        runtime_type: provost_protocol::entity::RuntimeType::App,
        deployment_mode: DeploymentMode::OnPrem,
    }
}
