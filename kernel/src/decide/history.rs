//! What runtimes hold against a log: ranges that a restore lost, and forks.

use provost_protocol::event::{Event, LogForked, LogRangeLost};

use super::tenant_of;
use crate::{Rejection, State, command::ReportHeld, planted::planted, state::HistoryRecord};

/// Nothing follows where the log continues what the runtime holds. Every lost range is recorded
/// once for each higher end, every fork once, and once more for each runtime only while it was
/// forgotten among many.
pub(super) fn report_held(state: &State, report: &ReportHeld) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let held = report.held;
    if report.own_root == Some(held.root) && held.epoch <= state.epoch() {
        return Ok(Vec::new());
    }
    let history = state.history();
    if let Some(lost) = history.and_then(|history| lost(history, report)) {
        let is_news = history.is_none_or(|history| lost.to_seq > history.lost_to(held.epoch));
        return Ok(is_news.then(|| lost.into()).into_iter().collect());
    }
    let seen = history.is_some_and(|history| history.forks.contains(&held));
    let repeated = state
        .witness(report.runtime)
        .is_some_and(|w| w.fork == held);
    if seen || repeated {
        return Ok(Vec::new());
    }
    Ok(vec![
        LogForked {
            epoch: held.epoch,
            held_size: held.size,
            held_root: held.root,
            own_root: report.own_root,
            runtime_id: report.runtime,
        }
        .into(),
    ])
}

/// What a restore left behind of what the runtime was shown, if that is what happened.
///
/// Of an epoch that the log went through, exactly what came after the restore. Of one that it did
/// not, at least the last event: where that epoch began is not known here.
fn lost(history: &HistoryRecord, report: &ReportHeld) -> Option<LogRangeLost> {
    let held = report.held;
    let restore = history.restore_after(held.epoch)?;
    let beyond = held.size > restore.size;
    let kept = if planted("lost_range_from_held_size") {
        held.size.saturating_sub(1)
    } else {
        restore.size
    };
    (beyond || !history.went_through(held.epoch)).then(|| LogRangeLost {
        old_epoch: held.epoch,
        from_seq: kept.saturating_add(1).min(held.size),
        to_seq: held.size,
        root: held.root,
        runtime_id: report.runtime,
    })
}
