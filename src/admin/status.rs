//! `/v1/status`, and the figures of the whole fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use axum::{extract::Request, middleware::Next, response::Response};
use metrics::{counter, gauge, histogram};
use provost_actors::LiveRuntime;
use provost_protocol::entity::{Liveness, RuntimeType};

use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    call::Call,
    routes::{Method, Route},
    view::{Disk, FleetCount, Status},
};
use crate::{daemon::disk::DiskStatus, problem::Refusal, telemetry::names};

pub(super) const ROUTES: &[Route] = &[Route {
    method: Method::Get,
    path: "/v1/status",
    id: "show_status",
    about: "Shows how the kernel does.",
    needs: Needs::Read,
    body: None,
    answer: (200, "Status"),
    query: &[],
    handler: |admin, call| Box::pin(show(admin, call)),
}];

async fn show(admin: Arc<Admin>, _call: Call) -> Result<Answer, Refusal> {
    let context = &admin.context;
    let house = context.directory.house();
    Answer::ok(&Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        install_id: house.install,
        region: house.region.clone(),
        started: context.started,
        now: admin.now(),
        draining: admin.is_draining(),
        store_ready: context.readiness.check().await.is_ok(),
        runtime_address: context.enrolment.addr.clone(),
        disk: disk_of(&context.disk),
        tenants_awake: context.directory.tenants_awake(),
        fleet: counts(&context.directory.fleet(), &context.directory.lost()),
    })
}

fn disk_of(status: &DiskStatus) -> Option<Disk> {
    status.last().map(|look| Disk {
        free_bytes: look.free_bytes,
        low_bytes: look.low_bytes,
        low: status.is_low(),
    })
}

/// Counts and times every request of the listener.
pub(super) async fn measure(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    histogram!(names::ADMIN_SECONDS).record(begun.elapsed().as_secs_f64());
    counter!(names::ADMIN_REQUESTS, "status" => response.status().as_str().to_owned()).increment(1);
    response
}

/// Writes the figures of the fleet into the recorder, as they are at this moment.
pub(super) fn record_fleet(admin: &Admin, known: &mut BTreeSet<(RuntimeType, String)>) {
    let fleet = admin.context.directory.fleet();
    for FleetCount {
        runtime_type,
        liveness,
        count,
    } in counts(&fleet, &admin.context.directory.lost())
    {
        let labels = [
            ("type", runtime_type.as_str()),
            ("liveness", liveness.as_str()),
        ];
        gauge!(names::RUNTIMES, &labels).set(as_figure(count));
    }
    for runtime_type in RuntimeType::ALL {
        let connected = |one: &&LiveRuntime| one.runtime_type == *runtime_type && one.connected;
        let count = fleet.iter().filter(connected).count();
        gauge!(names::RUNTIMES_CONNECTED, "type" => runtime_type.as_str()).set(as_figure(count));
    }
    let awake = admin.context.directory.tenants_awake();
    gauge!(names::TENANTS_AWAKE).set(as_figure(awake));
    let sums = sums(&fleet);
    known.extend(
        sums.keys()
            .take(METRIC_NAMES_MAX.saturating_sub(known.len()))
            .cloned(),
    );
    for (runtime_type, name) in known.iter() {
        let sum = sums
            .get(&(*runtime_type, name.to_owned()))
            .copied()
            .unwrap_or_default();
        let labels = [
            ("type", runtime_type.as_str().to_owned()),
            ("name", name.clone()),
        ];
        gauge!(names::RUNTIME_METRIC, &labels).set(sum);
    }
}

/// How many runtimes of each type are in each state; all of them, also where there are none.
/// `lost` are those that cost nothing but their number any more.
fn counts(fleet: &[LiveRuntime], lost: &BTreeMap<RuntimeType, usize>) -> Vec<FleetCount> {
    let mut counts = Vec::new();
    for runtime_type in RuntimeType::ALL {
        for liveness in Liveness::ALL {
            let these =
                |one: &&LiveRuntime| one.runtime_type == *runtime_type && one.liveness == *liveness;
            let gone = match liveness {
                Liveness::Lost => lost.get(runtime_type).copied().unwrap_or_default(),
                Liveness::Online | Liveness::Late => 0,
            };
            counts.push(FleetCount {
                runtime_type: *runtime_type,
                liveness: *liveness,
                count: fleet.iter().filter(these).count() + gone,
            });
        }
    }
    counts
}

fn sums(fleet: &[LiveRuntime]) -> BTreeMap<(RuntimeType, String), f64> {
    let mut sums = BTreeMap::new();
    for runtime in fleet {
        for (name, value) in runtime.metrics.iter() {
            *sums
                .entry((runtime.runtime_type, name.to_owned()))
                .or_default() += value;
        }
    }
    sums
}

/// Exact up to 4 billion; a gauge is a float.
fn as_figure(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// Names come from runtimes: 32 of each of eight products. Past that, somebody puts ids into names,
/// and a scraper would drown.
const METRIC_NAMES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use provost_protocol::{RuntimeId, TenantId, Timestamp, entity::Health};

    use super::*;

    fn live(runtime_type: RuntimeType, liveness: Liveness, metric: (&str, f64)) -> LiveRuntime {
        LiveRuntime {
            tenant: TenantId::from_parts(Timestamp::EPOCH, [1; 10]),
            runtime: RuntimeId::from_parts(Timestamp::EPOCH, [1; 10]),
            runtime_type,
            liveness,
            health: Health::Healthy,
            last_beat: None,
            metrics: BTreeMap::from([(metric.0.to_owned(), metric.1)]).into(),
            connected: true,
            generation: 1,
            address: None,
        }
    }

    #[test]
    fn the_fleet_is_counted_and_summed_by_type_and_never_by_tenant() {
        let fleet = [
            live(RuntimeType::App, Liveness::Online, ("users", 2.0)),
            live(RuntimeType::App, Liveness::Online, ("users", 3.5)),
            live(RuntimeType::Custom, Liveness::Lost, ("users", 1.0)),
        ];
        let lost = BTreeMap::from([(RuntimeType::Custom, 4)]);
        let count = |runtime_type, liveness| {
            let these =
                |one: &&FleetCount| (one.runtime_type, one.liveness) == (runtime_type, liveness);
            counts(&fleet, &lost)
                .iter()
                .find(these)
                .map(|one| one.count)
        };
        assert_eq!(count(RuntimeType::App, Liveness::Online), Some(2));
        assert_eq!(count(RuntimeType::App, Liveness::Lost), Some(0));
        assert_eq!(count(RuntimeType::Custom, Liveness::Lost), Some(5));
        assert_eq!(count(RuntimeType::Custom, Liveness::Late), Some(0));
        let sums = sums(&fleet);
        assert_eq!(
            sums[&(RuntimeType::App, "users".to_owned())].to_string(),
            "5.5"
        );
    }
}
