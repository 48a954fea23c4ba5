//! HTTP face: `/metrics`, `/healthz`, `/readyz` on `http_addr`.
//!
//! Owns its listener, its few connections and the text of the metrics. Runs on the control thread;
//! reads slots and counters, never visits a lane or a client's task. Must never stop pooling: an
//! address that cannot be bound is a warning and a retry.
//! Source: Prometheus text format 0.0.4, pgbouncer_exporter 0.12.1 for the `pgbouncer_*` names,
//! operator.md 3.1 for ours.
//!
//! ```text
//! serve.rs      listener, routes        face.rs      snapshot of the running pooler
//! text.rs       exposition format       snapshot.rs  what a scrape shows, as plain rows
//! exporter.rs   pgbouncer_*             own.rs       pgweir_*
//! process.rs    process_*               insight.rs   pgweir_* of statements
//! sidecar.rs    what PostgreSQL was asked
//! ages.rs       pgweir_oldest_*        listening.rs pgweir_listen_*
//! ```

mod ages;
mod exporter;
mod face;
mod insight;
mod listening;
mod own;
mod pins;
mod process;
mod serve;
mod sidecar;
mod snapshot;
mod text;

pub use face::Face;
pub use serve::{Source, serve};
pub use snapshot::{LaneRow, Reload, Snapshot};

use text::Text;

/// Fewest series that a scrape may have: what the pooler says of itself.
const MIN_SERIES: usize = 200;

/// The body of `/metrics`, and how many series it lacks because of `metrics_series_limit`: names
/// come from strangers.
pub fn render(snapshot: &Snapshot) -> (String, usize) {
    let mut text = Text::with_limit(snapshot.series_limit.max(MIN_SERIES));
    process::write(&mut text, &process::read(snapshot.started));
    exporter::write(&mut text, snapshot);
    own::write(&mut text, snapshot);
    listening::write(&mut text, &snapshot.listening);
    sidecar::write(&mut text, &snapshot.asked);
    ages::write(&mut text, &snapshot.ages);
    pins::write(&mut text, &snapshot.pins);
    insight::write(&mut text, &snapshot.insight);
    // Last: the operator's own series push out nobody else's.
    sidecar::write_custom(&mut text, &snapshot.asked);
    let dropped = text.dropped();
    text.extend_limit();
    text.single(
        "pgweir_metrics_series_dropped_total",
        text::Kind::Counter,
        "Series left out because there were more than metrics_series_limit.",
        snapshot.series_dropped + dropped as u64,
    );
    (text.finish(), dropped)
}

#[cfg(test)]
mod tests;
