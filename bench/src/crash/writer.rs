//! One client: writes one thing after the other until the connection breaks.

use rand::{Rng as _, RngExt as _, rngs::StdRng};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{
    fleet::{FEATURE, Member},
    kernel::Kernel,
};
use crate::now;

/// Something that may happen once. Its id is an idempotency key or the id of an audit event.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) id: String,
    pub(crate) what: What,
}

/// What is written.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Takes units from the quota.
    Consume { amount: u64 },
    /// Reports an audit event: its body, to be repeated byte for byte.
    Audit { body: String },
}

/// A write of which nobody knows whether it happened.
#[derive(Debug, Clone)]
pub(crate) struct Unknown {
    pub(crate) runtime: String,
    pub(crate) write: Write,
}

/// What the kernel answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// Taken, and so much is taken in all.
    Consumed { used: u64 },
    /// Stands at this place of the log.
    Recorded { seq: u64 },
}

/// What a client did in one round.
#[derive(Debug)]
pub(crate) struct Wrote {
    pub(crate) tenant: String,
    pub(crate) runtime: String,
    pub(crate) acknowledged: Vec<(Write, Acknowledged)>,
    pub(crate) unknown: Vec<Write>,
    /// Answers that are no acknowledgement, in the kernel's words.
    pub(crate) refused: Vec<(Write, String)>,
}

/// One client in one round.
#[derive(Debug)]
pub(crate) struct Writer {
    member: Member,
    client: Client,
    kernel: Kernel,
    again: Vec<Unknown>,
    random: StdRng,
}

impl Writer {
    pub(crate) const fn new(
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
    pub(crate) async fn run(mut self) -> Wrote {
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

    /// Reports one audit event and waits until it is durable.
    pub(crate) async fn record(mut self) -> anyhow::Result<()> {
        let write = self.audit();
        let answer = self.send(&write).await?;
        answer.map_err(anyhow::Error::msg)?;
        Ok(())
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
        if self.random.random() {
            return self.audit();
        }
        let what = What::Consume {
            amount: self.random.random_range(1..=3),
        };
        Write {
            id: self.id(),
            what,
        }
    }

    fn audit(&mut self) -> Write {
        let id = self.id();
        let event = json!({
            "event_id": id, "tenant_id": self.member.tenant,
            "runtime_id": self.member.runtime, "actor_type": "runtime",
            "actor_id": "bench", "type": "bench.written", "timestamp": now().to_string(),
            "correlation_id": self.id(), "payload": {"n": self.random.random::<u32>()},
        });
        let what = What::Audit {
            body: json!({ "event": event }).to_string(),
        };
        Write { id, what }
    }

    fn id(&mut self) -> String {
        let mut bytes = [0; 10];
        self.random.fill_bytes(&mut bytes);
        let millis = u64::try_from(now().as_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes)
            .into_uuid()
            .to_string()
    }
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
