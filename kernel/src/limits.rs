//! How much of everything one tenant may have: each number with its reason.

/// A restore from a backup raises the epoch, and with it the desired-state revision by so much for
/// each: above all that the lost time could have handed out, so that no connector holds a higher
/// one. Epochs are seconds since 1970, so it is a million revisions for each second of lost time,
/// and one million at least where the clock was set back; each is a durable change, and one log
/// takes some thousands a second. JSON readers hold whole numbers below 2^53: enough up to epoch
/// 8.5e9, the year 2239.
pub const REVISIONS_PER_EPOCH: u64 = 1 << 20;

/// All of them are loaded when the tenant wakes and stand in every license: 330 fully described
/// ones fill its 256 KiB (a test of the protocol), and a tenant must always get one.
pub const ENTITLEMENTS_MAX: u64 = 300;

/// Each resolve looks through them; no organisation federates more login systems.
pub const PROVIDERS_MAX: u64 = 16;

/// Shared runtimes of one operator; all are loaded when the tenant wakes.
pub const ATTACHMENTS_MAX: u64 = 256;

/// Runtimes ever enrolled in one tenant: a fleet on the scale one kernel is measured for.
pub const RUNTIMES_MAX: u64 = 100_000;

/// Individuals one operator may admit: past that, an installation of its own is due.
pub const INDIVIDUALS_MAX: u64 = 1_000_000;

/// Enough for a fleet image enrolled by one token; each use is one small record.
pub const TOKEN_USES_MAX: u32 = 10_000;

/// A token that lies about for longer is a leak waiting to happen: 90 days.
pub const TOKEN_TTL_MS_MAX: u64 = 90 * 24 * 60 * 60 * 1_000;

/// The answer to an enrolment is repeated for so long after the key first came, so that a lost
/// answer bricks nobody: 15 minutes (architecture.md, section 4).
pub const ENROLMENT_REPEAT_MS: u64 = 15 * 60 * 1_000;

/// Certificates of one runtime in force at once: two overlap at a renewal, a third comes where an
/// answer was lost, and a fourth leaves room for a recovery. Each stands in a revocation.
pub const CERTIFICATES_MAX: usize = 4;

/// An operator who lets a runtime recover is with it: a day leaves time for a machine to be sent.
pub const RECOVERY_ALLOWED_MS: u64 = 24 * 60 * 60 * 1_000;

/// A copy that keeps trying is told in the log so often: once an hour.
pub const RECOVERY_ALARM_EVERY_MS: u64 = 60 * 60 * 1_000;

/// For an individual's tenant a shared runtime acts for so long after a resolve: 12 hours
/// (contract.md, section 2).
pub const RESOLVE_SERVES_MS: u64 = 12 * 60 * 60 * 1_000;

/// Health goes to the log at most so often per runtime: once a minute (architecture.md, 7.9).
pub const HEALTH_EVERY_MS: u64 = 60 * 1_000;

/// A name that a person reads in a list.
pub const NAME_BYTES_MAX: usize = 200;

/// A sentence or two of an operator.
pub const REASON_BYTES_MAX: usize = 500;

/// A software version with build metadata.
pub const VERSION_BYTES_MAX: usize = 64;

/// More capabilities than any product names.
pub const CAPABILITIES_MAX: usize = 64;

/// One capability is a word.
pub const CAPABILITY_BYTES_MAX: usize = 64;

/// Issuer, audience and JWKS URL: longer URLs do not survive proxies.
pub const URL_BYTES_MAX: usize = 2_048;

/// A handful of RSA and EC keys; keeps the provider's value below 64 KiB.
pub const JWKS_BYTES_MAX: usize = 32 * 1_024;

/// Claims a provider may require, claims an identity keeps, roles an identity has: with the
/// lengths below, at most about 27 KiB, so that event and value fit.
pub const CLAIMS_MAX: usize = 32;

/// Length of a claim's name or of a role.
pub const CLAIM_NAME_BYTES_MAX: usize = 128;

/// Length of a claim's value.
pub const CLAIM_VALUE_BYTES_MAX: usize = 512;

/// OpenID Connect allows 255 for `sub`.
pub const SUBJECT_BYTES_MAX: usize = 255;

/// Audit events sent at once (contract.md, section 2).
pub const AUDIT_EVENTS_MAX: usize = 1_000;

/// Payload of one audit event: 48 KiB (contract.md, section 2).
pub const AUDIT_PAYLOAD_BYTES_MAX: usize = 48 * 1_024;

/// Length of an audit event's type.
pub const AUDIT_TYPE_BYTES_MAX: usize = 128;

/// Clocks of runtimes differ by minutes where nobody keeps them; more is a fault to be seen.
pub const EVENT_AHEAD_MS_MAX: u64 = 10 * 60 * 1_000;

/// Runtimes revoked by one command: each is an event of at most a kilobyte with its reason, and one
/// append takes them all.
pub const REVOKED_AT_ONCE_MAX: u64 = 100;

/// Runtimes named in one event: 500 of about 90 bytes stay below the envelope's 64 KiB.
pub const RUNTIMES_PER_EVENT_MAX: usize = 500;

/// Restores that one log remembers, and epochs that it knows to have lost events of, at 80 bytes for
/// both: one a month for twenty years. A checkpoint of before the first is judged by the oldest left.
pub const EPOCHS_KEPT_MAX: usize = 256;

/// Forks that one log remembers besides the last of each runtime: those of one incident, so that
/// two runtimes with the same checkpoint are one event.
pub const FORKS_KEPT_MAX: usize = 64;

/// Features of one runtime that may be narrowed at once, at up to 300 bytes each: enough to calm
/// every part of a product, and a desired state stays a few KiB.
pub const DIRECTED_LIMITS_MAX: u64 = 16;

/// Copies of a runtime are an alarm once an hour: two that take turns every second are one fact.
pub const CLONED_EVERY_MS: u64 = 60 * 60 * 1_000;

/// Copies named in one alarm.
pub const SIGHTINGS_MAX: usize = 4;
