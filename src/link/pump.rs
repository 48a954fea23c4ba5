//! HOT. Both directions of a link, one write and one read at a time.
//!
//! Owns: the order of the four system calls, and when there is nothing more to do before a socket
//! says so. Never: looks at what the bytes mean.

use std::ops::Add;
use std::task::{Context, Poll};

use super::{End, Link};
use crate::net::buf::LARGE;

/// Bytes a link may move before it lets the lane's other tasks run.
const YIELD_AFTER: usize = 256 * 1024;

/// Bytes that went through one direction, or both.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    read: usize,
    written: usize,
}

impl Add for Moved {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            written: self.written + other.written,
        }
    }
}

/// Who has nothing more to say before the reactor has run again: asked once, a socket that is not
/// ready stays so for the rest of the turn.
#[derive(Debug, Default)]
struct Quiet {
    client: bool,
    server: bool,
}

impl Link<'_> {
    /// HOT. Both directions until neither can go on.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let (mut moved, mut quiet) = (0, Quiet::default());
        // What the client said before the link was made.
        self.take_requests()?;
        loop {
            if self.hold.is_held {
                self.take_requests()?;
            }
            let step = self.step(cx, &mut quiet)?;
            if self.complete {
                return Err(End::Complete);
            }
            if self.awaits_listening()? {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            moved += step.read + step.written;
            if step.read == 0 && self.has_said_all() || step.read + step.written == 0 {
                return Ok(());
            }
            if moved > YIELD_AFTER {
                cx.waker().wake_by_ref();
                return Ok(());
            }
        }
    }

    /// HOT. Each direction once. Where only an answer is awaited that comes first: mostly it ends the
    /// link, and the client need not be asked for more before.
    fn step(&mut self, cx: &mut Context<'_>, quiet: &mut Quiet) -> Result<Moved, End> {
        let only_awaits =
            self.client.inbound.unsent().is_empty() && !self.server.pending.is_empty();
        if only_awaits {
            let replies = self.poll_replies(cx, quiet)?;
            if self.complete {
                return Ok(replies);
            }
            let requests = self.poll_requests(cx, quiet)?;
            self.complete = self.ends_unanswered(requests);
            return Ok(replies + requests);
        }
        let requests = self.poll_requests(cx, quiet)?;
        self.complete = self.ends_unanswered(requests);
        let replies = self.poll_replies(cx, quiet)?;
        Ok(requests + replies)
    }

    /// Whether the tail of a COPY that was refused has gone: it is the last thing to go, and is not
    /// answered.
    fn ends_unanswered(&self, requests: Moved) -> bool {
        requests.read + requests.written > 0 && self.is_free() && self.holds_nothing_unparsed()
    }

    /// HOT. Nothing that is at hand can go on before more comes.
    fn has_said_all(&self) -> bool {
        self.client.inbound.unsent().is_empty()
            && self.client.outbound.unsent().is_empty()
            && !self.hold.is_held
    }

    /// HOT. Client to server: one write and one read at most.
    fn poll_requests(&mut self, cx: &mut Context<'_>, quiet: &mut Quiet) -> Result<Moved, End> {
        let mut moved = Moved::default();
        if !self.client.inbound.unsent().is_empty() {
            match self.write_server(cx)? {
                Poll::Ready(n) => moved.written = n,
                Poll::Pending => return Ok(moved),
            }
        }
        if self.leaving || !self.client.inbound.has_space() {
            return Ok(moved);
        }
        // Answers of ours cost the server nothing: only the client's reading holds them back.
        if self.client.outbound.unsent().len() > LARGE {
            return Ok(moved);
        }
        if quiet.client {
            self.client.inbound.release_if_empty();
            return Ok(moved);
        }
        let space = self.client.inbound.space();
        let room = space.len();
        match self.client.stream.poll_read(cx, space) {
            Poll::Pending => {
                quiet.client = true;
                self.client.inbound.release_if_empty();
                Ok(moved)
            }
            Poll::Ready(Ok(n)) if n > 0 => {
                self.client.inbound.received(n);
                if n == room {
                    self.client.inbound.grow(LARGE);
                }
                self.timing.received(n);
                self.cannot_repeat();
                self.new_batch();
                self.take_requests()?;
                moved.read = n;
                Ok(moved)
            }
            Poll::Ready(_) => Err(End::ClientGone("client unexpected eof")),
        }
    }

    fn write_server(&mut self, cx: &mut Context<'_>) -> Result<Poll<usize>, End> {
        if self.server_deaf {
            let n = self.client.inbound.unsent().len();
            self.client.inbound.sent(n);
            return Ok(Poll::Ready(n));
        }
        let server = &mut self.server.stream;
        match server.poll_write(cx, self.client.inbound.unsent()) {
            Poll::Pending => {
                self.server_stalls();
                Ok(Poll::Pending)
            }
            Poll::Ready(Ok(n)) => {
                self.client.inbound.sent(n);
                if self.client.inbound.unsent().is_empty() && server.is_tls() {
                    let _ = server.poll_flush(cx);
                }
                self.server_takes_again();
                Ok(Poll::Ready(n))
            }
            // Its last words (a FATAL) may still be waiting to be read.
            Poll::Ready(Err(_)) => {
                self.server_deaf = true;
                Ok(Poll::Ready(1))
            }
        }
    }

    /// HOT. Server to client: one write and one read at most.
    fn poll_replies(&mut self, cx: &mut Context<'_>, quiet: &mut Quiet) -> Result<Moved, End> {
        let mut moved = Moved::default();
        if !self.client.outbound.unsent().is_empty() {
            match self.write_client(cx)? {
                Poll::Ready(n) => moved.written = n,
                Poll::Pending => return Ok(moved),
            }
        }
        if self.server_ended {
            return if self.client.outbound.unsent().is_empty() {
                Err(End::ServerLost("server conn crashed?"))
            } else {
                Ok(moved)
            };
        }
        if !self.client.outbound.has_space() {
            return Ok(moved);
        }
        if quiet.server {
            self.flush_tls(cx);
            self.client.outbound.release_if_empty();
            return Ok(moved);
        }
        let space = self.client.outbound.space();
        let room = space.len();
        match self.server.stream.poll_read(cx, space) {
            Poll::Pending => {
                quiet.server = true;
                self.flush_tls(cx);
                self.client.outbound.release_if_empty();
                Ok(moved)
            }
            Poll::Ready(Ok(n)) if n > 0 => {
                self.client.outbound.received(n);
                if n == room {
                    self.client.outbound.grow(LARGE);
                }
                self.timing.sent(n);
                self.take_replies()?;
                moved.read = n;
                Ok(moved)
            }
            Poll::Ready(_) => {
                self.server_ended = true;
                moved.read = 1;
                Ok(moved)
            }
        }
    }

    fn write_client(&mut self, cx: &mut Context<'_>) -> Result<Poll<usize>, End> {
        if self.leaving {
            let n = self.client.outbound.unsent().len();
            self.client.outbound.sent(n);
            return Ok(Poll::Ready(n));
        }
        let client = &mut *self.client;
        match client.stream.poll_write(cx, client.outbound.unsent()) {
            Poll::Pending => {
                self.client_stalls();
                Ok(Poll::Pending)
            }
            Poll::Ready(Ok(n)) => {
                client.outbound.sent(n);
                self.client_takes_again();
                Ok(Poll::Ready(n))
            }
            Poll::Ready(Err(_)) => Err(End::ClientGone("client unexpected eof")),
        }
    }

    /// Sends what a TLS session holds before the task parks; plain streams hold nothing.
    fn flush_tls(&mut self, cx: &mut Context<'_>) {
        if self.client.stream.is_tls() {
            let _ = self.client.stream.poll_flush(cx);
        }
        if self.server.stream.is_tls() {
            let _ = self.server.stream.poll_flush(cx);
        }
    }

    fn holds_nothing_unparsed(&self) -> bool {
        self.client.inbound.unparsed().is_empty() && self.client.outbound.unparsed().is_empty()
    }
}
