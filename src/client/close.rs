//! How a client leaves: the error it is told, the lines in the log, the counts.

use std::borrow::Cow;

use super::serve::Client;
use crate::error::ClientError;
use crate::stats::ClientSlot;
use crate::stats::clock::now_us;
use crate::stats::events::Event;

/// Why a client leaves.
#[derive(Debug)]
pub struct Departure {
    error: Option<ClientError>,
    reason: Cow<'static, str>,
    /// The reason as a metric label: from a closed list, where `reason` may hold names.
    label: &'static str,
}

impl Departure {
    /// The client went by itself.
    pub fn gone(reason: &'static str) -> Self {
        Self {
            error: None,
            reason: Cow::Borrowed(reason),
            label: reason,
        }
    }

    /// We close it, and tell it why.
    pub fn error(error: ClientError) -> Self {
        Self {
            reason: error.text.clone(),
            label: error.reason,
            error: Some(error),
        }
    }
}

/// What is still to be said.
#[derive(Debug)]
pub struct Goodbye {
    /// The last frame; absent when the client is gone or inside a reply.
    pub frame: Option<Vec<u8>>,
}

impl Goodbye {
    /// Logs and counts the departure.
    pub fn of(client: &Client, departure: &Departure) -> Self {
        let shared = &client.directory.shared;
        let live = shared.live();
        let settings = &live.config.settings;
        let slot = &client.side.slot;
        let database = &client.side.pool.database.name;
        shared
            .events
            .count(Event::ClientClosed, database, departure.label);
        if let Some(error) = &departure.error {
            shared
                .events
                .count(Event::ClientError, database, error.reason);
            if settings.log_pooler_errors {
                log::warn!("{}pooler error: {}", slot.log_prefix(), error.text);
            }
        }
        if settings.log_disconnections {
            log_closing(slot, &departure.reason);
        }
        let frame = departure.error.as_ref();
        let precise = live.config.own.precise_sqlstates;
        let frame = frame.map(|error| error.to_frame_as(precise));
        Self {
            frame: frame.filter(|_| !client.side.is_torn),
        }
    }
}

/// `closing because: ...`
pub fn log_closing(slot: &ClientSlot, reason: &str) {
    let age = now_us().saturating_sub(slot.connected_us) / 1_000_000;
    log::info!(
        "{}closing because: {reason} (age={age}s)",
        slot.log_prefix()
    );
}

/// The notice of `query_wait_notify`, as a frame.
pub fn queued_notice() -> &'static [u8] {
    const TEXT: &[u8] =
        b"SNOTICE\0C00000\0MNo server connection available in postgres backend, client being queued\0\0";
    const LENGTH: [u8; 4] = ((TEXT.len() + 4) as u32).to_be_bytes();
    const FRAME: [u8; TEXT.len() + 5] = {
        let mut frame = [0; TEXT.len() + 5];
        frame[0] = b'N';
        let mut at = 0;
        while at < 4 {
            frame[at + 1] = LENGTH[at];
            at += 1;
        }
        let mut at = 0;
        while at < TEXT.len() {
            frame[at + 5] = TEXT[at];
            at += 1;
        }
        frame
    };
    &FRAME
}
