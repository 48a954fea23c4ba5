//! The slow log: a file of its own, written by a thread of its own.
//!
//! Owns the file, its writer and the limit on lines a second. Whoever reports a statement never
//! waits: what is over the limit, or more than the writer can take, is counted, and the log says how
//! many were left out. Must never log through the main log for each statement.
//! Opened for append, so that rotation with copytruncate leaves no hole; a reload opens it again.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::LogError;
use super::slow_line::{Layout, SlowLine};
use crate::config::SlowLogFormat;

/// Statements that may wait for the writer.
const QUEUE_LINES: usize = 256;
/// How long [`SlowLog::flush`] waits for a writer that does not get on.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);
/// How often the log says what was left out; the limit counts by seconds.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// The settings slow_log_*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowLogConfig {
    /// `None` = off.
    pub file: Option<PathBuf>,
    /// PostgreSQL's stderr format or jsonlog.
    pub format: SlowLogFormat,
    /// PostgreSQL's log_line_prefix.
    pub prefix: String,
    /// Statements a second; 0 = no limit.
    pub rate: u32,
}

enum Message {
    Line(Box<SlowLine>),
    Replace(Box<Option<Sink>>),
    Flush(SyncSender<()>),
}

/// The slow log of the process. Cheap to call from anywhere.
pub struct SlowLog {
    shared: Arc<Shared>,
    queue: Mutex<Option<SyncSender<Message>>>,
    began: Instant,
    gate: Gate,
}

#[derive(Default)]
struct Shared {
    is_on: AtomicBool,
    rate: AtomicU32,
    lines: AtomicU64,
    suppressed: AtomicU64,
    /// Suppressed ones the log has not mentioned yet.
    unsaid: AtomicU64,
}

impl Shared {
    fn suppress(&self, count: u64) {
        self.suppressed.fetch_add(count, Relaxed);
        self.unsaid.fetch_add(count, Relaxed);
    }
}

impl SlowLog {
    /// Opens the file, if there is one, and starts its writer. Call after the last fork.
    ///
    /// # Errors
    /// The file cannot be opened, or the system refuses a thread.
    pub fn open(config: &SlowLogConfig) -> Result<Self, LogError> {
        let log = Self {
            shared: Arc::default(),
            queue: Mutex::new(None),
            began: Instant::now(),
            gate: Gate::default(),
        };
        log.apply(config)?;
        Ok(log)
    }

    /// Takes over new settings and opens the file again: for a reload. What was reported before
    /// goes to the old file.
    ///
    /// # Errors
    /// The file cannot be opened (everything stays as it was), the system refuses a thread, or the
    /// writer is stuck.
    pub fn apply(&self, config: &SlowLogConfig) -> Result<(), LogError> {
        let sink = config
            .file
            .as_deref()
            .map(|path| Sink::open(path, config))
            .transpose()?;
        let is_on = sink.is_some();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.as_ref() {
            None if is_on => *queue = Some(self.start()?),
            None => return Ok(()),
            Some(_) => {}
        }
        if let Some(queue) = queue.as_ref() {
            let deadline = Instant::now() + FLUSH_PATIENCE;
            send(queue, Message::Replace(Box::new(sink)), deadline)?;
        }
        self.shared.rate.store(config.rate, Relaxed);
        self.shared.is_on.store(is_on, Relaxed);
        Ok(())
    }

    /// Reports one slow statement. Never waits.
    pub fn write(&self, line: &SlowLine) {
        if !self.shared.is_on.load(Relaxed) {
            return;
        }
        let second = self.began.elapsed().as_secs() as u32;
        let is_taken = self.gate.admits(second, self.shared.rate.load(Relaxed))
            && self
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .is_some_and(|queue| {
                    let message = Message::Line(Box::new(line.clone()));
                    queue.try_send(message).is_ok()
                });
        if !is_taken {
            self.shared.suppress(1);
        }
    }

    /// Statements written, over the life of the process.
    pub fn lines(&self) -> u64 {
        self.shared.lines.load(Relaxed)
    }

    /// Statements left out: over the limit, or because the file could not be written.
    pub fn suppressed(&self) -> u64 {
        self.shared.suppressed.load(Relaxed)
    }

