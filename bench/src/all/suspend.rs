//! A tenant with ten thousand connected runtimes is suspended: when each of them hears of it, and
//! when products that ask their own connectors are denied.
//!
//! From the moment the command is sent to the admin API. Most runtimes are no more than sessions
//! that decode the directive; a few are real connectors whose products ask them every few
//! milliseconds.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    Run,
    compare::SOON,
    crowd::Crowd,
    house::{Budgets, House},
};
use crate::{
    figure::Figure,
    fleet::{Heard, Order, clock_us},
    load::Book,
    product::{self, Turned, Until},
    worker::Worker,
    world::{Plan, questions},
};

pub(super) async fn measure(run: &Run) -> anyhow::Result<Vec<Figure>> {
    let plan = Plan {
        tenants: 1,
        runtimes: run.runtimes,
        silent: 0,
    };
    let house = House::open(run, plan, Budgets::Wide).await?;
    let mut crowd = Crowd::start(&house, run.runtimes).await?;
    crowd.aim(&house.port()).await?;
    crowd.dial().await?;
    let tenant = house.world.members[0].tenant.to_string();
    let mut products = products(&house, &tenant).await?;
    let (mut heard, mut denied) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = begin(&house, &mut crowd, &mut products, &tenant).await?;
        let since = |at: u64| u32::try_from(at.saturating_sub(begun)).unwrap_or(u32::MAX);
        for fleet in crowd.fleets() {
            let all: Heard = fleet.hear(SOON).await?;
            heard.extend(all.at_us.into_iter().map(since));
        }
        for product in &mut products {
            denied.push(since(product.hear::<Turned>(SOON).await?.at_us));
        }
        set(&house, &tenant, "resume").await?;
        // Everybody has heard of it, or the next round would count an old directive.
        for fleet in crowd.fleets() {
            fleet.ask::<Heard>(&Order::Resumed, SOON).await?;
        }
        for product in &mut products {
            product
                .ask::<Turned>(&Until { allowed: true }, SOON)
                .await?;
        }
    }
    for product in products {
        product.stop().await?;
    }
    crowd.stop().await?;
    house.close().await?;
    let (heard, denied) = (Book::of(&mut heard), Book::of(&mut denied));
    let seconds = |us: u32| f64::from(us) / 1e6;
    let name = format!("suspended until heard by {} runtimes", run.runtimes);
    Ok(vec![
        Figure::new(format!("{name}: p50"), seconds(heard.p50_us), "s"),
        Figure::new(format!("{name}: p99"), seconds(heard.p99_us), "s").at_most(1.0),
        Figure::new(format!("{name}: the last"), seconds(heard.max_us), "s"),
        Figure::new(
            "suspended until real connectors deny: the last",
            seconds(denied.max_us),
            "s",
        )
        .at_most(1.0),
    ])
}

/// Suspends the tenant while everybody listens; says when the command was sent.
async fn begin(
    house: &House,
    crowd: &mut Crowd,
    products: &mut [Worker],
    tenant: &str,
) -> anyhow::Result<u64> {
    for fleet in crowd.fleets() {
        fleet.tell(&Order::Suspended).await?;
    }
    for product in products {
        product.tell(&Until { allowed: false }).await?;
    }
    let begun = clock_us();
    set(house, tenant, "suspend").await?;
    Ok(begun)
}

async fn set(house: &House, tenant: &str, what: &str) -> anyhow::Result<Value> {
    let path = format!("/v1/tenants/{tenant}/{what}");
    house
        .kernel
        .post(&path, json!({"reason": "measured"}))
        .await
}

/// A few products of that tenant, each with a connector of its own.
async fn products(house: &House, tenant: &str) -> anyhow::Result<Vec<Worker>> {
    let allowed = questions().find(|(_, allowed)| *allowed);
    let (feature, _) = allowed.context("nothing is allowed")?;
    let mut products = Vec::new();
    for number in 0..PRODUCTS {
        let body = json!({"runtime_type": "app", "deployment_mode": "dedicated"});
        let path = format!("/v1/tenants/{tenant}/tokens");
        let token = house.kernel.post(&path, body).await?;
        let spec = product::Spec {
            folder: house.beside(&format!("connector-{number}")),
            token: token["token"].as_str().context("no token")?.to_owned(),
            feature: feature.to_string(),
        };
        let mut product = Worker::start("product", &spec).await?;
        product.hear::<Turned>(SOON).await?;
        products.push(product);
    }
    Ok(products)
}

/// Enough for a tail of a hundred and more.
const ROUNDS: usize = 3;

/// Real connectors among the others; no more than may enroll at once from one address.
const PRODUCTS: usize = 8;
