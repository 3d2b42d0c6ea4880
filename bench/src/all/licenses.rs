//! Licenses built and signed on one core, beside signing the same bytes and nothing else; and how
//! many a second leave the kernel over frames, each durable before.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use provost_actors::license_document;
use provost_kernel::license::{LicensePlan, plan_license};
use provost_protocol::sign::{KeyId, Signer};

use super::{
    Run,
    compare::{COUNTS, Client},
    house::House,
};
use crate::{figure::Figure, load::Server, start::to_f64, world::Sample};

pub(super) async fn measure(run: &Run, house: &House) -> anyhow::Result<Vec<Figure>> {
    let sample = house.world.sample(&house.data())?;
    let each = run.rate_for;
    let (built, bare, bytes) =
        tokio::task::spawn_blocking(move || in_turns(&sample, each)).await??;
    let members = house.world.one_of_each(CONNECTIONS);
    let mut client = Client::start(&house.clients(Server::Licenses, members, 1)).await?;
    client.run(run.rate_for, COUNTS).await?;
    let journaled = client.rate();
    client.stop().await?;
    Ok(vec![
        Figure::new("licenses built and signed on one core", built, "/s")
            .over(bare)
            .at_least(0.7),
        Figure::new(
            "bytes that are signed",
            to_f64(u64::try_from(bytes)?),
            "bytes",
        ),
        Figure::new("licenses pulled over frames, journaled", journaled, "/s"),
    ])
}

/// Licenses a second, bare signatures a second, and over how many bytes.
fn in_turns(sample: &Sample, each: Duration) -> anyhow::Result<(f64, f64, usize)> {
    let signer: &dyn Signer = &*sample.signer;
    let plan = || plan_license(&sample.state, &sample.licensee, crate::now());
    let build = |plan: &LicensePlan, signer: &dyn Signer| {
        let document = license_document(plan, sample.install, plan.issued, signer)
            .context("a license without a binding key")?;
        anyhow::Ok(document.sign(signer)?)
    };
    let listener = Listener::new(signer);
    build(&plan()?, &listener)?;
    let message = listener.heard()?;
    let (mut built, mut bare) = (Rate::default(), Rate::default());
    let slices = each.as_millis().div_ceil(SLICE.as_millis());
    for _ in 0..slices {
        built.run(|| build(&plan()?, signer).map(|text| text.len()))?;
        bare.run(|| Ok(usize::from(signer.sign(std::hint::black_box(&message))[0])))?;
    }
    Ok((built.rate(), bare.rate(), message.len()))
}

/// How often something was done, in what time.
#[derive(Debug, Default)]
struct Rate {
    count: u64,
    took: Duration,
}

impl Rate {
    fn run(&mut self, mut work: impl FnMut() -> anyhow::Result<usize>) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < SLICE {
            for _ in 0..AT_ONCE {
                std::hint::black_box(work()?);
            }
            self.count += AT_ONCE;
        }
        self.took += begun.elapsed();
        Ok(())
    }

    fn rate(&self) -> f64 {
        to_f64(self.count) / self.took.as_secs_f64()
    }
}

/// Hears what is signed.
#[derive(Debug)]
struct Listener<'a> {
    signer: &'a dyn Signer,
    heard: Mutex<Vec<u8>>,
}

impl<'a> Listener<'a> {
    const fn new(signer: &'a dyn Signer) -> Self {
        Self {
            signer,
            heard: Mutex::new(Vec::new()),
        }
    }

    fn heard(self) -> anyhow::Result<Vec<u8>> {
        self.heard.into_inner().ok().context("it panicked")
    }
}

impl Signer for Listener<'_> {
    fn key_id(&self) -> KeyId {
        self.signer.key_id()
    }

    fn public_key(&self) -> [u8; 32] {
        self.signer.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        if let Ok(mut heard) = self.heard.lock() {
            *heard = message.to_vec();
        }
        self.signer.sign(message)
    }
}

/// Some hundred of each.
const SLICE: Duration = Duration::from_millis(100);

/// Between two looks at the clock.
const AT_ONCE: u64 = 8;

/// As the checks have.
const CONNECTIONS: usize = 64;
