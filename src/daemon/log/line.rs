//! One log line: levels, time stamp, layout.
//!
//! Owns the format of surface 2.4; touches no file. COMPAT: pgbadger and operators' scripts match
//! `YYYY-MM-DD HH:MM:SS.mmm TZ [pid] LEVEL message`.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Target that turns an error into the last words of the process.
pub const FATAL_TARGET: &str = "fatal";

/// PgBouncer's levels, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The process ends.
    Fatal,
    /// Something failed.
    Error,
    /// Something is off, work goes on.
    Warning,
    /// Normal reporting.
    Log,
    /// `-v`.
    Debug,
    /// `-vv`.
    Noise,
}

impl Level {
    /// The level of a record of the `log` crate.
    pub fn of(level: log::Level, target: &str) -> Self {
        match level {
            log::Level::Error if target == FATAL_TARGET => Level::Fatal,
            log::Level::Error => Level::Error,
            log::Level::Warn => Level::Warning,
            log::Level::Info => Level::Log,
            log::Level::Debug => Level::Debug,
            log::Level::Trace => Level::Noise,
        }
    }

    /// The word in the line.
    pub fn word(self) -> &'static str {
        match self {
            Level::Fatal => "FATAL",
            Level::Error => "ERROR",
            Level::Warning => "WARNING",
            Level::Log => "LOG",
            Level::Debug => "DEBUG",
            Level::Noise => "NOISE",
        }
    }

    /// syslog(3) severity, also the journal's priority.
    pub fn severity(self) -> u8 {
        match self {
            Level::Fatal => 2,
            Level::Error => 3,
            Level::Warning => 4,
            Level::Log => 6,
            Level::Debug | Level::Noise => 7,
        }
    }
}

/// A line on its way to the writer.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was said.
    pub at: SystemTime,
    /// How bad it is.
    pub level: Level,
    /// What was said; may hold newlines.
    pub text: String,
}

/// Time stamps in local time. Most lines fall into the second of the line before, so the calendar
/// part is kept.
pub struct Stamper {
    zone: TimeZone,
    second: Option<i64>,
    calendar: String,
    abbreviation: String,
}

impl Stamper {
    /// Uses the zone of the system (`TZ`, else `/etc/localtime`).
    pub fn system() -> Self {
        let zone = TimeZone::system();
        Self::in_zone(if zone.is_unknown() {
            TimeZone::UTC
        } else {
            zone
        })
    }

    pub(super) fn in_zone(zone: TimeZone) -> Self {
        Self {
            zone,
            second: None,
            calendar: String::new(),
            abbreviation: String::new(),
        }
    }

    /// Appends `line` to `out` in PgBouncer's layout, with its newline.
    pub fn append(&mut self, out: &mut String, line: &Line) {
        self.push_time(out, line.at, true);
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            " [{}] {} ",
            // Asked for each time: detaching changes it.
            std::process::id(),
            line.level.word()
        );
        push_indented(out, &line.text, "\n\t");
        out.push('\n');
    }

    /// Appends `YYYY-MM-DD HH:MM:SS.mmm TZ`, or the same without milliseconds.
    pub(super) fn push_time(&mut self, out: &mut String, at: SystemTime, has_millis: bool) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.enter_second(i64::try_from(since.as_secs()).unwrap_or(0));
        out.push_str(&self.calendar);
        if has_millis {
            let _ = write!(out, ".{:03}", since.subsec_millis());
        }
        let _ = write!(out, " {}", self.abbreviation);
    }

    fn enter_second(&mut self, second: i64) {
        if self.second == Some(second) {
            return;
        }
        let zoned = Timestamp::from_second(second)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .to_zoned(self.zone.clone());
        self.calendar = zoned.strftime("%Y-%m-%d %H:%M:%S").to_string();
        self.abbreviation = zoned.strftime("%Z").to_string();
        self.second = Some(second);
    }
}

/// Appends `line` as the journal takes it from standard error: each physical line carries its
/// priority, and no time, which the journal has itself.
pub fn append_for_journal(out: &mut String, line: &Line) {
    let severity = line.level.severity();
    let _ = write!(out, "<{severity}>");
    push_indented(out, &line.text, &format!("\n<{severity}>\t"));
    out.push('\n');
}

fn push_indented(out: &mut String, text: &str, newline: &str) {
    for (index, part) in text.split('\n').enumerate() {
        if index > 0 {
            out.push_str(newline);
        }
        out.push_str(part);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn line(millis: u64, level: Level, text: &str) -> Line {
        Line {
            at: UNIX_EPOCH + Duration::from_millis(millis),
            level,
            text: text.into(),
        }
    }

    #[test]
    fn layout_is_pgbouncers() {
        let mut stamper = Stamper::in_zone(TimeZone::UTC);
        let mut out = String::new();
        stamper.append(
            &mut out,
            &line(1_000_000_000_007, Level::Log, "listening on 127.0.0.1:6432"),
        );
        stamper.append(
            &mut out,
            &line(1_000_000_000_120, Level::Warning, "one\ntwo\nthree"),
        );
        let pid = std::process::id();
        assert_eq!(
            out,
            format!(
                "2001-09-09 01:46:40.007 UTC [{pid}] LOG listening on 127.0.0.1:6432\n\
                 2001-09-09 01:46:40.120 UTC [{pid}] WARNING one\n\ttwo\n\tthree\n"
            )
        );
    }

    #[test]
    fn zone_abbreviation_follows_summer_time() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut stamper = Stamper::in_zone(zone);
        let mut out = String::new();
        stamper.append(&mut out, &line(1_735_689_600_000, Level::Log, "winter"));
        stamper.append(&mut out, &line(1_751_328_000_000, Level::Log, "summer"));
        assert!(out.contains("2025-01-01 01:00:00.000 CET ["), "{out}");
        assert!(out.contains("2025-07-01 02:00:00.000 CEST ["), "{out}");
    }

    #[test]
    fn a_clock_before_1970_does_not_panic() {
        let mut out = String::new();
        let early = Line {
            at: UNIX_EPOCH - Duration::from_secs(5),
            level: Level::Log,
            text: "x".into(),
        };
        Stamper::in_zone(TimeZone::UTC).append(&mut out, &early);
        assert!(out.starts_with("1970-01-01 00:00:00.000 UTC"), "{out}");
    }

    #[test]
    fn journal_lines_carry_a_priority_each() {
        let mut out = String::new();
        append_for_journal(&mut out, &line(0, Level::Error, "a\nb"));
        append_for_journal(&mut out, &line(0, Level::Fatal, "end"));
        assert_eq!(out, "<3>a\n<3>\tb\n<2>end\n");
    }

    #[test]
    fn levels_map_both_ways() {
        assert_eq!(Level::of(log::Level::Error, FATAL_TARGET), Level::Fatal);
        assert_eq!(Level::of(log::Level::Error, "pgweir::pool"), Level::Error);
        assert_eq!(Level::of(log::Level::Info, "pgweir::pool"), Level::Log);
        let words: Vec<_> = [
            Level::Fatal,
            Level::Error,
            Level::Warning,
            Level::Log,
            Level::Debug,
            Level::Noise,
        ]
        .iter()
        .map(|l| (l.word(), l.severity()))
        .collect();
        let expected = [
            ("FATAL", 2),
            ("ERROR", 3),
            ("WARNING", 4),
            ("LOG", 6),
            ("DEBUG", 7),
            ("NOISE", 7),
        ];
        assert_eq!(words, expected);
    }
}
