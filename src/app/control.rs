//! The control thread: signals, ticks, reload, shutdown, and the home of console and HTTP.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::accept::Listening;
use super::balance::Balance;
use super::live::{self, LiveError};
use super::slow_log::SlowReporter;
use super::start::log_config;
use crate::admin::{Console, Shutdown, tick_alerts, tick_stats};
use crate::config::{self, SetError};
use crate::daemon::cli::RunOptions;
use crate::daemon::log::LogHandle;
use crate::daemon::signals::{Phase, Signal, Signals};
use crate::daemon::systemd::Notifier;
use crate::http::{self, Face, Reload};
use crate::pool::{Directory, ProcessState, TICK};
use crate::sidecar;
use crate::stats::clock::now_us;
use crate::stats::slots::Identity;

/// Ticks between two purges of the statement dictionary and two samples of the alerts: about ten
/// seconds.
const PURGE_EVERY: u32 = 30;

/// How soon a changed stats_period is noticed.
const STATS_LOOK: Duration = Duration::from_secs(1);

/// Between two collections; what a lane keeps in between is bounded.
const COLLECT: Duration = Duration::from_secs(1);

/// What the control thread is made of.
pub struct NewControl {
    pub directory: Arc<Directory>,
    pub options: RunOptions,
    pub log: LogHandle,
    pub listening: watch::Sender<Listening>,
    pub balance: Arc<Balance>,
    pub notifier: Notifier,
    pub slow_log: SlowReporter,
}

/// What can be asked of the process as a whole; console and signals share it.
pub struct Process {
    pub directory: Arc<Directory>,
    options: RunOptions,
    log: LogHandle,
    listening: watch::Sender<Listening>,
    notifier: Notifier,
    slow_log: SlowReporter,
    end: Notify,
    /// One reload at a time.
    alone: Mutex<()>,
    last_reload: Arc<Reload>,
}

impl Process {
    /// Reads the configuration again and puts it in force as a whole, or not at all. Logs each key
    /// that changed.
    pub fn reload(&self) -> Result<(), LiveError> {
        let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        self.notifier.reloading();
        let result = self.try_reload();
        self.last_reload.record(result.is_ok());
        let insight = &self.directory.shared.insight;
        insight.alerts().reloaded(result.is_ok());
        if let Err(error) = &result {
            for line in error.to_string().lines() {
                log::error!("{line}");
            }
            log::error!("configuration not changed");
        }
        self.notifier.ready();
        result
    }

    fn try_reload(&self) -> Result<(), LiveError> {
        let before = self.directory.shared.live_arc();
        let running = before.config.settings.conffile.as_deref();
        let file = running.map_or(self.options.config.as_path(), Path::new);
        let config = config::reload(file, &before.config)?;
        for warning in &config.warnings {
            log::warn!("{warning}");
        }
        for change in config::diff(&before.config, &config) {
            log::info!("{}: \"{}\" -> \"{}\"", change.key, change.from, change.to);
        }
        self.put_in_force(live::build(config, Some(&before))?);
        Ok(())
    }

    /// `SET key = value`, as the console does it: in force until the next reload.
    pub fn set(&self, key: &str, value: &str) -> Result<(), SetFailure> {
        let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.directory.shared.live_arc();
        let mut config = before.config.clone();
        config.settings = config
            .settings
            .set(key, value)
            .map_err(SetFailure::Refused)?;
        let live = live::build(config, Some(&before));
        self.put_in_force(live.map_err(|_| SetFailure::Tls)?);
        Ok(())
    }

    fn put_in_force(&self, live: crate::pool::Live) {
        if let Err(error) = self.log.apply(&log_config(&live.config, &self.options)) {
            log::error!("{error}");
        }
        self.slow_log.apply(&live.config);
        self.directory.reload(live);
    }

    /// Begins to end.
    pub fn shutdown(&self, how: Shutdown) {
        match how {
            Shutdown::Immediate => self.end.notify_one(),
            Shutdown::WaitForServers | Shutdown::WaitForClients => {
                self.directory
                    .begin_shutdown(how == Shutdown::WaitForServers);
                let _ = self.listening.send(Listening::UnixOnly);
            }
        }
    }

    /// Whether a shutdown that waits has nothing left to wait for.
    fn is_drained(&self) -> bool {
        let shared = &self.directory.shared;
        match self.directory.state() {
            ProcessState::WaitForServers
                if shared.pools().iter().all(|p| p.figures().servers == 0) =>
            {
                log::info!("server connections dropped, exiting");
                true
            }
            ProcessState::WaitForClients if shared.client_caps.total() == 0 => {
                log::info!("client connections dropped, exiting");
                true
            }
            _ => false,
        }
    }

    fn phase(&self) -> Phase {
        match self.directory.state() {
            ProcessState::Active => Phase::Running,
            ProcessState::Paused => Phase::Paused,
            ProcessState::WaitForServers | ProcessState::WaitForClients => Phase::ShuttingDown,
        }
    }

