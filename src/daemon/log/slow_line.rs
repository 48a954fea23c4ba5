//! One entry of the slow log: PostgreSQL's stderr format or its jsonlog.
//!
//! Owns the layout; touches no file, measures nothing. The text of the statement comes redacted.
//! Nothing a client chose can begin a line of its own: control characters become blanks, and lines
//! within a statement begin with a tab, as PostgreSQL writes them.
//! Source: PostgreSQL's log_line_prefix and jsonlog; what pgbadger reads of both.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::line::Stamper;
use crate::config::SlowLogFormat;

/// A slow statement, as it is written. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlowLine {
    /// When it ended, in microseconds of Unix time.
    pub ended: u64,
    /// Process id of the PostgreSQL backend that ran it.
    pub pid: i32,
    pub user: String,
    pub database: String,
    pub application: String,
    /// Address of the client; empty for a Unix socket.
    pub client_host: String,
    pub client_port: u16,
    /// The client's id, as SHOW CLIENTS has it.
    pub session: u64,
    /// What the client waited for it.
    pub duration_ms: f64,
    /// Where that time went.
    pub parts: SlowParts,
    pub rows: u64,
    /// Five characters; `00000` for success.
    pub sqlstate: String,
    pub fingerprint: u64,
    /// The statement without constants.
    pub text: String,
    /// What its comment says of where it comes from (sqlcommenter, marginalia).
    pub tags: Vec<(String, String)>,
}

/// Parts of a statement's time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SlowParts {
    /// Waiting for a server.
    pub wait: f64,
    /// From the first byte to the server to the end of its answer; `blocked` is in it.
    pub server: f64,
    /// Waiting for a lock.
    pub blocked: f64,
    /// Handing the answer to a slow client.
    pub transfer: f64,
}

impl SlowParts {
    fn named(&self) -> [(&'static str, f64); 4] {
        [
            ("wait", self.wait),
            ("server", self.server),
            ("blocked", self.blocked),
            ("transfer", self.transfer),
        ]
    }
}

/// Turns entries into text.
pub struct Layout {
    format: SlowLogFormat,
    prefix: String,
    stamper: Stamper,
}

impl Layout {
    /// `prefix` has PostgreSQL's escapes; a blank is put behind it.
    pub fn new(format: SlowLogFormat, prefix: &str) -> Self {
        Self::with_stamper(format, prefix, Stamper::system())
    }

    fn with_stamper(format: SlowLogFormat, prefix: &str, stamper: Stamper) -> Self {
        Self {
            format,
            prefix: prefix.to_owned(),
            stamper,
        }
    }

    /// Appends one statement: its duration and text, and where the time went.
    pub fn append(&mut self, out: &mut String, line: &SlowLine) {
        match self.format {
            SlowLogFormat::Stderr => self.append_stderr(out, line),
            SlowLogFormat::Json => self.append_json(out, line),
        }
    }

    /// Appends a line about the log itself.
    pub fn append_notice(&mut self, out: &mut String, at: SystemTime, text: &str) {
        match self.format {
            SlowLogFormat::Stderr => {
                self.push_prefix(out, at, None, 1);
                let _ = writeln!(out, "LOG:  {text}");
            }
            SlowLogFormat::Json => {
                out.push('{');
                self.push_json_head(out, at, std::process::id().into());
                push_member(out, "message", text);
                out.push_str("}\n");
            }
        }
    }

    fn append_stderr(&mut self, out: &mut String, line: &SlowLine) {
        let at = time_of(line);
        self.push_prefix(out, at, Some(line), 1);
        push_message(out, "LOG:  ", line, "\n\t");
        out.push('\n');
        self.push_prefix(out, at, Some(line), 2);
        out.push_str("DETAIL:  ");
        for (name, ms) in line.parts.named() {
            let _ = write!(out, "{name}: {ms:.3} ms  ");
        }
        let _ = write!(
            out,
            "rows: {}  sqlstate: {}  fingerprint: {:016x}  id: {}",
            line.rows, line.sqlstate, line.fingerprint, line.session
        );
        for (key, value) in &line.tags {
            let _ = write!(out, "  {key}: ");
            push_clean(out, value);
        }
        out.push('\n');
    }

    fn append_json(&mut self, out: &mut String, line: &SlowLine) {
        out.push('{');
        self.push_json_head(out, time_of(line), line.pid.into());
        push_member(out, "user", &line.user);
        push_member(out, "dbname", &line.database);
        if !line.client_host.is_empty() {
            push_member(out, "remote_host", &line.client_host);
            let _ = write!(out, ",\"remote_port\":{}", line.client_port);
        } else {
            push_member(out, "remote_host", "[local]");
        }
        push_member(out, "session_id", &format!("{:x}", line.session));
        push_member(out, "state_code", &line.sqlstate);
        let mut message = String::new();
        push_message(&mut message, "", line, "\n");
        push_member(out, "message", &message);
        push_member(out, "application_name", &line.application);
        push_member(out, "backend_type", "client backend");
        push_member(out, "fingerprint", &format!("{:016x}", line.fingerprint));
        for (name, ms) in line.parts.named() {
            let _ = write!(out, ",\"{name}_ms\":{ms:.3}");
        }
        let _ = write!(out, ",\"rows\":{}", line.rows);
        for (key, value) in &line.tags {
            push_member(out, &format!("tag_{key}"), value);
        }
        out.push_str("}\n");
    }

