//! The language of our own screens and verbs: what PgBouncer has no words for.
//!
//! Owns the grammar of SHOW STATEMENTS, SLOW, ACTIVITY and their kin with their options, and of
//! RESET, CANCEL, KILL_CLIENT PID and KILL IDLE IN TRANSACTION. Touches nothing. A text that does
//! not begin like one of these is left to [`super::grammar`].

use super::grammar::Command;
use super::words::Scanner;
use crate::error::ClientError;

/// Rows of a screen unless LIMIT says otherwise.
const LIMIT: usize = 20;

/// A screen of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Groups of statements by server time.
    Statements,
    /// One statement, whole.
    Statement(u64),
    /// The latest slow statements.
    Slow,
    /// Clients that are not idle.
    Activity,
    /// Who waits for whose lock.
    Blocked,
    /// Profiles of transactions.
    Transactions,
    /// Clients that listen.
    Listeners,
    /// Thresholds.
    Alerts,
    /// One row for a report, with the name of a workload.
    Benchmark(Option<String>),
}

/// A verb of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// RESET STATEMENTS, of one or of all.
    ResetStatements(Option<u64>),
    /// CANCEL.
    Cancel(Whom),
    /// KILL_CLIENT PID.
    KillPid(i32),
    /// KILL IDLE IN TRANSACTION OVER.
    KillIdle(KillIdle),
}

/// Whom a verb is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A client by SHOW CLIENTS.id.
    Client(u64),
    /// The client that is linked to a backend.
    Pid(i32),
}

/// KILL IDLE IN TRANSACTION OVER n.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillIdle {
    /// Only those that are idle for longer.
    pub over_us: u64,
    /// Only these.
    pub options: Options,
    /// Lists them and does nothing.
    pub is_dry: bool,
}

/// The span of LAST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// `1m`
    Minute,
    /// `5m`
    Five,
    /// `15m`
    Fifteen,
    /// `1h`
    Hour,
}

impl Last {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Last::Minute => "1m",
            Last::Five => "5m",
            Last::Fifteen => "15m",
            Last::Hour => "1h",
        }
    }

    /// How long it is.
    pub fn seconds(self) -> u64 {
        match self {
            Last::Minute => 60,
            Last::Five => 300,
            Last::Fifteen => 900,
            Last::Hour => 3600,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Last::Minute, Last::Five, Last::Fifteen, Last::Hour];
        all.into_iter()
            .find(|last| last.as_str().eq_ignore_ascii_case(text))
    }
}

/// ORDER BY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// As written.
    pub column: String,
    /// DESC; ASC unless told, as in SQL.
    pub is_descending: bool,
}

/// What every screen takes, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `None`: since the last reset.
    pub last: Option<Last>,
    /// FOR.
    pub database: Option<String>,
    /// USER.
    pub user: Option<String>,
    /// APP; one that ends in `*` stands for all that begin so.
    pub app: Option<String>,
    /// MIN CALLS.
    pub min_calls: u64,
    /// ORDER BY.
    pub order: Option<Order>,
    /// LIMIT; `None`: the screen's own.
    pub limit: Option<usize>,
}

impl Options {
    /// Whether a row of this database and user is wanted.
    pub fn wants(&self, database: &str, user: &str) -> bool {
        self.database.as_deref().is_none_or(|own| own == database)
            && self.user.as_deref().is_none_or(|own| own == user)
    }

    /// Whether a row of this application is wanted.
    pub fn wants_app(&self, app: &str) -> bool {
        self.app.as_deref().is_none_or(|wanted| is_app(wanted, app))
    }

    /// Most rows.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT)
    }
}

/// `odoo-*` is what process ids are masked with, so it stands for `odoo-*` and `odoo-1234` alike.
fn is_app(wanted: &str, app: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(head) => app.starts_with(head),
        None => wanted == app,
    }
}

const OPTIONS: &str = "[LAST 1m|5m|15m|1h] [FOR database] [USER u] [APP a] [MIN CALLS n] \
                       [ORDER BY column [ASC|DESC]] [LIMIT n|ALL]";
const RESET: &str = "RESET STATEMENTS ['fingerprint']";
const CANCEL: &str = "CANCEL id | PID n";
const KILL_PID: &str = "KILL_CLIENT id | PID n";
const KILL_IDLE: &str = "KILL IDLE IN TRANSACTION OVER n[s|m|h] [FOR database] [USER u] [APP a] \
                         [DRY RUN]";

