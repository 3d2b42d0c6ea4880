//! How keys, roots and revocations look to people.

use provost_protocol::Timestamp;

use super::super::{table::Shown, when::when};
use crate::admin::view;

impl Shown for view::PublicKey {
    const HEADINGS: &[&str] = &["purpose", "id"];

    fn row(&self, _: Timestamp) -> Vec<String> {
        vec![self.purpose.to_string(), self.kid.clone()]
    }
}

impl Shown for view::Ca {
    const HEADINGS: &[&str] = &["phase", "active root"];

    fn row(&self, _: Timestamp) -> Vec<String> {
        vec![self.phase.clone(), self.active.clone()]
    }

    fn fields(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut fields = vec![("phase", self.phase.clone())];
        fields.extend(self.since.map(|since| ("since", when(since, now))));
        fields.push(("active root", self.active.clone()));
        fields.extend(self.next.clone().map(|next| ("next root", next)));
        fields.extend(self.old.clone().map(|old| ("old root", old)));
        fields.push(("bundle", self.bundle.clone()));
        if let Some(adoption) = self.adoption {
            let of = |part: u64| format!("{part} of {} active", adoption.active);
            fields.push(("confirmed", of(adoption.confirmed)));
            fields.push(("missing", of(adoption.missing)));
            if adoption.delivered > 0 {
                let text = format!(
                    "{} of those speak v0.1 and cannot confirm",
                    adoption.delivered
                );
                fields.push(("", text));
            }
            if adoption.suspended > 0 {
                let text = format!("{} have not confirmed; nothing waits", adoption.suspended);
                fields.push(("suspended", text));
            }
            if self.old.is_some() {
                let left = adoption.old_certificates.to_string();
                fields.push(("old certificates", left));
            }
        }
        fields
    }
}

impl Shown for view::CaRuntime {
    const HEADINGS: &[&str] = &[
        "tenant",
        "runtime",
        "adoption",
        "last seen",
        "certificate ends",
    ];

    fn row(&self, now: Timestamp) -> Vec<String> {
        let never = || if self.lost { "lost" } else { "-" }.to_owned();
        vec![
            self.tenant_id.to_string(),
            self.runtime_id.to_string(),
            self.adoption.clone(),
            self.last_seen.map_or_else(never, |at| when(at, now)),
            when(self.certificate_not_after, now),
        ]
    }
}

impl Shown for view::Revocation {
    const HEADINGS: &[&str] = &["runtimes", "revoked before", "not reached", "certain by"];

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.runtimes.to_string(),
            self.already_revoked.to_string(),
            self.not_reached_count.to_string(),
            self.certain_by
                .map_or_else(|| "now".to_owned(), |at| when(at, now)),
        ]
    }
}

impl Shown for view::NotReached {
    const HEADINGS: &[&str] = &["not reached", "last seen", "certain by"];

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.runtime_id.to_string(),
            self.last_seen
                .map_or_else(|| "-".to_owned(), |at| when(at, now)),
            when(self.certain_by, now),
        ]
    }
}

impl Shown for view::RuntimeRevoked {
    const HEADINGS: &[&str] = view::Runtime::HEADINGS;

    fn row(&self, now: Timestamp) -> Vec<String> {
        self.runtime.row(now)
    }

    fn fields(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut fields = self.runtime.fields(now);
        let told = match self.revocation.certain_by {
            None => "told, for it was connected".to_owned(),
            Some(at) => format!("not told; certain by {}", when(at, now)),
        };
        fields.push(("revocation", told));
        fields
    }
}
