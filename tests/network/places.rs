//! Two places with a cable between them, each a network namespace of its own.
//!
//! A test runs twice: outside it makes the namespaces, runs itself once more in the kernel's, and
//! takes all away again, whatever became of it; inside it does what it says.

use std::{
    path::Path,
    process::{Command, Output},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    cable::Cable,
    tool::{output_of, run},
    world::say,
};

/// What a test finds inside.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) cable: Cable,
    connector: String,
}

/// How a row of pings went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pinged {
    pub(crate) lost_percent: f64,
    pub(crate) average_ms: f64,
}

/// Three namespaces: the kernel's, the connector's, and that of the cable between them.
struct Places {
    name: String,
}

/// Runs a test between two places. It runs as `timeout` lets it, in a process of its own.
pub(crate) fn between<Test: AsyncFnOnce(Network)>(test: Test) {
    if let Ok(name) = std::env::var(INSIDE) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        return runtime.unwrap().block_on(test(Network::of(&name)));
    }
    // `network::module::test::{{closure}}`: what stands between is what the harness calls it.
    let path = std::any::type_name::<Test>();
    let path = path.split_once("::").unwrap().1;
    let path = path.split("::{{closure}}").next().unwrap();
    let places = Places::make();
    let output = places.run(path);
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{}\n{said}\n{told}",
        output.status
    );
    say(&told);
}

impl Network {
    fn of(name: &str) -> Self {
        Self {
            cable: Cable::lay(&place(name, CABLE)),
            connector: place(name, CONNECTOR),
        }
    }

    /// What makes a command run where the connector is.
    pub(crate) fn there(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.connector]
            .map(str::to_owned)
            .to_vec()
    }

    /// Takes the connector's device out of service: its own system knows that there is no network.
    pub(crate) fn unplug(&self) {
        ip(&format!("-n {} link set dev {DEVICE} down", self.connector));
    }

    /// Puts it into service again.
    pub(crate) fn plug(&self) {
        ip(&format!("-n {} link set dev {DEVICE} up", self.connector));
    }

    /// Pings the kernel's address from the connector's place.
    pub(crate) fn ping(&self, count: u32) -> Pinged {
        let words = format!(
            "netns exec {} ping -n -q -c {count} -i 0.02 -W 2 {KERNEL_IP}",
            self.connector
        );
        // It fails when nothing came back, which the figures say too.
        let output = run("ip", &words.split(' ').collect::<Vec<_>>(), b"");
        let text = String::from_utf8(output.stdout).unwrap();
        let before = |mark: &str| text.split_once(mark).map(|(before, _)| before);
        let lost = before("% packet loss").unwrap().rsplit(' ').next().unwrap();
        let times = text.split_once("mdev = ").map(|(_, times)| times);
        let average = times.and_then(|times| times.split('/').nth(1));
        Pinged {
            lost_percent: lost.parse().unwrap(),
            average_ms: average.map_or(f64::INFINITY, |text| text.parse().unwrap()),
        }
    }
}

impl Places {
    fn make() -> Self {
        static ONCE: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        ONCE.call_once(sweep);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let places = Self {
            name: format!("{PREFIX}{}-{count}", std::process::id()),
        };
        let cable = place(&places.name, CABLE);
        ip(&format!("netns add {cable}"));
        for (role, address) in [(KERNEL, KERNEL_IP), (CONNECTOR, CONNECTOR_IP)] {
            let name = place(&places.name, role);
            ip(&format!("netns add {name}"));
            ip(&format!(
                "-n {cable} link add name {role} type veth peer name {DEVICE} netns {name}"
            ));
            ip(&format!("-n {cable} link set dev {role} up"));
            let plain = format!("netns exec {name} python3 {CABLE_SCRIPT} plain {DEVICE}");
            ip(&plain);
            ip(&format!("-n {name} address add {address}/24 dev {DEVICE}"));
            ip(&format!("-n {name} link set dev lo up"));
            ip(&format!("-n {name} link set dev {DEVICE} up"));
        }
        places
    }

    /// Runs one test of this executable where the kernel is.
    fn run(&self, test: &str) -> Output {
        Command::new("timeout")
            .args(["--kill-after=5", WITHIN_SECONDS, "ip", "netns", "exec"])
            .arg(place(&self.name, KERNEL))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(INSIDE, &self.name)
            .output()
            .unwrap()
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for role in [KERNEL, CONNECTOR, CABLE] {
            remove(&place(&self.name, role));
        }
    }
}

fn place(name: &str, role: &str) -> String {
    format!("{name}-{role}")
}

fn ip(words: &str) {
    output_of("ip", &words.split(' ').collect::<Vec<_>>(), b"");
}

/// Ends whoever is left in a namespace, and takes it away. What is gone already cannot be.
fn remove(name: &str) {
    let pids = run("ip", &["netns", "pids", name], b"").stdout;
    for pid in String::from_utf8_lossy(&pids).lines() {
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    drop(run("ip", &["netns", "delete", name], b""));
}

/// Takes away what runs before this one left behind when they were killed.
fn sweep() {
    let list = output_of("ip", &["netns", "list"], b"");
    let names = list.lines().filter_map(|line| line.split(' ').next());
    for name in names {
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(name);
        }
    }
}

const PREFIX: &str = "provost-test-";

const KERNEL: &str = "kernel";
const CONNECTOR: &str = "connector";
const CABLE: &str = "cable";

/// The one device of a place.
const DEVICE: &str = "eth0";

pub(crate) const KERNEL_IP: &str = "10.77.0.1";
const CONNECTOR_IP: &str = "10.77.0.2";

pub(crate) const CABLE_SCRIPT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/cable.py");

/// Set inside; names the places.
const INSIDE: &str = "PROVOST_TEST_PLACES";

/// The longest test waits for an idle connection's end, a minute; the rest is a busy machine's.
const WITHIN_SECONDS: &str = "150";
