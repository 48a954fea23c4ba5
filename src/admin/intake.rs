//! The console's byte stream: whole, checked frames go to pgwire and nothing else.
//!
//! Owns the connection, and bytes that came ahead of their turn. Must never hand on a frame that it
//! has not checked: pgwire panics on some malformed ones and loses its place on others. Frames over
//! 64 KiB are refused; no command is a hundredth of that.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Stream;
use crate::wire::frame::HEADER;

/// Largest frame that is taken.
const MAX_FRAME: usize = 64 * 1024;
/// Bytes per read.
const CHUNK: usize = 4096;

/// The client sent something that is not a message of this protocol.
#[derive(Debug, thiserror::Error)]
#[error("bad packet")]
pub struct BadPacket;

/// The connection, shared by pgwire's reader and by commands that wait and watch for a hang-up.
/// INVARIANT: only the session's task locks it, so that nobody ever waits for the lock.
#[derive(Debug)]
pub struct Intake {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    stream: Stream,
    /// Received; the first `checked` bytes are whole frames.
    bytes: Vec<u8>,
    checked: usize,
    is_finished: bool,
}

impl Intake {
    /// Over a stream that is attached; `early` came behind the login.
    pub fn over(stream: Stream, early: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                stream,
                bytes: early,
                checked: 0,
                is_finished: false,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when the client has hung up. Keeps what it sends meanwhile, up to a frame's length.
    pub fn poll_hang_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        while !inner.is_finished {
            if inner.bytes.len() >= MAX_FRAME {
                return Poll::Pending;
            }
            match inner.poll_receive(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Takes leave of the client.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        let farewell = std::pin::pin!(inner.stream.shutdown());
        farewell.poll(cx)
    }
}

impl Inner {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK];
        let count = std::task::ready!(self.stream.poll_read(cx, &mut chunk))?;
        self.is_finished = count == 0;
        self.bytes.extend_from_slice(&chunk[..count]);
        Poll::Ready(Ok(()))
    }

    /// Checks the next frame if it is there as a whole.
    fn check_next(&mut self) -> io::Result<bool> {
        let rest = &self.bytes[self.checked..];
        let Some(header) = rest.first_chunk::<HEADER>() else {
            return Ok(false);
        };
        let [tag, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize;
        if !(4..MAX_FRAME).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, BadPacket));
        }
        let Some(body) = rest.get(HEADER..1 + length) else {
            return Ok(false);
        };
        if !is_well_formed(tag, body) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, BadPacket));
        }
        self.checked += 1 + length;
        Ok(true)
    }
}

/// Whether the frame is a message that the console takes, and reads as one to its last byte.
fn is_well_formed(tag: u8, body: &[u8]) -> bool {
    let mut body = Body(body);
    let is_whole = match tag {
        b'Q' => body.text(),
        b'P' => body.text() && body.text() && body.list(4),
        b'B' => body.text() && body.text() && body.list(2) && body.values() && body.list(2),
        b'E' => body.text() && body.skip(4),
        b'D' | b'C' => matches!(body.0.first(), Some(b'S' | b'P')) && body.skip(1) && body.text(),
        b'H' | b'S' | b'X' => true,
        _ => false,
    };
    is_whole && body.0.is_empty()
}

/// What is left of a body. Each step is false when the bytes do not allow it.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn skip(&mut self, count: usize) -> bool {
        match self.0.get(count..) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn text(&mut self) -> bool {
        match self.0.iter().position(|byte| *byte == 0) {
            Some(end) => self.skip(end + 1),
            None => false,
        }
    }

    fn count(&mut self) -> Option<usize> {
        let count = i16::from_be_bytes(*self.0.first_chunk()?);
        self.skip(2);
        usize::try_from(count).ok()
    }

    fn list(&mut self, size: usize) -> bool {
        self.count().is_some_and(|count| self.skip(count * size))
    }

    fn values(&mut self) -> bool {
        let Some(count) = self.count() else {
            return false;
        };
        (0..count).all(|_| {
            let Some(length) = self.0.first_chunk::<4>() else {
                return false;
            };
            let length = i32::from_be_bytes(*length);
            self.skip(4) && (length == -1 || usize::try_from(length).is_ok_and(|n| self.skip(n)))
        })
    }
}

/// pgwire's end of the stream.
#[derive(Debug)]
pub struct Checked(pub Arc<Intake>);

impl AsyncRead for Checked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        while inner.checked == 0 && !inner.check_next()? {
            if inner.is_finished {
                return Poll::Ready(Ok(()));
            }
            std::task::ready!(inner.poll_receive(cx))?;
        }
        let count = inner.checked.min(buf.remaining());
        buf.put_slice(&inner.bytes[..count]);
        inner.bytes.drain(..count);
        inner.checked -= count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Checked {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().stream.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_pgwire_may_see() {
        for (tag, body) in [
            (b'Q', &b"show pools\0"[..]),
            (b'P', b"s\0show pools\0\0\x01\0\0\0\x17"),
            (
                b'B',
                b"\0\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0",
            ),
            (b'E', b"\0\0\0\0\0"),
            (b'D', b"Sname\0"),
            (b'C', b"P\0"),
            (b'S', b""),
            (b'X', b""),
        ] {
            assert!(is_well_formed(tag, body), "{}", tag as char);
        }
    }

    #[test]
    fn frames_that_it_must_not_see() {
        for (name, tag, body) in [
            ("query without end", b'Q', &b"show pools"[..]),
            ("query with more behind its end", b'Q', b"show\0pools\0"),
            ("parse cut short", b'P', b"s\0show pools\0\0\x02\0\0\0\x17"),
            ("parse with a negative count", b'P', b"\0\0\xff\xff"),
            (
                "bind with a value beyond the frame",
                b'B',
                b"\0\0\0\0\0\x01\0\0\0\x09x\0\0",
            ),
            (
                "bind with a negative length",
                b'B',
                b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0",
            ),
            ("execute without a limit", b'E', b"\0"),
            ("describe of nothing", b'D', b"Xname\0"),
            ("sync with a body", b'S', b"x"),
            ("function call", b'F', b"\0\0\0\x01\0\0\0\0\0\0"),
            ("copy data", b'd', b"x"),
            ("password", b'p', b"secret\0"),
        ] {
            assert!(!is_well_formed(tag, body), "{name}");
        }
    }
}
