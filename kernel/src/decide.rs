//! What follows from a command: events, or a refusal. Nothing changes here.

mod access;
mod alarm;
mod certificate;
mod consume;
mod directive;
mod enroll;
mod history;
mod install;
mod report;
mod resolve;
mod runtime;
mod tenant;
mod trust;
mod valid;

use provost_protocol::{
    Timestamp,
    entity::{RuntimeStatus, TenantStatus},
    event::Event,
};

pub use self::consume::answer;
use crate::{
    Command, Rejection, State,
    state::{RuntimeRecord, TenantRecord},
};

/// Says what follows from `command`, or why nothing may. Changes nothing.
///
/// An empty list means that all is already as it was asked for. The events belong together: they
/// are stored all or none, in this order.
///
/// # Errors
/// [`Rejection`], one per rule of the contract.
pub fn decide(state: &State, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::CreateTenant(create) => tenant::create(state, create),
        Command::CreateIndividual(create) => tenant::create_individual(state, create),
        Command::SuspendTenant { reason } => tenant::suspend(state, reason),
        Command::ResumeTenant { reason } => tenant::resume(state, reason),
        Command::AddProvider { provider, settings } => {
            tenant::add_provider(state, *provider, settings)
        }
        Command::RemoveProvider { provider } => tenant::remove_provider(state, *provider),
        Command::CreateToken(create) => enroll::create_token(state, create, now),
        Command::RevokeToken { token } => enroll::revoke_token(state, *token),
        Command::Enroll(enroll) => enroll::enroll(state, enroll, now),
        Command::ReportMisuse {
            token,
            cnf,
            address,
        } => enroll::report_misuse(state, *token, cnf, address),
        Command::Renew(renew) => certificate::renew(state, renew, now),
        Command::Recover(recover) => certificate::recover(state, recover, now),
        Command::ReportCopy(report) => certificate::report_copy(state, report, now),
        Command::AllowRecovery(allow) => certificate::allow_recovery(state, allow, now),
        Command::RotateCa(step) => trust::rotate(state, step),
        Command::ConfirmTrust(confirm) => trust::confirm(state, confirm),
        Command::RevokeCertificate {
            runtime,
            serial,
            reason,
        } => trust::revoke_certificate(state, *runtime, serial, reason),
        Command::RevokeRuntimes { runtimes, reason } => {
            trust::revoke_runtimes(state, runtimes, reason)
        }
        Command::Register(register) => runtime::register(state, register),
        Command::Activate { runtime } => runtime::activate(state, *runtime),
        Command::ReportHealth {
            runtime,
            health,
            last,
        } => runtime::report_health(state, *runtime, *health, *last, now),
        Command::SuspendRuntime { runtime, reason } => runtime::suspend(state, *runtime, reason),
        Command::ResumeRuntime { runtime, reason } => runtime::resume(state, *runtime, reason),
        Command::RevokeRuntime { runtime, reason } => runtime::revoke(state, *runtime, reason),
        Command::KillRuntime { runtime, reason } => directive::kill(state, *runtime, reason),
        Command::LimitRuntime(wish) => directive::limit(state, wish, now),
        Command::UnlimitRuntime {
            runtime,
            feature,
            reason,
        } => directive::unlimit(state, *runtime, feature, reason),
        Command::ReportClone { runtime, sightings } => {
            directive::report_clone(state, *runtime, sightings, now)
        }
        Command::ResolveClone { runtime, reason } => {
            directive::resolve_clone(state, *runtime, reason)
        }
        Command::Attach(attach) => runtime::attach(state, attach),
        Command::Detach { runtime } => runtime::detach(state, *runtime),
        Command::AdmitIndividual {
            tenant,
            subject,
            provider,
        } => resolve::admit_individual(state, *tenant, subject, *provider),
        Command::Resolve(wish) => resolve::resolve(state, wish),
        Command::Grant(grant) => access::grant(state, grant, now),
        Command::RemoveEntitlement { feature, runtime } => access::remove(state, feature, *runtime),
        Command::Expire => access::expire(state, now),
        Command::Consume(wish) => consume::consume(state, wish, now),
        Command::RecordOverride {
            runtime,
            feature,
            mode,
            reason,
        } => access::record_override(state, *runtime, feature, *mode, *reason),
        Command::IssueLicense(issue) => access::issue_license(state, issue),
        Command::RecordAudit { caller, events } => report::record_audit(state, caller, events, now),
        Command::MarkLost { runtimes } => report::mark_lost(state, runtimes),
        Command::MarkReturned { runtimes } => report::mark_returned(state, runtimes),
        Command::Confirm { confirmed } => report::confirm(state, confirmed),
        Command::ReportHeld(held) => history::report_held(state, held),
        Command::RaiseAlarm(alarm) => alarm::raise(state, alarm),
        Command::CreateKey {
            kid,
            purpose,
            public_key,
        } => install::create_key(state, kid, *purpose, public_key),
        Command::CreateAdminKey {
            key,
            name,
            role,
            secret_sha256,
        } => install::create_admin_key(state, *key, name, *role, secret_sha256),
    }
}

fn tenant_of(state: &State) -> Result<&TenantRecord, Rejection> {
    state.tenant().ok_or(Rejection::NotFound)
}

fn runtime_of(
    state: &State,
    runtime: provost_protocol::RuntimeId,
) -> Result<&RuntimeRecord, Rejection> {
    state.runtime(runtime).ok_or(Rejection::NotFound)
}

/// Register, resolve and enrolment: refused while anything on the way is suspended.
fn require_in_force(tenants: &[TenantStatus], runtime: RuntimeStatus) -> Result<(), Rejection> {
    match runtime {
        RuntimeStatus::Revoked => return Err(Rejection::RuntimeRevoked),
        RuntimeStatus::Suspended => return Err(Rejection::RuntimeSuspended),
        RuntimeStatus::Registered | RuntimeStatus::Active => {}
    }
    if tenants.contains(&TenantStatus::Suspended) {
        return Err(Rejection::TenantSuspended);
    }
    Ok(())
}
