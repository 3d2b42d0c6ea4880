//! How the admin API's answers look to people.

use comfy_table::{Table, presets};
use provost_protocol::{
    Timestamp,
    entity::{Limit, Liveness},
};

use super::{
    output::clean,
    when::{span, when},
};
use crate::admin::view;

/// Something that has a row in a list, and more to say when it is alone.
pub(super) trait Shown {
    /// Headings of a list.
    const HEADINGS: &[&str];

    /// Its row in a list.
    fn row(&self, now: Timestamp) -> Vec<String>;

    /// Everything about it, by name. Without more to say, its row.
    fn fields(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let headings = Self::HEADINGS.iter().copied();
        headings.zip(self.row(now)).collect()
    }
}

/// Writes a list with a line of headings.
pub(super) fn list<T: Shown>(items: &[T], now: Timestamp) -> String {
    let mut table = plain();
    table.set_header(T::HEADINGS.iter().map(|heading| heading.to_uppercase()));
    for item in items {
        table.add_row(item.row(now).iter().map(|cell| clean(cell)));
    }
    trimmed(&table)
}

/// Writes one thing, a line for each field.
pub(super) fn one<T: Shown>(item: &T, now: Timestamp) -> String {
    let mut table = plain();
    for (name, value) in item.fields(now) {
        table.add_row([name.to_owned(), clean(&value)]);
    }
    trimmed(&table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn trimmed(table: &Table) -> String {
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    // The preset leaves a margin of one space.
    lines
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn limit(value: &view::Entitlement) -> String {
    let window = value
        .time_window
        .as_ref()
        .map(|window| format!(" a {window}"));
    match value.limit.0 {
        Limit::Flag(true) => "allowed".to_owned(),
        Limit::Flag(false) => "refused".to_owned(),
        Limit::Unlimited => "unlimited".to_owned(),
        Limit::Quota(quota) => format!("{quota}{}", window.unwrap_or_default()),
    }
}

impl Shown for view::Tenant {
    const HEADINGS: &[&str] = &["id", "type", "status", "name"];

    fn row(&self, _: Timestamp) -> Vec<String> {
        let (kind, status) = (self.tenant_type.to_string(), self.status.to_string());
        vec![self.tenant_id.to_string(), kind, status, self.name.clone()]
    }

    fn fields(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.tenant_id.to_string()),
            ("type", self.tenant_type.to_string()),
            ("status", self.status.to_string()),
            ("name", self.name.clone()),
            ("operator", or_dash(self.operator.as_ref())),
            ("security level", self.policies.security_level.to_string()),
            (
                "data residency",
                or_dash(self.policies.data_residency.as_ref()),
            ),
            ("time zone", self.time_zone.clone()),
            ("created", when(self.created, now)),
            ("log", format!("epoch {}, {} events", self.epoch, self.seq)),
            ("revision", self.revision.to_string()),
            ("runtimes", self.runtimes.to_string()),
            ("attached runtimes", self.attachments.to_string()),
            ("entitlements", self.entitlements.to_string()),
            ("providers", self.providers.to_string()),
            ("individuals", self.individuals.to_string()),
        ]
    }
}

/// Who is lost for long is held in no memory: the record says it still.
fn liveness(runtime: &view::Runtime) -> Option<Liveness> {
    let live = runtime.live.as_ref().map(|live| live.liveness);
    live.or_else(|| runtime.lost.then_some(Liveness::Lost))
}

impl Shown for view::Runtime {
    const HEADINGS: &[&str] = &["id", "type", "mode", "status", "liveness", "version"];

    fn row(&self, _: Timestamp) -> Vec<String> {
        vec![
            self.runtime_id.to_string(),
            self.runtime_type.to_string(),
            self.deployment_mode.to_string(),
            match self.killed {
                Some(_) => format!("{}, killed", self.status),
                None => self.status.to_string(),
            },
            or_dash(liveness(self).as_ref()),
            or_dash(self.version.as_ref()),
        ]
    }

    fn fields(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("id", self.runtime_id.to_string()),
            ("tenant", self.tenant_id.to_string()),
            ("type", self.runtime_type.to_string()),
            ("mode", self.deployment_mode.to_string()),
            ("status", self.status.to_string()),
            ("version", or_dash(self.version.as_ref())),
            ("capabilities", self.capabilities.join(", ")),
            ("contract", or_dash(self.contract_version.as_ref())),
            ("enrolled", when(self.enrolled, now)),
            (
                "activated",
                self.activated
                    .map_or_else(|| "-".to_owned(), |at| when(at, now)),
            ),
            ("certificate ends", when(self.certificate_not_after, now)),
            ("binding key", self.cnf.clone()),
            ("confirmed revision", self.confirmed_revision.to_string()),
        ];
        fields.extend(killed(self.killed.as_ref(), now));
        fields.extend(self.limits.iter().map(|limit| directed(limit, now)));
        if let Some(copies) = &self.copies {
            let alarm = if copies.stands { "ALARM: " } else { "" };
            let last = when(copies.last, now);
            fields.push(("clones", format!("{alarm}two copies were alive {last}")));
            fields.extend(copies.sightings.iter().map(|copy| {
                let (address, generation) = (&copy.address, copy.generation);
                let came = match copy.serial.as_str() {
                    "" => "asked for a recovery".to_owned(),
                    serial => format!("session {generation}, serial {serial}"),
                };
                let seen = when(copy.seen, now);
                ("copy", format!("{address} {came}, {seen}"))
            }));
        }
        fields.extend(liveness(self).map(|liveness| ("liveness", liveness.to_string())));
        if let Some(live) = &self.live {
            fields.extend([
                ("health", live.health.to_string()),
                (
                    "last heartbeat",
                    live.last_beat
                        .map_or_else(|| "-".to_owned(), |at| when(at, now)),
                ),
                (
                    "connected",
                    if live.connected { "yes" } else { "no" }.to_owned(),
                ),
                ("address", or_dash(live.address.as_ref())),
            ]);
            fields.extend(
                live.metrics
                    .iter()
                    .map(|(name, value)| ("metric", format!("{name} {value}"))),
            );
        }
        fields
    }
}

