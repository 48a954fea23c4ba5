//! The log: PgBouncer's lines, written by a thread of its own.
//!
//! Owns the `log` crate's logger, the queue and the writer thread. Lanes hand over a finished text
//! and go on: a slow disk or a stopped terminal never holds a query. Lines are not lost in silence:
//! when the queue is full they are counted, and the next line written says how many. FATAL and
//! [`LogHandle::flush`] wait for the writer.
//! Must never log about itself through itself. Source: surface 2.4.

mod line;
mod sinks;
mod slow;
mod slow_line;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use log::{LevelFilter, Metadata, Record};

pub use line::{FATAL_TARGET, Level};
pub use sinks::{LogConfig, Syslog};
pub use slow::{SlowLog, SlowLogConfig};
pub use slow_line::{SlowLine, SlowParts};

use line::Line;
use sinks::Sinks;

/// Lines that may wait for the writer: some 250 kB of slots, a second of a very loud log.
const QUEUE_LINES: usize = 4096;
/// Bytes gathered before a write; bounds the writer's memory.
const BATCH_BYTES: usize = 64 * 1024;
/// How long exit paths wait for a writer that does not get on.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// What can go wrong with the log itself.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file cannot be opened.
    #[error("cannot open logfile: '{}': {source}", path.display())]
    Open {
        /// As configured.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// The slow log's file cannot be opened.
    #[error("cannot open slow_log_file: '{}': {source}", path.display())]
    OpenSlow {
        /// As configured.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// A logger is there already.
    #[error("the log is installed already")]
    Installed,
    /// The writer thread could not be started.
    #[error("cannot start the log writer: {0}")]
    Thread(io::Error),
    /// The writer does not get on (a stopped terminal, a full pipe).
    #[error("the log writer is stuck")]
    Stuck,
}

enum Message {
    Line(Line),
    Replace(Box<Sinks>),
    Flush(SyncSender<()>),
}

/// The logger behind the `log` crate's macros.
struct Logger {
    /// Set once the writer thread runs; before that lines are written in place.
    queue: OnceLock<SyncSender<Message>>,
    direct: Mutex<Option<Sinks>>,
    dropped: AtomicU64,
    filter: AtomicUsize,
}

/// What the process keeps to steer its log. Cheap to copy.
#[derive(Clone, Copy)]
pub struct LogHandle {
    logger: &'static Logger,
}

/// Installs the logger, once per process. Until [`LogHandle::start_writer`] lines are written in
/// place, because a process that still has to fork may not have threads.
///
/// # Errors
/// The log file cannot be opened, or a logger is installed already.
pub fn install(config: &LogConfig) -> Result<LogHandle, LogError> {
    let handle = LogHandle {
        logger: Box::leak(Box::new(Logger::open(config)?)),
    };
    log::set_logger(handle.logger).map_err(|_| LogError::Installed)?;
    handle.set_verbosity(config.verbosity);
    Ok(handle)
}

impl LogHandle {
    /// Moves writing to a thread. Call after the last fork.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start_writer(&self) -> Result<(), LogError> {
        self.logger.start_writer()
    }

    /// Takes over new settings and reopens the log file; what was queued before goes to the old one.
    ///
    /// # Errors
    /// The file cannot be opened (everything stays as it was), or the writer is stuck.
    pub fn apply(&self, config: &LogConfig) -> Result<(), LogError> {
        self.logger.replace(Sinks::open(config)?)?;
        self.set_verbosity(config.verbosity);
        Ok(())
    }

    /// 0 normal, 1 DEBUG, 2 and more NOISE.
    pub fn set_verbosity(&self, verbosity: u8) {
        let filter = filter_for(verbosity);
        self.logger.filter.store(filter as usize, Ordering::Relaxed);
        log::set_max_level(filter);
    }

    /// Waits until everything said so far is written, at most two seconds. For exit paths.
    pub fn flush(&self) {
        self.logger.wait_written();
    }
}

