//! The oracle: what was acknowledged, held against what stands in the log.
//!
//! It lives outside the daemon and knows nothing of its inside: it reads the log through the admin
//! API after every restart, and at the end once more from the disk, when no daemon runs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use anyhow::Context as _;
use provost_journal::{Journal, Options, Position};
use serde_json::Value;

use super::{
    kernel::Kernel,
    writer::{Acknowledged, Unknown, What, Write, Wrote},
};

/// What everybody wrote, and what was seen of it.
#[derive(Debug)]
pub(super) struct Books {
    tenants: BTreeMap<String, Ledger>,
    unknown: Vec<Unknown>,
    verdict: Verdict,
}

/// How a run went.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) acknowledged: usize,
    pub(super) unknown: usize,
    pub(super) lost: BTreeSet<String>,
    pub(super) doubled: usize,
    /// Everything that should not be, the lost and the doubled among it.
    pub(super) complaints: Vec<String>,
}

/// One tenant's book.
#[derive(Debug, Default)]
struct Ledger {
    written: HashMap<String, Entry>,
    acknowledged: HashMap<String, Acknowledged>,
    /// Acknowledged, and not yet looked for in the log.
    open: Vec<String>,
    log: Log,
}

/// A write as it was sent.
#[derive(Debug)]
struct Entry {
    write: Write,
    runtime: String,
}

/// What was read of a tenant's log so far.
#[derive(Debug, Default)]
struct Log {
    seq: u64,
    taken: u64,
    /// What stands in it, and what the answer to each must have been.
    found: HashMap<String, Acknowledged>,
}

impl Books {
    pub(super) fn new(tenants: Vec<String>) -> Self {
        let tenants = tenants
            .into_iter()
            .map(|tenant| (tenant, Ledger::default()))
            .collect();
        Self {
            tenants,
            unknown: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.tenants
            .values()
            .map(|ledger| ledger.acknowledged.len())
            .sum()
    }

    /// Enters what a client did.
    pub(super) fn enter(&mut self, wrote: Wrote) {
        let Wrote {
            tenant,
            runtime,
            acknowledged,
            unknown,
            refused,
        } = wrote;
        let ledger = self.tenants.entry(tenant).or_default();
        for (write, answer) in acknowledged {
            let id = write.id.clone();
            ledger.written.insert(
                id.clone(),
                Entry {
                    write,
                    runtime: runtime.clone(),
                },
            );
            ledger.open.push(id.clone());
            ledger.acknowledged.insert(id, answer);
        }
        for write in unknown {
            let entry = Entry {
                write: write.clone(),
                runtime: runtime.clone(),
            };
            ledger.written.insert(write.id.clone(), entry);
            self.verdict.unknown += 1;
            self.unknown.push(Unknown {
                runtime: runtime.clone(),
                write,
            });
        }
        for (write, words) in refused {
            // Nobody here asks for too much: a refusal is a fault, and what was refused may not
            // stand in the log, which it cannot, as nobody is known to have written it.
            self.verdict
                .complaints
                .push(format!("{} was refused: {words}", write.id));
        }
    }

    /// Takes out some of the writes with an unknown outcome, to be asked again.
    pub(super) fn take_unknown(&mut self, mut again: impl FnMut() -> bool) -> Vec<Unknown> {
        // Decided once: what is not taken is never asked again.
        std::mem::take(&mut self.unknown)
            .into_iter()
            .filter(|_| again())
            .collect()
    }

    /// Reads what is new in every log, after a restart.
    pub(super) async fn check(&mut self, kernel: &Kernel) -> anyhow::Result<()> {
        for (tenant, ledger) in &mut self.tenants {
            for event in kernel.log_after(tenant, ledger.log.seq).await? {
                ledger.read(event.get(), &mut self.verdict)?;
            }
            ledger.settle(&mut self.verdict);
            let path = format!("/v1/tenants/{tenant}/entitlements");
            let listed = kernel.get(&path).await?;
            let counted = listed["items"][0]["counted"]["used"].as_u64().unwrap_or(0);
            if counted != ledger.log.taken {
                self.verdict.complaints.push(format!(
                    "tenant {tenant}: the counter says {counted}, the log {}",
                    ledger.log.taken
                ));
            }
        }
        Ok(())
    }

    /// Reads everything once more from the disk; no daemon runs.
    pub(super) fn finish(mut self, data: &Path) -> anyhow::Result<Verdict> {
        for ledger in self.tenants.values_mut() {
            ledger.log = Log::default();
            ledger.open = ledger.acknowledged.keys().cloned().collect();
        }
        let (journal, recovery) = Journal::open(data.join("journal"), Options::default())?;
        if let Some(cut) = recovery.cut {
            self.verdict
                .complaints
                .push(format!("a stopped daemon left a torn end: {cut:?}"));
        }
        let reader = journal.reader();
        for segment in reader.verify_all() {
            segment.context("the journal is damaged")?;
        }
        for record in reader.records_from(Position::START) {
            let (_, record) = record?;
            if let Some(ledger) = self.tenants.get_mut(&record.tenant.to_string()) {
                let text = std::str::from_utf8(&record.payload)?;
                ledger.read(text, &mut self.verdict)?;
            }
        }
        for ledger in self.tenants.values_mut() {
            ledger.settle(&mut self.verdict);
        }
        self.verdict.acknowledged = self.acknowledged();
        Ok(self.verdict)
    }
}

impl Ledger {
    /// Takes in the next event of the log.
    fn read(&mut self, text: &str, verdict: &mut Verdict) -> anyhow::Result<()> {
        let event: Value = serde_json::from_str(text)?;
        let seq = event["seq"].as_u64().context("an event without seq")?;
        if seq != self.log.seq + 1 {
            let before = self.log.seq;
            verdict
                .complaints
                .push(format!("after {before} the log goes on with {seq}"));
        }
        self.log.seq = seq;
        let (id, answer) = match event["kind"].as_str() {
            Some("quota.consumed") => {
                self.log.taken += event["data"]["amount"].as_u64().context("no amount")?;
                let used = event["data"]["used"].as_u64().context("no used")?;
                if used != self.log.taken {
                    let taken = self.log.taken;
                    verdict
                        .complaints
                        .push(format!("seq {seq}: used {used} after {taken}"));
                }
                (
                    &event["idempotency"]["key"],
                    Acknowledged::Consumed { used },
                )
            }
            Some("audit.recorded") => (&event["data"]["event_id"], Acknowledged::Recorded { seq }),
            // A denial would be one too many; everything else is the kernel's own affair.
            Some("quota.denied") => anyhow::bail!("a consumption was denied: {text}"),
            _ => return Ok(()),
        };
        let id = id.as_str().context("an event without its id")?.to_owned();
        match self.written.get(&id) {
            Some(entry) if entry.fits(&event) => {}
            _ => verdict
                .complaints
                .push(format!("nobody wrote this: {text}")),
        }
        if self.log.found.insert(id, answer).is_some() {
            verdict.doubled += 1;
            verdict.complaints.push(format!("doubled: {text}"));
        }
        Ok(())
    }

