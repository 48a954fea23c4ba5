//! One listening connection.
//!
//! Owns: its bytes, the Query under way, and what it is time for: a sign of life when it has been
//! silent, its end when nobody listens. Never: has two Queries under way, so that each answer belongs
//! to the one that is known.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::book::Woken;
use super::{Hub, ListenError};
use crate::net::Stream;
use crate::server::Fresh;
use crate::wire::backend::{self, tag};
use crate::wire::frame::{self, Peeked};
use crate::wire::frontend;

/// How long a connection that nobody uses stays: another client may come, but DROP DATABASE must
/// not have to wait for long.
const LINGER: Duration = Duration::from_secs(5);
/// After so much silence the server is asked for a sign of life.
const SILENCE: Duration = Duration::from_secs(30);
/// Least time for an answer.
const LEAST_PATIENCE: Duration = Duration::from_secs(15);
/// Longest frame: a notification has less than 8 kB.
const MAX_FRAME: u32 = 256 * 1024;
/// Read at once.
const CHUNK: usize = 16 * 1024;
/// Time limits that a database or role may have set, and that would close an idle connection.
const NO_LIMITS: &str = "SELECT pg_catalog.set_config(name, '0', false) \
    FROM pg_catalog.pg_settings WHERE name IN ('idle_session_timeout', 'statement_timeout', \
    'transaction_timeout', 'idle_in_transaction_session_timeout', 'lock_timeout');";

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// Nobody has listened for a while.
    Unused,
    /// It shall be opened anew.
    Renewed,
    /// The pool is gone.
    Closed,
    /// It broke; the reason for the log.
    Lost(String),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    pid: i32,
    inbound: Vec<u8>,
    /// Bytes of `inbound` that were received.
    filled: usize,
    outbound: Vec<u8>,
    sent: usize,
    /// A Query is under way.
    is_asked: bool,
    /// Nothing was sent yet.
    is_new: bool,
    /// PostgreSQL's words when it refused something.
    refusal: Option<String>,
    /// When something was last sent or received.
    alive: Instant,
    /// Since when nobody has listened.
    unused: Option<Instant>,
}

impl Line {
    /// Takes over a connection that has logged in.
    pub(super) fn over(fresh: Fresh) -> Self {
        Self {
            stream: fresh.stream,
            pid: fresh.backend_pid,
            inbound: Vec::new(),
            filled: 0,
            outbound: Vec::new(),
            sent: 0,
            is_asked: false,
            is_new: true,
            refusal: None,
            alive: Instant::now(),
            unused: None,
        }
    }

    /// Runs it to its end. Not cancel safe: dropping it closes the connection.
    pub(super) async fn run(mut self, hub: &Arc<Hub>) -> End {
        loop {
            if hub.is_closed() {
                return End::Closed;
            }
            if hub.take_renewal() {
                return End::Renewed;
            }
            let deadline = match self.next_step(hub) {
                Ok(deadline) => deadline,
                Err(end) => return end,
            };
            tokio::select! {
                biased;
                received = poll_fn(|cx| self.poll_io(cx)) => {
                    if let Err(end) = received.and_then(|()| self.take_frames(hub)) {
                        return end;
                    }
                }
                () = hub.kick.notified() => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Sends what is due; when to come back at the latest.
    fn next_step(&mut self, hub: &Hub) -> Result<Instant, End> {
        let now = Instant::now();
        let patience = hub.upstream.times().connect.max(LEAST_PATIENCE);
        if self.is_asked {
            let deadline = self.alive + patience;
            return if now < deadline {
                Ok(deadline)
            } else {
                Err(End::Lost("no answer".to_owned()))
            };
        }
        let mut book = hub.book();
        let batch = book.next_batch();
        let is_unused = book.is_unused();
        drop(book);
        self.unused = is_unused.then(|| self.unused.unwrap_or(now));
        if let Some(sql) = batch {
            self.ask(&sql);
            return Ok(now + patience);
        }
        if self.unused.is_some_and(|since| now >= since + LINGER) {
            return Err(End::Unused);
        }
        if now >= self.alive + SILENCE {
            self.ask("");
            return Ok(now + patience);
        }
        let linger = self.unused.map(|since| since + LINGER);
        let silence = self.alive + SILENCE;
        Ok(linger.map_or(silence, |linger| linger.min(silence)))
    }

    fn ask(&mut self, sql: &str) {
        let first = if self.is_new { NO_LIMITS } else { "" };
        frontend::query(&mut self.outbound, format!("{first}{sql}").as_bytes());
        self.is_new = false;
        self.is_asked = true;
        self.alive = Instant::now();
    }

    /// Writes what there is to write, and reads once. Cancel safe: what was sent is marked as sent.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        while self.sent < self.outbound.len() {
            match self.stream.poll_write(cx, &self.outbound[self.sent..]) {
                Poll::Ready(Ok(n)) if n > 0 => self.sent += n,
                // Why it closed may still be there to be read.
                Poll::Ready(_) => self.sent = self.outbound.len(),
                Poll::Pending => break,
            }
        }
        if self.sent == self.outbound.len() {
            self.outbound = Vec::new();
            self.sent = 0;
        }
        let _ = self.stream.poll_flush(cx);
        if self.inbound.len() - self.filled < CHUNK {
            self.inbound.resize(self.filled + CHUNK, 0);
        }
        match self.stream.poll_read(cx, &mut self.inbound[self.filled..]) {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.filled += n;
                self.alive = Instant::now();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) => Poll::Ready(Err(End::Lost(self.last_words()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn last_words(&mut self) -> String {
        let words = self.refusal.take();
        words.unwrap_or_else(|| "server conn crashed?".to_owned())
    }

    /// Looks at everything received.
    fn take_frames(&mut self, hub: &Hub) -> Result<(), End> {
        let mut woken = Woken::default();
        let mut at = 0;
        let taken = loop {
            let held = &self.inbound[at..self.filled];
            match frame::peek(held, MAX_FRAME) {
                Peeked::Bad => break Err(End::Lost("bad packet header from server".to_owned())),
                Peeked::Header(header) if header.total <= held.len() => {
                    let end = at + header.total;
                    if let Err(end) = self.take_frame(hub, at..end, &mut woken) {
                        break Err(end);
                    }
                    at = end;
                }
                Peeked::Header(_) | Peeked::Short => break Ok(()),
            }
        };
        hub.wake(woken);
        self.inbound.copy_within(at..self.filled, 0);
        self.filled -= at;
        if self.filled == 0 {
            self.inbound = Vec::new();
        }
        taken
    }

    fn take_frame(
        &mut self,
        hub: &Hub,
        range: std::ops::Range<usize>,
        woken: &mut Woken,
    ) -> Result<(), End> {
        let whole = &self.inbound[range];
        match whole.first() {
            Some(&tag::NOTIFICATION) => {
                hub.counters.received.fetch_add(1, Relaxed);
                hub.book().deliver(whole, woken);
            }
            Some(&tag::ERROR) => {
                let message = backend::error_fields(whole).message;
                self.refusal = Some(String::from_utf8_lossy(message).into_owned());
            }
            Some(&tag::READY_FOR_QUERY) => return self.answered(hub),
            _ => {}
        }
        Ok(())
    }

    /// The Query under way is answered.
    fn answered(&mut self, hub: &Hub) -> Result<(), End> {
        self.is_asked = false;
        if let Some(words) = self.refusal.take() {
            hub.book().refuse(&ListenError::Refused(words.clone()));
            return Err(End::Lost(words));
        }
        let woken = hub.book().batch_done(self.pid);
        hub.wake(woken);
        Ok(())
    }
}
