//! Stable error codes and the body that carries them (RFC 9457, `application/problem+json`).
//!
//! One table: code, HTTP status, who must act, what to do. `docs/errors.md` is written from it and
//! a test compares the two. Codes are append-only: a code never changes its meaning or disappears.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};
use utoipa::ToSchema;

use crate::CorrelationId;

/// Who can do something about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever wrote or configured the caller.
    Caller,
    /// The vendor's operator.
    Operator,
    /// Nobody: the same call may go through later.
    Time,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $actor:ident, $advice:literal;)*) => {
        /// Why a call was refused. The number in bincode is the position: append only.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it stands in a problem body.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Who must act.
            #[must_use]
            pub const fn actor(self) -> Actor {
                match self { $(Self::$name => Actor::$actor,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    /// Not JSON, duplicate keys, too deep, or not the shape asked for.
    Malformed = "malformed", 400, Caller, "send the body the contract describes; duplicate keys and unknown shapes are refused";
    /// A header that every call must carry is missing or unreadable.
    HeaderMissing = "header_missing", 400, Caller, "send X-Tenant-Id, X-Runtime-Id, X-Contract-Version and Authorization";
    /// `X-Contract-Version` names none that is spoken.
    VersionUnknown = "version_unknown", 400, Caller, "use one of the versions named in the answer";
    /// An id is not a UUID of version 7.
    IdMalformed = "id_malformed", 400, Caller, "ids are UUIDs of version 7, hyphenated";
    /// The method is not one this path knows.
    MethodNotAllowed = "method_not_allowed", 405, Caller, "use the method of the contract";
    /// No client certificate where one is needed.
    CertificateRequired = "certificate_required", 401, Caller, "connect with the runtime's certificate; enroll first";
    /// The certificate is expired, revoked or not of this installation.
    CertificateRefused = "certificate_refused", 401, Caller, "recover by the binding key where it has ended; else enroll again with a new token";
    /// A header or path names another runtime or tenant than the certificate allows.
    IdentityMismatch = "identity_mismatch", 401, Caller, "use the ids of your own certificate, or a tenant attached to the runtime";
    /// The runtime token is missing, wrong or replaced by a later registration.
    TokenRefused = "token_refused", 401, Caller, "register again; another copy of the runtime may have registered";
    /// The admin key is missing or unknown.
    KeyRefused = "key_refused", 401, Caller, "send a valid admin key as bearer token";
    /// The external token is malformed, expired, for another audience, or of an unknown key.
    ExternalTokenRefused = "external_token_refused", 401, Caller, "log the user in again at a provider of this tenant";
    /// The role of the admin key does not suffice.
    RoleInsufficient = "role_insufficient", 403, Operator, "use a key with the role named in the answer";
    /// A request from a browser of another origin, or to another host name.
    OriginRefused = "origin_refused", 403, Caller, "call the admin API from its own origin and host";
    /// The tenant is suspended.
    TenantSuspended = "tenant_suspended", 403, Operator, "the tenant's operator can resume it";
    /// The runtime is suspended.
    RuntimeSuspended = "runtime_suspended", 403, Operator, "the tenant's operator can resume it";
    /// The runtime is revoked, for ever.
    RuntimeRevoked = "runtime_revoked", 401, Operator, "enroll anew with a new token";
    /// Not there, or of another tenant: the two are not told apart.
    NotFound = "not_found", 404, Caller, "check the id and the tenant";
    /// The idempotency key was used for something else.
    IdempotencyConflict = "idempotency_conflict", 409, Caller, "use a new key for a new request";
    /// An audit event with this id and other bytes is there already.
    EventConflict = "event_conflict", 409, Caller, "an event id names one event for ever";
    /// It exists already, or has changed since it was read.
    Conflict = "conflict", 409, Caller, "read it again and decide again";
    /// The precondition (If-Match) does not hold.
    PreconditionFailed = "precondition_failed", 412, Caller, "read it again and decide again";
    /// The body is larger than the contract allows.
    BodyTooLarge = "body_too_large", 413, Caller, "send less at once; the limits stand in the contract";
    /// Body and headers name different tenants or runtimes.
    TenantMismatch = "tenant_mismatch", 422, Caller, "name the same tenant in headers and body";
    /// Understood, but a value is not allowed.
    Invalid = "invalid", 422, Caller, "correct the field named in the detail";
    /// The actor type needs a later contract version or is the kernel's own.
    ActorTypeRefused = "actor_type_refused", 422, Caller, "send user or runtime (agent from v0.2), never system";
    /// The event type is the kernel's own.
    EventTypeReserved = "event_type_reserved", 422, Caller, "types under provost. are the kernel's";
    /// The event's time is further in the future than clocks differ.
    EventTimeRefused = "event_time_refused", 422, Caller, "correct the clock: an event may be at most 10 minutes ahead of the kernel's";
    /// The payload is over 48 KiB.
    PayloadTooLarge = "payload_too_large", 422, Caller, "send at most 48 KiB of payload in one event";
    /// The tenant must be served from another region.
    Residency = "residency", 422, Operator, "use the kernel of the tenant's region";
    /// The enrolment token is malformed or unknown.
    EnrolTokenUnknown = "enrol_token_unknown", 401, Caller, "use the token exactly as it was printed";
    /// The enrolment token is used up, by another key.
    EnrolTokenUsed = "enrol_token_used", 409, Operator, "create a new token; if you did not use this one, somebody else did";
    /// The enrolment token is expired or revoked.
    EnrolTokenExpired = "enrol_token_expired", 410, Operator, "create a new token";
    /// The proof of the binding key does not hold.
    BindingRefused = "binding_refused", 422, Caller, "sign the CSR's SHA-256 with the binding key";
    /// The certificate request is malformed or its key is of an unsupported kind.
    CsrRefused = "csr_refused", 422, Caller, "send a PKCS#10 request with an ECDSA P-256 key";
    /// Too many requests from one caller.
    RateLimited = "rate_limited", 429, Time, "wait as long as Retry-After says";
    /// The provider's keys could not be fetched.
    ProviderUnavailable = "provider_unavailable", 503, Time, "try again; the identity provider's keys could not be fetched";
    /// The tenant's mailbox is full.
    Overloaded = "overloaded", 503, Time, "wait as long as Retry-After says";
    /// The tenant keeps failing inside and is set aside; its runtimes go on with their licenses.
    TenantQuarantined = "tenant_quarantined", 503, Operator, "look at the kernel's log; a restart lifts it";
    /// Nothing can be written: the disk is full or failing. Reads go on.
    StorageUnavailable = "storage_unavailable", 503, Operator, "free disk space on the kernel's machine";
    /// The outcome is not known; the same idempotency key says.
    OutcomeUnknown = "outcome_unknown", 503, Time, "repeat with the same idempotency key or event id";
    /// The kernel is stopping.
    Draining = "draining", 503, Time, "connect again as Retry-After says";
    /// The connector cannot reach the kernel and may not decide alone.
    KernelUnreachable = "kernel_unreachable", 503, Time, "the link to the kernel is down; existing sessions go on";
    /// A bug. Nothing about the inside is told.
    Internal = "internal", 500, Operator, "quote the correlation id to the operator";
    /// The tenant's log is not the one that was shown before; nothing more is signed in its epoch.
    LogForked = "log_forked", 409, Operator, "the kernel's data is an older copy of itself: restore a backup with `provost backup restore`, which begins a new epoch";
    /// The binding key's proof does not hold, the runtime is unknown, or its counter was used.
    RecoveryRefused = "recovery_refused", 401, Operator, "enroll anew with a new token; look for `runtime.recovery-refused` in the log: another copy of the runtime may exist";
    /// The tenant's policy lets a runtime recover by an operator's word only.
    RecoveryNeedsOperator = "recovery_needs_operator", 403, Operator, "allow it with `provost runtime allow-recovery`";
    /// An operator killed the runtime.
    RuntimeKilled = "runtime_killed", 403, Operator, "the tenant's operator can resume it";
    /// Runtimes have not confirmed yet that they trust the new root.
    RotationNotAdopted = "rotation_not_adopted", 409, Operator, "look at `provost key rotate ca --status`; wait for those missing, or insist with --force";
    /// Certificates of the old root are still good.
    RotationInUse = "rotation_in_use", 409, Operator, "wait until the certificates of the old root have ended, or insist with --force";
}

// By hand: the derive does not see the words through the macro, and takes the variants' names.
impl utoipa::PartialSchema for Code {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl ToSchema for Code {}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of every refusal: `application/problem+json`, and the same on frames.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Problem {
    /// Where the code is documented, relative to the project's documentation.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's words in short.
    pub title: String,
    /// The HTTP status, repeated.
    pub status: u16,
    /// What is wrong with this call; never an inside detail.
    pub detail: String,
    /// The stable code.
    pub code: Code,
    /// Ties the refusal to logs and events.
    pub correlation_id: Option<CorrelationId>,
    /// When to try again, in milliseconds; only where trying again can help.
    pub retry_after_ms: Option<u64>,
}

/// JSON leaves out what is absent; bincode, which has no names, writes every field.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = !serializer.is_human_readable();
        let mut fields = serializer.serialize_struct("Problem", 7)?;
        fields.serialize_field("type", &self.kind)?;
        fields.serialize_field("title", &self.title)?;
        fields.serialize_field("status", &self.status)?;
        fields.serialize_field("detail", &self.detail)?;
        fields.serialize_field("code", &self.code)?;
        if all || self.correlation_id.is_some() {
            fields.serialize_field("correlation_id", &self.correlation_id)?;
        }
        if all || self.retry_after_ms.is_some() {
            fields.serialize_field("retry_after_ms", &self.retry_after_ms)?;
        }
        fields.end()
    }
}

impl Problem {
    /// Builds a refusal from its code and what is wrong with this call.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("docs/errors.md#{code}"),
            title: code.as_str().replace('_', " "),
            status: code.status(),
            detail: detail.into(),
            code,
            correlation_id: None,
            retry_after_ms: None,
        }
    }

    /// The same, with when to try again.
    #[must_use]
    pub const fn retry_after_ms(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// The same, tied to a correlation id.
    #[must_use]
    pub const fn correlated(mut self, id: CorrelationId) -> Self {
        self.correlation_id = Some(id);
        self
    }
}

/// The table as `docs/errors.md` prints it.
#[must_use]
pub fn markdown_table() -> String {
    let mut table = String::from("| code | status | who acts | what to do |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let actor = match code.actor() {
            Actor::Caller => "caller",
            Actor::Operator => "operator",
            Actor::Time => "nobody, try again",
        };
        let (status, advice) = (code.status(), code.advice());
        table.push_str(&format!("| `{code}` | {status} | {actor} | {advice} |\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_in_docs_errors() {
        let page = include_str!("../../docs/errors.md");
        assert!(
            page.contains(&markdown_table()),
            "docs/errors.md must hold:\n{}",
            markdown_table()
        );
    }

    #[test]
    fn every_code_names_itself_once() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn the_numbers_of_codes_on_the_wire_do_not_change() {
        for (code, number) in [
            (Code::Malformed, 0),
            (Code::NotFound, 16),
            (Code::RateLimited, 34),
            (Code::Internal, 42),
            (Code::LogForked, 43),
        ] {
            assert_eq!(crate::codec::encode(&code).unwrap(), [1, number], "{code}");
        }
    }
}
