//! `provost dev --check`: the walk, step by step, each with its evidence.

use std::{process::ExitCode, time::Instant};

use super::{
    evidence::{Evidence, Shown, complain, say},
    home::Home,
    sabotage::Sabotage,
    steps::{Walk, access, outage, setup, suspension},
    world::World,
};

/// How the walk is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckOptions {
    pub(super) json: bool,
    pub(super) sabotage: Option<Sabotage>,
}

/// Walks until the end or the first step that does not hold.
struct Runner {
    walk: Walk,
    json: bool,
    held: usize,
}

/// Runs the check in a folder of its own, which is kept only on failure.
pub(super) async fn run(options: CheckOptions) -> anyhow::Result<ExitCode> {
    let world = World::new(Home::temporary()?)?;
    let walk = Walk::new(world, options.sabotage);
    let mut runner = Runner {
        walk,
        json: options.json,
        held: 0,
    };
    let failed = runner.all().await.err();
    let Runner { mut walk, held, .. } = runner;
    let Some(step) = failed else {
        walk.world.stop_all().await;
        if !options.json {
            say(&format!("every step held ({held} of {held})"));
        }
        return Ok(ExitCode::SUCCESS);
    };
    complain(&walk.world.last_words());
    walk.world.stop_all().await;
    let kept = walk.world.home.keep().display().to_string();
    complain(&format!(
        "step {step} did not hold; everything is kept in {kept}"
    ));
    Ok(ExitCode::FAILURE)
}

impl Runner {
    async fn all(&mut self) -> Result<(), &'static str> {
        self.step("init", setup::init).await?;
        self.step("serve", setup::serve).await?;
        self.step("token", setup::token).await?;
        self.step("enroll", setup::enroll).await?;
        self.step("register", setup::register).await?;
        self.step("heartbeat", setup::heartbeat).await?;
        self.step("login", access::login).await?;
        self.step("allowed", access::allowed).await?;
        self.step("blocked", access::blocked).await?;
        self.step("quota", access::quota).await?;
        self.step("license", access::license).await?;
        self.step("outage", outage::outage).await?;
        self.step("recovery", outage::recovery).await?;
        self.step("suspend", suspension::suspend).await?;
        self.step("resume", suspension::resume).await
    }

    async fn step(
        &mut self,
        name: &'static str,
        step: impl AsyncFnOnce(&mut Walk) -> anyhow::Result<Evidence>,
    ) -> Result<(), &'static str> {
        let begun = Instant::now();
        let outcome = step(&mut self.walk).await;
        let took_ms = begun.elapsed().as_millis();
        let nothing = Evidence::new();
        let (held, evidence, why) = match &outcome {
            Ok(evidence) => (true, evidence, None),
            Err(error) => (false, &nothing, Some(format!("{error:#}"))),
        };
        Shown {
            step: name,
            held,
            took_ms,
            evidence,
            why,
        }
        .print(self.json);
        if held {
            self.held += 1;
            return Ok(());
        }
        Err(name)
    }
}