    fn push_json_head(&mut self, out: &mut String, at: SystemTime, pid: i64) {
        out.push_str("\"timestamp\":\"");
        self.stamper.push_time(out, at, true);
        let _ = write!(out, "\",\"pid\":{pid},\"error_severity\":\"LOG\"");
    }

    /// `number` counts the lines of one entry, for `%l`. Without a `line`, `%q` ends it.
    fn push_prefix(
        &mut self,
        out: &mut String,
        at: SystemTime,
        line: Option<&SlowLine>,
        number: u32,
    ) {
        let Self {
            prefix, stamper, ..
        } = self;
        let mut rest = prefix.as_str();
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            let (width, letter, after) = escape(after);
            rest = after;
            let mut value = String::new();
            match letter {
                'q' if line.is_none() => return,
                'm' | 't' => stamper.push_time(&mut value, at, letter == 'm'),
                'n' => push_epoch(&mut value, at),
                'l' => value.push_str(&number.to_string()),
                _ => push_escape(&mut value, letter, line),
            }
            push_padded(out, &value, width);
        }
        out.push_str(rest);
        out.push(' ');
    }
}

/// The letter behind a `%`, its width, and what follows.
fn escape(text: &str) -> (i32, char, &str) {
    let end = text
        .find(|c: char| !(c == '-' || c.is_ascii_digit()))
        .unwrap_or(text.len());
    let width = text[..end].parse().unwrap_or(0);
    let mut chars = text[end..].chars();
    let letter = chars.next().unwrap_or('%');
    (width, letter, chars.as_str())
}

/// Everything that is neither time nor count. What has no value here is empty, as in PostgreSQL.
fn push_escape(out: &mut String, letter: char, line: Option<&SlowLine>) {
    let Some(line) = line else {
        if letter == 'p' {
            let _ = write!(out, "{}", std::process::id());
        }
        return;
    };
    let host = match line.client_host.as_str() {
        "" => "[local]",
        host => host,
    };
    let outcome = match letter {
        'a' => return push_clean(out, &line.application),
        'u' => return push_clean(out, &line.user),
        'd' => return push_clean(out, &line.database),
        'h' => return push_clean(out, host),
        'r' if line.client_host.is_empty() => return push_clean(out, host),
        'r' => write!(out, "{host}({})", line.client_port),
        'b' => write!(out, "client backend"),
        'p' => write!(out, "{}", line.pid),
        'e' => write!(out, "{}", line.sqlstate),
        'c' => write!(out, "{:x}", line.session),
        'Q' => write!(out, "{}", line.fingerprint),
        'x' => write!(out, "0"),
        '%' => write!(out, "%"),
        _ => Ok(()),
    };
    // Writing into a String cannot fail.
    let _ = outcome;
}

fn push_padded(out: &mut String, value: &str, width: i32) {
    let blanks = (width.unsigned_abs() as usize).min(100);
    let _ = match width {
        0 => write!(out, "{value}"),
        1.. => write!(out, "{value:>blanks$}"),
        _ => write!(out, "{value:<blanks$}"),
    };
}

fn push_epoch(out: &mut String, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let _ = write!(out, "{}.{:03}", since.as_secs(), since.subsec_millis());
}

fn push_message(out: &mut String, severity: &str, line: &SlowLine, newline: &str) {
    let _ = write!(
        out,
        "{severity}duration: {:.3} ms  statement: ",
        line.duration_ms
    );
    for (index, part) in line.text.trim().split('\n').enumerate() {
        if index > 0 {
            out.push_str(newline);
        }
        push_clean(out, part.trim_end_matches('\r'));
    }
}

/// Text of strangers on one line.
fn push_clean(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| match c {
        '\t' => c,
        c if c.is_control() => ' ',
        c => c,
    }));
}

