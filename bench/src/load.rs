//! The clients: one process of them asks one server over many connections, and verifies every
//! answer: its number, and that allowed is who should be.
//!
//! What a client does for an answer is the same before the kernel and before a floor: a question
//! is written once and gets its number patched in; an answer that equals the last good one to the
//! same question but for the number is good, and any other is decoded and judged.

mod frames;
mod https;
mod question;
pub(crate) mod wire;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use self::frames::FrameLine;
pub(crate) use self::https::HttpLine;
use crate::{
    worker::{Orders, answer},
    world::World,
};

/// Whom to ask, what, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The world's folder.
    pub(crate) world: PathBuf,
    pub(crate) addr: SocketAddr,
    /// Who vouches for the server.
    pub(crate) trust_pem: String,
    pub(crate) server: Server,
    /// A connection for each of these members.
    pub(crate) members: Vec<usize>,
    pub(crate) in_flight: usize,
    /// Whether to be told to come back later is an answer too.
    pub(crate) patient: bool,
    /// How long a connection rests between an answer and its next question.
    pub(crate) rest_us: u64,
}

/// What is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Server {
    /// The kernel, asked for checks over frames.
    Checks,
    /// The kernel, asked for heartbeats over frames.
    Beats,
    /// The kernel, asked for checks over HTTPS.
    Https,
    /// The kernel, asked for licenses over frames.
    Licenses,
    /// A floor that sends back so many bytes of what it was sent, checks or beats.
    Echo { answer_bytes: usize, beats: bool },
    /// A floor that decodes checks and encodes a ready verdict.
    Codec,
    /// A floor that answers checks over HTTPS with ready JSON.
    Handler,
}

/// What a client is told to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Ask for so long; times are kept in the book of that number.
    Run { ms: u64, book: usize },
    /// Connect anew, the connections spread over the threads in another way for each number.
    Dial { number: u64 },
    /// Say what stands in the book of that number.
    Tell { book: usize },
}

/// All connections stand and were tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Length of a typical answer, with what frames it.
    pub(crate) answer_bytes: usize,
    /// A typical answer, where it is text.
    pub(crate) sample: String,
}

/// What a run gave.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) answers: u64,
    /// Of them, those that said to come back later.
    pub(crate) refused: u64,
    pub(crate) took_us: u64,
}

/// What stands in a book, in microseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) max_us: u32,
}

/// One connection that asks.
#[derive(Debug)]
enum Line {
    Frames(Box<FrameLine>),
    Http(Box<HttpLine>),
}