impl Shown for view::Directives {
    const HEADINGS: &[&str] = &["runtime", "killed", "limits"];

    fn row(&self, _: Timestamp) -> Vec<String> {
        let killed = if self.killed.is_some() { "yes" } else { "no" };
        vec![
            self.runtime_id.to_string(),
            killed.to_owned(),
            self.limits.len().to_string(),
        ]
    }

    fn fields(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut fields = vec![("runtime", self.runtime_id.to_string())];
        fields.extend(killed(self.killed.as_ref(), now));
        fields.extend(self.limits.iter().map(|limit| directed(limit, now)));
        fields
    }
}

fn killed(killed: Option<&view::Killed>, now: Timestamp) -> Option<(&'static str, String)> {
    let killed = killed?;
    Some((
        "KILLED",
        format!("{} {}", when(killed.since, now), killed.reason),
    ))
}

fn directed(limit: &view::DirectedLimit, now: Timestamp) -> (&'static str, String) {
    let most = match limit.limit.0 {
        Limit::Flag(flag) => if flag { "allowed" } else { "refused" }.to_owned(),
        Limit::Unlimited => "unlimited".to_owned(),
        Limit::Quota(quota) => format!("at most {quota}"),
    };
    let until = when(limit.until, now);
    ("limited", format!("{} {most} until {until}", limit.feature))
}

impl Shown for view::Token {
    const HEADINGS: &[&str] = &["id", "type", "mode", "used", "expires", "state"];

    fn row(&self, now: Timestamp) -> Vec<String> {
        let state = if self.revoked {
            "revoked"
        } else if self.expires <= now {
            "expired"
        } else if self.used >= self.uses {
            "used up"
        } else {
            "open"
        };
        let alarm = if self.misused > 0 { ", misused" } else { "" };
        vec![
            self.token_id.to_string(),
            self.runtime_type.to_string(),
            self.deployment_mode.to_string(),
            format!("{}/{}", self.used, self.uses),
            when(self.expires, now),
            format!("{state}{alarm}"),
        ]
    }
}

impl Shown for view::Entitlement {
    const HEADINGS: &[&str] = &["feature", "runtime", "limit", "used", "mode", "until"];

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.feature.clone(),
            self.runtime_id
                .map_or_else(|| "all".to_owned(), |id| id.to_string()),
            limit(self),
            or_dash(self.counted.as_ref().map(|counted| &counted.used)),
            self.mode.to_string(),
            when(self.valid_until, now),
        ]
    }
}

impl Shown for view::Provider {
    const HEADINGS: &[&str] = &["id", "kind", "issuer", "audience", "algorithms", "keys"];

    fn row(&self, _: Timestamp) -> Vec<String> {
        vec![
            self.provider_id.to_string(),
            self.kind.to_string(),
            self.issuer.clone(),
            self.audience.clone(),
            self.algorithms.join(" "),
            self.jwks_url.clone().unwrap_or_else(|| "inline".to_owned()),
        ]
    }
}

impl Shown for view::Attachment {
    const HEADINGS: &[&str] = &["runtime", "operator", "attached"];

    fn row(&self, now: Timestamp) -> Vec<String> {
        let (runtime, operator) = (self.runtime_id.to_string(), self.operator.to_string());
        vec![runtime, operator, when(self.created, now)]
    }
}

impl Shown for view::License {
    const HEADINGS: &[&str] = &[
        "runtime",
        "sequence",
        "issued",
        "ends",
        "grace",
        "signed by",
    ];

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.runtime_id.to_string(),
            format!("{}.{}", self.epoch, self.seq),
            when(self.issued, now),
            when(self.expiry, now),
            span(self.grace_ms),
            self.kid.clone(),
        ]
    }
}

impl Shown for view::Status {
    const HEADINGS: &[&str] = &["install", "version"];

    fn row(&self, _: Timestamp) -> Vec<String> {
        vec![self.install_id.to_string(), self.version.clone()]
    }

    fn fields(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let mut fields = vec![
            ("install", self.install_id.to_string()),
            ("version", self.version.clone()),
            ("region", or_dash(self.region.as_ref())),
            ("started", when(self.started, now)),
            ("store ready", yes(self.store_ready)),
            ("stopping", yes(self.draining)),
            ("runtimes come to", self.runtime_address.clone()),
            ("tenants awake", self.tenants_awake.to_string()),
        ];
        if let Some(disk) = self.disk {
            let words = if disk.low {
                "LOW: alarm below"
            } else {
                "alarm below"
            };
            let text = format!("{} bytes ({words} {})", disk.free_bytes, disk.low_bytes);
            fields.push(("disk free", text));
        }
        for count in self.fleet.iter().filter(|count| count.count > 0) {
            let words = format!("{} {} {}", count.count, count.runtime_type, count.liveness);
            fields.push(("runtimes", words));
        }
        fields
    }
}
