//! HOT. A TLS session over a [`Socket`], on rustls' unbuffered interface.
//!
//! Owns: the records read ahead, the plaintext and the ciphertext that did not fit; each of them
//! takes memory only while it holds bytes, so an idle session has none. Never: an allocation of its
//! own per read or write; the work buffers belong to the lane.
//! The unbuffered interface is used because the buffered one reads in pieces of 4 kB and keeps such
//! a piece for every idle connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use tokio::io::AsyncWrite;

use super::buffers::{Inbox, Pending};
use crate::net::socket::Socket;

/// Plaintext sealed by one write: four records, so that a large result costs few sends.
const SEAL: usize = 64 * 1024;
/// Room for the headers and tags of what one write seals: 5 + 8 + 16 bytes per record at most.
const SEAL_OVERHEAD: usize = 1024;
thread_local! {
    /// The lane's buffer for sealed records.
    static SEALED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whose part we play.
pub(in crate::net) enum Side {
    /// We answer a client.
    Server(UnbufferedServerConnection),
    /// We talk to PostgreSQL.
    Client(UnbufferedClientConnection),
}

/// A socket and its TLS session.
pub struct Tls {
    pub(in crate::net) socket: Socket,
    side: Side,
    inbox: Inbox,
    /// Decrypted, not yet read.
    plain: Pending,
    /// Encrypted, not yet sent.
    outbox: Pending,
    /// Nothing in the inbox can be processed until more arrives.
    starved: bool,
    /// The peer has finished: close_notify or EOF.
    ended: bool,
    /// The session is broken. INVARIANT: rustls is not asked again; it panics on a second error.
    failed: bool,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.socket)
    }
}

/// Where one step of the session puts what it produces.
struct Sink<'a> {
    out: &'a mut [u8],
    filled: usize,
    plain: &'a mut Pending,
    outbox: &'a mut Pending,
    /// What to encrypt when the session allows it.
    seal: Seal<'a>,
}

enum Seal<'a> {
    Nothing,
    Bytes(&'a [u8], &'a mut Vec<u8>),
    CloseNotify,
}

enum Next {
    /// Call again: there may be more.
    Again,
    /// More bytes from the peer are needed.
    Starved,
    /// What was to be sealed has been: this many bytes.
    Sealed(usize),
    /// The peer has finished.
    Ended,
}

impl Tls {
    /// A session before its handshake; `head` are its first bytes where they were read already.
    pub(in crate::net) fn new(socket: Socket, side: Side, head: &[u8]) -> Self {
        Self {
            socket,
            side,
            inbox: Inbox::from(head),
            plain: Pending::default(),
            outbox: Pending::default(),
            starved: false,
            ended: false,
            failed: false,
        }
    }

