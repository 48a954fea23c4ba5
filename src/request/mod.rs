//! What a frontend message means, given the client's state.
//!
//! Owns the classes of messages, and what short texts of transaction control ask for. No I/O: `client`
//! and `link` feed it and do what it says.

mod control;

pub use control::{ControlText, control};

use crate::wire::frontend::tag;

/// What to do with a message of a client that has no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    /// Goodbye.
    Terminate,
    /// Take a server and send it there.
    NeedsServer,
    /// COPY messages that arrive after a failed COPY: dropped, as PostgreSQL does.
    Drop,
    /// Not a message a logged-in client may send.
    Unknown,
}

/// Decides by tag alone (surface 6.2).
#[inline]
pub fn unlinked(kind: u8) -> Unlinked {
    match kind {
        tag::QUERY
        | tag::PARSE
        | tag::BIND
        | tag::DESCRIBE
        | tag::EXECUTE
        | tag::CLOSE
        | tag::SYNC
        | tag::FLUSH
        | tag::FUNCTION_CALL => Unlinked::NeedsServer,
        tag::TERMINATE => Unlinked::Terminate,
        tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => Unlinked::Drop,
        _ => Unlinked::Unknown,
    }
}
