//! The periodic part of the statistics: snapshots for averages, and the line `stats: ...`.

use crate::pool::{Directory, view};
use crate::stats::Count;
use crate::stats::clock::now_us;

/// To be called every stats_period. Takes the snapshot that SHOW's averages start from, and gives
/// the text of the log line and of systemd's STATUS (surface 2.4): `stats: N xacts/s, ...`.
pub fn tick_stats(directory: &Directory) -> String {
    let shared = &directory.shared;
    let average = shared.averages.tick(view::totals(shared), now_us());
    let count = |which| average.get(which);
    format!(
        "stats: {} xacts/s, {} queries/s, {} client parses/s, {} server parses/s, {} binds/s, \
         {} client logins/s, in {} B/s, out {} B/s, xact {} us, query {} us, wait {} us",
        count(Count::Transactions),
        count(Count::Queries),
        count(Count::ClientParses),
        count(Count::ServerParses),
        count(Count::Binds),
        count(Count::ClientLogins),
        count(Count::Received),
        count(Count::Sent),
        count(Count::TransactionTime),
        count(Count::QueryTime),
        count(Count::WaitTime),
    )
}
