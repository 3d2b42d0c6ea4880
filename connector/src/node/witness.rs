//! Watches the tenant's log: asks where it ends, holds the kernel to what it said before.

use std::{sync::Arc, time::Duration};

use provost_protocol::{
    Code, Problem,
    wire::{CheckpointAnswer, Operation, Outcome},
};
use serde_json::json;
use tokio::{sync::watch, time::sleep};
use tracing::{debug, error, info, warn};

use super::{Node, blocking, disk};
use crate::{
    clock::up_to,
    durable::DurableError,
    event::LOG_FORKED,
    evidence::{Fork, Held, Judged, KERNEL_SAYS},
    link::LinkState,
};

/// Asks after every Welcome and then from time to time; ends with the link's task.
pub(crate) async fn witness(node: Arc<Node>, mut link: watch::Receiver<LinkState>) {
    loop {
        if link.wait_for(LinkState::is_up).await.is_err() {
            return;
        }
        let session = link.borrow_and_update().clone();
        let rest = node.ask_checkpoint().await;
        let another = |state: &LinkState| state.is_up() && *state != session;
        tokio::select! {
            () = sleep(rest) => {}
            renewed = link.wait_for(another) => if renewed.is_err() { return },
        }
    }
}

impl Node {
    /// Asks where the log ends; answers how long to rest.
    async fn ask_checkpoint(&self) -> Duration {
        let held = self.core.evidence.highest();
        let operation = Operation::Checkpoint {
            held: held.as_ref().map(Held::to_wire),
        };
        let own = self.core.me.tenant;
        let every = ASK_EVERY + up_to(ASK_SPREAD);
        match self.link.call(own, self.correlation(), operation).await {
            Ok(Outcome::Checkpoint(answer)) => self.shown(held, answer).await,
            Ok(Outcome::Refused(problem)) if problem.code == Code::LogForked => {
                self.forked(held, KERNEL_SAYS, None).await;
            }
            Ok(Outcome::Refused(problem)) => {
                info!(code = %problem.code, detail = %problem.detail, "no checkpoint is given");
                let wait = problem.retry_after_ms.map(Duration::from_millis);
                return wait.map_or(every, |wait| wait.min(ASK_EVERY) + up_to(ASK_SPREAD));
            }
            Ok(_) => warn!("the kernel answered something else than a checkpoint"),
            Err(failure) => {
                debug!(%failure, "the log's checkpoint could not be asked for");
                return ASK_AGAIN + up_to(ASK_AGAIN);
            }
        }
        every
    }

    async fn shown(&self, held: Option<Held>, answer: CheckpointAnswer) {
        let checkpoint = match self.core.evidence.judge(held.as_ref(), &answer) {
            Ok(Judged::Continues(checkpoint)) => checkpoint,
            Ok(Judged::Lost(checkpoint)) => {
                let before = held.as_ref().map_or(0, |held| held.size);
                warn!(
                    log.epoch = answer.epoch,
                    held.size = before,
                    size = checkpoint.size,
                    "the kernel was restored from a backup, and the log lost events it had shown"
                );
                checkpoint
            }
            Ok(Judged::Forked(why)) => return self.forked(held, why, Some(answer.note)).await,
            Err(failure) => {
                let failure = &failure as &dyn std::error::Error;
                return error!(error = failure, "the kernel's checkpoint is not believed");
            }
        };
        let (core, at) = (Arc::clone(&self.core), self.core.floor.local());
        let size = checkpoint.size;
        let keep = move || core.evidence.keep(&answer, &checkpoint, at);
        match written(blocking(keep).await) {
            Ok(()) => debug!(size, "a checkpoint of the log is kept"),
            Err(problem) => error!(code = %problem.code, "a checkpoint of the log is not kept"),
        }
    }

    /// Raises the alarm once for each checkpoint that is contradicted. The event first: whoever
    /// dies in between raises it twice, not never.
    async fn forked(&self, held: Option<Held>, why: &'static str, shown: Option<String>) {
        let Some(held) = held else {
            return warn!("the kernel says that the log forked, before it was seen here");
        };
        error!(
            log.epoch = held.epoch,
            held.size = held.size,
            why,
            "ALARM: the log forked; the checkpoint held stays"
        );
        if self.core.evidence.knows_fork(&held) {
            return;
        }
        let (own, correlation) = (self.core.me.tenant, self.correlation());
        let payload = json!({
            "epoch": held.epoch, "held_size": held.size, "held_root": held.root,
            "held": held.note, "shown": shown, "why": why,
        });
        if let Err(problem) = self.report(LOG_FORKED, own, correlation, &payload).await {
            return error!(code = %problem.code, "the fork of the log is not reported yet");
        }
        let fork = Fork {
            at: self.core.floor.local(),
            held_epoch: held.epoch,
            held_size: held.size,
            why: why.to_owned(),
            shown,
        };
        let core = Arc::clone(&self.core);
        if let Err(problem) = written(blocking(move || core.evidence.keep_fork(fork)).await) {
            error!(code = %problem.code, "the fork of the log is not kept yet");
        }
    }
}

fn written(done: Result<Result<(), DurableError>, Problem>) -> Result<(), Problem> {
    done?.map_err(|failure| disk(&failure))
}

/// As often as the kernel gives one to a runtime, and never sooner.
const ASK_EVERY: Duration = Duration::from_secs(600);

/// A fleet that was connected at once does not ask at once for ever.
const ASK_SPREAD: Duration = Duration::from_secs(60);

/// The link was lost meanwhile: its next session is what is waited for.
const ASK_AGAIN: Duration = Duration::from_secs(30);
