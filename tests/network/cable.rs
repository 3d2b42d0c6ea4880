//! The cable between the two places, as good or as bad as a test wants it.
//!
//! It is `cable.py`, a process that carries every packet: what it does to them does not depend on
//! which queueing disciplines this machine's kernel was built with (`netem` is often missing).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use serde_json::Value;

use crate::places::CABLE_SCRIPT;

/// A cable that is laid; it is taken away when this value goes.
#[derive(Debug)]
pub(crate) struct Cable {
    child: Child,
    talk: Mutex<Talk>,
}

#[derive(Debug)]
struct Talk {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Towards {
    Kernel,
    Connector,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// How many of a hundred are lost.
    loss_percent: f64,
    delay_ms: f64,
    jitter_ms: f64,
    /// As much as the line takes in a second; 0 for any amount.
    kbit: u32,
}

impl Weather {
    /// Everything arrives at once.
    pub(crate) const CLEAR: Self = Self::new(0.0, 0.0, 0.0);

    /// Nothing arrives, and nobody is told.
    pub(crate) const CUT: Self = Self::new(100.0, 0.0, 0.0);

    pub(crate) const fn new(loss_percent: f64, delay_ms: f64, jitter_ms: f64) -> Self {
        Self {
            loss_percent,
            delay_ms,
            jitter_ms,
            kbit: 0,
        }
    }

    /// The same over a line that takes so much in a second.
    pub(crate) const fn narrow(self, kbit: u32) -> Self {
        Self { kbit, ..self }
    }
}

impl Cable {
    /// Lays a cable between the two devices of a namespace.
    pub(crate) fn lay(namespace: &str) -> Self {
        let mut child = Command::new("ip")
            .args(["netns", "exec", namespace, "python3", CABLE_SCRIPT])
            .args(["join", Towards::Kernel.end(), Towards::Connector.end()])
            .arg(SEED)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut talk = Talk {
            commands: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
        };
        assert_eq!(talk.hear(), "ready");
        Self {
            child,
            talk: Mutex::new(talk),
        }
    }

    /// Makes the weather, one way.
    pub(crate) fn make(&self, towards: Towards, weather: Weather) {
        let Weather {
            loss_percent,
            delay_ms,
            jitter_ms,
            kbit,
        } = weather;
        let (end, loss) = (towards.letter(), loss_percent / 100.0);
        let done = self.ask(&format!("set {end} {loss} {delay_ms} {jitter_ms} {kbit}"));
        assert_eq!(done, "done");
    }

    /// Makes it both ways.
    pub(crate) fn make_all(&self, weather: Weather) {
        self.make(Towards::Kernel, weather);
        self.make(Towards::Connector, weather);
    }

    /// How many packets were dropped on the way to there, of how many.
    pub(crate) fn dropped(&self, towards: Towards) -> (u64, u64) {
        let counts: Value = serde_json::from_str(&self.ask("count")).unwrap();
        let counts = &counts[towards.letter()];
        let (carried, dropped) = (counts["carried"].as_u64(), counts["dropped"].as_u64());
        (dropped.unwrap(), dropped.unwrap() + carried.unwrap())
    }

    fn ask(&self, command: &str) -> String {
        let mut talk = self.talk.lock().unwrap();
        let line = format!("{command}\n");
        talk.commands.write_all(line.as_bytes()).unwrap();
        talk.hear()
    }
}

impl Talk {
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // Whoever has ended already cannot be killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Towards {
    /// The device of the cable at that end.
    const fn end(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Connector => "connector",
        }
    }

    /// What the script calls it.
    const fn letter(self) -> &'static str {
        match self {
            Self::Kernel => "a",
            Self::Connector => "b",
        }
    }
}

/// Any number: the same chances are drawn in every run.
const SEED: &str = "4";
