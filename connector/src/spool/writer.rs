//! The thread that owns the spool's journal: one group of everything that waits.
//!
//! The journal's own group writer keeps the journal to itself; a spool must also let delivered
//! segments go, so it has a thread of its own.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use provost_journal::{
    AppendError, GROUP_BYTES_MAX, GROUP_RECORDS_MAX, Journal, PAYLOAD_BYTES_MAX, Record,
};
use tokio::sync::{oneshot, watch};
use tracing::{error, warn};

use super::SpoolRefusal;
use crate::event::SpoolEvent;

type Reply = oneshot::Sender<Result<Vec<u64>, SpoolRefusal>>;

enum Order {
    Append(Vec<SpoolEvent>, Reply),
    Forget(u64),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct Writer {
    orders: SyncSender<Order>,
    failed: watch::Receiver<bool>,
}

impl Writer {
    pub(super) fn start(journal: Journal, next: u64) -> io::Result<Self> {
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let (failing, failed) = watch::channel(false);
        let work = Work {
            journal,
            next,
            inbox,
            failing,
            seal_failed: false,
        };
        thread::Builder::new()
            .name("spool-writer".to_owned())
            .spawn(move || work.run())?;
        Ok(Self { orders, failed })
    }

    pub(super) async fn append(&self, events: Vec<SpoolEvent>) -> Result<Vec<u64>, SpoolRefusal> {
        if events
            .iter()
            .any(|event| event.json.len() > PAYLOAD_BYTES_MAX)
            || events.len() > GROUP_RECORDS_MAX
        {
            return Err(SpoolRefusal::TooLarge);
        }
        let (reply, answer) = oneshot::channel();
        self.orders
            .try_send(Order::Append(events, reply))
            .map_err(|error| match error {
                TrySendError::Full(_) => SpoolRefusal::Busy,
                TrySendError::Disconnected(_) => SpoolRefusal::Disk,
            })?;
        // The thread answers every order or drops it when it ends; the disk has no deadline.
        answer.await.unwrap_or(Err(SpoolRefusal::Disk))
    }

    /// Lets segments before `segment` go. It is asked again with the next delivery.
    pub(super) fn forget_before(&self, segment: u64) {
        drop(self.orders.try_send(Order::Forget(segment)));
    }

    pub(super) fn failed(&self) -> watch::Receiver<bool> {
        self.failed.clone()
    }

    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.orders.try_send(Order::Close(done)).is_ok() {
            drop(tokio::time::timeout(CLOSE_PATIENCE, closed).await);
        }
    }
}

struct Work {
    journal: Journal,
    next: u64,
    inbox: Receiver<Order>,
    failing: watch::Sender<bool>,
    seal_failed: bool,
}

impl Work {
    fn run(mut self) {
        let closing = match self.serve() {
            Ok(closing) => closing,
            Err(failure) => {
                error!(
                    error = &failure as &dyn std::error::Error,
                    "the spool's journal failed"
                );
                self.failing.send_replace(true);
                None
            }
        };
        // The folder's lock goes with the journal, before anybody hears that it is closed.
        drop(self.journal);
        if let Some(done) = closing {
            // Whoever waited may have lost patience.
            let _ = done.send(());
        }
    }

    fn serve(&mut self) -> Result<Option<oneshot::Sender<()>>, AppendError> {
        let mut held = None;
        loop {
            let due = self.journal.needs_seal() && !self.seal_failed;
            let order = match held.take() {
                Some(order) => Ok(order),
                None if due => self.inbox.recv_timeout(SEAL_AFTER),
                None => self
                    .inbox
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Append(events, reply)) => held = self.commit(events, reply)?,
                Ok(Order::Forget(segment)) => match self.journal.forget_before(segment) {
                    Ok(_) => {}
                    Err(error @ AppendError::Write(_)) => {
                        warn!(%error, "delivered segments stay for now");
                    }
                    Err(error) => return Err(error),
                },
                Ok(Order::Close(done)) => {
                    self.seal()?;
                    return Ok(Some(done));
                }
                Err(RecvTimeoutError::Timeout) => self.seal()?,
                Err(RecvTimeoutError::Disconnected) => {
                    self.seal()?;
                    return Ok(None);
                }
            }
        }
    }

    /// Writes one group of what waits; gives back the order that did not fit in it.
    fn commit(
        &mut self,
        events: Vec<SpoolEvent>,
        reply: Reply,
    ) -> Result<Option<Order>, AppendError> {
        let mut left = None;
        let mut bytes = bytes_of(&events);
        let mut replies = vec![(reply, events.len())];
        let mut group = events;
        while let Ok(order) = self.inbox.try_recv() {
            match order {
                Order::Append(more, reply)
                    if group.len() + more.len() <= GROUP_RECORDS_MAX
                        && bytes + bytes_of(&more) <= GROUP_BYTES_MAX =>
                {
                    bytes += bytes_of(&more);
                    replies.push((reply, more.len()));
                    group.extend(more);
                }
                other => {
                    left = Some(other);
                    break;
                }
            }
        }
        let first = self.next;
        let records: Vec<_> = (first..)
            .zip(&group)
            .map(|(number, event)| Record::new(event.tenant, number, event.json.as_bytes()))
            .collect();
        let refusal = match self.journal.append(&records) {
            Ok(_) => {
                self.seal_failed = false;
                self.next += u64::try_from(records.len()).unwrap_or(u64::MAX);
                let mut numbers = first..;
                for (reply, count) in replies {
                    drop(reply.send(Ok(numbers.by_ref().take(count).collect())));
                }
                return Ok(left);
            }
            Err(AppendError::NearlyFull { free, min }) => {
                warn!(
                    disk.free_bytes = free,
                    disk.min_bytes = min,
                    "nothing more is spooled"
                );
                SpoolRefusal::Disk
            }
            Err(AppendError::Write(error)) => {
                warn!(%error, "events were not spooled");
                SpoolRefusal::Disk
            }
            Err(AppendError::TooLarge { .. } | AppendError::PayloadTooLarge { .. }) => {
                SpoolRefusal::TooLarge
            }
            Err(error) => return Err(error),
        };
        for (reply, _) in replies {
            drop(reply.send(Err(refusal)));
        }
        Ok(left)
    }

    fn seal(&mut self) -> Result<(), AppendError> {
        if !self.journal.needs_seal() {
            return Ok(());
        }
        match self.journal.seal() {
            Err(AppendError::Write(error)) => {
                warn!(%error, "no seal could be written");
                self.seal_failed = true;
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

fn bytes_of(events: &[SpoolEvent]) -> usize {
    events
        .iter()
        .map(|event| event.json.len() + RECORD_HEADER_BYTES)
        .sum()
}

/// A generous guess of the journal's header of a record: only fullness of a group depends on it.
const RECORD_HEADER_BYTES: usize = 64;

/// As many calls of the local API as may be under way at once.
const ORDERS_MAX: usize = 512;

/// As the kernel's journal does: long enough to be idle, short enough to be sealed at a crash.
const SEAL_AFTER: Duration = Duration::from_millis(10);

/// One group on a slow disk.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
