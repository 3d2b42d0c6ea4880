//! Tells systemd how the daemon does: ready, alive, stopping (sd_notify(3)).
//!
//! The socket's path is a value: only `main` reads `NOTIFY_SOCKET`, and tests bring their own.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net::SocketAddr, net::UnixDatagram},
    },
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Whoever started the daemon and wants to hear of it; says nothing where there is none.
#[derive(Debug, Clone, Default)]
pub struct Notify {
    socket: Option<OsString>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Speaks to the socket of this name; a leading `@` names an abstract one. `watchdog` is how
    /// long the supervisor waits for a sign of life.
    #[must_use]
    pub const fn new(socket: Option<OsString>, watchdog: Option<Duration>) -> Self {
        Self { socket, watchdog }
    }

    /// Reads what systemd left in the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and
    /// `WATCHDOG_PID`. For `main` only.
    #[must_use]
    pub fn from_env() -> Self {
        let mine =
            std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let micros = std::env::var("WATCHDOG_USEC")
            .ok()
            .and_then(|text| text.parse().ok());
        let watchdog = micros
            .filter(|&micros| mine && micros > 0)
            .map(Duration::from_micros);
        Self::new(std::env::var_os("NOTIFY_SOCKET"), watchdog)
    }

    /// Says that the daemon answers on its ports.
    pub fn ready(&self, status: &str) {
        self.say(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Says in a few words what the daemon does; `systemctl status` shows it.
    pub fn status(&self, status: &str) {
        self.say(&[NotifyState::Status(status)]);
    }

    /// Says that the daemon stops.
    pub fn stopping(&self) {
        self.say(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// Gives a sign of life twice in every span the supervisor waits, for as long as `alive` says
    /// yes within half of it. Ends at once where no sign is waited for; else never.
    ///
    /// A store that hangs takes the sign away, and the supervisor starts the daemon anew.
    pub async fn watch<F>(&self, mut alive: impl FnMut() -> F)
    where
        F: Future<Output = bool>,
    {
        let Some(half) = self
            .watchdog
            .map(|whole| whole / 2)
            .filter(|half| !half.is_zero())
        else {
            return;
        };
        let mut ticks = interval(half);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match timeout(half, alive()).await {
                Ok(true) => self.say(&[NotifyState::Watchdog]),
                Ok(false) | Err(_) => tracing::error!("the store does not answer: no sign of life"),
            }
        }
    }

    /// A supervisor that does not listen is no reason to stop governing.
    fn say(&self, words: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let text: String = words.iter().map(|word| format!("{word}\n")).collect();
        if let Err(error) = send(socket, text.as_bytes()) {
            tracing::warn!(%error, "the supervisor does not listen");
        }
    }
}

fn send(socket: &OsStr, text: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let datagram = UnixDatagram::unbound()?;
    // A full queue must not hold up the daemon.
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(text, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        path::PathBuf,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    struct Supervisor {
        _dir: tempfile::TempDir,
        path: PathBuf,
        socket: UnixDatagram,
    }

    impl Supervisor {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            Self {
                _dir: dir,
                path,
                socket,
            }
        }

        fn notify(&self, watchdog: Option<Duration>) -> Notify {
            Notify::new(Some(self.path.clone().into()), watchdog)
        }

        /// All that was said so far, one datagram each.
        fn heard(&self) -> Vec<String> {
            let mut heard = Vec::new();
            let mut buffer = [0; 512];
            while let Ok(bytes) = self.socket.recv(&mut buffer) {
                heard.push(String::from_utf8(buffer[..bytes].to_vec()).unwrap());
            }
            heard
        }
    }

    #[test]
    fn ready_status_and_stopping_are_heard() {
        let supervisor = Supervisor::new();
        let notify = supervisor.notify(None);
        notify.ready("governing");
        notify.status("busy");
        notify.stopping();
        let said = [
            "READY=1\nSTATUS=governing\n",
            "STATUS=busy\n",
            "STOPPING=1\nSTATUS=draining\n",
        ];
        assert_eq!(supervisor.heard(), said);
    }

    #[tokio::test(start_paused = true)]
    async fn the_sign_of_life_comes_twice_in_each_span_and_only_while_the_store_answers() {
        let supervisor = Supervisor::new();
        let notify = supervisor.notify(Some(Duration::from_secs(10)));
        let well = AtomicBool::new(true);
        let watch = notify.watch(|| ready(well.load(Ordering::SeqCst)));
        tokio::pin!(watch);
        assert!(timeout(Duration::from_secs(11), &mut watch).await.is_err());
        assert_eq!(supervisor.heard(), ["WATCHDOG=1\n"; 3], "at 0, 5 and 10 s");
        well.store(false, Ordering::SeqCst);
        assert!(timeout(Duration::from_secs(20), &mut watch).await.is_err());
        assert_eq!(supervisor.heard(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_takes_the_sign_of_life_away() {
        let supervisor = Supervisor::new();
        let notify = supervisor.notify(Some(Duration::from_secs(10)));
        let watch = notify.watch(std::future::pending::<bool>);
        assert!(timeout(Duration::from_secs(60), watch).await.is_err());
        assert_eq!(supervisor.heard(), [""; 0]);
    }

    #[tokio::test]
    async fn without_a_supervisor_nothing_is_said_and_nothing_waits() {
        let notify = Notify::default();
        notify.ready("governing");
        notify.watch(|| ready(true)).await;
        Notify::new(Some("no/such/socket".into()), None).stopping();
    }
}