type Parsed = Result<Command, ClientError>;

/// Reads one of our own commands; `None` when it is none.
pub fn parse(text: &str) -> Option<Parsed> {
    let begins = |words: &[&str]| {
        let mut scanner = Scanner::over(text);
        let is_so = words.iter().all(|word| scanner.keyword(word));
        is_so.then_some(scanner)
    };
    if let Some(mut scanner) = begins(&["show"]).or_else(|| begins(&["select"])) {
        return show(&mut scanner);
    }
    if let Some(mut scanner) = begins(&["reset", "statements"]) {
        return Some(reset(&mut scanner));
    }
    if let Some(mut scanner) = begins(&["cancel"]) {
        return Some(cancel(&mut scanner));
    }
    if let Some(mut scanner) = begins(&["kill_client", "pid"]) {
        let pid = pid(&mut scanner, KILL_PID);
        return Some(finish(&mut scanner, KILL_PID, pid.map(Act::KillPid)));
    }
    begins(&["kill", "idle", "in"]).map(|mut scanner| kill_idle(&mut scanner))
}

fn show(scanner: &mut Scanner<'_>) -> Option<Parsed> {
    let plain = [
        ("statements", Screen::Statements),
        ("slow", Screen::Slow),
        ("activity", Screen::Activity),
        ("blocked", Screen::Blocked),
        ("transactions", Screen::Transactions),
        ("alerts", Screen::Alerts),
        ("listeners", Screen::Listeners),
    ];
    for (name, screen) in plain {
        if scanner.keyword(name) {
            let name = name.to_uppercase();
            return Some(with_options(scanner, screen, &format!("SHOW {name}")));
        }
    }
    if scanner.keyword("statement") {
        let named = fingerprint(scanner, "SHOW STATEMENT 'fingerprint'");
        return Some(named.and_then(|named| {
            let screen = Screen::Statement(named);
            with_options(scanner, screen, "SHOW STATEMENT 'fingerprint'")
        }));
    }
    if scanner.keyword("benchmark") {
        let workload = workload(scanner);
        let screen = Screen::Benchmark(workload);
        return Some(with_options(scanner, screen, "SHOW BENCHMARK ['workload']"));
    }
    None
}

fn with_options(scanner: &mut Scanner<'_>, screen: Screen, head: &str) -> Parsed {
    let usage = format!("{head} {OPTIONS}");
    let mut options = Options::default();
    while !scanner.end() {
        if !option(scanner, &mut options, &usage)? {
            return Err(ClientError::console_syntax(scanner.ahead(), &usage));
        }
    }
    Ok(Command::Screen(screen, options))
}

