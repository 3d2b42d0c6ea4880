//! The steps of the walk. Each looks from outside only: pages, APIs, files, other processes.

pub(super) mod access;
pub(super) mod outage;
pub(super) mod setup;
pub(super) mod suspension;

use std::time::Duration;

use anyhow::Context as _;
use provost_courses::drive::{Browser, Page};

use super::{
    admin::LoggedEvent,
    sabotage::Sabotage,
    world::{COURSE, World, until},
};

/// What the walk has found so far.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) world: World,
    pub(super) sabotage: Option<Sabotage>,
    pub(super) token: String,
    /// The person's browser, logged in.
    pub(super) browser: Option<Browser>,
    /// The person's own tenant.
    pub(super) tenant: String,
    pub(super) runtime: String,
    /// What was in the logs when the kernel was killed.
    pub(super) before: Vec<(String, Vec<LoggedEvent>)>,
    /// Correlation ids of pages served while the kernel was gone.
    pub(super) offline_pages: Vec<String>,
}

impl Walk {
    pub(super) const fn new(world: World, sabotage: Option<Sabotage>) -> Self {
        Self {
            world,
            sabotage,
            token: String::new(),
            browser: None,
            tenant: String::new(),
            runtime: String::new(),
            before: Vec::new(),
            offline_pages: Vec::new(),
        }
    }

    fn is_sabotaged(&self, by: Sabotage) -> bool {
        self.sabotage == Some(by)
    }

    fn browser(&self) -> anyhow::Result<&Browser> {
        self.browser.as_ref().context("nobody is logged in")
    }

    /// Waits for an event in a tenant's log.
    async fn event(
        &self,
        what: &str,
        tenant: &str,
        wanted: impl Fn(&LoggedEvent) -> bool,
    ) -> anyhow::Result<LoggedEvent> {
        let admin = self.world.admin()?;
        until(what, WITHIN, async || {
            Ok(admin.log(tenant).await?.into_iter().find(&wanted))
        })
        .await
    }

    /// The verdict that stands in the journal for a page.
    async fn verdict(&self, page: &Page, allowed: bool) -> anyhow::Result<LoggedEvent> {
        let correlation = page
            .correlation_id
            .clone()
            .context("the page names no correlation id")?;
        self.event(
            "the page's verdict is in the journal",
            &self.tenant,
            |event| {
                event.audit_type() == VERDICT
                    && event.correlation_id() == correlation
                    && event.payload()["allowed"] == allowed
            },
        )
        .await
    }

    /// Opens the granted course until it is served.
    async fn course_opens(&self) -> anyhow::Result<Page> {
        let (browser, path) = (self.browser()?, format!("/courses/{COURSE}"));
        until("the granted course opens", WITHIN, async || {
            let page = browser.get(&path).await?;
            anyhow::ensure!(
                page.status == 200,
                "the page answered {}: {:?}",
                page.status,
                page.text("reason")
            );
            Ok(Some(page))
        })
        .await
    }
}

/// The connector's word on each check it answered.
const VERDICT: &str = "entitlement.verdict";

/// Everything a step waits for happens within a few heartbeats at most.
const WITHIN: Duration = Duration::from_secs(20);
