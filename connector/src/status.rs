//! Where the connector stands, as `GET /status` and `provost connector status` show it.

use std::fmt::Write as _;

use provost_protocol::{RuntimeId, TenantId, Timestamp, entity::RuntimeStatus};
use serde::{Deserialize, Serialize};

use crate::{
    link::LinkState,
    mode::{Mode, Standing},
    node::Node,
};

/// Where the connector stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The runtime.
    pub runtime_id: RuntimeId,
    /// Its own tenant.
    pub tenant_id: TenantId,
    /// The link to the kernel.
    pub link: LinkStatus,
    /// The runtime's status, as last heard.
    pub runtime_status: RuntimeStatus,
    /// The generation of the last session, 0 before the first.
    pub generation: u64,
    /// When the kernel last answered a heartbeat of this process.
    pub last_beat: Option<Timestamp>,
    /// The highest signed time heard.
    pub signed_time: Option<Timestamp>,
    /// Whether an operator killed the runtime: every check is denied.
    pub killed: bool,
    /// What waits for the kernel.
    pub spool: SpoolStatus,
    /// The tenants acted for.
    pub tenants: Vec<TenantStatus>,
    /// The certificate in use.
    #[serde(default)]
    pub certificate: Option<CertificateStatus>,
    /// The newest checkpoint held of its own tenant's log.
    #[serde(default)]
    pub checkpoint: Option<CheckpointStatus>,
    /// An alarm: the kernel's log contradicts that checkpoint.
    #[serde(default)]
    pub fork: Option<ForkStatus>,
}

/// The certificate in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Its serial number, in hex.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// When another one is asked for.
    pub renewal_due: Timestamp,
    /// What somebody should look at: it could not be renewed for long, or has ended.
    pub warning: Option<String>,
}

/// The newest checkpoint held of the tenant's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// The log's epoch.
    pub epoch: u64,
    /// How many events it covers.
    pub size: u64,
    /// How long ago it was kept, in milliseconds.
    pub age_ms: u64,
}

/// The kernel's log contradicts a checkpoint it signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkStatus {
    /// When that was found.
    pub at: Timestamp,
    /// What is wrong, in words.
    pub why: String,
}

/// The link to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// `up`, `down`, or `starting`.
    pub state: String,
    /// Why it is down, for people.
    pub reason: Option<String>,
}

/// What waits for the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// Events not delivered yet.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Events that the kernel refused for good; they stand in `spool/dead-letters.jsonl`.
    pub dead_letters: u64,
}

/// One tenant acted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantStatus {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Where the connector stands for it.
    pub mode: Mode,
    /// The mode that time alone brings next.
    pub next_mode: Option<Mode>,
    /// In how many milliseconds.
    pub next_in_ms: Option<u64>,
    /// The license's epoch, when there is one.
    pub license_epoch: Option<u64>,
    /// The license's sequence.
    pub license_seq: Option<u64>,
    /// The license's end.
    pub license_expiry: Option<Timestamp>,
    /// The end of its grace.
    pub license_locked_from: Option<Timestamp>,
    /// The entitlement revision of the license.
    pub license_revision: Option<u64>,
    /// The desired-state revision in force.
    pub desired_revision: u64,
}

