//! Takes events to the kernel: a window at a time, a batch per tenant, in order.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use provost_journal::{Position, ReadError, Record};
use provost_protocol::{Code, Problem, TenantId, Timestamp};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::{Cursor, Spool, cost, dead::DeadError, portion::Portion};
use crate::durable::DurableError;

/// Who takes a batch to the kernel.
pub(crate) trait Courier: Send + Sync {
    /// Sends events of one tenant, in order; says what came of it.
    fn send(
        &self,
        tenant: TenantId,
        events: Vec<Vec<u8>>,
    ) -> impl Future<Output = Delivered> + Send;

    /// Waits until the kernel can be reached.
    fn ready(&self) -> impl Future<Output = ()> + Send;

    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// All of it is recorded.
    Recorded,
    /// The kernel refuses it.
    Refused(Problem),
    /// It may or may not be recorded: it is sent again.
    Unknown,
}

/// Why a window was not finished: it is begun again.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("the kernel did not take it: {0:?}")]
    Later(Option<Code>),
    #[error("the spool cannot be read")]
    Read(#[source] ReadError),
    #[error("the place cannot be kept")]
    Cursor(#[from] DurableError),
    #[error("a refused event cannot be set aside")]
    Dead(#[from] DeadError),
    #[error("the reading was given up")]
    Gone,
}

type Waiting = (Position, Record);

/// Delivers what is spooled, for ever. Dropping the future stops it at any moment, harmlessly.
pub(crate) async fn deliver(spool: Arc<Spool>, courier: impl Courier) {
    let (mut backoff, mut portion) = (BACKOFF_MIN, Portion::default());
    loop {
        let arrived = spool.arrived.notified();
        courier.ready().await;
        let began = Instant::now();
        match window(&spool, &courier, portion.bytes()).await {
            Ok(0) => {
                backoff = BACKOFF_MIN;
                // Events come with a notice; the limit is against one that was missed.
                drop(tokio::time::timeout(IDLE_MAX, arrived).await);
            }
            Ok(_) => {
                backoff = BACKOFF_MIN;
                portion.answered(began.elapsed());
            }
            Err(Interrupted::Later(code)) => {
                debug!(?code, "the kernel takes no events now");
                if code.is_none() {
                    portion.unanswered();
                }
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
            Err(failure) => {
                error!(
                    error = &failure as &dyn std::error::Error,
                    "delivery is held up"
                );
                tokio::time::sleep(BACKOFF_MAX).await;
            }
        }
    }
}

/// Delivers one window whole; says how many events it held.
async fn window(
    spool: &Arc<Spool>,
    courier: &impl Courier,
    bytes_max: usize,
) -> Result<u64, Interrupted> {
    let reading = Arc::clone(spool);
    let waiting = tokio::task::spawn_blocking(move || read(&reading, bytes_max))
        .await
        .map_err(|_| Interrupted::Gone)??;
    let Some((position, last)) = waiting.last() else {
        return Ok(0);
    };
    let to = Cursor::after(last.seq, *position);
    let count = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
    let bytes = waiting
        .iter()
        .map(|(_, record)| cost(record.payload.len()))
        .sum();
    let mut tenants: BTreeMap<TenantId, Vec<Record>> = BTreeMap::new();
    for (_, record) in waiting {
        tenants.entry(record.tenant).or_default().push(record);
    }
    for (tenant, records) in tenants {
        batch(spool, courier, tenant, records).await?;
    }
    let keeping = Arc::clone(spool);
    tokio::task::spawn_blocking(move || keeping.cursor.advance(to))
        .await
        .map_err(|_| Interrupted::Gone)??;
    spool.depth.sub(count, bytes);
    spool.writer.forget_before(to.segment);
    Ok(count)
}

fn read(spool: &Spool, bytes_max: usize) -> Result<Vec<Waiting>, Interrupted> {
    let mut window = Vec::new();
    let mut bytes = 0;
    for record in spool.reader.records_from(spool.cursor.get().position()) {
        let (position, record) = record.map_err(Interrupted::Read)?;
        bytes += record.payload.len() + EVENT_OVERHEAD_BYTES;
        if !window.is_empty() && bytes > bytes_max {
            break;
        }
        window.push((position, record));
        if window.len() == BATCH_EVENTS_MAX {
            break;
        }
    }
    Ok(window)
}

/// Sends a batch; of a refused one, each half, until the one event that is to blame stands alone.
async fn batch(
    spool: &Spool,
    courier: &impl Courier,
    tenant: TenantId,
    records: Vec<Record>,
) -> Result<(), Interrupted> {
    // The first half lies on top: order is kept.
    let mut open = vec![records];
    while let Some(mut part) = open.pop() {
        let events = part.iter().map(|record| record.payload.to_vec()).collect();
        let problem = match courier.send(tenant, events).await {
            Delivered::Recorded => continue,
            Delivered::Unknown => return Err(Interrupted::Later(None)),
            Delivered::Refused(problem) if passes(&problem) => {
                return Err(Interrupted::Later(Some(problem.code)));
            }
            Delivered::Refused(problem) => problem,
        };
        if let [one] = part.as_slice() {
            warn!(tenant.id = %tenant, spool.number = one.seq, code = %problem.code,
                detail = %problem.detail, "the kernel refuses an event: it is set aside");
            spool
                .dead
                .add(one.seq, tenant, &one.payload, &problem, courier.now())?;
            continue;
        }
        let later = part.split_off(part.len() / 2);
        open.push(later);
        open.push(part);
    }
    Ok(())
}

/// Whether the same batch may go through later: then nothing in it is to blame.
fn passes(problem: &Problem) -> bool {
    problem.status >= 500
        || problem.status == 429
        || matches!(
            problem.code,
            Code::RuntimeRevoked
                | Code::CertificateRefused
                | Code::CertificateRequired
                | Code::OutcomeUnknown
        )
}

/// The contract's limit of one call.
const BATCH_EVENTS_MAX: usize = 1_000;

/// The length field of an event on the wire, generously.
const EVENT_OVERHEAD_BYTES: usize = 16;

/// An overloaded kernel says so within milliseconds and recovers within seconds.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Without any notice the spool is looked at so often.
const IDLE_MAX: Duration = Duration::from_secs(30);