fn push_member(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, ",\"{name}\":\"");
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn time_of(line: &SlowLine) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(line.ended)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    const DEFAULT: &str = "%m [%p] %q%u@%d,app=%a,client=%h";

    fn slow() -> SlowLine {
        SlowLine {
            ended: 1_000_000_000_007_999,
            pid: 20877,
            user: "odoo_app".into(),
            database: "smart".into(),
            application: "odoo-2211".into(),
            client_host: "10.0.3.7".into(),
            client_port: 40_123,
            session: 4711,
            duration_ms: 41_022.123_4,
            parts: SlowParts {
                wait: 0.0,
                server: 40_990.0,
                blocked: 12.5,
                transfer: 32.123_4,
            },
            rows: 31,
            sqlstate: "00000".into(),
            fingerprint: 0x8c1d_2e0b_44a9_7f03,
            text: "SELECT a\nFROM b".into(),
            tags: vec![("route".into(), "/web\nLOG:  forged".into())],
        }
    }

    fn layout(format: SlowLogFormat, prefix: &str) -> Layout {
        Layout::with_stamper(format, prefix, Stamper::in_zone(TimeZone::UTC))
    }

    fn written(prefix: &str, line: &SlowLine) -> String {
        let mut out = String::new();
        layout(SlowLogFormat::Stderr, prefix).append(&mut out, line);
        out
    }

    #[test]
    fn the_default_prefix_gives_postgresqls_lines() {
        assert_eq!(
            written(DEFAULT, &slow()),
            "2001-09-09 01:46:40.007 UTC [20877] odoo_app@smart,app=odoo-2211,client=10.0.3.7 LOG:  \
             duration: 41022.123 ms  statement: SELECT a\n\tFROM b\n\
             2001-09-09 01:46:40.007 UTC [20877] odoo_app@smart,app=odoo-2211,client=10.0.3.7 DETAIL:  \
             wait: 0.000 ms  server: 40990.000 ms  blocked: 12.500 ms  transfer: 32.123 ms  rows: 31  \
             sqlstate: 00000  fingerprint: 8c1d2e0b44a97f03  id: 4711  route: /web LOG:  forged\n"
        );
    }

    #[test]
    fn every_escape_of_the_prefix() {
        let first = |prefix: &str, line: &SlowLine| {
            let out = written(prefix, line);
            out.split_once(" LOG:  ").unwrap().0.to_owned()
        };
        let line = slow();
        for (prefix, expected) in [
            ("%t|%n|%l", "2001-09-09 01:46:40 UTC|1000000000.007|1"),
            ("%r %h %b", "10.0.3.7(40123) 10.0.3.7 client backend"),
            ("%e %c %Q", "00000 1267 10096302312312241923"),
            ("<%P%v%i%s> %x 100%%", "<> 0 100%"),
            ("[%7p] [%-7p] %u", "[  20877] [20877  ] odoo_app"),
            ("%q%a", "odoo-2211"),
            ("no escape", "no escape"),
            ("", ""),
        ] {
            let expected = expected.replace("10096302312312241923", &line.fingerprint.to_string());
            assert_eq!(first(prefix, &line), expected, "{prefix}");
        }
        let local = SlowLine {
            client_host: String::new(),
            ..line
        };
        assert_eq!(first("%h %r", &local), "[local] [local]");
    }

    #[test]
    fn nothing_a_client_chose_begins_a_line() {
        let line = SlowLine {
            application: "x\n2026-01-01 LOG:  duration".into(),
            user: "a\u{1b}[2J".into(),
            text: "select 1\r\n2026-01-01 [1] LOG:  duration: 1 ms\u{7}\n\n".into(),
            ..slow()
        };
        let out = written(DEFAULT, &line);
        let starts: Vec<_> = out.lines().map(|l| &l[..1]).collect();
        assert_eq!(starts, ["2", "\t", "2"], "{out}");
        assert!(out.contains("app=x 2026-01-01 LOG:  duration,"), "{out}");
        assert!(!out.contains(['\u{1b}', '\u{7}', '\r']), "{out:?}");
    }

    #[test]
    fn a_notice_has_no_session() {
        let mut out = String::new();
        let at = UNIX_EPOCH + Duration::from_millis(1_000_000_000_007);
        layout(SlowLogFormat::Stderr, DEFAULT).append_notice(&mut out, at, "something");
        let pid = std::process::id();
        let expected = format!("2001-09-09 01:46:40.007 UTC [{pid}] LOG:  something\n");
        assert_eq!(out, expected);
    }

    #[test]
    fn json_has_postgresqls_keys_and_ours_behind_them() {
        let line = SlowLine {
            application: "a\"b\\c\u{1}".into(),
            ..slow()
        };
        let mut out = String::new();
        layout(SlowLogFormat::Json, DEFAULT).append(&mut out, &line);
        assert_eq!(
            out,
            "{\"timestamp\":\"2001-09-09 01:46:40.007 UTC\",\"pid\":20877,\"error_severity\":\"LOG\",\
             \"user\":\"odoo_app\",\"dbname\":\"smart\",\"remote_host\":\"10.0.3.7\",\"remote_port\":40123,\
             \"session_id\":\"1267\",\"state_code\":\"00000\",\
             \"message\":\"duration: 41022.123 ms  statement: SELECT a\\nFROM b\",\
             \"application_name\":\"a\\\"b\\\\c\\u0001\",\"backend_type\":\"client backend\",\
             \"fingerprint\":\"8c1d2e0b44a97f03\",\"wait_ms\":0.000,\"server_ms\":40990.000,\
             \"blocked_ms\":12.500,\"transfer_ms\":32.123,\"rows\":31,\
             \"tag_route\":\"/web\\nLOG:  forged\"}\n"
        );
    }
}
