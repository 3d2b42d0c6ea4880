//! A million tenants that nobody hears of: what they take of memory, and how soon one that sleeps
//! answers.
//!
//! A runtime's connection stands before its tenant is woken: that happens at its first request.

use super::{
    Run,
    house::{Budgets, House},
};
use crate::{
    figure::Figure,
    load::{Book, HttpLine, Server},
    process,
    start::to_f64,
    world::Plan,
};

pub(super) async fn measure(run: &Run) -> anyhow::Result<Vec<Figure>> {
    let plan = |silent| Plan {
        tenants: if run.short { ASKED / 10 } else { ASKED },
        runtimes: 1,
        silent,
    };
    let alone = House::open(run, plan(0), Budgets::Wide).await?;
    let small = settled_memory(&alone).await?;
    alone.close().await?;
    let house = House::open(run, plan(run.asleep), Budgets::Wide).await?;
    let large = settled_memory(&house).await?;
    let mut first = Vec::new();
    let mut second = Vec::new();
    let members = house.world.members.len();
    for number in 0..members {
        let spec = house.clients(Server::Https, vec![number], 1);
        let member = &house.world.members[number];
        let mut line = HttpLine::connect(&spec, &house.world, member, true).await?;
        first.push(line.ask().await?);
        second.push(line.ask().await?);
    }
    house.close().await?;
    let (first, second) = (Book::of(&mut first), Book::of(&mut second));
    let ms = |us: u32| f64::from(us) / 1e3;
    let asleep = to_f64(u64::try_from(run.asleep)?);
    let more = to_f64(large.saturating_sub(small));
    let each = Figure::new(
        "memory of a sleeping tenant",
        more / asleep.max(1.0),
        "bytes",
    );
    Ok(vec![
        Figure::new(
            "first answer for a sleeping tenant: p50",
            ms(first.p50_us),
            "ms",
        ),
        Figure::new(
            "first answer for a sleeping tenant: p99",
            ms(first.p99_us),
            "ms",
        )
        .at_most(5.0),
        Figure::new("the second answer: p99", ms(second.p99_us), "ms"),
        Figure::new("tenants asleep", asleep, "tenants"),
        Figure::new("memory they take, all together", more / MIB, "MiB"),
        // Of a few, what the state's own cache takes is all there is to see.
        if run.short {
            each
        } else {
            each.at_most(SLEEPING_BYTES_MAX)
        },
    ])
}

/// After what a start needs has been given back, as far as it is.
async fn settled_memory(house: &House) -> anyhow::Result<u64> {
    tokio::time::sleep(SETTLE).await;
    process::memory(house.pid()?)
}

/// Enough for a 99th of a thousand.
const ASKED: usize = 1_000;

const MIB: f64 = 1024.0 * 1024.0;

/// What the issue calls about nothing: an id and its place would take more.
const SLEEPING_BYTES_MAX: f64 = 32.0;

/// The state's own cache is filled by then, whatever the number of tenants.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(3);
