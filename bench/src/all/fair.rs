//! What one tenant at full blast does to others: the time of their answers with it and without.

use std::time::Duration;

use super::{
    Run,
    compare::{COUNTS, Client, SLICE, WARM_UP, rate},
    house::{Budgets, House},
};
use crate::{
    figure::Figure,
    load::{Ran, Server, Spec},
};

/// The others are 16 tenants that ask on a connection each, within their budget; the one has 32
/// connections with 32 in flight on each, and asks on when it is told to come back later.
pub(super) async fn measure(run: &Run, house: &mut House) -> anyhow::Result<Vec<Figure>> {
    house.restart(Budgets::Usual).await?;
    let others: Vec<usize> = house.world.one_of_each(OTHERS + 1).split_off(1);
    let mut others = Client::start(&Spec {
        rest_us: REST_US,
        ..house.clients(Server::Checks, others, 1)
    })
    .await?;
    let members = house.world.members_of(0, BLASTING);
    let mut blaster = Client::start(&Spec {
        patient: true,
        ..house.clients(Server::Checks, members, IN_FLIGHT)
    })
    .await?;
    others.run(SLICE, WARM_UP).await?;
    let (mut blast, mut alone) = (Ran::default(), Ran::default());
    let mut beside = Ran::default();
    let rounds = run.rate_for.as_millis().div_ceil(BURST.as_millis());
    for _ in 0..rounds {
        add(&mut alone, others.run(BURST, COUNTS).await?);
        // What it may ask for at once is used up first; then it has what it may ask for each second.
        tokio::try_join!(others.run(BURST, AT_ONCE), blaster.run(BURST, WARM_UP))?;
        let (ours, theirs) =
            tokio::try_join!(others.run(BURST, BESIDE), blaster.run(BURST, COUNTS))?;
        add(&mut beside, ours);
        add(&mut blast, theirs);
    }
    let (quiet, loud) = (others.book(COUNTS).await?, others.book(BESIDE).await?);
    let at_once = others.book(AT_ONCE).await?;
    others.stop().await?;
    blaster.stop().await?;
    house.restart(Budgets::Wide).await?;
    Ok(vec![
        Figure::new(
            "others' p99 beside one at full blast",
            f64::from(loud.p99_us),
            "us",
        )
        .over(f64::from(quiet.p99_us))
        .at_most(2.0),
        Figure::new(
            "others' p50 beside one at full blast",
            f64::from(loud.p50_us),
            "us",
        )
        .over(f64::from(quiet.p50_us)),
        Figure::new(
            "others' checks beside one at full blast",
            rate(beside),
            "/s",
        )
        .over(rate(alone)),
        Figure::new(
            "others' p99 while it has its burst",
            f64::from(at_once.p99_us),
            "us",
        )
        .over(f64::from(quiet.p99_us)),
        Figure::new("checks of the one at full blast", rate(blast), "/s"),
    ])
}

fn add(sum: &mut Ran, ran: Ran) {
    sum.answers += ran.answers;
    sum.refused += ran.refused;
    sum.took_us += ran.took_us;
}

/// Up to a thousand checks a second on each connection: half of what it may ask for.
const REST_US: u64 = 1_000;

/// The first tenant blasts.
const OTHERS: usize = 16;
const BLASTING: usize = 32;
const IN_FLIGHT: usize = 32;

/// Longer than a tenant's burst lasts at full blast.
const BURST: Duration = Duration::from_millis(2_500);

/// Books of the others' times.
const BESIDE: usize = 2;
const AT_ONCE: usize = 3;