    /// Runs the handshake to its end. Not cancel safe: dropping it leaves the connection unusable.
    pub(in crate::net) async fn handshake(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_handshake(cx)).await
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.advance(&mut [])?;
            ready!(self.poll_send(cx))?;
            if !self.is_handshaking() {
                self.inbox.rest();
                return Poll::Ready(Ok(()));
            }
            if self.ended || !ready!(self.poll_receive(cx))? {
                let kind = io::ErrorKind::UnexpectedEof;
                return Poll::Ready(Err(io::Error::new(kind, "TLS handshake eof")));
            }
        }
    }

    fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Server(session) => session.is_handshaking(),
            Side::Client(session) => session.is_handshaking(),
        }
    }

    /// Reads once; 0 means the peer has finished, with or without close_notify: the frames inside
    /// carry their own lengths, so a truncation shows there.
    #[inline]
    pub(in crate::net) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let held = self.plain.rest();
            let mut count = held.len().min(buf.len());
            buf[..count].copy_from_slice(&held[..count]);
            self.plain.consume(count);
            if count < buf.len() {
                count += self.advance(&mut buf[count..])?;
            }
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            if self.ended || !ready!(self.poll_receive(cx))? {
                return Poll::Ready(Ok(0));
            }
        }
    }

    /// Waits until a read would give bytes or the end; receives and decrypts as far as needed.
    pub(in crate::net) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.advance(&mut [])?;
            if !self.plain.rest().is_empty() || self.ended {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    /// False when plaintext, EOF or an error waits; `asks_kernel` as in [`Socket::peek_is_quiet`].
    /// Records without plaintext (session tickets, key updates) are taken in and do not count.
    pub(in crate::net) fn is_quiet(&mut self, asks_kernel: bool) -> bool {
        let is_still = |socket: &Socket| match asks_kernel {
            true => socket.peek_is_quiet(),
            false => socket.is_quiet(),
        };
        let holds_nothing = self.starved && !self.ended && self.plain.rest().is_empty();
        if holds_nothing && is_still(&self.socket) {
            return true;
        }
        let polled = self.poll_read_ready(&mut Context::from_waker(Waker::noop()));
        // Again, because Pending may also mean that the task's budget is used up.
        polled.is_pending() && is_still(&self.socket)
    }

    /// Seals up to 64 kB and sends what the socket takes; the rest waits for [`Tls::poll_send`].
    #[inline]
    pub(in crate::net) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        let text = &buf[..buf.len().min(SEAL)];
        if text.is_empty() {
            return Poll::Ready(Ok(0));
        }
        SEALED.with_borrow_mut(|sealed| {
            sealed.resize(SEAL + SEAL_OVERHEAD, 0);
            let count = self.seal(Seal::Bytes(text, sealed))?;
            let mut rest = &sealed[..count];
            // Sealing may have queued a key update, which goes first.
            if let Poll::Ready(sent) = self.poll_send(cx) {
                sent?;
                while !rest.is_empty() {
                    match self.socket.poll_write(cx, rest) {
                        Poll::Ready(sent) => rest = &rest[sent?..],
                        Poll::Pending => break,
                    }
                }
            }
            self.outbox.bytes.extend_from_slice(rest);
            Poll::Ready(Ok(text.len()))
        })
    }

    /// Sends what is sealed and still here.
    #[inline]
    pub(in crate::net) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.rest().is_empty() {
            let count = ready!(self.socket.poll_write(cx, self.outbox.rest()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends close_notify and closes the sending half. Cancel safe.
    pub(in crate::net) async fn shutdown(&mut self) -> io::Result<()> {
        self.seal(Seal::CloseNotify)?;
        poll_fn(|cx| self.poll_send(cx)).await?;
        poll_fn(|cx| Pin::new(&mut self.socket).poll_shutdown(cx)).await
    }

    /// `TLSv1.3/TLS_AES_256_GCM_SHA384`.
    pub(in crate::net) fn info(&self) -> String {
        let (version, suite) = match &self.side {
            Side::Server(session) => (
                session.protocol_version(),
                session.negotiated_cipher_suite(),
            ),
            Side::Client(session) => (
                session.protocol_version(),
                session.negotiated_cipher_suite(),
            ),
        };
        super::names::session_info(version, suite)
    }

    /// The application protocol both sides agreed on.
    pub(in crate::net) fn alpn(&self) -> Option<&[u8]> {
        match &self.side {
            Side::Server(session) => session.alpn_protocol(),
            Side::Client(session) => session.alpn_protocol(),
        }
    }

    /// Receives once into the inbox; false at the end of the stream.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.outbox.rest().is_empty() {
            // What reading made the session answer (key updates); a write reports its failure.
            let _ = self.poll_send(cx);
        }
        let room = self.inbox.room()?;
        let Poll::Ready(count) = self.socket.poll_read(cx, room) else {
            self.inbox.rest();
            return Poll::Pending;
        };
        let count = count?;
        self.inbox.end += count;
        self.starved = false;
        self.ended = count == 0;
        Poll::Ready(Ok(count > 0))
    }

    /// Processes what the inbox holds until `out` is full or more is needed; the bytes put there.
    fn advance(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while !self.starved
            && !self.ended
            && self.plain.rest().is_empty()
            && (filled < out.len() || filled == 0)
        {
            let (next, count) = self.step(&mut out[filled..], Seal::Nothing)?;
            filled += count;
            match next {
                Next::Again | Next::Sealed(_) => {}
                Next::Starved => self.starved = true,
                Next::Ended => self.ended = true,
            }
        }
        self.inbox.rest();
        Ok(filled)
    }

    /// Encrypts; returns the sealed length. Whatever the session wants sent first is in the outbox.
    fn seal(&mut self, mut seal: Seal<'_>) -> io::Result<usize> {
        loop {
            let again = match &mut seal {
                Seal::Bytes(text, room) => Seal::Bytes(text, room),
                Seal::CloseNotify => Seal::CloseNotify,
                Seal::Nothing => Seal::Nothing,
            };
            match self.step(&mut [], again)?.0 {
                Next::Again => {}
                Next::Ended => self.ended = true,
                Next::Starved => return Err(io::ErrorKind::NotConnected.into()),
                Next::Sealed(count) => {
                    // INVARIANT: a key update queued by the encryption precedes the sealed bytes.
                    while let Next::Again = self.step(&mut [], Seal::Nothing)?.0 {}
                    return Ok(count);
                }
            }
        }
    }

    /// One state of rustls.
    fn step(&mut self, out: &mut [u8], seal: Seal<'_>) -> io::Result<(Next, usize)> {
        if self.failed {
            return Err(broken("TLS session failed before"));
        }
        let (next, filled) = self.process(out, seal);
        if next.is_err() {
            self.failed = true;
            // The alert that tells the peer why; whoever cannot take it at once goes without.
            if self.wants_write() {
                let _ = self.process(&mut [], Seal::Nothing);
                let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
            }
        }
        Ok((next?, filled))
    }

    fn process(&mut self, out: &mut [u8], seal: Seal<'_>) -> (io::Result<Next>, usize) {
        let mut sink = Sink {
            out,
            filled: 0,
            plain: &mut self.plain,
            outbox: &mut self.outbox,
            seal,
        };
        let held = self.inbox.held();
        let (discard, next) = match &mut self.side {
            Side::Server(session) => sink.take(session.process_tls_records(held)),
            Side::Client(session) => sink.take(session.process_tls_records(held)),
        };
        let filled = sink.filled;
        self.inbox.start += discard;
        (next, filled)
    }

    fn wants_write(&self) -> bool {
        match &self.side {
            Side::Server(session) => session.wants_write(),
            Side::Client(session) => session.wants_write(),
        }
    }
}

