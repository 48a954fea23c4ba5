//! HOT. Buffers of the relay: one piece of memory, three cursors, taken from and given back to the
//! lane.
//!
//! ```text
//!   0        start          mid            end        capacity
//!   |  sent  | parsed, unsent | unparsed     |  free      |
//! ```
//!
//! Bytes go out from where they came in; only a frame that must be changed moves anything. An idle
//! connection holds no buffer: `Buf::default()` owns no memory.

use std::cell::RefCell;
use std::ops::Range;

/// First size, in bytes: nearly every query and reply fits.
pub const SMALL: usize = 8 * 1024;
/// Size while a large result streams, in bytes. Larger reads mean fewer syscalls per megabyte; more
/// than this gained nothing.
pub const LARGE: usize = 64 * 1024;
/// Free buffers kept per lane and size; what is over goes back to the allocator.
const KEPT: usize = 64;

thread_local! {
    static FREE: RefCell<Free> = const { RefCell::new(Free { small: Vec::new(), large: Vec::new() }) };
}

/// The lane's free buffers.
struct Free {
    small: Vec<Box<[u8]>>,
    large: Vec<Box<[u8]>>,
}

/// Takes zero-filled or recycled memory of at least `capacity` bytes.
fn take(capacity: usize) -> Box<[u8]> {
    let recycled = FREE.with_borrow_mut(|free| match capacity {
        SMALL => free.small.pop(),
        LARGE => free.large.pop(),
        _ => None,
    });
    recycled.unwrap_or_else(|| vec![0; capacity].into_boxed_slice())
}

/// Gives memory back to the lane.
fn give(data: Box<[u8]>) {
    // A buffer dropped while its thread ends has no list to go to.
    let _ = FREE.try_with(|free| {
        let Ok(mut free) = free.try_borrow_mut() else {
            return;
        };
        let list = match data.len() {
            SMALL => &mut free.small,
            LARGE => &mut free.large,
            _ => return,
        };
        if list.len() < KEPT {
            list.push(data);
        }
    });
}

/// One direction's buffer.
#[derive(Debug, Default)]
pub struct Buf {
    data: Box<[u8]>,
    start: usize,
    mid: usize,
    end: usize,
}

impl Buf {
    /// Received bytes that nobody has looked at.
    #[inline]
    pub fn unparsed(&self) -> &[u8] {
        &self.data[self.mid..self.end]
    }

    /// Parsed bytes that are not sent yet.
    #[inline]
    pub fn unsent(&self) -> &[u8] {
        &self.data[self.start..self.mid]
    }

    /// Nothing is held.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Marks `n` unparsed bytes as ready to be sent. `n` beyond the end is cut.
    #[inline]
    pub fn parse(&mut self, n: usize) {
        self.mid = (self.mid + n).min(self.end);
    }

    /// `n` bytes went out.
    #[inline]
    pub fn sent(&mut self, n: usize) {
        self.start = (self.start + n).min(self.mid);
        if self.start == self.end {
            self.start = 0;
            self.mid = 0;
            self.end = 0;
        }
    }

    /// Room to receive into; never empty unless the buffer is full of bytes that are still needed.
    #[inline]
    pub fn space(&mut self) -> &mut [u8] {
        if self.data.is_empty() {
            self.data = take(SMALL);
        } else if self.start > 0 && self.data.len() - self.end < self.data.len() / 2 {
            self.compact();
        }
        &mut self.data[self.end..]
    }

    /// Whether `space` has room.
    #[inline]
    pub fn has_space(&self) -> bool {
        self.data.is_empty() || self.end < self.data.len() || self.start > 0
    }

    /// `n` bytes were received into `space`.
    #[inline]
    pub fn received(&mut self, n: usize) {
        self.end = (self.end + n).min(self.data.len());
    }

    /// Moves what is held to the front.
    fn compact(&mut self) {
        self.data.copy_within(self.start..self.end, 0);
        self.mid -= self.start;
        self.end -= self.start;
        self.start = 0;
    }

    /// Makes the buffer hold at least `capacity` bytes; a larger one stays as it is.
    pub fn grow(&mut self, capacity: usize) {
        if self.data.len() >= capacity {
            return;
        }
        let capacity = if capacity <= SMALL {
            SMALL
        } else if capacity <= LARGE {
            LARGE
        } else {
            capacity.next_power_of_two()
        };
        let mut larger = take(capacity);
        larger[..self.end - self.start].copy_from_slice(&self.data[self.start..self.end]);
        give(std::mem::replace(&mut self.data, larger));
        self.mid -= self.start;
        self.end -= self.start;
        self.start = 0;
    }

