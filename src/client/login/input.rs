//! What a client has sent during its login and nobody has read yet.
//!
//! Owns: one buffer, bounded, gone when the login is over. Never: bytes of a logged-in client,
//! other than those that came behind the last message of the login.

use std::io;
use std::task::{Context, Poll};

use crate::net::Stream;

/// First size: a startup packet, or any SASL message, in one read.
const CHUNK: usize = 1024;
/// Bytes a client may send ahead of its welcome.
const MOST: usize = 1 << 17;

/// The buffer.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    filled: usize,
}

impl Input {
    /// Everything that came and has not been taken.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Waits until at least `wanted` bytes are there; false when the client finished before.
    /// Cancel safe.
    pub async fn fill(&mut self, stream: &mut Stream, wanted: usize) -> io::Result<bool> {
        while self.filled < wanted {
            let size = wanted.max(self.filled + CHUNK / 2).max(CHUNK);
            if self.bytes.len() < size {
                self.bytes.resize(size, 0);
            }
            let count = stream.read_some(&mut self.bytes[self.filled..]).await?;
            if count == 0 {
                return Ok(false);
            }
            self.filled += count;
        }
        Ok(true)
    }

    /// Reads what comes while the client waits for its welcome. Ready only when the client is
    /// gone; a client that sends more than the limit is no longer watched, and no harm.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<()> {
        while self.filled < MOST {
            if self.bytes.len() < self.filled + CHUNK / 2 {
                self.bytes.resize(self.filled + CHUNK, 0);
            }
            match stream.poll_read(cx, &mut self.bytes[self.filled..]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => self.filled += count,
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Takes the first `count` bytes away.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.bytes[count..self.filled].to_vec();
        let mut taken = std::mem::replace(&mut self.bytes, rest);
        taken.truncate(count);
        self.filled = self.bytes.len();
        taken
    }
}