    /// Holds every acknowledgement that is open against the log as far as it was read.
    fn settle(&mut self, verdict: &mut Verdict) {
        for id in std::mem::take(&mut self.open) {
            let (answer, found) = (self.acknowledged.get(&id), self.log.found.get(&id));
            if answer == found {
                continue;
            }
            if found.is_none() {
                verdict.lost.insert(id.clone());
            }
            verdict
                .complaints
                .push(format!("{id}: answered {answer:?}, the log says {found:?}"));
        }
    }
}

impl Entry {
    /// Whether an event says what was sent, by whom it was sent.
    fn fits(&self, event: &Value) -> bool {
        match &self.write.what {
            What::Consume { amount } => {
                event["data"]["amount"] == *amount && event["data"]["runtime"] == *self.runtime
            }
            What::Audit { body } => serde_json::from_str::<Value>(body)
                .is_ok_and(|sent| sent["event"] == event["data"]["event"]),
        }
    }
}

impl Verdict {
    /// Whether nothing was lost, doubled or otherwise wrong, and something was at stake at all.
    pub(super) fn holds(&self) -> bool {
        self.is_clean() && self.acknowledged > 0
    }

    /// Whether nothing was lost, doubled or otherwise wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.complaints.is_empty() && self.lost.is_empty() && self.doubled == 0
    }

    /// Takes in how another life went.
    pub(super) fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.lost.extend(other.lost);
        self.doubled += other.doubled;
        self.complaints.extend(other.complaints);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ledger() -> Ledger {
        let mut books = Books::new(Vec::new());
        let write = Write {
            id: "one".to_owned(),
            what: What::Consume { amount: 2 },
        };
        books.enter(Wrote {
            tenant: "t".to_owned(),
            runtime: "r".to_owned(),
            acknowledged: vec![(write, Acknowledged::Consumed { used: 2 })],
            unknown: Vec::new(),
            refused: Vec::new(),
        });
        books.tenants.remove("t").unwrap()
    }

    fn consumed(seq: u64, amount: u64, used: u64) -> String {
        json!({
            "seq": seq, "kind": "quota.consumed", "idempotency": {"key": "one"},
            "data": {"amount": amount, "used": used, "runtime": "r"},
        })
        .to_string()
    }

    fn judge(log: &[String]) -> Verdict {
        let (mut ledger, mut verdict) = (ledger(), Verdict::default());
        for event in log {
            ledger.read(event, &mut verdict).unwrap();
        }
        ledger.settle(&mut verdict);
        verdict.acknowledged = ledger.acknowledged.len();
        verdict
    }

    #[test]
    fn a_log_that_holds_what_was_acknowledged_holds() {
        assert!(judge(&[consumed(1, 2, 2)]).holds());
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost() {
        let verdict = judge(&[]);
        assert_eq!((verdict.lost.len(), verdict.holds()), (1, false));
    }

    #[test]
    fn what_is_there_twice_is_doubled() {
        let verdict = judge(&[consumed(1, 2, 2), consumed(2, 2, 4)]);
        assert_eq!((verdict.doubled, verdict.holds()), (1, false));
    }

    #[test]
    fn another_amount_a_wrong_sum_and_a_gap_are_complaints() {
        for log in [
            [consumed(1, 3, 3)],
            [consumed(1, 2, 5)],
            [consumed(2, 2, 2)],
        ] {
            assert!(!judge(&log).holds(), "{log:?}");
        }
    }

    #[test]
    fn a_run_in_which_nothing_was_at_stake_proves_nothing() {
        assert!(!Verdict::default().holds());
    }
}