    /// Bytes the memory can hold.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.data.len()
    }

    /// Puts `with` in place of `range` of the unparsed bytes, moving what follows. The result stays
    /// unparsed. A range outside the unparsed bytes is cut to them.
    pub fn splice(&mut self, range: Range<usize>, with: &[u8]) {
        let from = (self.mid + range.start).min(self.end);
        let to = (self.mid + range.end).clamp(from, self.end);
        let tail = self.end - to;
        let needed = from - self.start + with.len() + tail;
        if needed > self.data.len() {
            let (from, to) = (from - self.start, to - self.start);
            self.grow(needed);
            return self.splice_at(from, to, with);
        }
        if from + with.len() + tail > self.data.len() {
            let (from, to) = (from - self.start, to - self.start);
            self.compact();
            return self.splice_at(from, to, with);
        }
        self.splice_at(from, to, with);
    }

    fn splice_at(&mut self, from: usize, to: usize, with: &[u8]) {
        self.data.copy_within(to..self.end, from + with.len());
        self.data[from..from + with.len()].copy_from_slice(with);
        self.end = self.end - (to - from) + with.len();
    }

    /// Drops the first `n` unparsed bytes.
    pub fn discard(&mut self, n: usize) {
        if self.mid + n >= self.end {
            self.end = self.mid;
        } else {
            self.splice(0..n, &[]);
        }
        if self.start == self.end {
            self.start = 0;
            self.mid = 0;
            self.end = 0;
        }
    }

    /// Inserts bytes before the unparsed ones, already parsed: they are sent next.
    pub fn insert_parsed(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        if self.mid == self.end
            && let Some(room) = self.data.get_mut(self.end..end)
        {
            room.copy_from_slice(bytes);
            (self.mid, self.end) = (end, end);
            return;
        }
        self.splice(0..0, bytes);
        self.parse(bytes.len());
    }

    /// Inserts parsed bytes in front of the last `back` of the unsent ones.
    pub fn insert_unsent(&mut self, back: usize, bytes: &[u8]) {
        let back = back.min(self.mid - self.start);
        self.mid -= back;
        self.splice(0..0, bytes);
        self.parse(bytes.len() + back);
    }

    /// Gives the memory back to the lane when nothing is held.
    #[inline]
    pub fn release_if_empty(&mut self) {
        if self.start == self.end && !self.data.is_empty() {
            give(std::mem::take(&mut self.data));
            self.start = 0;
            self.mid = 0;
            self.end = 0;
        }
    }

    /// A buffer that already holds unparsed bytes, such as those read past a login.
    pub fn holding(bytes: &[u8]) -> Self {
        let mut buf = Self::default();
        if !bytes.is_empty() {
            buf.splice(0..0, bytes);
        }
        buf
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if !self.data.is_empty() {
            give(std::mem::take(&mut self.data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(bytes: &[u8]) -> Buf {
        let mut buf = Buf::default();
        let space = buf.space();
        space[..bytes.len()].copy_from_slice(bytes);
        buf.received(bytes.len());
        buf
    }

    #[test]
    fn bytes_go_out_from_where_they_came_in() {
        let mut buf = received(b"abcdef");
        buf.parse(4);
        assert_eq!((buf.unsent(), buf.unparsed()), (&b"abcd"[..], &b"ef"[..]));
        buf.sent(4);
        buf.parse(2);
        buf.sent(2);
        assert!(buf.is_empty());
        buf.release_if_empty();
        assert_eq!(buf.capacity(), 0);
    }

    #[test]
    fn splice_keeps_what_is_before_and_behind() {
        let mut buf = received(b"headNAMEtail");
        buf.parse(4);
        buf.splice(0..4, b"a much longer name ");
        assert_eq!(buf.unsent(), b"head");
        assert_eq!(buf.unparsed(), b"a much longer name tail");
        buf.splice(0..19, b"");
        assert_eq!(buf.unparsed(), b"tail");
        buf.insert_parsed(b"+");
        assert_eq!(
            (buf.unsent(), buf.unparsed()),
            (&b"head+"[..], &b"tail"[..])
        );
        buf.discard(4);
        assert_eq!(buf.unparsed(), b"");
    }

    #[test]
    fn splice_finds_room_by_compacting_or_growing() {
        let mut buf = received(&[b'x'; SMALL]);
        buf.parse(SMALL - 2);
        buf.sent(SMALL - 4);
        buf.splice(0..0, b"12");
        assert_eq!(buf.capacity(), SMALL);
        assert_eq!((buf.unsent(), buf.unparsed()), (&b"xx"[..], &b"12xx"[..]));
        let mut full = received(&[b'y'; SMALL]);
        full.splice(1..1, b"123");
        assert_eq!(full.unparsed().len(), SMALL + 3);
        assert_eq!(&full.unparsed()[..5], b"y123y");
    }

    #[test]
    fn an_empty_start_takes_given_bytes() {
        assert_eq!(Buf::holding(b"Q").unparsed(), b"Q");
        assert_eq!(Buf::holding(b"").capacity(), 0);
    }
}
