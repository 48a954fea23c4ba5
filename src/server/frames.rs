//! Frames of a server during its login: whole, and bounded.
//!
//! Owns: the read buffer of one login. Never: believes a length before it is checked.

use super::error::OpenError;
use crate::net::Stream;
use crate::wire::frame::{self, Peeked};

/// Longest frame of a login, in bytes: PostgreSQL's own are below 1 kB, an error text may be long.
const MAX_FRAME: u32 = 64 * 1024;
/// Longest whole answer: a server that never comes to ReadyForQuery ends here.
const MAX_LOGIN: usize = 1024 * 1024;
/// The usual answer (parameters, key, status) has 400 to 600 bytes.
const FIRST: usize = 2048;

/// Reads frame after frame.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// The frame given last begins here.
    start: usize,
    /// And ends here, where the next one begins.
    next: usize,
    end: usize,
    total: usize,
}

impl Frames {
    /// The next whole frame. Cancel safe: nothing received is lost.
    pub(super) async fn next(&mut self, stream: &mut Stream) -> Result<&[u8], OpenError> {
        loop {
            let held = &self.bytes[self.next..self.end];
            match frame::peek(held, MAX_FRAME) {
                Peeked::Bad => return Err(OpenError::Protocol("frame length out of bounds")),
                Peeked::Header(header) if header.total <= held.len() => {
                    self.start = self.next;
                    self.next += header.total;
                    return Ok(&self.bytes[self.start..self.next]);
                }
                Peeked::Header(_) | Peeked::Short => self.receive(stream).await?,
            }
        }
    }

    /// Whether bytes are left behind the frame given last.
    pub(super) fn has_more(&self) -> bool {
        self.next < self.end
    }

    async fn receive(&mut self, stream: &mut Stream) -> Result<(), OpenError> {
        if self.total >= MAX_LOGIN {
            return Err(OpenError::Protocol("login answer too long"));
        }
        self.bytes.copy_within(self.next..self.end, 0);
        self.end -= self.next;
        (self.start, self.next) = (0, 0);
        if self.end == self.bytes.len() {
            // INVARIANT: at most twice the longest frame, since `peek` refuses longer ones.
            let longer = (2 * self.bytes.len()).max(FIRST);
            self.bytes.resize(longer, 0);
        }
        let count = stream.read_some(&mut self.bytes[self.end..]).await;
        match count.map_err(OpenError::broken)? {
            0 => Err(OpenError::Closed(None)),
            count => {
                self.end += count;
                self.total += count;
                Ok(())
            }
        }
    }
}
