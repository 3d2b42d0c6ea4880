//! Runtimes that do nothing but be there: one process holds thousands of connections, beats on
//! each as the kernel says, and notes when it hears that its tenant is suspended.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context as _;
use provost_certs::{Alpn, RuntimeTls};
use provost_protocol::{
    TenantId, codec,
    entity::TenantStatus,
    wire::{Answer, Beat, DesiredState, Outcome, ServerMessage},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    load::wire::{Wire, beat_request},
    worker::{Orders, answer},
    world::World,
};

/// Who the fleet is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The world's folder.
    pub(crate) world: PathBuf,
    pub(crate) members: Vec<usize>,
}

/// Where the fleet connects to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Port {
    pub(crate) addr: SocketAddr,
    /// Who vouches for the server.
    pub(crate) trust_pem: String,
    /// Whether it is a kernel; otherwise it is the bare accept loop, which says one byte.
    pub(crate) kernel: bool,
}

/// What a fleet is told to do. Each is answered, by what stands behind it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Hang up, and get ready to connect there: [`Count`].
    Aim(Port),
    /// Connect, all at once, again and again until all stand: [`Dialled`]. Whoever stands only
    /// after this moment has been away for a grace, and may be called lost.
    Dial { grace_ends_us: u64 },
    /// How many connections stand: [`Count`].
    Count,
    /// Wait until every runtime has heard that its tenant is suspended: [`Heard`].
    Suspended,
    /// Wait until every runtime has heard that its tenant may act again: [`Heard`].
    Resumed,
}

/// All stand: active, where it is a kernel.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Dialled {
    /// When the first was dialled and when the last stood, in microseconds of the system's clock.
    pub(crate) begun_us: u64,
    pub(crate) ended_us: u64,
    /// How often somebody was refused, or hung up on.
    pub(crate) failures: u64,
    /// How many stood only after a grace.
    pub(crate) late: u64,
}

/// How many connections stand, and how many heartbeats they had answered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) standing: usize,
    pub(crate) beats: u64,
}

/// When each heard it, in microseconds of the system's clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub(crate) at_us: Vec<u64>,
}

