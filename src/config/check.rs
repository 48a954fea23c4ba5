//! The report of `--check`: what is in force, where it comes from, what will not work.
//!
//! Owns the text. No network: what a server allows is brought by the caller, and so is the exit
//! code's decision.

use super::demand::{Demand, Verdict};
use super::registry::{Entry, Status};
use super::{Config, DATABASE_KEYS, OWN_SETTINGS, PEER_KEYS, Place, SETTINGS, USER_KEYS};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Would PgBouncer start on a file (and read it the same way)?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It would.
    Yes,
    /// It would start, but take comments for values in these lines.
    ReadsDifferently(Place, String),
    /// It would not start; the first reason.
    No(Place, String),
}

impl std::fmt::Display for Acceptance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Acceptance::Yes => write!(f, "yes"),
            Acceptance::ReadsDifferently(place, why) => {
                write!(f, "yes, but {} reads differently there: {why}", at(place))
            }
            Acceptance::No(place, why) => write!(f, "no, {}: {why}", at(place)),
        }
    }
}

fn at(place: &Place) -> String {
    format!("{} line {}", place.file.display(), place.line)
}

/// Would PgBouncer accept the file that was loaded, its includes among it?
pub fn acceptance(config: &Config) -> Acceptance {
    judge(config, |_| true)
}

fn judge(config: &Config, counts: impl Fn(&Place) -> bool) -> Acceptance {
    let mut different = None;
    for foreign in config.foreign.iter().filter(|f| counts(&f.place)) {
        let (place, why) = (foreign.place.clone(), foreign.kind.to_string());
        if foreign.kind.is_refused() {
            return Acceptance::No(place, why);
        }
        different.get_or_insert(Acceptance::ReadsDifferently(place, why));
    }
    different.unwrap_or(Acceptance::Yes)
}

/// The whole report. `max_connections` holds, per `Demand::server`, what the server answered or
/// why it could not be asked; a server that is missing was not asked.
pub fn report(
    config: &Config,
    demands: &[Demand],
    max_connections: &BTreeMap<String, Result<u32, String>>,
) -> String {
    let mut out = String::new();
    section(&mut out, "pgbouncer", SETTINGS, &config.settings, |key| {
        config.sources.get(key)
    });
    section(&mut out, "pgweir", OWN_SETTINGS, &config.own, |key| {
        config.sources.get(&format!("pgweir.{key}"))
    });
    entries(&mut out, config);
    list(&mut out, "Accepted without effect", &without_effect(config));
    list(&mut out, "Warnings", &config.warnings);
    connections(&mut out, demands, max_connections);
    line(&mut out, "");
    for file in config.files.iter().skip(1) {
        let verdict = judge(config, |place| &*place.file == file.as_path());
        line(
            &mut out,
            &format!("PgBouncer would accept {}: {verdict}", file.display()),
        );
    }
    line(
        &mut out,
        &format!("PgBouncer would accept this file: {}", acceptance(config)),
    );
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn section<'a, T: Default>(
    out: &mut String,
    name: &str,
    table: &'static [Entry<T>],
    owner: &T,
    source: impl Fn(&str) -> Option<&'a Place>,
) {
    line(out, &format!("[{name}]"));
    for entry in table {
        let from = source(entry.key).map_or("default".to_owned(), Place::to_string);
        let value = entry.show_masked(owner);
        let setting = format!("{} = {value}", entry.key);
        line(out, &format!("  {setting:<48} {from}"));
    }
    line(out, "");
}

fn entries(out: &mut String, config: &Config) {
    let mut lines = Vec::new();
    for (name, database) in &config.databases {
        lines.push((
            format!("databases.{name}"),
            written(DATABASE_KEYS, database),
        ));
    }
    if let Some(database) = &config.auto_database {
        lines.push(("databases.*".to_owned(), written(DATABASE_KEYS, database)));
    }
    for (name, user) in &config.users {
        lines.push((format!("users.{name}"), written(USER_KEYS, user)));
    }
    for (id, peer) in &config.peers {
        lines.push((format!("peers.{id}"), written(PEER_KEYS, peer)));
    }
    let mut section = "";
    for (name, values) in &lines {
        let Some((of, entry)) = name.split_once('.') else {
            continue;
        };
        if of != section {
            line(out, &format!("[{of}]"));
            section = of;
        }
        let from = config
            .sources
            .get(name)
            .map_or("default".to_owned(), Place::to_string);
        let setting = format!("{entry} = {values}");
        line(out, &format!("  {setting:<48} {from}"));
    }
}

fn written<T: Default>(table: &'static [Entry<T>], owner: &T) -> String {
    let pairs: Vec<String> = table
        .iter()
        .filter(|entry| entry.is_changed(owner))
        .map(|entry| format!("{}={}", entry.key, entry.show_masked(owner)))
        .collect();
    pairs.join(" ")
}

/// Everything that is set and does nothing, with its place.
pub(super) fn without_effect(config: &Config) -> Vec<String> {
    let mut names = idle(SETTINGS, &config.settings, "");
    names.extend(idle(OWN_SETTINGS, &config.own, "pgweir."));
    for (name, database) in &config.databases {
        names.extend(idle(DATABASE_KEYS, database, &format!("databases.{name}.")));
    }
    if let Some(database) = &config.auto_database {
        names.extend(idle(DATABASE_KEYS, database, "databases.*."));
    }
    for id in config.peers.keys() {
        names.push(format!("peers.{id}"));
    }
    names
        .into_iter()
        .map(|name| {
            let line = name
                .rsplit_once('.')
                .map_or(name.as_str(), |(line, _)| line);
            let place = config.sources.get(&name).or(config.sources.get(line));
            match place {
                Some(place) => format!("{name} ({place})"),
                None => name,
            }
        })
        .collect()
}

fn idle<T: Default>(table: &'static [Entry<T>], owner: &T, prefix: &str) -> Vec<String> {
    table
        .iter()
        .filter(|entry| entry.status == Status::NoEffectYet && entry.is_changed(owner))
        .map(|entry| format!("{prefix}{}", entry.key))
        .collect()
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    line(out, "");
    match lines {
        [] => line(out, &format!("{title}: none")),
        lines => {
            line(out, &format!("{title}:"));
            for text in lines {
                line(out, &format!("  {text}"));
            }
        }
    }
}

fn connections(
    out: &mut String,
    demands: &[Demand],
    max_connections: &BTreeMap<String, Result<u32, String>>,
) {
    if demands.is_empty() {
        return;
    }
    line(out, "");
    line(out, "Connections to servers, at worst:");
    for demand in demands {
        let answer = match max_connections.get(&demand.server) {
            Some(Ok(limit)) => Ok(*limit),
            Some(Err(reason)) => Err(reason.as_str()),
            None => Err("the server was not asked"),
        };
        let verdict: Verdict = demand.verdict(answer);
        let total = demand
            .total()
            .map_or("no limit".to_owned(), |total| total.to_string());
        line(
            out,
            &format!(
                "  {}: {total} (sidecar {}): {verdict}",
                demand.server, demand.sidecar
            ),
        );
        for part in &demand.parts {
            line(out, &format!("    {part}"));
        }
    }
}
