//! Checks and heartbeats a second, beside floors that send the same bytes.

use std::time::Duration;

use super::{
    Run,
    compare::{COUNTS, Client, WARM_UP, in_turns},
    house::House,
};
use crate::{
    figure::Figure,
    floor::Kind,
    load::{Server, Spec},
    process,
    start::to_f64,
};

/// One in flight on each of 64 connections, each in a tenant of its own.
pub(super) async fn checks(run: &Run, house: &House) -> anyhow::Result<Vec<Figure>> {
    let members = house.world.one_of_each(CONNECTIONS);
    let measured = Measured::beside_echo(run, house, Server::Checks, members).await?;
    Ok(vec![
        measured.rate("framed checks, 64 tenants").at_least(0.8),
        measured.p50("framed checks, 64 tenants: p50"),
        measured.p99("framed checks, 64 tenants: p99").at_most(2.0),
    ])
}

/// The same, with all runtimes in one tenant.
pub(super) async fn one_tenant(run: &Run, house: &House) -> anyhow::Result<Vec<Figure>> {
    let members = house.world.members_of(0, CONNECTIONS);
    let measured = Measured::beside_echo(run, house, Server::Checks, members).await?;
    Ok(vec![
        measured.rate("framed checks, one tenant").at_least(0.6),
        measured.p99("framed checks, one tenant: p99"),
    ])
}

/// Thirty-two in flight on each connection.
pub(super) async fn in_flight(run: &Run, house: &House) -> anyhow::Result<Vec<Figure>> {
    let members = house.world.one_of_each(CONNECTIONS);
    let figure = house.clients(Server::Checks, members, IN_FLIGHT);
    let measured = Measured::beside(run, house, figure, |_| (Kind::Codec, Server::Codec)).await?;
    Ok(vec![
        measured.rate("framed checks, 32 in flight").at_least(0.5),
        measured.p99("framed checks, 32 in flight: p99"),
    ])
}

/// Checks over HTTPS, keep-alive, one in flight on each connection.
pub(super) async fn https(run: &Run, house: &House) -> anyhow::Result<Vec<Figure>> {
    let members = house.world.one_of_each(CONNECTIONS);
    let figure = house.clients(Server::Https, members, 1);
    let floor = |client: &Client| {
        let body = client.ready.sample.clone();
        (Kind::Handler { body }, Server::Handler)
    };
    let measured = Measured::beside(run, house, figure, floor).await?;
    Ok(vec![
        measured.rate("HTTPS checks, HTTP/1.1").at_least(0.6),
        measured.p99("HTTPS checks, HTTP/1.1: p99"),
    ])
}

/// Heartbeats, and what the daemon wrote while it answered them.
pub(super) async fn heartbeats(run: &Run, house: &House) -> anyhow::Result<Vec<Figure>> {
    let members = house.world.one_of_each(CONNECTIONS);
    let mut measured = Measured::beside_echo(run, house, Server::Beats, members).await?;
    let mut figures = vec![measured.rate("heartbeats").at_least(0.8)];
    // A short run has no minute.
    if !run.short {
        settled(house, &mut measured.figure).await?;
        let before = process::written(house.pid()?)?;
        measured.figure.run(WATCHED, COUNTS).await?;
        let written = process::written(house.pid()?)? - before;
        let name = format!("bytes written in {} s of heartbeats", WATCHED.as_secs());
        figures.push(Figure::new(name, to_f64(written), "bytes").at_most(0.0));
    }
    measured.figure.stop().await?;
    Ok(figures)
}

/// A figure's client, and what it gave beside its floor's.
struct Measured {
    figure: Client,
    floor_rate: f64,
    us: [(u32, u32); 2],
}

impl Measured {
    /// Beside an echo of the same bytes.
    async fn beside_echo(
        run: &Run,
        house: &House,
        server: Server,
        members: Vec<usize>,
    ) -> anyhow::Result<Self> {
        let figure = house.clients(server, members, 1);
        Self::beside(run, house, figure, |client| {
            let echo = Server::Echo {
                answer_bytes: client.ready.answer_bytes,
                beats: server == Server::Beats,
            };
            (Kind::Echo, echo)
        })
        .await
    }

    async fn beside(
        run: &Run,
        house: &House,
        spec: Spec,
        floor: impl FnOnce(&Client) -> (Kind, Server),
    ) -> anyhow::Result<Self> {
        let mut figure = Client::start(&spec).await?;
        let (kind, server) = floor(&figure);
        let floor = house.floor(kind).await?;
        let spec = Spec {
            addr: floor.at.addr,
            trust_pem: floor.at.root_pem.clone(),
            server,
            ..spec
        };
        let mut below = Client::start(&spec).await?;
        in_turns(&mut below, &mut figure, run.rate_for).await?;
        let (low, high) = (below.book(COUNTS).await?, figure.book(COUNTS).await?);
        let measured = Self {
            figure,
            floor_rate: below.rate(),
            us: [(high.p50_us, low.p50_us), (high.p99_us, low.p99_us)],
        };
        below.stop().await?;
        floor.worker.stop().await?;
        Ok(measured)
    }

    fn rate(&self, name: &str) -> Figure {
        Figure::new(name, self.figure.rate(), "/s").over(self.floor_rate)
    }

    fn p50(&self, name: &str) -> Figure {
        let (figure, floor) = self.us[0];
        Figure::new(name, f64::from(figure), "us").over(f64::from(floor))
    }

    fn p99(&self, name: &str) -> Figure {
        let (figure, floor) = self.us[1];
        Figure::new(name, f64::from(figure), "us").over(f64::from(floor))
    }
}

/// Waits until what was written before has reached the disk, as far as a moment allows. The
/// connections beat on meanwhile: the daemon closes those that are silent.
async fn settled(house: &House, client: &mut Client) -> anyhow::Result<()> {
    let (mut last, mut quiet) = (process::written(house.pid()?)?, 0);
    for _ in 0..SETTLE_LOOKS {
        tokio::time::sleep(SETTLE_LOOK).await;
        client.run(A_MOMENT, WARM_UP).await?;
        let written = process::written(house.pid()?)?;
        quiet = if written == last { quiet + 1 } else { 0 };
        last = written;
        if quiet >= SETTLED_AFTER {
            break;
        }
    }
    Ok(())
}

/// As the issue says.
const CONNECTIONS: usize = 64;
const IN_FLIGHT: usize = 32;

/// As the issue says.
const WATCHED: Duration = Duration::from_secs(60);

/// The first heartbeats are events, and segments that the world's making sealed are compressed;
/// after ten seconds what is still written counts.
const A_MOMENT: Duration = Duration::from_millis(1);
const SETTLE_LOOK: Duration = Duration::from_millis(500);
const SETTLED_AFTER: u32 = 2;
const SETTLE_LOOKS: u32 = 20;