/// One option of a screen; false when what comes is none.
fn option(
    scanner: &mut Scanner<'_>,
    options: &mut Options,
    usage: &str,
) -> Result<bool, ClientError> {
    let wrong = |scanner: &Scanner<'_>| ClientError::console_syntax(scanner.ahead(), usage);
    if whose(scanner, options, usage)? {
        return Ok(true);
    }
    if scanner.keyword("last") {
        let before = scanner.clone();
        let span = scanner.value().and_then(|span| Last::parse(&span.text));
        options.last = Some(span.ok_or_else(|| wrong(&before))?);
    } else if scanner.keyword("min") {
        if !scanner.keyword("calls") {
            return Err(wrong(scanner));
        }
        options.min_calls = number(scanner, usage)?;
    } else if scanner.keyword("order") {
        if !scanner.keyword("by") {
            return Err(wrong(scanner));
        }
        scanner.blanks();
        let column = scanner.word().ok_or_else(|| wrong(scanner))?.text;
        let is_descending = scanner.keyword("desc");
        if !is_descending {
            scanner.keyword("asc");
        }
        options.order = Some(Order {
            column,
            is_descending,
        });
    } else if scanner.keyword("limit") {
        options.limit = Some(match scanner.keyword("all") {
            true => usize::MAX,
            false => usize::try_from(number::<u64>(scanner, usage)?).unwrap_or(usize::MAX),
        });
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// FOR, USER and APP.
fn whose(
    scanner: &mut Scanner<'_>,
    options: &mut Options,
    usage: &str,
) -> Result<bool, ClientError> {
    let target = if scanner.keyword("for") {
        &mut options.database
    } else if scanner.keyword("user") {
        &mut options.user
    } else if scanner.keyword("app") {
        &mut options.app
    } else {
        return Ok(false);
    };
    let value = scanner.value();
    let value = value.ok_or_else(|| ClientError::console_syntax(scanner.ahead(), usage))?;
    *target = Some(value.text);
    Ok(true)
}

fn number<N: std::str::FromStr>(scanner: &mut Scanner<'_>, usage: &str) -> Result<N, ClientError> {
    let mut ahead = scanner.clone();
    let number = ahead.value().and_then(|word| word.text.parse().ok());
    let number = number.ok_or_else(|| ClientError::console_syntax(scanner.ahead(), usage))?;
    *scanner = ahead;
    Ok(number)
}

fn pid(scanner: &mut Scanner<'_>, usage: &str) -> Result<i32, ClientError> {
    let before = scanner.ahead();
    match number(scanner, usage)? {
        pid if pid > 0 => Ok(pid),
        _ => Err(ClientError::console_syntax(before, usage)),
    }
}

fn fingerprint(scanner: &mut Scanner<'_>, usage: &str) -> Result<u64, ClientError> {
    let word = scanner.value();
    let word = word.ok_or_else(|| ClientError::console_syntax(scanner.ahead(), usage))?;
    let is_hex = word.text.len() == 16 && word.text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u64::from_str_radix(&word.text, 16).ok().filter(|_| is_hex);
    number.ok_or_else(|| ClientError::console_bad_fingerprint(&word.text))
}

/// A name in front of the options; in quotes when it is called like one of them.
fn workload(scanner: &mut Scanner<'_>) -> Option<String> {
    let mut ahead = scanner.clone();
    let name = ahead.value()?;
    let is_quoted = name.raw_len > name.text.len();
    let words = ["last", "for", "user", "app", "min", "order", "limit"];
    let is_option = words.iter().any(|own| own.eq_ignore_ascii_case(&name.text));
    if is_option && !is_quoted {
        return None;
    }
    *scanner = ahead;
    Some(name.text)
}

fn reset(scanner: &mut Scanner<'_>) -> Parsed {
    if scanner.clone().end() {
        return Ok(Command::Act(Act::ResetStatements(None)));
    }
    let act = fingerprint(scanner, RESET).map(|named| Act::ResetStatements(Some(named)));
    finish(scanner, RESET, act)
}

fn cancel(scanner: &mut Scanner<'_>) -> Parsed {
    let whom = match scanner.keyword("pid") {
        true => pid(scanner, CANCEL).map(Whom::Pid),
        false => number(scanner, CANCEL).map(Whom::Client),
    };
    finish(scanner, CANCEL, whom.map(Act::Cancel))
}

fn kill_idle(scanner: &mut Scanner<'_>) -> Parsed {
    let wrong = |scanner: &Scanner<'_>| ClientError::console_syntax(scanner.ahead(), KILL_IDLE);
    if !scanner.keyword("transaction") || !scanner.keyword("over") {
        return Err(wrong(scanner));
    }
    let before = scanner.clone();
    let span = scanner.value().and_then(|span| duration_us(&span.text));
    let over_us = span.ok_or_else(|| wrong(&before))?;
    let mut options = Options::default();
    let mut is_dry = false;
    while !scanner.end() {
        if scanner.keyword("dry") {
            if !scanner.keyword("run") {
                return Err(wrong(scanner));
            }
            is_dry = true;
        } else if !whose(scanner, &mut options, KILL_IDLE)? {
            return Err(wrong(scanner));
        }
    }
    Ok(Command::Act(Act::KillIdle(KillIdle {
        over_us,
        options,
        is_dry,
    })))
}

/// `90`, `90s`, `5m`, `1h` in µs.
fn duration_us(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let count: u64 = digits.parse().ok()?;
    count.checked_mul(unit)?.checked_mul(1_000_000)
}

fn finish(scanner: &mut Scanner<'_>, usage: &str, act: Result<Act, ClientError>) -> Parsed {
    let act = act?;
    match scanner.end() {
        true => Ok(Command::Act(act)),
        false => Err(ClientError::console_syntax(scanner.ahead(), usage)),
    }
}

#[cfg(test)]
mod tests;
