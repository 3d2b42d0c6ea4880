//! One client: writes one thing after the other until the connection breaks.

use provost_protocol::Timestamp;
use rand::{Rng as _, RngExt as _, rngs::StdRng};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{
    fleet::{FEATURE, Member},
    kernel::Kernel,
};

/// Something that may happen once. Its id is an idempotency key or the id of an audit event.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) id: String,
    pub(super) what: What,
}

/// What is written.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// Takes units from the quota.
    Consume { amount: u64 },
    /// Reports an audit event: its body, to be repeated byte for byte.
    Audit { body: String },
}

/// A write of which nobody knows whether it happened.
#[derive(Debug, Clone)]
pub(super) struct Unknown {
    pub(super) runtime: String,
    pub(super) write: Write,
}

/// What the kernel answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// Taken, and so much is taken in all.
    Consumed { used: u64 },
    /// Stands at this place of the log.
    Recorded { seq: u64 },
}

/// What a client did in one round.
#[derive(Debug)]
pub(super) struct Wrote {
    pub(super) tenant: String,
    pub(super) runtime: String,
    pub(super) acknowledged: Vec<(Write, Acknowledged)>,
    pub(super) unknown: Vec<Write>,
    /// Answers that are no acknowledgement, in the kernel's words.
    pub(super) refused: Vec<(Write, String)>,
}

/// One client in one round.
#[derive(Debug)]
pub(super) struct Writer {
    member: Member,
    client: Client,
    kernel: Kernel,
    again: Vec<Unknown>,
    random: StdRng,
}

impl Writer {
    pub(super) const fn new(
        member: Member,
        client: Client,
        kernel: Kernel,
        again: Vec<Unknown>,
        random: StdRng,
    ) -> Self {
        Self {
            member,
            client,
            kernel,
            again,
            random,
        }
    }

    /// Writes until the kernel is gone.
    pub(super) async fn run(mut self) -> Wrote {
        let mut wrote = Wrote {
            tenant: self.member.tenant.clone(),
            runtime: self.member.runtime.clone(),
            acknowledged: Vec::new(),
            unknown: Vec::new(),
            refused: Vec::new(),
        };
        let mut again = std::mem::take(&mut self.again).into_iter();
        loop {
            let next = again.next();
            let write = next.map_or_else(|| self.fresh(), |unknown| unknown.write);
            match self.send(&write).await {
                Ok(Ok(acknowledged)) => wrote.acknowledged.push((write, acknowledged)),
                Ok(Err(refusal)) => wrote.refused.push((write, refusal)),
                Err(_) => {
                    wrote.unknown.push(write);
                    wrote.unknown.extend(again.map(|unknown| unknown.write));
                    return wrote;
                }
            }
        }
    }

    /// Sends a write; an error leaves its outcome unknown.
    async fn send(&self, write: &Write) -> reqwest::Result<Result<Acknowledged, String>> {
        let request = match &write.what {
            What::Consume { amount } => self
                .client
                .post(self.kernel.url("/kernel/entitlements/check"))
                .header("Idempotency-Key", &write.id)
                .json(&json!({
                    "tenant_id": self.member.tenant, "runtime_id": self.member.runtime,
                    "feature": FEATURE, "context": {"consume": amount},
                })),
            What::Audit { body } => self
                .client
                .post(self.kernel.url("/kernel/audit/events"))
                .header("Content-Type", "application/json")
                .body(body.clone()),
        };
        let answer = self.member.signed(request).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok(understand(write, status, &text).ok_or_else(|| format!("{status}: {text}")))
    }

    fn fresh(&mut self) -> Write {
        let id = self.id();
        let what = if self.random.random() {
            What::Consume {
                amount: self.random.random_range(1..=3),
            }
        } else {
            let event = json!({
                "event_id": id, "tenant_id": self.member.tenant,
                "runtime_id": self.member.runtime, "actor_type": "runtime",
                "actor_id": "bench", "type": "bench.written", "timestamp": Timestamp::EPOCH.plus_millis(now_ms()).to_string(),
                "correlation_id": self.id(), "payload": {"n": self.random.random::<u32>()},
            });
            What::Audit {
                body: json!({ "event": event }).to_string(),
            }
        };
        Write { id, what }
    }

    fn id(&mut self) -> String {
        let mut bytes = [0; 10];
        self.random.fill_bytes(&mut bytes);
        uuid::Builder::from_unix_timestamp_millis(now_ms(), &bytes)
            .into_uuid()
            .to_string()
    }
}

fn now_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What an answer acknowledges, if it does.
fn understand(write: &Write, status: StatusCode, text: &str) -> Option<Acknowledged> {
    let json: Value = serde_json::from_str(text).ok()?;
    match write.what {
        What::Consume { .. } => (status == StatusCode::OK && json["allowed"] == true)
            .then(|| json["limits"]["used"].as_u64())
            .flatten()
            .map(|used| Acknowledged::Consumed { used }),
        What::Audit { .. } => (status == StatusCode::ACCEPTED && json["event_id"] == write.id)
            .then(|| json["seq"].as_u64())
            .flatten()
            .map(|seq| Acknowledged::Recorded { seq }),
    }
}
