//! SHOW: which columns each topic has (surface 3.4), and its rows.
//!
//! ```text
//! pools.rs    DATABASES POOLS USERS LISTS PEERS     sockets.rs  CLIENTS SERVERS SOCKETS
//! figures.rs  STATS and its kin                     process.rs  VERSION STATE CONFIG MEM DNS
//! ```

mod figures;
mod pools;
mod process;
mod sockets;
#[cfg(test)]
mod tests;

use super::grammar::{Command, Topic};
use super::rows::{Cell, Column, Kind, Table};
use super::{acts, screen};
use crate::pool::Directory;

pub use process::HELP;

/// Columns as `name TYPE` pairs.
macro_rules! head {
    ($($name:ident $kind:ident),* $(,)?) => {
        &[$((stringify!($name), $crate::admin::rows::Kind::$kind)),*]
    };
}
pub(super) use head;

/// The columns of a command's result, before it runs; `None` when it has no result.
pub fn columns(command: &Command) -> Option<&'static [Column]> {
    match command {
        Command::Show(topic) => columns_of(*topic),
        Command::ShowFaked(name, value) => Some(faked(name, value).columns),
        Command::Screen(screen, _) => Some(screen::columns(screen)),
        Command::Act(act) => acts::columns(act),
        _ => None,
    }
}

/// The columns of a topic; `None` for those that have no rows or are not supported.
fn columns_of(topic: Topic) -> Option<&'static [Column]> {
    Some(match topic {
        Topic::Help | Topic::Fds => return None,
        Topic::Version => process::VERSION,
        Topic::State => process::STATE,
        Topic::Config => process::CONFIG,
        Topic::Mem => process::MEM,
        Topic::DnsHosts => process::DNS_HOSTS,
        Topic::DnsZones => process::DNS_ZONES,
        Topic::Databases => pools::DATABASES,
        Topic::Pools => pools::POOLS,
        Topic::Peers => pools::PEERS,
        Topic::PeerPools => pools::PEER_POOLS,
        Topic::Users => pools::USERS,
        Topic::Lists => pools::LISTS,
        Topic::Clients | Topic::Servers => sockets::SOCKETS,
        Topic::Sockets | Topic::ActiveSockets => sockets::SOCKETS_IN_DETAIL,
        Topic::Stats => figures::STATS,
        Topic::StatsTotals => figures::STATS_TOTALS,
        Topic::StatsAverages => figures::STATS_AVERAGES,
        Topic::Totals => figures::TOTALS,
    })
}

/// A topic's result of now.
pub fn table(topic: Topic, directory: &Directory) -> Table {
    let shared = &*directory.shared;
    let rows = match topic {
        Topic::Help | Topic::Fds | Topic::PeerPools | Topic::DnsZones => Vec::new(),
        Topic::Version => process::version(),
        Topic::State => process::state(directory),
        Topic::Config => process::config(shared),
        Topic::Mem => process::mem(directory),
        Topic::DnsHosts => process::dns_hosts(shared),
        Topic::Databases => pools::databases(directory),
        Topic::Pools => pools::pools(directory),
        Topic::Peers => pools::peers(shared),
        Topic::Users => pools::users(directory),
        Topic::Lists => pools::lists(directory),
        Topic::Clients => sockets::clients(shared),
        Topic::Servers => sockets::servers(shared),
        Topic::Sockets => sockets::sockets(shared),
        Topic::ActiveSockets => sockets::active_sockets(shared),
        Topic::Stats => figures::stats(shared),
        Topic::StatsTotals => figures::stats_totals(shared),
        Topic::StatsAverages => figures::stats_averages(shared),
        Topic::Totals => figures::totals(shared),
    };
    Table {
        columns: columns_of(topic).unwrap_or_default(),
        rows,
    }
}

/// A parameter that drivers ask for: one column of its name.
pub fn faked(name: &'static str, value: &str) -> Table {
    let columns: &[Column] = match name {
        "client_encoding" => head![client_encoding T],
        "default_transaction_isolation" => head![default_transaction_isolation T],
        "standard_conforming_strings" => head![standard_conforming_strings T],
        "datestyle" => head![datestyle T],
        "timezone" => head![timezone T],
        _ => head![extra_float_digits T],
    };
    Table {
        columns,
        rows: vec![vec![Cell::from(value)]],
    }
}

/// `yes` or `no`.
fn yes_no(fact: bool) -> Cell {
    Cell::from(if fact { "yes" } else { "no" })
}
