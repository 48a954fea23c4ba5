//! The console's language: one text to one command.
//!
//! Owns the grammar `WORD [WORD] [;]`, `SET key = value` and the names of commands and topics; what
//! is longer is in `asks.rs`.
//! Touches nothing. Mirrors: surface 3.2, limits of words included; regular expressions are not
//! needed for it.

use super::asks::{self, Act, Options, Screen};
use super::words::{Scanner, Word};
use crate::error::ClientError;

/// Longest command, argument and value in bytes as written, quotes included (surface 3.2).
const MAX_COMMAND: usize = 15;
const MAX_ARGUMENT: usize = 63;
const MAX_VALUE: usize = 255;

/// What an administrator asked for. An absent or empty database means all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// SHOW topic, or SELECT topic.
    Show(Topic),
    /// SHOW of a parameter that drivers ask for: name, value.
    ShowFaked(&'static str, &'static str),
    /// SET key = value.
    Set { key: String, value: String },
    /// SET of a faked parameter: accepted and ignored.
    SetFaked,
    /// RELOAD.
    Reload,
    /// PAUSE \[db\].
    Pause(Option<String>),
    /// RESUME \[db\].
    Resume(Option<String>),
    /// RECONNECT \[db\].
    Reconnect(Option<String>),
    /// DISABLE db.
    Disable(Option<String>),
    /// ENABLE db.
    Enable(Option<String>),
    /// KILL \[db\].
    Kill(Option<String>),
    /// KILL_CLIENT id, the id as written.
    KillClient(Option<String>),
    /// SUSPEND.
    Suspend,
    /// WAIT_CLOSE \[db\].
    WaitClose(Option<String>),
    /// SHUTDOWN in its three forms.
    Shutdown(Shutdown),
    /// SHOW of one of our own screens.
    Screen(Screen, Options),
    /// One of our own verbs.
    Act(Act),
}

/// How to end (surface 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// At once.
    Immediate,
    /// When no server is in use any more.
    WaitForServers,
    /// When no client is left.
    WaitForClients,
}

/// What SHOW can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Help,
    Version,
    State,
    Config,
    Databases,
    Pools,
    Peers,
    PeerPools,
    Clients,
    Servers,
    Sockets,
    ActiveSockets,
    Users,
    Lists,
    Stats,
    StatsTotals,
    StatsAverages,
    Totals,
    Mem,
    DnsHosts,
    DnsZones,
    Fds,
}

/// Every topic by its name.
pub const TOPICS: &[(&str, Topic)] = &[
    ("help", Topic::Help),
    ("version", Topic::Version),
    ("state", Topic::State),
    ("config", Topic::Config),
    ("databases", Topic::Databases),
    ("pools", Topic::Pools),
    ("peers", Topic::Peers),
    ("peer_pools", Topic::PeerPools),
    ("clients", Topic::Clients),
    ("servers", Topic::Servers),
    ("sockets", Topic::Sockets),
    ("active_sockets", Topic::ActiveSockets),
    ("users", Topic::Users),
    ("lists", Topic::Lists),
    ("stats", Topic::Stats),
    ("stats_totals", Topic::StatsTotals),
    ("stats_averages", Topic::StatsAverages),
    ("totals", Topic::Totals),
    ("mem", Topic::Mem),
    ("dns_hosts", Topic::DnsHosts),
    ("dns_zones", Topic::DnsZones),
    ("fds", Topic::Fds),
];

/// Parameters that drivers set and read without need; SHOW gives these values, SET is ignored.
const FAKED: &[(&str, &str)] = &[
    ("client_encoding", "UTF-8"),
    ("default_transaction_isolation", "read committed"),
    ("standard_conforming_strings", "on"),
    ("datestyle", "ISO"),
    ("timezone", "GMT"),
    ("extra_float_digits", "2"),
];

/// Reads one command.
///
/// # Errors
/// `invalid command '...'`, `bad arguments`, or `no tables here` for SQL about tables.
pub fn parse(text: &str) -> Result<Command, ClientError> {
    if let Some(own) = asks::parse(text) {
        return own;
    }
    if let Some((verb, argument)) = plain(text) {
        if verb.raw_len > MAX_COMMAND || argument.as_ref().is_some_and(|a| a.raw_len > MAX_ARGUMENT)
        {
            return Err(ClientError::console_bad_arguments());
        }
        let argument = argument.map(|word| word.text).unwrap_or_default();
        return command(&verb.text, argument).ok_or_else(|| not_understood(text));
    }
    let Some((key, value)) = set(text) else {
        return Err(not_understood(text));
    };
    if key.raw_len > MAX_ARGUMENT || key.text.is_empty() || value.raw_len > MAX_VALUE {
        return Err(ClientError::console_bad_arguments());
    }
    Ok(if faked(&key.text).is_some() {
        Command::SetFaked
    } else {
        Command::Set {
            key: key.text,
            value: value.text,
        }
    })
}