impl Status {
    pub(crate) fn of(node: &Node) -> Self {
        let core = &node.core;
        let facts = core.facts.get();
        let (state, reason) = match node.link.state() {
            LinkState::Starting => ("starting", None),
            LinkState::Up { .. } => ("up", None),
            LinkState::Down { reason } => ("down", Some(reason)),
        };
        let own = core.tenants.find(core.me.tenant);
        let now = core.floor.now();
        let link_up = node.link.is_up();
        let tenants = core.tenants.all().into_iter().map(|(tenant_id, held)| {
            let license = held.license.as_ref().map(|license| &*license.document);
            let standing = Standing::of(link_up, license, now);
            TenantStatus {
                tenant_id,
                mode: standing.mode,
                next_mode: standing.next.map(|(mode, _)| mode),
                next_in_ms: standing.countdown_ms(now),
                license_epoch: license.map(|license| license.epoch),
                license_seq: license.map(|license| license.seq),
                license_expiry: license.map(|license| license.expiry),
                license_locked_from: license.map(|license| license.locked_from()),
                license_revision: license.map(|license| license.revision),
                desired_revision: held.desired.revision(),
            }
        });
        Self {
            runtime_id: core.me.runtime,
            tenant_id: core.me.tenant,
            link: LinkStatus {
                state: state.to_owned(),
                reason,
            },
            runtime_status: facts.status(),
            generation: facts.generation,
            last_beat: core.last_beat(),
            signed_time: core.floor.highest(),
            killed: own.is_some_and(|own| own.desired.state().is_some_and(|state| state.killed)),
            spool: SpoolStatus {
                waiting: core.spool.waiting(),
                waiting_bytes: core.spool.waiting_bytes(),
                dead_letters: core.spool.dead_letters(),
            },
            tenants: tenants.collect(),
            certificate: Some(CertificateStatus::of(node)),
            checkpoint: core.evidence.highest().map(|held| CheckpointStatus {
                epoch: held.epoch,
                size: held.size,
                age_ms: now.millis_since(held.at),
            }),
            fork: core.evidence.fork().map(|fork| ForkStatus {
                at: fork.at,
                why: fork.why,
            }),
        }
    }

    /// The status as a person reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let reason = self
            .link
            .reason
            .as_ref()
            .map_or(String::new(), |why| format!(" ({why})"));
        let beat = self
            .last_beat
            .map_or("never".to_owned(), |at| at.to_string());
        let killed = if self.killed { ", KILLED" } else { "" };
        let _ = writeln!(
            text,
            "runtime   {} ({}{killed})",
            self.runtime_id, self.runtime_status
        );
        let _ = writeln!(text, "link      {}{reason}", self.link.state);
        let _ = writeln!(text, "last beat {beat}");
        let _ = writeln!(
            text,
            "spool     {} waiting ({} bytes), {} dead letters",
            self.spool.waiting, self.spool.waiting_bytes, self.spool.dead_letters
        );
        let log = match self.checkpoint {
            Some(held) => {
                let (size, age) = (held.size, countdown(held.age_ms));
                format!("{size} events of epoch {} held, {age} old", held.epoch)
            }
            None => "no checkpoint held yet".to_owned(),
        };
        let _ = writeln!(text, "log       {log}");
        if let Some(certificate) = &self.certificate {
            let CertificateStatus {
                serial,
                not_after,
                renewal_due,
                warning,
            } = certificate;
            let _ = writeln!(
                text,
                "identity  certificate {serial} until {not_after}, renewed from {renewal_due}"
            );
            if let Some(warning) = warning {
                let _ = writeln!(text, "WARNING   {warning}");
            }
        }
        if let Some(fork) = &self.fork {
            let _ = writeln!(text, "ALARM     {} (found {})", fork.why, fork.at);
        }
        for tenant in &self.tenants {
            let license = match (tenant.license_seq, tenant.license_expiry) {
                (Some(seq), Some(expiry)) => format!("license {seq} until {expiry}"),
                _ => "no license".to_owned(),
            };
            let next = match (tenant.next_mode, tenant.next_in_ms) {
                (Some(mode), Some(ms)) => format!(", {mode} in {}", countdown(ms)),
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "tenant    {}  {}{next}, {license}",
                tenant.tenant_id, tenant.mode
            );
        }
        text
    }
}

impl CertificateStatus {
    pub(crate) fn of(node: &Node) -> Self {
        let (identity, now) = (&node.core.identity, node.core.floor.now());
        let held = identity.held();
        Self {
            serial: held.serial,
            not_after: held.not_after,
            renewal_due: identity.due(),
            warning: identity.warning(now),
        }
    }
}

/// A span as a person counts it down: `6 d 23 h`, `4 h 5 min`, `59 s`.
fn countdown(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_is_read_in_two_units() {
        for (ms, said) in [
            (999, "0 s"),
            (59_000, "59 s"),
            (125_000, "2 min 5 s"),
            (14_700_000, "4 h 5 min"),
            (604_799_000, "6 d 23 h"),
        ] {
            assert_eq!(countdown(ms), said);
        }
    }
}
