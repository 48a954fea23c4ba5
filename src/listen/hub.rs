//! All listening clients of one pool.
//!
//! Owns: the book of channels behind one mutex, the counters, and the life of the task that keeps the
//! connection. Never: waits; holds the mutex while a client is woken.

use std::fmt;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::book::{Book, Woken};
use super::view::HubFigures;
use super::{ListenError, keeper};
use crate::lane::Lane;
use crate::server::Target;

/// Time limits of the pool.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// server_connect_timeout; zero is none.
    pub connect: Duration,
    /// server_login_retry: the longest pause between two attempts.
    pub retry: Duration,
}

/// What a hub needs of its pool.
pub trait Upstream: fmt::Debug + Send + Sync {
    /// Where to connect; `None`: the pool is gone.
    fn target(&self) -> Option<Target>;
    /// Time limits.
    fn times(&self) -> Times;
    /// Whether no connection may be opened now (PAUSE).
    fn is_paused(&self) -> bool;
    /// Where the task runs.
    fn lane(&self) -> Option<Arc<Lane>>;
}

/// All listening clients of one pool, and their connection.
#[derive(Debug)]
pub struct Hub {
    /// `db/user`, for the log.
    pub(super) name: Box<str>,
    /// client_encoding of the connection: notifications are passed on as they come.
    pub encoding: Box<str>,
    pub(super) upstream: Box<dyn Upstream>,
    pub(super) counters: Counters,
    /// Something is due.
    pub(super) kick: Notify,
    has_renewal: AtomicBool,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections: AtomicUsize,
    pub(super) received: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) dropped_overflow: AtomicU64,
    pub(super) dropped_gone: AtomicU64,
    pub(super) reconnects: AtomicU64,
}

impl Counters {
    pub(super) fn figures(&self, clients: usize, channels: usize) -> HubFigures {
        HubFigures {
            connections: self.connections.load(Relaxed),
            clients,
            channels,
            received: self.received.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            dropped_overflow: self.dropped_overflow.load(Relaxed),
            dropped_gone: self.dropped_gone.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
        }
    }
}

impl Hub {
    /// A hub without clients, for those that use `encoding`.
    pub fn with_upstream(name: String, encoding: &str, upstream: Box<dyn Upstream>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            encoding: encoding.into(),
            upstream,
            counters: Counters::default(),
            kick: Notify::new(),
            has_renewal: AtomicBool::new(false),
            book: Mutex::default(),
        })
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is work for the connection; opens it where there is none.
    pub(super) fn call(self: &Arc<Self>) {
        let mut book = self.book();
        let starts = !book.is_kept && !book.is_closed && !book.is_unused();
        book.is_kept |= starts;
        drop(book);
        if !starts {
            return self.kick.notify_one();
        }
        match self.upstream.lane() {
            Some(lane) => drop(lane.spawn(keeper::keep(Arc::clone(self)))),
            None => self.close(),
        }
    }

    /// RECONNECT, a changed connect string: the connection is opened anew, and closed when nobody
    /// listens.
    pub fn renew(&self) {
        self.has_renewal.store(true, Release);
        self.kick.notify_one();
    }

    pub(super) fn wants_renewal(&self) -> bool {
        self.has_renewal.load(Acquire)
    }

    pub(super) fn take_renewal(&self) -> bool {
        self.has_renewal.swap(false, Acquire)
    }

    /// The pool is gone: the connection closes, and whoever waits is told.
    pub fn close(&self) {
        let mut book = self.book();
        book.is_closed = true;
        book.refuse(&ListenError::Closed);
        drop(book);
        self.kick.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.book().is_closed
    }

    /// Counts what was dropped and wakes who has got something.
    pub(super) fn wake(&self, woken: Woken) {
        if woken.dropped > 0 {
            let dropped = woken.dropped as u64;
            self.counters.dropped_overflow.fetch_add(dropped, Relaxed);
        }
        woken.wake();
    }
}
