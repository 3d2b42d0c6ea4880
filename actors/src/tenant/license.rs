//! Licenses: planned and signed on the pending state, recorded before they leave.

use actix::{Context, Handler};
use provost_kernel::{
    Command, EntityKey,
    command::IssueLicense as RecordLicense,
    license::{LicensePlan, PlannedEntitlement, plan_license},
};
use provost_protocol::{
    InstallId, Timestamp,
    entity::TenantStatus,
    license::{LicenseDocument, LicenseEntitlement, OfflinePolicies, RevocationTerms, license_id},
    sign::{KeyId, Signer},
};
use sha2::{Digest, Sha256};

use super::{
    TenantActor, TenantError,
    facts::Needs,
    message::{Executed, IssueLicense},
};
use crate::{Ask, hex};

impl Handler<Ask<IssueLicense>> for TenantActor {
    type Result = ();

    fn handle(&mut self, Ask { message, reply }: Ask<IssueLicense>, ctx: &mut Context<Self>) {
        let IssueLicense { licensee, meta } = message;
        let runtime = licensee.caller.runtime;
        let needs = vec![EntityKey::Runtime(runtime), EntityKey::License(runtime)];
        self.with_facts(
            Needs::entities(needs),
            move |actor, facts, ctx| {
                let now = actor.house.clock.now();
                let signed = facts.and_then(|()| {
                    let plan = plan_license(&actor.pending, &licensee, now)?;
                    actor.sign_license(&plan)
                });
                match signed {
                    Err(error) => reply.send(Err(error)),
                    Ok((text, record)) => {
                        let done = Box::new(move |outcome: Result<Executed, TenantError>| {
                            reply.send(outcome.map(|_| text));
                        });
                        actor.decide_now(
                            &Command::IssueLicense(record),
                            |_| meta.clone(),
                            done,
                            ctx,
                        );
                    }
                }
            },
            ctx,
        );
    }
}

impl TenantActor {
    fn sign_license(&self, plan: &LicensePlan) -> Result<(String, RecordLicense), TenantError> {
        let signer = &*self.house.license_signer;
        let created = self
            .pending
            .license(plan.runtime)
            .map_or(plan.issued, |head| head.issued);
        let document = license_document(plan, self.house.install, created, signer)
            .ok_or(TenantError::StorageUnavailable)?;
        let text = document.sign(signer).map_err(|_| TenantError::TooLarge)?;
        let record = RecordLicense {
            runtime: plan.runtime,
            sequence: plan.sequence,
            kid: signer.key_id().to_string(),
            cnf: plan.cnf.clone(),
            issued: plan.issued,
            expiry: plan.expiry,
            grace_ms: plan.grace_ms,
            revision: plan.revision,
            license_sha256: hex::encode(&Sha256::digest(text.as_bytes())),
        };
        Ok((text, record))
    }
}

/// The document of a planned license; `created` is when the runtime's license for that tenant first
/// existed. `None` where the plan names no binding key.
#[must_use]
pub fn license_document(
    plan: &LicensePlan,
    install: InstallId,
    created: Timestamp,
    signer: &dyn Signer,
) -> Option<LicenseDocument> {
    let entitlement = |planned: &PlannedEntitlement| LicenseEntitlement {
        feature: planned.feature.clone(),
        runtime: planned.runtime,
        limit: planned.limit,
        time_window: planned.time_window,
        mode: planned.mode,
        valid_until: planned.valid_until,
        created: planned.created,
        updated: planned.updated,
        window: planned.window.map(|window| (window.start, window.end)),
    };
    Some(LicenseDocument {
        license: license_id(plan.runtime, plan.tenant),
        install,
        tenant: plan.tenant,
        tenant_status: TenantStatus::Active,
        runtime: plan.runtime,
        deployment_mode: plan.deployment_mode,
        kid: KeyId::of(&signer.public_key()),
        cnf: hex::decode_32(&plan.cnf)?,
        epoch: plan.sequence.epoch,
        seq: plan.sequence.seq,
        created,
        issued: plan.issued,
        nbf: plan.issued,
        expiry: plan.expiry,
        grace_ms: plan.grace_ms,
        revocations: RevocationTerms {
            min_generation: plan.min_generation,
            max_age_ms: None,
        },
        revision: plan.revision,
        policies: OfflinePolicies {
            security_level: plan.policies.security_level,
            offline_max_ms: plan.ttl_ms + plan.grace_ms,
        },
        entitlements: plan.entitlements.iter().map(entitlement).collect(),
    })
}