    /// Waits until what was reported is written, at most two seconds. For exit paths.
    pub fn flush(&self) {
        let deadline = Instant::now() + FLUSH_PATIENCE;
        let (done, written) = mpsc::sync_channel(1);
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let is_sent = queue
            .as_ref()
            .is_some_and(|queue| send(queue, Message::Flush(done), deadline).is_ok());
        drop(queue);
        if is_sent {
            let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }

    fn start(&self) -> Result<SyncSender<Message>, LogError> {
        let (sender, receiver) = mpsc::sync_channel(QUEUE_LINES);
        let shared = self.shared.clone();
        thread::Builder::new()
            .name("slow log".into())
            .spawn(move || Writer::new(shared).run(&receiver))
            .map_err(LogError::Thread)?;
        Ok(sender)
    }
}

impl std::fmt::Debug for SlowLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlowLog")
            .field("lines", &self.lines())
            .field("suppressed", &self.suppressed())
            .finish_non_exhaustive()
    }
}

/// Like `send`, but gives up at `deadline`: the writer may wait for a full disk's file system.
fn send(
    queue: &SyncSender<Message>,
    mut message: Message,
    deadline: Instant,
) -> Result<(), LogError> {
    loop {
        message = match queue.try_send(message) {
            Ok(()) => return Ok(()),
            Err(mpsc::TrySendError::Full(back)) if Instant::now() < deadline => back,
            Err(_) => return Err(LogError::Stuck),
        };
        thread::sleep(Duration::from_millis(1));
    }
}

/// So many a second: the second in the upper half, how many it had in the lower.
#[derive(Default)]
struct Gate(AtomicU64);

impl Gate {
    fn admits(&self, second: u32, rate: u32) -> bool {
        if rate == 0 {
            return true;
        }
        let now = u64::from(second) << 32;
        self.0
            .fetch_update(Relaxed, Relaxed, |state| {
                match state & !0xffff_ffff == now {
                    false => Some(now | 1),
                    true if (state as u32) < rate => Some(state + 1),
                    true => None,
                }
            })
            .is_ok()
    }
}

struct Sink {
    file: File,
    layout: Layout,
    rate: u32,
}

impl Sink {
    fn open(path: &Path, config: &SlowLogConfig) -> Result<Self, LogError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| LogError::OpenSlow {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            file,
            layout: Layout::new(config.format, &config.prefix),
            rate: config.rate,
        })
    }
}

struct Writer {
    shared: Arc<Shared>,
    sink: Option<Sink>,
    text: String,
    said: Instant,
    /// Something may have been left out that was not said yet, so that waiting has an end.
    is_busy: bool,
}