impl Sink<'_> {
    fn take<D>(&mut self, status: UnbufferedStatus<'_, '_, D>) -> (usize, io::Result<Next>) {
        let mut discard = status.discard;
        let next = match status.state {
            Err(error) => Err(broken(error)),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut result = Ok(Next::Again);
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            self.put(record.payload);
                        }
                        Err(error) => result = Err(broken(error)),
                    }
                }
                result
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let outbox = &mut self.outbox.bytes;
                let end = outbox.len();
                match data.encode(&mut []) {
                    Err(EncodeError::InsufficientSize(size)) => {
                        outbox.resize(end + size.required_size, 0);
                        let encoded = data.encode(&mut outbox[end..]);
                        encoded.map(|_| Next::Again).map_err(broken)
                    }
                    other => other.map(|_| Next::Again).map_err(broken),
                }
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // The outbox keeps the order, so that waiting for the send gains nothing.
                data.done();
                Ok(Next::Again)
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                match mem::replace(&mut self.seal, Seal::Nothing) {
                    Seal::Nothing => Ok(Next::Starved),
                    Seal::Bytes(text, room) => {
                        let sealed = traffic.encrypt(text, room);
                        sealed.map(Next::Sealed).map_err(broken)
                    }
                    Seal::CloseNotify => {
                        let outbox = &mut self.outbox.bytes;
                        let end = outbox.len();
                        outbox.resize(end + SEAL_OVERHEAD, 0);
                        let sealed = traffic.queue_close_notify(&mut outbox[end..]);
                        outbox.truncate(end + sealed.as_ref().map_or(0, |count| *count));
                        sealed.map(Next::Sealed).map_err(broken)
                    }
                }
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Next::Starved),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Next::Ended),
            Ok(_) => Err(broken("unexpected TLS state")),
        };
        (discard, next)
    }

    /// Plaintext: into the caller's buffer as far as it reaches, the rest is held.
    fn put(&mut self, payload: &[u8]) {
        let room = if self.plain.rest().is_empty() {
            self.out.len() - self.filled
        } else {
            0
        };
        let (now, later) = payload.split_at(payload.len().min(room));
        self.out[self.filled..self.filled + now.len()].copy_from_slice(now);
        self.filled += now.len();
        self.plain.bytes.extend_from_slice(later);
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
