//! Ten thousand runtimes at once: what each takes of memory while it does nothing, and how soon all
//! are back after the daemon was killed.

use std::time::Duration;

use anyhow::Context as _;
use provost_kernel::liveness::Rhythm;
use provost_protocol::entity::SecurityLevel;
use serde_json::Value;

use super::{
    Run,
    compare::SOON,
    house::{Budgets, Floor, House},
};
use crate::{
    figure::Figure,
    fleet::{Count, Dialled, Order, Port, clock_us},
    floor::Kind,
    process,
    start::to_f64,
    worker::Worker,
    world::Plan,
};

/// How a fleet came back.
#[derive(Debug, Clone, Copy, Default)]
struct Back {
    /// Dials that were refused, or hung up on.
    failures: u64,
    /// Runtimes that stood only after a grace.
    late: u64,
}

/// A fleet in several processes, led as one.
pub(crate) struct Crowd {
    fleets: Vec<Worker>,
    size: usize,
}

/// Measures memory, the herd, or both.
pub(crate) async fn measure(run: &Run, rows: (bool, bool)) -> anyhow::Result<Vec<Figure>> {
    let plan = Plan {
        tenants: TENANTS,
        runtimes: run.runtimes.div_ceil(TENANTS),
        silent: 0,
    };
    let mut house = House::open(run, plan, Budgets::Wide).await?;
    let mut crowd = Crowd::start(&house, run.runtimes).await?;
    let (memory, herd) = rows;
    let mut figures = Vec::new();
    if memory {
        figures.extend(measure_memory(&house, &mut crowd).await?);
    }
    if herd {
        figures.extend(measure_herd(run, &mut house, &mut crowd).await?);
    }
    crowd.stop().await?;
    house.close().await?;
    Ok(figures)
}

async fn measure_memory(house: &House, crowd: &mut Crowd) -> anyhow::Result<Vec<Figure>> {
    let floor = house.floor(Kind::Accept).await?;
    let bare = crowd.memory_of(floor.worker.pid()?, floor.port()).await?;
    crowd.aim(&house.port()).await?;
    floor.worker.stop().await?;
    let ours = crowd.memory_of(house.pid()?, house.port()).await?;
    let name = format!("memory of an idle runtime, {} connected", crowd.size);
    Ok(vec![
        Figure::new(name, ours, "bytes").over(bare).at_most(1.5),
    ])
}

async fn measure_herd(
    run: &Run,
    house: &mut House,
    crowd: &mut Crowd,
) -> anyhow::Result<Vec<Figure>> {
    let rounds = if run.short { 1 } else { ROUNDS };
    let fleet = Rhythm::for_fleet(u64::try_from(crowd.size)?, SecurityLevel::Standard);
    let grace = Duration::from_millis(fleet.grace_ms);
    // Once each beforehand: what the clients do for the first time is of no round.
    bare_dial(house, crowd).await?;
    crowd.aim(&house.port()).await?;
    crowd.dial().await?;
    let before = lost(house).await?;
    let (mut ours, mut bare) = (Duration::ZERO, Duration::ZERO);
    let (mut failures, mut late) = (0, 0);
    for _ in 0..rounds {
        house.kill().await?;
        // While there is no kernel: it would rightly call lost whoever is away for that long.
        bare += bare_dial(house, crowd).await?;
        let grace_ends_us = clock_us() + u64::try_from(grace.as_micros())?;
        house.start().await?;
        crowd.aim(&house.port()).await?;
        let (took, back) = crowd.dial_until(grace_ends_us).await?;
        ours += took;
        failures += back.failures;
        late += back.late;
    }
    // Long enough that whoever was thought lost is in the log.
    let settled = if run.short { SETTLE } else { grace + SETTLE };
    tokio::time::sleep(settled).await;
    let standing = crowd.standing().await?;
    // Whoever came back only after a grace, on a machine this slow, was rightly called lost.
    let lost = (lost(house).await? - before).saturating_sub(late);
    let all = to_f64(u64::try_from(crowd.size * rounds)?);
    let name = format!("{} runtimes active again after a kill", crowd.size);
    let rate = Figure::new(name, all / ours.as_secs_f64(), "/s");
    Ok(vec![
        rate.over(all / bare.as_secs_f64()).at_least(0.7),
        Figure::new(
            "until all are active again",
            ours.as_secs_f64() / to_f64(rounds as u64),
            "s",
        ),
        Figure::new("dials refused on the way", to_f64(failures), "dials"),
        Figure::new("away for a whole grace", to_f64(late), "runtimes"),
        Figure::new(
            "of them standing a grace later",
            to_f64(u64::try_from(standing)?),
            "runtimes",
        )
        .at_least(to_f64(u64::try_from(crowd.size)?)),
        Figure::new("falsely lost", to_f64(lost), "runtimes").at_most(0.0),
    ])
}

