//! HOT. The bytes a TLS session holds between two calls; none of it when there are none.
//!
//! Owns: the lane's spare read buffer and who has it. Never: grows without bound.

use std::cell::RefCell;
use std::io;
use std::mem;

/// Read-ahead: one record of the largest size (RFC 5246 6.2.3: 2^14 + 2048 + 5) with room for more.
const INBOX: usize = 24 * 1024;
/// A handshake message spans records; rustls refuses one over 64 kB, and so do we.
const HANDSHAKE_MAX: usize = 96 * 1024;

thread_local! {
    /// The lane's read buffer, lent to one session at a time and kept by it only if bytes stay.
    static SPARE_INBOX: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes received and not yet processed: `bytes[start..end]`.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) bytes: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl From<&[u8]> for Inbox {
    fn from(head: &[u8]) -> Self {
        Self {
            bytes: head.to_vec(),
            start: 0,
            end: head.len(),
        }
    }
}

impl Inbox {
    /// What is held.
    pub(super) fn held(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room behind what is held: the lane's buffer if nothing is held.
    pub(super) fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.bytes.is_empty() {
            self.bytes = SPARE_INBOX.take();
            if self.bytes.is_empty() {
                self.bytes = vec![0; INBOX];
            }
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            if self.bytes.len() >= HANDSHAKE_MAX {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "TLS message too long",
                ));
            }
            self.bytes.resize(self.bytes.len() + INBOX, 0);
        }
        Ok(&mut self.bytes[self.end..])
    }

    /// Gives the buffer back to the lane when it holds nothing.
    pub(super) fn rest(&mut self) {
        if self.is_empty() && !self.bytes.is_empty() {
            let bytes = mem::take(&mut self.bytes);
            (self.start, self.end) = (0, 0);
            if bytes.len() == INBOX {
                SPARE_INBOX.set(bytes);
            }
        }
    }
}

/// Bytes on their way; the memory goes when they have gone.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
}

impl Pending {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.at += count;
        if self.at == self.bytes.len() {
            *self = Self::default();
        }
    }
}