fn command(verb: &str, argument: String) -> Option<Command> {
    let has_argument = !argument.is_empty();
    let database = || has_argument.then(|| argument.clone());
    Some(match verb.to_ascii_lowercase().as_str() {
        "show" | "select" => return topic(&argument),
        "reload" if !has_argument => Command::Reload,
        "suspend" if !has_argument => Command::Suspend,
        "pause" => Command::Pause(database()),
        "resume" => Command::Resume(database()),
        "reconnect" => Command::Reconnect(database()),
        "disable" => Command::Disable(database()),
        "enable" => Command::Enable(database()),
        "kill" => Command::Kill(database()),
        "kill_client" => Command::KillClient(database()),
        "wait_close" => Command::WaitClose(database()),
        "shutdown" => Command::Shutdown(match argument.to_ascii_lowercase().as_str() {
            "" => Shutdown::Immediate,
            "wait_for_servers" => Shutdown::WaitForServers,
            "wait_for_clients" => Shutdown::WaitForClients,
            _ => return None,
        }),
        _ => return None,
    })
}

fn topic(name: &str) -> Option<Command> {
    if let Some(&(name, value)) = faked(name) {
        return Some(Command::ShowFaked(name, value));
    }
    TOPICS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|&(_, topic)| Command::Show(topic))
}

fn faked(name: &str) -> Option<&'static (&'static str, &'static str)> {
    FAKED
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// psql's `\d`, `\l` and the like are SQL over pg_catalog: a screenful that nobody wants back.
fn not_understood(text: &str) -> ClientError {
    let lower = text.to_ascii_lowercase();
    let is_query =
        lower.trim_start().starts_with("select") || lower.trim_start().starts_with("with");
    let reads_tables = lower.split_ascii_whitespace().any(|word| word == "from");
    if is_query && reads_tables || lower.contains("pg_catalog.") {
        return ClientError::console_no_tables();
    }
    ClientError::console_invalid_command(text)
}

/// `WORD [WORD] [;]`
fn plain(text: &str) -> Option<(Word, Option<Word>)> {
    let mut rest = Scanner::over(text);
    rest.blanks();
    let verb = rest.word()?;
    let is_apart = rest.blanks();
    let argument = if is_apart { rest.word() } else { None };
    rest.end().then_some((verb, argument))
}

/// `SET key = value`, `SET key TO value`; the value is a word or a string.
fn set(text: &str) -> Option<(Word, Word)> {
    let mut rest = Scanner::over(text);
    rest.blanks();
    let verb = rest.word()?;
    if !verb.text.eq_ignore_ascii_case("set") || verb.raw_len != 3 || !rest.blanks() {
        return None;
    }
    let key = rest.word()?;
    rest.blanks();
    if !rest.literal("=") && !rest.literal("to") {
        return None;
    }
    rest.blanks();
    let value = rest.quoted(b'\'').or_else(|| rest.word())?;
    rest.end().then_some((key, value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set_to(key: &str, value: &str) -> Command {
        Command::Set {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn commands_as_people_write_them() {
        let db = |name: &str| Some(name.to_owned());
        for (text, expected) in [
            ("show pools", Command::Show(Topic::Pools)),
            ("SHOW POOLS;", Command::Show(Topic::Pools)),
            (" \n show\tpools ; \r\n", Command::Show(Topic::Pools)),
            ("select version", Command::Show(Topic::Version)),
            ("show \"pools\"", Command::Show(Topic::Pools)),
            ("show DateStyle", Command::ShowFaked("datestyle", "ISO")),
            ("set TimeZone to 'UTC'", Command::SetFaked),
            ("pause", Command::Pause(None)),
            ("pause Dairy", Command::Pause(db("Dairy"))),
            ("PAUSE \"my \"\"db\"", Command::Pause(db("my \"db"))),
            ("resume \"\"", Command::Resume(None)),
            ("kill_client 17", Command::KillClient(db("17"))),
            ("kill idle", Command::Kill(db("idle"))),
            ("shutdown", Command::Shutdown(Shutdown::Immediate)),
            (
                "SHUTDOWN wait_for_clients",
                Command::Shutdown(Shutdown::WaitForClients),
            ),
            (
                "set server_lifetime='1.5'",
                set_to("server_lifetime", "1.5"),
            ),
            ("set x = 5;", set_to("x", "5")),
            ("SET X TO five", set_to("X", "five")),
            ("set q = 'it''s'", set_to("q", "it's")),
            ("set q = ''", set_to("q", "")),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_named_in_full() {
        for text in [
            "",
            ";",
            "select 1",
            "show",
            "show nothing",
            "nonsense",
            "pause;;",
            "show pools; show clients",
            "set x=1.5",
            "set x=-1",
            "set x",
            "reload all",
            "suspend now",
            "shutdown wait_for_nobody",
            "pause db1 db2",
            "show'pools'",
            "pause \"open",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                error.text,
                format!("invalid command '{text}', use SHOW HELP;")
            );
            assert_eq!(error.sqlstate, "08P01");
        }
    }

    #[test]
    fn words_have_limits() {
        let long = |n| "x".repeat(n);
        for text in [
            format!("pause {}", long(64)),
            format!("{} x", long(16)),
            format!("set x = '{}'", long(254)),
            "set \"\" = 1".to_owned(),
        ] {
            assert_eq!(parse(&text).unwrap_err().text, "bad arguments", "{text}");
        }
        assert!(parse(&format!("pause {}", long(63))).is_ok());
        assert!(parse(&format!("set x = '{}'", long(253))).is_ok());
    }

    #[test]
    fn sql_about_tables_gets_one_clear_line() {
        let describe = "SELECT n.nspname as \"Schema\"\nFROM pg_catalog.pg_class c\nWHERE 1=1;";
        for text in [
            describe,
            "select * from foo",
            "with a as (select 1) select * from a",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.text, "admin console: no tables here, try SHOW HELP");
        }
    }
}
