//! One connection of frames that keeps so many questions open.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use provost_certs::Alpn;

use super::{
    Ran, Ready, Server, Spec, micros_since,
    question::{FIRST_ID, Judged, Question, number},
    wire::Wire,
};
use crate::world::{Member, World};

/// The connection.
#[derive(Debug)]
pub(super) struct FrameLine {
    wire: Wire,
    member: Member,
    server: Server,
    questions: Vec<Question>,
    in_flight: usize,
    patient: bool,
    rest: Duration,
    beat: Option<Instant>,
    next: u64,
    open: Vec<Open>,
    out: Vec<u8>,
    /// How long each answer took, in microseconds.
    pub(super) times: Vec<u32>,
}

/// A question on its way.
#[derive(Debug)]
struct Open {
    id: u64,
    asked: Instant,
}

impl FrameLine {
    /// Connects, and asks everything once.
    pub(super) async fn open(spec: &Spec, world: &World, member: &Member) -> anyhow::Result<Self> {
        let tls = world.tls(member, &spec.trust_pem, Alpn::Provost1)?;
        let mut wire = Wire::dial(&tls, spec.addr).await?;
        match spec.server {
            Server::Checks | Server::Beats | Server::Licenses => {
                wire.welcome(0).await?;
            }
            Server::Echo { answer_bytes, .. } => {
                wire.write(&crate::floor::echo_greeting(answer_bytes)?)
                    .await?;
            }
            Server::Codec | Server::Https | Server::Handler => {}
        }
        let mut line = Self {
            wire,
            member: member.clone(),
            server: spec.server,
            questions: Question::all(spec.server, member)?,
            in_flight: spec.in_flight,
            patient: spec.patient,
            rest: Duration::from_micros(spec.rest_us),
            beat: None,
            next: FIRST_ID,
            open: Vec::new(),
            out: Vec::new(),
            times: Vec::new(),
        };
        line.prepare().await?;
        for _ in 0..line.questions.len() {
            line.ask();
            line.send().await?;
            while !line.open.is_empty() {
                let mut ran = Ran::default();
                line.hear(&mut ran).await?;
                anyhow::ensure!(ran.refused == 0, "refused before the measurement began");
            }
        }
        line.times.clear();
        Ok(line)
    }

    pub(super) fn ready(&self) -> Ready {
        let lengths = self.questions.iter().map(Question::answer_bytes);
        Ready {
            answer_bytes: lengths.sum::<usize>() / self.questions.len().max(1),
            sample: String::new(),
        }
    }

    /// A heartbeat, so that nobody counts as lost between two runs.
    pub(super) async fn prepare(&mut self) -> anyhow::Result<()> {
        let beats = matches!(
            self.server,
            Server::Checks | Server::Beats | Server::Licenses
        );
        if beats && self.beat.is_none_or(|beat| beat.elapsed() > BEAT_EVERY) {
            self.wire.beat(self.member.tenant).await?;
            self.beat = Some(Instant::now());
        }
        Ok(())
    }

    /// Asks until then, and waits for what is open.
    pub(super) async fn run(&mut self, until: Instant) -> anyhow::Result<Ran> {
        let mut ran = Ran::default();
        for _ in 0..self.in_flight {
            self.ask();
        }
        self.send().await?;
        while !self.open.is_empty() {
            let heard = self.hear(&mut ran).await?;
            if !self.rest.is_zero() {
                tokio::time::sleep(self.rest).await;
            }
            if Instant::now() < until {
                for _ in 0..heard {
                    self.ask();
                }
                self.send().await?;
            }
        }
        Ok(ran)
    }

    fn ask(&mut self) {
        let count = self.questions.len() as u64;
        let at = usize::try_from(self.next % count).unwrap_or(0);
        self.questions[at].ask(self.next, &mut self.out);
        self.open.push(Open {
            id: self.next,
            asked: Instant::now(),
        });
        self.next += 1;
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        if !self.out.is_empty() {
            self.wire.write(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Takes in the answers that are there, at least one; says how many.
    async fn hear(&mut self, ran: &mut Ran) -> anyhow::Result<usize> {
        let mut heard = 0;
        let mut body = Some(self.wire.frame().await?);
        while let Some(frame) = body {
            if let Some(id) = number(&frame)? {
                let place = self.open.iter().position(|open| open.id == id);
                let open = self
                    .open
                    .swap_remove(place.context("an answer to nothing")?);
                let count = self.questions.len() as u64;
                let at = usize::try_from(id % count).unwrap_or(0);
                let judged = self.questions[at].judge(&frame)?;
                self.times.push(micros_since(open.asked));
                ran.answers += 1;
                if judged == Judged::Refused {
                    anyhow::ensure!(self.patient, "told to come back later");
                    ran.refused += 1;
                }
                heard += 1;
            }
            body = self.wire.held()?;
        }
        Ok(heard)
    }
}

/// As a runtime does.
const BEAT_EVERY: Duration = Duration::from_secs(5);