/// How long it takes until all stand at a bare accept loop.
async fn bare_dial(house: &House, crowd: &mut Crowd) -> anyhow::Result<Duration> {
    let floor = house.floor(Kind::Accept).await?;
    crowd.aim(&floor.port()).await?;
    let took = crowd.dial().await?;
    // Hung up on before it goes.
    crowd.aim(&house.port()).await?;
    floor.worker.stop().await?;
    Ok(took)
}

/// How many runtimes the logs call lost.
async fn lost(house: &House) -> anyhow::Result<u64> {
    let mut lost = 0;
    for member in house.world.one_of_each(TENANTS) {
        let tenant = house
            .world
            .members
            .get(member)
            .context("no such member")?
            .tenant;
        let path = format!("/v1/tenants/{tenant}/audit?type=runtime.lost&limit=100");
        let page: Value = house.kernel.get(&path).await?;
        for event in page["items"].as_array().context("no items")? {
            let runtimes = event["data"]["runtimes"].as_array();
            lost += u64::try_from(runtimes.context("no runtimes in the event")?.len())?;
        }
    }
    Ok(lost)
}

impl Crowd {
    /// A crowd of the first members.
    pub(crate) async fn start(house: &House, size: usize) -> anyhow::Result<Self> {
        Self::without(house, size, &[]).await
    }

    /// A crowd of the first members but for some who are busy.
    pub(crate) async fn without(
        house: &House,
        size: usize,
        busy: &[usize],
    ) -> anyhow::Result<Self> {
        let idle = (0..house.world.members.len()).filter(|number| !busy.contains(number));
        let idle: Vec<usize> = idle.take(size).collect();
        Ok(Self {
            fleets: house.fleets(&idle).await?,
            size: idle.len(),
        })
    }

    /// How many there are.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// The processes.
    pub(crate) fn fleets(&mut self) -> &mut [Worker] {
        &mut self.fleets
    }

    /// Hangs up everywhere, and gets ready to connect there.
    pub(crate) async fn aim(&mut self, port: &Port) -> anyhow::Result<()> {
        for fleet in &mut self.fleets {
            fleet.tell(&Order::Aim(port.clone())).await?;
        }
        for fleet in &mut self.fleets {
            fleet.hear::<Count>(SOON).await?;
        }
        Ok(())
    }

    /// Connects all at once; says how long it took until the last stood.
    pub(crate) async fn dial(&mut self) -> anyhow::Result<Duration> {
        let (took, _) = self.dial_until(u64::MAX).await?;
        Ok(took)
    }

    /// The same, and what happened on the way.
    async fn dial_until(&mut self, grace_ends_us: u64) -> anyhow::Result<(Duration, Back)> {
        for fleet in &mut self.fleets {
            fleet.tell(&Order::Dial { grace_ends_us }).await?;
        }
        let (mut begun, mut ended) = (u64::MAX, 0);
        let mut back = Back::default();
        for fleet in &mut self.fleets {
            let dialled: Dialled = fleet.hear(DIALLED).await?;
            begun = begun.min(dialled.begun_us);
            ended = ended.max(dialled.ended_us);
            back.failures += dialled.failures;
            back.late += dialled.late;
        }
        Ok((Duration::from_micros(ended.saturating_sub(begun)), back))
    }

    /// What each connection adds to the memory of a process, in bytes.
    async fn memory_of(&mut self, pid: u32, port: Port) -> anyhow::Result<f64> {
        self.aim(&port).await?;
        let empty = process::memory(pid)?;
        self.dial().await?;
        tokio::time::sleep(SETTLE).await;
        let standing = self.standing().await?;
        anyhow::ensure!(standing == self.size, "{standing} of {} stand", self.size);
        let full = process::memory(pid)?;
        Ok(to_f64(full.saturating_sub(empty)) / to_f64(u64::try_from(self.size)?))
    }

    pub(crate) async fn standing(&mut self) -> anyhow::Result<usize> {
        let mut standing = 0;
        for fleet in &mut self.fleets {
            standing += fleet.ask::<Count>(&Order::Count, SOON).await?.standing;
        }
        Ok(standing)
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for fleet in self.fleets {
            fleet.stop().await?;
        }
        Ok(())
    }
}

impl Floor {
    fn port(&self) -> Port {
        Port {
            addr: self.at.addr,
            trust_pem: self.at.root_pem.clone(),
            kernel: false,
        }
    }
}

/// As the issue says.
const TENANTS: usize = 100;

/// Of the herd, each with its floor just before: one alone swings by a tenth either way.
const ROUNDS: usize = 5;

/// Longer than the fleets themselves are patient.
const DIALLED: Duration = Duration::from_secs(320);

/// Beats have been answered, and what they need is there.
const SETTLE: Duration = Duration::from_secs(5);
