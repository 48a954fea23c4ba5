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
//! process.rs    process_*
//! ```

mod exporter;
mod face;
mod own;
mod process;
mod serve;
mod snapshot;
mod text;

pub use face::Face;
pub use serve::{Source, serve};
pub use snapshot::{LaneRow, Reload, Snapshot};

use text::Text;

/// Series of one scrape; more are dropped and counted, because names come from strangers.
const SERIES_LIMIT: usize = 5_000;

/// The body of `/metrics`.
pub fn render(snapshot: &Snapshot) -> String {
    let mut text = Text::with_limit(SERIES_LIMIT);
    exporter::write(&mut text, snapshot);
    own::write(&mut text, snapshot);
    process::write(&mut text, &process::read(snapshot.started));
    text.finish()
}

#[cfg(test)]
mod tests;
