//! Notifications that wait for one client.
//!
//! Owns: their order, their bounded memory, and the waking of the client. A client that does not
//! take them is ordered to close: PostgreSQL would let its queue grow until NOTIFY fails for
//! everybody. May touch the client's slot.

use std::collections::VecDeque;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::note;
use crate::error::ClientError;
use crate::stats::ClientSlot;
use crate::stats::clock::now_us;

/// What a waiting notification costs besides its own bytes.
const OVERHEAD: usize = size_of::<Arc<[u8]>>();

/// One client's notifications.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) slot: Arc<ClientSlot>,
    /// Monotonic µs of the first LISTEN.
    pub(super) since_us: u64,
    limit: usize,
    has_mail: AtomicBool,
    delivered: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// It overflowed: the client is on its way out and gets nothing more.
    is_over: bool,
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits behind others.
    Behind,
    /// It waits; the client must be woken.
    First,
    /// So many were dropped, this one included.
    Dropped(usize),
}

impl Mailbox {
    /// An empty one; `limit` in bytes.
    pub(super) fn with_limit(slot: Arc<ClientSlot>, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            slot,
            since_us: now_us(),
            limit,
            has_mail: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            queue: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one in. At the limit all are dropped and the client is ordered to close.
    pub(super) fn push(&self, frame: &Arc<[u8]>) -> Pushed {
        let mut queue = self.lock();
        if queue.is_over {
            return Pushed::Dropped(1);
        }
        let size = frame.len() + OVERHEAD;
        if queue.bytes + size > self.limit {
            let dropped = queue.frames.len() + 1;
            *queue = Queue {
                is_over: true,
                ..Queue::default()
            };
            self.has_mail.store(false, Release);
            drop(queue);
            self.slot
                .order_close(ClientError::listen_buffer_full(self.limit));
            return Pushed::Dropped(dropped);
        }
        queue.bytes += size;
        queue.frames.push_back(Arc::clone(frame));
        if queue.frames.len() > 1 {
            return Pushed::Behind;
        }
        self.has_mail.store(true, Release);
        Pushed::First
    }

    /// HOT. Whether anything waits.
    #[inline]
    pub(super) fn has_mail(&self) -> bool {
        self.has_mail.load(Acquire)
    }

    /// Takes out whole frames, at least one and at most about `most` bytes; how many.
    pub(super) fn take(&self, out: &mut Vec<u8>, most: usize) -> usize {
        let mut queue = self.lock();
        let mut taken = 0;
        while let Some(frame) = queue.frames.front() {
            if taken > 0 && out.len() + frame.len() > most {
                break;
            }
            out.extend_from_slice(frame);
            queue.bytes -= frame.len() + OVERHEAD;
            queue.frames.pop_front();
            taken += 1;
        }
        if queue.frames.is_empty() {
            queue.frames = VecDeque::new();
            self.has_mail.store(false, Release);
        }
        self.delivered.fetch_add(taken as u64, Relaxed);
        taken
    }

    /// Drops what waits on one channel, or on all; how many.
    pub(super) fn forget(&self, channel: Option<&str>) -> usize {
        let mut queue = self.lock();
        let before = queue.frames.len();
        if before == 0 {
            return 0;
        }
        let goes = |frame: &Arc<[u8]>| {
            channel.is_none_or(|name| note::channel(frame) == Some(name.as_bytes()))
        };
        queue.frames.retain(|frame| !goes(frame));
        queue.bytes = queue.frames.iter().map(|f| f.len() + OVERHEAD).sum();
        self.has_mail.store(!queue.frames.is_empty(), Release);
        before - queue.frames.len()
    }

    /// Bytes and frames that wait.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.bytes, queue.frames.len())
    }

    /// How many the client was given.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }
}