impl Writer {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            sink: None,
            text: String::new(),
            said: Instant::now(),
            is_busy: false,
        }
    }

    fn run(mut self, queue: &Receiver<Message>) {
        loop {
            let message = match self.is_busy {
                true => queue.recv_timeout(SAY_EVERY),
                false => queue.recv().map_err(RecvTimeoutError::from),
            };
            match message {
                Ok(message) => {
                    self.is_busy = true;
                    self.take(message);
                }
                Err(RecvTimeoutError::Timeout) => self.is_busy = self.say_suppressed(),
                Err(RecvTimeoutError::Disconnected) => {
                    self.say_suppressed();
                    return;
                }
            }
            if self.said.elapsed() >= SAY_EVERY {
                self.say_suppressed();
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => self.write(&line),
            Message::Replace(sink) => {
                self.say_suppressed();
                self.sink = *sink;
            }
            Message::Flush(done) => {
                self.say_suppressed();
                let _ = done.try_send(());
            }
        }
    }

    /// One write per statement, so that lines of several processes in one file do not mix.
    fn write(&mut self, line: &SlowLine) {
        let Some(sink) = &mut self.sink else {
            return self.shared.suppress(1);
        };
        self.text.clear();
        sink.layout.append(&mut self.text, line);
        match sink.file.write_all(self.text.as_bytes()) {
            Ok(()) => {
                self.shared.lines.fetch_add(1, Relaxed);
            }
            Err(_) => self.shared.suppress(1),
        }
    }

    /// True if there was something to say.
    fn say_suppressed(&mut self) -> bool {
        self.said = Instant::now();
        let Some(sink) = &mut self.sink else {
            return false;
        };
        let count = self.shared.unsaid.swap(0, Relaxed);
        if count == 0 {
            return false;
        }
        let text = format!(
            "{count} slow statements left out here: slow_log_rate is {} a second",
            sink.rate
        );
        self.text.clear();
        sink.layout
            .append_notice(&mut self.text, SystemTime::now(), &text);
        if sink.file.write_all(self.text.as_bytes()).is_err() {
            self.shared.unsaid.fetch_add(count, Relaxed);
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(path: &Path, rate: u32) -> SlowLogConfig {
        SlowLogConfig {
            file: Some(path.to_owned()),
            format: SlowLogFormat::Stderr,
            prefix: "[%p]".to_owned(),
            rate,
        }
    }

    fn slow(text: &str) -> SlowLine {
        SlowLine {
            pid: 7,
            text: text.to_owned(),
            ..SlowLine::default()
        }
    }

    fn statements(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .filter_map(|line| Some(line.split_once("statement: ")?.1.to_owned()))
            .collect()
    }

    #[test]
    fn the_limit_holds_by_the_second() {
        let gate = Gate::default();
        let taken = |second, rate| (0..10).filter(|_| gate.admits(second, rate)).count();
        assert_eq!(taken(0, 3), 3);
        assert_eq!(taken(0, 3), 0);
        assert_eq!(taken(0, 5), 2, "a reload may raise it");
        assert_eq!(taken(1, 3), 3);
        assert_eq!(taken(9, 0), 10);
    }

    #[test]
    fn what_is_left_out_is_counted_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slow.log");
        let log = SlowLog::open(&config(&path, 2)).unwrap();
        // More than a second can hold whatever the clock does meanwhile.
        for n in 0..1000 {
            log.write(&slow(&format!("select {n}")));
        }
        log.flush();
        assert_eq!(statements(&path).len() as u64, log.lines());
        assert!(log.lines() >= 2);
        assert_eq!(log.lines() + log.suppressed(), 1000);
        let text = std::fs::read_to_string(&path).unwrap();
        let said: u64 = text
            .lines()
            .filter_map(|line| {
                line.split_once("LOG:  ")?
                    .1
                    .split_once(" slow statements left")
            })
            .map(|(count, _)| count.parse::<u64>().unwrap())
            .sum();
        assert_eq!(said, log.suppressed(), "{text}");
        assert!(
            text.ends_with("left out here: slow_log_rate is 2 a second\n"),
            "{text}"
        );
    }

    #[test]
    fn off_writes_nothing_counts_nothing_and_can_be_switched_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slow.log");
        let off = SlowLogConfig {
            file: None,
            ..config(&path, 0)
        };
        let log = SlowLog::open(&off).unwrap();
        log.write(&slow("select 1"));
        log.flush();
        assert_eq!(
            (log.lines(), log.suppressed(), path.exists()),
            (0, 0, false)
        );
        log.apply(&config(&path, 0)).unwrap();
        log.write(&slow("select 2"));
        log.apply(&off).unwrap();
        log.write(&slow("select 3"));
        log.flush();
        assert_eq!(statements(&path), ["select 2"]);
        assert_eq!((log.lines(), log.suppressed()), (1, 0));
    }

    #[test]
    fn rotation_by_truncation_and_by_renaming() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("slow.log"), dir.path().join("slow.log.1"));
        let log = SlowLog::open(&config(&path, 0)).unwrap();
        log.write(&slow("select 1"));
        log.flush();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        log.write(&slow("select 2"));
        log.flush();
        assert!(
            std::fs::read(&path).unwrap().starts_with(b"[7]"),
            "no hole of zeros"
        );
        std::fs::rename(&path, &old).unwrap();
        log.write(&slow("select 3"));
        log.apply(&config(&path, 0)).unwrap();
        log.write(&slow("select 4"));
        log.flush();
        assert_eq!(statements(&old), ["select 2", "select 3"]);
        assert_eq!(statements(&path), ["select 4"]);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slow.log");
        let log = SlowLog::open(&config(&path, 0)).unwrap();
        let said = log.apply(&config(Path::new("/nowhere/s.log"), 0));
        let said = said.unwrap_err().to_string();
        assert!(
            said.starts_with("cannot open slow_log_file: '/nowhere/s.log': No such file"),
            "{said}"
        );
        log.write(&slow("select 1"));
        log.flush();
        assert_eq!(statements(&path), ["select 1"]);
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let log = SlowLog::open(&config(Path::new("/dev/full"), 0)).unwrap();
        log.write(&slow("select 1"));
        log.flush();
        assert_eq!((log.lines(), log.suppressed()), (0, 1));
    }
}