fn filter_for(verbosity: u8) -> LevelFilter {
    match verbosity {
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

impl Logger {
    fn open(config: &LogConfig) -> Result<Self, LogError> {
        Ok(Self {
            queue: OnceLock::new(),
            direct: Mutex::new(Some(Sinks::open(config)?)),
            dropped: AtomicU64::new(0),
            filter: AtomicUsize::new(filter_for(config.verbosity) as usize),
        })
    }

    fn start_writer(&'static self) -> Result<(), LogError> {
        let mut direct = self.direct.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sinks) = direct.take() else {
            return Ok(());
        };
        let (sender, receiver) = mpsc::sync_channel(QUEUE_LINES);
        thread::Builder::new()
            .name("log".into())
            .spawn(move || write_lines(sinks, &receiver, &self.dropped))
            .map_err(LogError::Thread)?;
        // Under the lock: whoever finds `direct` empty finds the queue.
        let _ = self.queue.set(sender);
        Ok(())
    }

    fn replace(&self, sinks: Sinks) -> Result<(), LogError> {
        let mut direct = self.direct.lock().unwrap_or_else(PoisonError::into_inner);
        if direct.is_some() {
            *direct = Some(sinks);
            return Ok(());
        }
        drop(direct);
        self.send_patiently(
            Message::Replace(Box::new(sinks)),
            Instant::now() + FLUSH_PATIENCE,
        )
    }

    fn submit(&self, line: Line) {
        let Some(queue) = self.queue.get() else {
            return self.write_in_place(line);
        };
        if line.level == Level::Fatal {
            let _ = self.send_patiently(Message::Line(line), Instant::now() + FLUSH_PATIENCE);
            self.wait_written();
        } else if queue.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write_in_place(&self, line: Line) {
        let mut direct = self.direct.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sinks) = direct.as_mut() {
            sinks.push(&line);
            sinks.write_out();
            return;
        }
        drop(direct);
        self.submit(line);
    }

    /// Like `send`, but gives up at `deadline`: the writer may be blocked on a stopped terminal.
    fn send_patiently(&self, mut message: Message, deadline: Instant) -> Result<(), LogError> {
        let Some(queue) = self.queue.get() else {
            return Ok(());
        };
        loop {
            message = match queue.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) if Instant::now() < deadline => back,
                Err(_) => return Err(LogError::Stuck),
            };
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait_written(&self) {
        let deadline = Instant::now() + FLUSH_PATIENCE;
        let (done, written) = mpsc::sync_channel(1);
        if self.queue.get().is_some() && self.send_patiently(Message::Flush(done), deadline).is_ok()
        {
            let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Crates below us are heard from WARNING up only: `-vv` is for pooling, not for rustls.
    fn wants(&self, metadata: &Metadata) -> bool {
        let ours = metadata.target().starts_with("pgweir") || metadata.target() == FATAL_TARGET;
        let limit = if ours {
            self.filter.load(Ordering::Relaxed)
        } else {
            LevelFilter::Warn as usize
        };
        metadata.level() as usize <= limit
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.wants(metadata)
    }

    fn log(&self, record: &Record) {
        if self.wants(record.metadata()) {
            self.submit(Line {
                at: SystemTime::now(),
                level: Level::of(record.level(), record.target()),
                text: record.args().to_string(),
            });
        }
    }

    fn flush(&self) {
        self.wait_written();
    }
}

/// The writer thread: takes what is there, writes it at once.
fn write_lines(mut sinks: Sinks, queue: &Receiver<Message>, dropped: &AtomicU64) {
    while let Ok(first) = queue.recv() {
        let mut next = Some(first);
        let mut flushed: Vec<SyncSender<()>> = Vec::new();
        while let Some(message) = next {
            match message {
                Message::Line(line) => sinks.push(&line),
                Message::Flush(done) => flushed.push(done),
                Message::Replace(new) => {
                    sinks.write_out();
                    sinks = *new;
                }
            }
            next = if sinks.pending() < BATCH_BYTES {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        push_dropped(&mut sinks, dropped.swap(0, Ordering::Relaxed));
        sinks.write_out();
        for done in flushed {
            let _ = done.try_send(());
        }
    }
}

fn push_dropped(sinks: &mut Sinks, count: u64) {
    if count > 0 {
        sinks.push(&Line {
            at: SystemTime::now(),
            level: Level::Warning,
            text: format!("{count} log lines lost: the log could not be written fast enough"),
        });
    }
}

#[cfg(test)]
mod tests;
