//! SHOW VERSION, STATE, CONFIG, MEM, DNS_HOSTS, DNS_ZONES and the text of SHOW HELP.

use std::mem::size_of;
use std::net::IpAddr;

use super::{Cell, Column, head, yes_no};
use crate::pool::{Database, Directory, Pool, PooledServer, ProcessState, Shared, view};
use crate::stats::ClientSlot;
use crate::wire::version::VERSION_TEXT;

pub const VERSION: &[Column] = head![version T];
pub const STATE: &[Column] = head![key T, value T];
pub const CONFIG: &[Column] = head![key T, value T, default T, changeable T];
pub const MEM: &[Column] = head![name T, size I, used I, free I, memtotal I];
pub const DNS_HOSTS: &[Column] = head![hostname T, ttl Q, addrs T];
pub const DNS_ZONES: &[Column] = head![zonename T, serial Q, count I];

/// Detail of the notice that SHOW HELP is.
pub const HELP: &str = "
\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION
\tSHOW PEERS|PEER_POOLS
\tSHOW SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|STATE
\tSHOW DNS_HOSTS|DNS_ZONES
\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS
\tSHOW STATEMENTS|SLOW|ACTIVITY|BLOCKED|TRANSACTIONS|ALERTS [<options>]
\tSHOW STATEMENT '<fingerprint>' [<options>]
\tSHOW BENCHMARK ['<workload>'] [<options>]
\t  options, in any order: LAST 1m|5m|15m|1h, FOR <db>, USER <user>, APP <app>,
\t  MIN CALLS <n>, ORDER BY <column> [ASC|DESC], LIMIT <n>|ALL (20)
\tSET key = arg
\tRELOAD
\tPAUSE [<db>]
\tRESUME [<db>]
\tDISABLE <db>
\tENABLE <db>
\tRECONNECT [<db>]
\tKILL [<db>]
\tKILL_CLIENT <client_id> | PID <backend_pid>
\tKILL IDLE IN TRANSACTION OVER <n>[s|m|h] [FOR <db>] [USER <user>] [APP <app>] [DRY RUN]
\tCANCEL <client_id> | PID <backend_pid>
\tRESET STATEMENTS ['<fingerprint>']
\tSHUTDOWN
\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS
\tWAIT_CLOSE [<db>]";

pub fn version() -> Vec<Vec<Cell>> {
    vec![vec![VERSION_TEXT.into()]]
}

/// COMPAT: SHUTDOWN WAIT_FOR_SERVERS is a pause; one of databases is not visible here.
pub fn state(directory: &Directory) -> Vec<Vec<Cell>> {
    let is_paused = matches!(
        directory.state(),
        ProcessState::Paused | ProcessState::WaitForServers
    );
    vec![
        vec!["active".into(), yes_no(!is_paused)],
        vec!["paused".into(), yes_no(is_paused)],
        vec!["suspended".into(), yes_no(false)],
    ]
}

pub fn config(shared: &Shared) -> Vec<Vec<Cell>> {
    let live = shared.live_arc();
    let row = |row: crate::config::ConfigRow| {
        vec![
            row.key.into(),
            row.value.into(),
            row.default.map(str::to_owned).into(),
            yes_no(row.changeable),
        ]
    };
    live.config.settings.show_config().map(row).collect()
}

/// What there is of each kind, without what its parts own on the heap. Nothing is kept for reuse.
pub fn mem(directory: &Directory) -> Vec<Vec<Cell>> {
    let lists = view::lists(directory);
    let row = |name: &str, size: usize, used: u64| {
        let size = size as u64;
        vec![
            name.into(),
            size.into(),
            used.into(),
            0.into(),
            (size * used).into(),
        ]
    };
    vec![
        row("db_cache", size_of::<Database>(), lists.databases),
        row("pool_cache", size_of::<Pool>(), lists.pools),
        row(
            "server_cache",
            size_of::<PooledServer>(),
            lists.used_servers,
        ),
        row("client_cache", size_of::<ClientSlot>(), lists.used_clients),
    ]
}

pub fn dns_hosts(shared: &Shared) -> Vec<Vec<Cell>> {
    let mut rows = shared.resolver.rows();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let row = |row: crate::net::dns::DnsRow| {
        let addresses: Vec<_> = row.addresses.iter().map(IpAddr::to_string).collect();
        let addresses = addresses.join(",");
        vec![row.name.into(), row.ttl.as_secs().into(), addresses.into()]
    };
    rows.into_iter().map(row).collect()
}