/// Runs such a process until it is told to end.
///
/// # Errors
/// Whatever kept it from connecting.
pub(crate) fn serve() -> anyhow::Result<ExitCode> {
    provost::limits::raise_open_files()?;
    let mut orders = Orders::open();
    let spec: Spec = orders.next()?.context("no spec")?;
    let mut fleet = Fleet::new(&spec)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    while let Some(order) = orders.next()? {
        match order {
            Order::Aim(port) => answer(&runtime.block_on(fleet.aim(port))?)?,
            Order::Dial { grace_ends_us } => {
                answer(&runtime.block_on(fleet.dial(grace_ends_us))?)?;
            }
            Order::Count => answer(&fleet.count())?,
            Order::Suspended => answer(&runtime.block_on(fleet.heard(TenantStatus::Suspended))?)?,
            Order::Resumed => answer(&runtime.block_on(fleet.heard(TenantStatus::Active))?)?,
        }
    }
    // Their sockets close with the process.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// The system's clock in microseconds: the same for all processes of a machine.
pub(crate) fn clock_us() -> u64 {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

struct Fleet {
    world: World,
    members: Vec<usize>,
    port: Option<Port>,
    tls: Vec<RuntimeTls>,
    /// Of each member's last session: a runtime remembers it, or it would look like a copy.
    generations: Vec<Arc<AtomicU64>>,
    standing: JoinSet<()>,
    shared: Arc<Shared>,
    heard: mpsc::Receiver<(TenantStatus, u64)>,
}

/// What all connections write to.
struct Shared {
    standing: AtomicUsize,
    beats: AtomicU64,
    failures: AtomicU64,
    heard: mpsc::Sender<(TenantStatus, u64)>,
}

impl Fleet {
    fn new(spec: &Spec) -> anyhow::Result<Self> {
        let (tell, heard) = mpsc::channel(2 * spec.members.len().max(1));
        Ok(Self {
            world: World::read(&spec.world)?,
            members: spec.members.clone(),
            port: None,
            tls: Vec::new(),
            generations: spec.members.iter().map(|_| Arc::default()).collect(),
            standing: JoinSet::new(),
            shared: Arc::new(Shared {
                standing: AtomicUsize::new(0),
                beats: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                heard: tell,
            }),
            heard,
        })
    }

    async fn aim(&mut self, port: Port) -> anyhow::Result<Count> {
        self.standing.shutdown().await;
        if self.port.as_ref().map(|known| &known.trust_pem) != Some(&port.trust_pem) {
            let tls = self.members.iter().map(|number| {
                let member = self.world.members.get(*number).context("no such member")?;
                self.world.tls(member, &port.trust_pem, Alpn::Provost1)
            });
            self.tls = tls.collect::<anyhow::Result<_>>()?;
        }
        self.port = Some(port);
        Ok(self.count())
    }

    async fn dial(&mut self, grace_ends_us: u64) -> anyhow::Result<Dialled> {
        let port = self.port.as_ref().context("dialled before it was aimed")?;
        let failed_before = self.shared.failures.load(Ordering::Relaxed);
        let (stands, mut all) = mpsc::channel(self.members.len().max(1));
        let begun_us = clock_us();
        let known = self.tls.iter().zip(&self.generations);
        for (number, (tls, generation)) in self.members.iter().zip(known) {
            let runtime = Runtime {
                tenant: self
                    .world
                    .members
                    .get(*number)
                    .context("no such member")?
                    .tenant,
                from: address(*number),
                addr: port.addr,
                tls: tls.clone(),
                generation: Arc::clone(generation),
                shared: Arc::clone(&self.shared),
            };
            let stands = stands.clone();
            if port.kernel {
                self.standing.spawn(runtime.live(stands));
            } else {
                self.standing.spawn(runtime.sit(stands));
            }
        }
        drop(stands);
        let (mut standing, mut late) = (0, 0);
        let counted = async {
            while all.recv().await.is_some() {
                standing += 1;
                late += u64::from(clock_us() > grace_ends_us);
            }
        };
        let counted = timeout(DIAL_WITHIN, counted).await;
        anyhow::ensure!(
            counted.is_ok(),
            "after {} s {standing} of {} stand",
            DIAL_WITHIN.as_secs(),
            self.members.len()
        );
        anyhow::ensure!(standing == self.members.len(), "some runtimes gave up");
        Ok(Dialled {
            begun_us,
            ended_us: clock_us(),
            failures: self.shared.failures.load(Ordering::Relaxed) - failed_before,
            late,
        })
    }

    fn count(&self) -> Count {
        Count {
            standing: self.shared.standing.load(Ordering::Relaxed),
            beats: self.shared.beats.load(Ordering::Relaxed),
        }
    }

    async fn heard(&mut self, wanted: TenantStatus) -> anyhow::Result<Heard> {
        let mut at_us = Vec::with_capacity(self.members.len());
        while at_us.len() < self.members.len() {
            let heard = timeout(HEAR_WITHIN, self.heard.recv()).await;
            let heard = heard
                .with_context(|| format!("{} of {} heard it", at_us.len(), self.members.len()))?;
            let (status, at) = heard.context("nobody is left")?;
            anyhow::ensure!(
                status == wanted,
                "some heard {status}, waiting for {wanted}"
            );
            at_us.push(at);
        }
        Ok(Heard { at_us })
    }
}

/// One runtime.
struct Runtime {
    tenant: TenantId,
    from: Ipv4Addr,
    addr: SocketAddr,
    tls: RuntimeTls,
    generation: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

/// Counts a connection while it stands.
struct Standing(Arc<Shared>);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.standing.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Runtime {
    /// Holds a connection to a bare accept loop.
    async fn sit(self, stands: mpsc::Sender<()>) {
        let mut wire = loop {
            match self.accepted().await {
                Ok(wire) => break wire,
                Err(_) => self.failed().await,
            }
        };
        let _standing = self.stands(stands).await;
        // Nothing comes: it ends when either side hangs up.
        let _ = wire.more().await;
    }

    /// Holds a session with a kernel, and beats.
    async fn live(self, stands: mpsc::Sender<()>) {
        let (mut wire, beat) = loop {
            match self.welcomed().await {
                Ok(session) => break session,
                Err(_) => self.failed().await,
            }
        };
        let _standing = self.stands(stands).await;
        let (status, interval_ms) = (beat.desired.tenant_status, beat.heartbeat_interval_ms);
        // A session that ends is seen by who counts those that stand.
        let _ = self.serve(&mut wire, status, interval_ms).await;
    }

    async fn accepted(&self) -> anyhow::Result<Wire> {
        let mut wire = Wire::dial_from(self.from, &self.tls, self.addr).await?;
        wire.byte().await?;
        Ok(wire)
    }

    async fn welcomed(&self) -> anyhow::Result<(Wire, Beat)> {
        let mut wire = Wire::dial_from(self.from, &self.tls, self.addr).await?;
        let last = self.generation.load(Ordering::Relaxed);
        let welcome = wire.welcome(last).await?;
        self.generation.store(welcome.generation, Ordering::Relaxed);
        let beat = wire.beat(self.tenant).await?;
        Ok((wire, beat))
    }

    /// It tries again without any pause, as a fleet without manners would.
    async fn failed(&self) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }

    async fn stands(&self, stands: mpsc::Sender<()>) -> Standing {
        self.shared.standing.fetch_add(1, Ordering::Relaxed);
        // Whoever counts may have given up.
        let _ = stands.send(()).await;
        Standing(Arc::clone(&self.shared))
    }

    async fn serve(
        &self,
        wire: &mut Wire,
        mut status: TenantStatus,
        interval_ms: u64,
    ) -> anyhow::Result<()> {
        // Spread over the first interval: they all came at once.
        let spread = rand::random_range(0..interval_ms.max(1));
        let mut beat_at = Instant::now() + Duration::from_millis(spread);
        loop {
            tokio::select! {
                more = wire.more() => more?,
                () = sleep_until(beat_at) => {
                    let beat = beat_request(BEAT_ID, self.tenant);
                    wire.write(&codec::encode_frame(&beat)?).await?;
                    beat_at = Instant::now() + UNANSWERED;
                }
            }
            while let Some(frame) = wire.held()? {
                match codec::decode(&frame)? {
                    ServerMessage::Directive(desired) => self.note(&mut status, &desired),
                    ServerMessage::Answer(Answer {
                        outcome: Outcome::Beat(beat),
                        ..
                    }) => {
                        self.shared.beats.fetch_add(1, Ordering::Relaxed);
                        self.note(&mut status, &beat.desired);
                        let interval = Duration::from_millis(beat.heartbeat_interval_ms);
                        beat_at = Instant::now() + interval.mul_f64(0.95);
                    }
                    other => anyhow::bail!("not asked for: {other:?}"),
                }
            }
        }
    }

    /// A status that is another than the last is news; the newest revision comes last.
    fn note(&self, status: &mut TenantStatus, desired: &DesiredState) {
        if *status != desired.tenant_status {
            *status = desired.tenant_status;
            // There is room for twice as many as there are: nobody waits for news for so long.
            let _ = self.shared.heard.try_send((*status, clock_us()));
        }
    }
}

/// Each runtime of a fleet comes from a machine of its own: an address of 127.0.0.0/8.
fn address(member: usize) -> Ipv4Addr {
    let number = u32::try_from(member).unwrap_or_default() % MACHINES;
    Ipv4Addr::from(FIRST_MACHINE + number)
}

/// 127.1.0.0, and as many as there are from there to 127.255.255.255.
const FIRST_MACHINE: u32 = 0x7f01_0000;
const MACHINES: u32 = 0x00ff_0000;

/// Any: one beat is open at a time.
const BEAT_ID: u64 = 1;

/// A beat whose answer has not come by then is a fault that ends the session elsewhere.
const UNANSWERED: Duration = Duration::from_secs(60);

/// The contract is a second.
const HEAR_WITHIN: Duration = Duration::from_secs(50);

/// Ten thousand handshakes take some ten seconds on two cores, a debug build's a minute.
const DIAL_WITHIN: Duration = Duration::from_secs(300);
