//! A figure and its floor, slice by slice in turns.

use std::time::Duration;

use crate::{
    load::{Book, Order, Ran, Ready, Spec},
    start::to_f64,
    worker::Worker,
};

/// A client process that asks one server.
#[derive(Debug)]
pub(crate) struct Client {
    worker: Worker,
    pub(crate) ready: Ready,
    sum: Ran,
}

impl Client {
    /// Starts it, connects, and asks everything once.
    pub(crate) async fn start(spec: &Spec) -> anyhow::Result<Self> {
        let mut worker = Worker::start("load", spec).await?;
        let ready = worker.hear(CONNECTED).await?;
        Ok(Self {
            worker,
            ready,
            sum: Ran::default(),
        })
    }

    /// Asks for so long.
    pub(crate) async fn run(&mut self, slice: Duration, book: usize) -> anyhow::Result<Ran> {
        let ms = u64::try_from(slice.as_millis())?;
        let order = Order::Run { ms, book };
        let ran: Ran = self.worker.ask(&order, slice + SOON).await?;
        self.sum.answers += ran.answers;
        self.sum.refused += ran.refused;
        self.sum.took_us += ran.took_us;
        Ok(ran)
    }

    /// Connects anew, in another way for each number, and asks a little that counts for nothing.
    async fn dial(&mut self, number: u64) -> anyhow::Result<()> {
        let order = Order::Dial { number };
        self.ready = self.worker.ask(&order, CONNECTED).await?;
        let sum = self.sum;
        self.run(WARMED, WARM_UP).await?;
        self.sum = sum;
        Ok(())
    }

    /// Good answers a second, over all its runs.
    pub(crate) fn rate(&self) -> f64 {
        rate(self.sum)
    }

    /// How long its answers took.
    pub(crate) async fn book(&mut self, book: usize) -> anyhow::Result<Book> {
        self.worker.ask(&Order::Tell { book }, SOON).await
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.worker.stop().await
    }
}

/// Runs a floor's client and the figure's in turns until each has had its time.
pub(crate) async fn in_turns(
    floor: &mut Client,
    figure: &mut Client,
    each: Duration,
) -> anyhow::Result<()> {
    // One of each that counts for nothing: caches and clocks of the processor.
    for client in [&mut *floor, &mut *figure] {
        client.run(SLICE, WARM_UP).await?;
        client.sum = Ran::default();
    }
    let slices = u64::try_from(each.as_millis().div_ceil(SLICE.as_millis()))?;
    for number in 0..slices {
        // Which connections share which threads decides how long the slowest wait.
        if number > 0 && number.is_multiple_of(SITTING) {
            floor.dial(number).await?;
            figure.dial(number).await?;
        }
        floor.run(SLICE, COUNTS).await?;
        figure.run(SLICE, COUNTS).await?;
    }
    Ok(())
}

/// Good answers a second.
pub(crate) fn rate(ran: Ran) -> f64 {
    to_f64(ran.answers - ran.refused) / (to_f64(ran.took_us.max(1)) / 1e6)
}

/// Ten thousand answers or more, and short beside what else a machine does in a minute.
pub(crate) const SLICE: Duration = Duration::from_millis(500);

/// Some thousand answers.
const WARMED: Duration = Duration::from_millis(50);

/// Slices with the same connections.
const SITTING: u64 = 2;

/// The book that counts.
pub(crate) const COUNTS: usize = 0;
/// The other one.
pub(crate) const WARM_UP: usize = 1;

/// A process that has its order answers within this, whatever else runs.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Dozens of handshakes, and every question once on each connection.
const CONNECTED: Duration = Duration::from_secs(120);
