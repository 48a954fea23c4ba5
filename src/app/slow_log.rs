//! From insight's slow statements to the slow log's lines.
//!
//! Owns what has been written so far. Runs on the control thread behind each collection, so that a
//! lane never waits for a file.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::UNIX_EPOCH;

use crate::config::Config;
use crate::daemon::log::{LogError, SlowLine, SlowLog, SlowLogConfig, SlowParts};
use crate::insight::Insight;
use crate::insight::read::SlowRow;
use crate::net::Endpoint;
use crate::sql;
use crate::stats::clock::to_wall;

/// The slow log, and how far it is written.
pub struct SlowReporter {
    log: SlowLog,
    written: AtomicU64,
}

impl SlowReporter {
    /// Opens the file, where there is to be one.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(config: &Config) -> Result<Self, LogError> {
        Ok(Self {
            log: SlowLog::open(&settings(config))?,
            written: AtomicU64::new(0),
        })
    }

    /// Takes over new settings and opens the file again. What cannot be opened is logged, and the
    /// old file stays.
    pub fn apply(&self, config: &Config) {
        if let Err(error) = self.log.apply(&settings(config)) {
            log::error!("slow log: {error}");
        }
    }

    /// Writes what has become slow since the last call.
    pub fn report(&self, insight: &Insight) {
        let after = self.written.load(Relaxed);
        let lines: Vec<SlowLine> = {
            let view = insight.read();
            let rows = view.slow_since(after);
            if let Some(last) = rows.last() {
                self.written.store(last.number, Relaxed);
            }
            rows.iter()
                .map(|row| {
                    let texts = view.texts(row.statement.key.fingerprint);
                    let redacted = texts.map_or(&row.text, |texts| &texts.redacted);
                    line_of(row, redacted)
                })
                .collect()
        };
        for line in &lines {
            self.log.write(line);
        }
        insight.set_slow_log_counts(self.log.lines(), self.log.suppressed());
    }

    /// Everything reported is in the file.
    pub fn flush(&self) {
        self.log.flush();
    }
}

fn settings(config: &Config) -> SlowLogConfig {
    let own = &config.own;
    SlowLogConfig {
        file: Some(&own.slow_log_file)
            .filter(|path| !path.is_empty())
            .map(Into::into),
        format: own.slow_log_format,
        prefix: own.slow_log_prefix.clone(),
        rate: own.slow_log_rate,
    }
}

/// `duration` is PostgreSQL's: what the server took.
fn line_of(row: &SlowRow, redacted: &str) -> SlowLine {
    let slow = &row.statement;
    let ended = to_wall(slow.ended_us).duration_since(UNIX_EPOCH);
    let (client_host, client_port) = match slow.remote {
        Endpoint::Tcp(address) => (host(address), address.port()),
        Endpoint::Unix { .. } => (String::new(), 0),
    };
    let ms = |us: u64| us as f64 / 1000.0;
    let sample = slow.sample.as_deref().map(String::from_utf8_lossy);
    SlowLine {
        ended: u64::try_from(ended.unwrap_or_default().as_micros()).unwrap_or(u64::MAX),
        pid: slow.backend_pid,
        user: slow.login.to_string(),
        database: row.database.to_string(),
        application: slow.application.as_deref().unwrap_or_default().to_owned(),
        client_host,
        client_port,
        session: slow.client,
        duration_ms: ms(slow.parts.server),
        parts: SlowParts {
            wait: ms(slow.parts.wait),
            server: ms(slow.parts.server),
            blocked: ms(slow.parts.blocked),
            transfer: ms(slow.parts.transfer),
        },
        rows: slow.rows,
        sqlstate: String::from_utf8_lossy(&slow.sqlstate).into_owned(),
        fingerprint: slow.key.fingerprint,
        tags: slow.tags.as_deref().map(sql::tags).unwrap_or_default(),
        text: sample.map_or_else(|| redacted.to_owned(), std::borrow::Cow::into_owned),
    }
}

fn host(address: SocketAddr) -> String {
    address.ip().to_canonical().to_string()
}