    fn on_signal(&self, signal: Signal) {
        let phase = self.phase();
        log::info!("{}", signal.log_text(phase));
        match signal {
            Signal::Reload => drop(self.reload()),
            Signal::Quit => self.shutdown(Shutdown::Immediate),
            Signal::ShutdownWaitClients | Signal::ShutdownWaitServers => {
                self.notifier.stopping();
                self.shutdown(match (phase, signal) {
                    (Phase::ShuttingDown, _) => Shutdown::Immediate,
                    (_, Signal::ShutdownWaitClients) => Shutdown::WaitForClients,
                    _ => Shutdown::WaitForServers,
                });
            }
            // The log has said whether there was anything to do.
            Signal::Pause => drop(self.directory.pause()),
            Signal::Resume => drop(self.directory.resume()),
        }
    }
}

/// Why SET did not set.
#[derive(Debug)]
pub enum SetFailure {
    /// Unknown key or bad value.
    Refused(SetError),
    /// The TLS files cannot be used; the old ones stay.
    Tls,
}

/// The control thread's runtime and what runs on it.
pub struct Control {
    runtime: Runtime,
    signals: Signals,
    process: Arc<Process>,
    balance: Arc<Balance>,
}

impl Control {
    /// Makes the runtime; `run_until_end` runs it.
    pub fn start(new: NewControl) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // Before the first connection is taken: an early SIGHUP must not end the process.
        let signals = {
            let _entered = runtime.enter();
            Signals::install()?
        };
        Ok(Self {
            runtime,
            signals,
            balance: new.balance,
            process: Arc::new(Process {
                directory: new.directory,
                options: new.options,
                log: new.log,
                listening: new.listening,
                notifier: new.notifier,
                slow_log: new.slow_log,
                end: Notify::new(),
                alone: Mutex::default(),
                last_reload: Arc::default(),
            }),
        })
    }

    /// The lane chooser.
    pub fn balance(&self) -> &Arc<Balance> {
        &self.balance
    }

    /// The console, whose sessions run on the control thread.
    pub fn console(&self) -> Arc<Console> {
        Console::open(
            Arc::clone(&self.process.directory),
            Arc::clone(&self.process) as _,
            self.runtime.handle().clone(),
        )
    }

    /// What the log says of the process once it is up.
    pub fn banner(&self) -> String {
        let shared = &self.process.directory.shared;
        format!(
            "{}, tokio (epoll), adns: system resolver, tls: rustls with aws-lc-rs, lanes: {}",
            crate::wire::version::VERSION_TEXT,
            shared.lanes.len()
        )
    }

    /// Runs until the end has been asked for and reached.
    pub fn run_until_end(self) {
        let process = Arc::clone(&self.process);
        let balance = Arc::clone(&self.balance);
        let mut signals = self.signals;
        self.runtime.block_on(async move {
            let ticks = tokio::spawn(tick(Arc::clone(&process), balance));
            let metrics = tokio::spawn(serve_http(Arc::clone(&process)));
            let stats = tokio::spawn(report_stats(Arc::clone(&process)));
            let collector = tokio::spawn(collect(Arc::clone(&process)));
            let asked = Arc::clone(&process.directory.shared);
            let sidecar = tokio::spawn(sidecar::run(asked));
            process.notifier.ready();
            loop {
                tokio::select! {
                    () = process.end.notified() => break,
                    signal = signals.next() => process.on_signal(signal),
                }
            }
            ticks.abort();
            metrics.abort();
            stats.abort();
            collector.abort();
            sidecar.abort();
            process.slow_log.report(&process.directory.shared.insight);
            process.slow_log.flush();
        });
        let _ = self.process.listening.send(Listening::None);
    }
}

/// `/metrics` and its neighbours, where `http_addr` names an address.
async fn serve_http(process: Arc<Process>) {
    let addr = process.directory.shared.live().config.own.http_addr.clone();
    if !addr.is_empty() {
        let directory = Arc::clone(&process.directory);
        let face = Face::of(directory, Arc::clone(&process.last_reload));
        http::serve(&addr, face).await;
    }
}

/// Every stats_period: the averages' snapshot, the log line, systemd's status.
async fn report_stats(process: Arc<Process>) {
    let mut last = Instant::now();
    loop {
        let period = process.directory.shared.live().config.settings.stats_period;
        let rest = period.saturating_sub(last.elapsed());
        if !rest.is_zero() {
            tokio::time::sleep(rest.min(STATS_LOOK)).await;
            continue;
        }
        last = Instant::now();
        let text = tick_stats(&process.directory);
        process.notifier.status(&text);
        if process.directory.shared.live().config.settings.log_stats {
            log::info!("{text}");
        }
    }
}

/// Once a second: what the lanes counted becomes what everybody sees, and sessions get their flags.
async fn collect(process: Arc<Process>) {
    let mut ticks = interval(COLLECT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let pool_of = |who: &Identity| match process.directory.known(&who.database) {
        Some(database) => database.pool_user(&who.user),
        None => Arc::clone(&who.user),
    };
    loop {
        ticks.tick().await;
        let shared = &process.directory.shared;
        process.slow_log.report(&shared.insight);
        if shared.insight.is_enabled() {
            shared.insight.scan(&shared.registry, now_us(), &pool_of);
        }
    }
}

/// Three times a second: pools, deadlines, lanes; and the end of a shutdown that waits.
async fn tick(process: Arc<Process>, balance: Arc<Balance>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rounds: u32 = 0;
    loop {
        ticks.tick().await;
        process.directory.maintain();
        balance.measure();
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(PURGE_EVERY) {
            process.directory.shared.dictionary.purge();
            tick_alerts(&process.directory);
        }
        if process.is_drained() {
            process.end.notify_one();
        }
    }
}
