//! Signals: which one came, and what the log says about it.
//!
//! Owns the handlers. What a signal does to clients and pools is decided in `app`, which knows
//! whether the process is paused or already shutting down. Mirrors: surface 2.2 and 2.4.
//! SIGPIPE needs nothing: the Rust runtime ignores it before `main`, so a write to a closed socket
//! is an error value.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What an operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGTERM: stay until every client has left. A second one means at once.
    ShutdownWaitClients,
    /// SIGINT: stay until every server connection is released. A second one means at once.
    ShutdownWaitServers,
    /// SIGQUIT: at once.
    Quit,
    /// SIGUSR1.
    Pause,
    /// SIGUSR2.
    Resume,
}

/// What the process is doing when a signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Normal work.
    Running,
    /// Paused as a whole.
    Paused,
    /// Suspended.
    Suspended,
    /// A shutdown is waiting for clients or servers.
    ShuttingDown,
}

impl Signal {
    /// PgBouncer's log line for this signal in this phase.
    pub fn log_text(self, phase: Phase) -> &'static str {
        match (self, phase) {
            (Signal::Reload, _) => "got SIGHUP, re-reading config",
            (Signal::ShutdownWaitClients, Phase::ShuttingDown) => {
                "got SIGTERM while shutting down, fast exit"
            }
            (Signal::ShutdownWaitClients, _) => {
                "got SIGTERM, shutting down, waiting for all clients disconnect"
            }
            (Signal::ShutdownWaitServers, Phase::ShuttingDown) => {
                "got SIGINT while shutting down, fast exit"
            }
            (Signal::ShutdownWaitServers, _) => {
                "got SIGINT, shutting down, waiting for all servers connections to be released"
            }
            (Signal::Quit, _) => "got SIGQUIT, fast exit",
            (Signal::Pause, Phase::Running) => "got SIGUSR1, pausing all activity",
            (Signal::Pause, Phase::ShuttingDown) => "got SIGUSR1 while shutting down, ignoring",
            (Signal::Pause, _) => "got SIGUSR1, but already paused/suspended",
            (Signal::Resume, Phase::ShuttingDown) => "got SIGUSR2 while shutting down, ignoring",
            (Signal::Resume, Phase::Suspended) => "got SIGUSR2, continuing from SUSPEND",
            (Signal::Resume, Phase::Paused) => "got SIGUSR2, continuing from PAUSE",
            (Signal::Resume, Phase::Running) => "got SIGUSR2, but not paused/suspended",
        }
    }
}

/// The signals of this process as a stream.
pub struct Signals {
    streams: Vec<(Signal, Stream)>,
}

/// The signals that have a handler.
fn all() -> SigSet {
    [
        Number::SIGQUIT,
        Number::SIGINT,
        Number::SIGTERM,
        Number::SIGHUP,
        Number::SIGUSR1,
        Number::SIGUSR2,
    ]
    .into_iter()
    .collect()
}

/// Lets signals wait until the handlers are there. For the main thread, before there are others:
/// they inherit it, which leaves signals to the main thread for good.
pub fn hold() {
    if let Err(error) = all().thread_block() {
        log::warn!("cannot hold signals back during the start: {error}");
    }
}

impl Signals {
    /// Installs the handlers and takes what was held back; needs a runtime with I/O enabled.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn install() -> io::Result<Self> {
        // Endings first: they win when several are due.
        let kinds = [
            (Signal::Quit, SignalKind::quit()),
            (Signal::ShutdownWaitServers, SignalKind::interrupt()),
            (Signal::ShutdownWaitClients, SignalKind::terminate()),
            (Signal::Reload, SignalKind::hangup()),
            (Signal::Pause, SignalKind::user_defined1()),
            (Signal::Resume, SignalKind::user_defined2()),
        ];
        let streams = kinds
            .into_iter()
            .map(|(name, kind)| Ok((name, signal(kind)?)));
        let streams = streams.collect::<io::Result<_>>()?;
        all().thread_unblock()?;
        Ok(Self { streams })
    }

    /// The next signal. Cancel safe: a signal that was not returned stays for the next call.
    /// COMPAT: equal signals that come before the first is seen count once, as everywhere in Unix.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        for (name, stream) in &mut self.streams {
            if let Poll::Ready(Some(())) = stream.poll_recv(cx) {
                return Poll::Ready(*name);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[tokio::test]
    async fn each_signal_arrives_under_its_name() {
        let mut signals = Signals::install().unwrap();
        for (number, expected) in [
            (Number::SIGHUP, Signal::Reload),
            (Number::SIGTERM, Signal::ShutdownWaitClients),
            (Number::SIGINT, Signal::ShutdownWaitServers),
            (Number::SIGQUIT, Signal::Quit),
            (Number::SIGUSR1, Signal::Pause),
            (Number::SIGUSR2, Signal::Resume),
        ] {
            raise(number).unwrap();
            assert_eq!(signals.next().await, expected);
        }
    }

    #[test]
    fn texts_name_the_phase() {
        assert_eq!(
            Signal::ShutdownWaitServers.log_text(Phase::Paused),
            "got SIGINT, shutting down, waiting for all servers connections to be released"
        );
        assert!(
            Signal::ShutdownWaitClients
                .log_text(Phase::ShuttingDown)
                .ends_with("fast exit")
        );
        assert_eq!(
            Signal::Resume.log_text(Phase::Paused),
            "got SIGUSR2, continuing from PAUSE"
        );
    }

    #[test]
    fn a_closed_pipe_is_an_error_not_a_death() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let ignored = status
            .lines()
            .find_map(|l| l.strip_prefix("SigIgn:\t"))
            .unwrap();
        let sigpipe = 1 << (Number::SIGPIPE as u64 - 1);
        assert_ne!(u64::from_str_radix(ignored, 16).unwrap() & sigpipe, 0);
    }
}