/// Runs such a process until it is told to end.
///
/// # Errors
/// A wrong answer, or whatever kept it from asking.
pub(crate) fn serve() -> anyhow::Result<ExitCode> {
    provost::limits::raise_open_files()?;
    let mut orders = Orders::open();
    let spec: Spec = orders.next()?.context("no spec")?;
    let world = Arc::new(World::read(&spec.world)?);
    let count = thread::available_parallelism()?
        .get()
        .min(spec.members.len());
    let mut threads = Vec::new();
    for _ in 0..count {
        threads.push(Thread::start(spec.clone(), Arc::clone(&world))?);
    }
    answer(&dial(&threads, &spec.members)?)?;
    let mut books = [const { Vec::new() }; BOOKS];
    while let Some(order) = orders.next()? {
        match order {
            Order::Run { ms, book } => {
                let until = Instant::now() + Duration::from_millis(ms);
                for thread in &threads {
                    thread.tell(Work::Run(until))?;
                }
                let mut all = Ran::default();
                for thread in &threads {
                    let (ran, times) = thread.runs.recv().context("a client's thread ended")??;
                    all.answers += ran.answers;
                    all.refused += ran.refused;
                    all.took_us = all.took_us.max(ran.took_us);
                    let book: &mut Vec<u32> = books.get_mut(book).context("no such book")?;
                    book.extend(times);
                }
                answer(&all)?;
            }
            Order::Dial { number } => {
                let mut members = spec.members.clone();
                members.shuffle(&mut StdRng::seed_from_u64(number));
                answer(&dial(&threads, &members)?)?;
            }
            Order::Tell { book } => {
                answer(&Book::of(books.get_mut(book).context("no such book")?))?
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Connects them all, each thread a share.
fn dial(threads: &[Thread], members: &[usize]) -> anyhow::Result<Ready> {
    for (number, thread) in threads.iter().enumerate() {
        let mine = members.iter().skip(number).step_by(threads.len());
        thread.tell(Work::Dial(mine.copied().collect()))?;
    }
    let mut ready = Vec::new();
    for thread in threads {
        ready.push(thread.ready.recv().context("a client's thread ended")??);
    }
    ready.into_iter().next().context("nobody to ask")
}

impl Book {
    /// Sorts the times.
    pub(crate) fn of(times: &mut [u32]) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(place).copied().unwrap_or(0)
        };
        Self {
            p50_us: at(50),
            p99_us: at(99),
            max_us: at(100),
        }
    }
}

/// What a thread says of a run: the sums and the times of its answers.
type Told = anyhow::Result<(Ran, Vec<u32>)>;

/// One of the client's threads, with its share of the connections.
struct Thread {
    ready: Receiver<anyhow::Result<Ready>>,
    work: SyncSender<Work>,
    runs: Receiver<Told>,
}

/// What a thread is told to do.
enum Work {
    /// Leave what it is connected to, and connect these members.
    Dial(Vec<usize>),
    /// Ask until then.
    Run(Instant),
}

impl Thread {
    fn start(spec: Spec, world: Arc<World>) -> anyhow::Result<Self> {
        let (readied, ready) = sync_channel(1);
        let (work, told) = sync_channel(1);
        let (ran, runs) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::spawn(move || {
            let mut lines = Vec::new();
            while let Ok(work) = told.recv() {
                let heard = match work {
                    Work::Dial(members) => {
                        lines.clear();
                        let opened = runtime.block_on(open(&spec, &world, &members));
                        let said = opened.and_then(|opened| {
                            lines = opened;
                            lines.first().map(Line::ready).context("no connection")
                        });
                        readied.send(said).is_ok()
                    }
                    Work::Run(until) => ran.send(runtime.block_on(run(&mut lines, until))).is_ok(),
                };
                if !heard {
                    return;
                }
            }
        });
        Ok(Self { ready, work, runs })
    }

    fn tell(&self, work: Work) -> anyhow::Result<()> {
        self.work.send(work).ok().context("a client's thread ended")
    }
}

async fn open(spec: &Spec, world: &World, members: &[usize]) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(members.len());
    for number in members {
        let member = world.members.get(*number).context("no such member")?;
        let line = match spec.server {
            Server::Https | Server::Handler => {
                Line::Http(Box::new(HttpLine::open(spec, world, member).await?))
            }
            Server::Checks
            | Server::Beats
            | Server::Licenses
            | Server::Echo { .. }
            | Server::Codec => Line::Frames(Box::new(FrameLine::open(spec, world, member).await?)),
        };
        lines.push(line);
    }
    Ok(lines)
}

async fn run(lines: &mut Vec<Line>, until: Instant) -> Told {
    // Whatever else is due is done before the clock runs.
    for line in lines.iter_mut() {
        line.prepare().await?;
    }
    let begun = Instant::now();
    let mut asking = JoinSet::new();
    for mut line in lines.drain(..) {
        asking.spawn(async move { line.run(until).await.map(|ran| (line, ran)) });
    }
    let (mut sum, mut times) = (Ran::default(), Vec::new());
    while let Some(asked) = asking.join_next().await {
        let (mut line, ran) = asked.context("a client panicked")??;
        sum.answers += ran.answers;
        sum.refused += ran.refused;
        times.append(line.times());
        lines.push(line);
    }
    sum.took_us = u64::try_from(begun.elapsed().as_micros())?;
    Ok((sum, times))
}

impl Line {
    fn ready(&self) -> Ready {
        match self {
            Self::Frames(line) => line.ready(),
            Self::Http(line) => line.ready(),
        }
    }

    async fn prepare(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Frames(line) => line.prepare().await,
            Self::Http(_) => Ok(()),
        }
    }

    async fn run(&mut self, until: Instant) -> anyhow::Result<Ran> {
        match self {
            Self::Frames(line) => line.run(until).await,
            Self::Http(line) => line.run(until).await,
        }
    }

    fn times(&mut self) -> &mut Vec<u32> {
        match self {
            Self::Frames(line) => &mut line.times,
            Self::Http(line) => &mut line.times,
        }
    }
}

/// Microseconds since a moment, for a book.
fn micros_since(begun: Instant) -> u32 {
    u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX)
}

/// Alone, beside others, and what counts for nothing; one more for who needs it.
const BOOKS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_knows_its_middle_its_99th_and_its_last() {
        let book = Book::of(&mut (1..=200).rev().collect::<Vec<u32>>());
        assert_eq!((book.p50_us, book.p99_us, book.max_us), (100, 198, 200));
        assert_eq!(Book::of(&mut []).p99_us, 0);
    }
}
