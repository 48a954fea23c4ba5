//! What is left for the client when its server is long with somebody else.
//!
//! Owns: writing it, without a server.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::ClientSide;

/// Writes what is left for the client after a link; the server is long with somebody else.
/// Cancel safe: what was sent is marked as sent.
pub async fn flush(client: &mut ClientSide) -> Result<(), &'static str> {
    poll_fn(|cx| poll_flush(client, cx)).await
}

/// HOT. As `flush`.
pub fn poll_flush(client: &mut ClientSide, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
    while !client.outbound.unsent().is_empty() {
        match client.stream.poll_write(cx, client.outbound.unsent()) {
            Poll::Ready(Ok(n)) if n > 0 => client.outbound.sent(n),
            Poll::Ready(_) => return Poll::Ready(Err("client unexpected eof")),
            // Only who does not read is given up: the others are still to be told why.
            Poll::Pending if client.slot.has_order() => {
                return Poll::Ready(Err("admin forced disconnect"));
            }
            Poll::Pending => return Poll::Pending,
        }
    }
    if client.stream.is_tls() && ready!(client.stream.poll_flush(cx)).is_err() {
        return Poll::Ready(Err("client unexpected eof"));
    }
    client.outbound.release_if_empty();
    Poll::Ready(Ok(()))
}
