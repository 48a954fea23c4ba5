//! What a client is at, for SHOW ACTIVITY and SHOW BLOCKED.
//!
//! HOT: plain stores by the lane that runs the client; readers may see a value that is a moment old.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// One client's current statement and transaction.
#[derive(Debug, Default)]
pub struct Activity {
    statement: AtomicU64,
    queued: AtomicU64,
    writer: AtomicU64,
    transaction_us: AtomicU64,
    stalled_us: AtomicU64,
    thinking_us: AtomicU64,
    app: AtomicU32,
}

impl Activity {
    /// Fingerprint of the running statement, or of the last one; 0 for none.
    pub fn statement(&self) -> u64 {
        self.statement.load(Relaxed)
    }
    /// HOT. A statement begins.
    #[inline]
    pub fn set_statement(&self, fingerprint: u64) {
        self.statement.store(fingerprint, Relaxed);
    }
    /// Fingerprint of what it asks for while it waits for a server; 0 when nobody has looked yet.
    pub fn queued(&self) -> u64 {
        self.queued.load(Relaxed)
    }
    /// It has waited for long (or, with 0, waits no more).
    pub fn set_queued(&self, fingerprint: u64) {
        self.queued.store(fingerprint, Relaxed);
    }
    /// Number of its masked application_name (`insight::names`).
    pub fn app(&self) -> u32 {
        self.app.load(Relaxed)
    }
    /// The application_name changed.
    pub fn set_app(&self, app: u32) {
        self.app.store(app, Relaxed);
    }
    /// Fingerprint of the last statement of the running transaction that wrote or locked; 0 for
    /// none.
    pub fn writer(&self) -> u64 {
        self.writer.load(Relaxed)
    }
    /// HOT. A statement that writes began, or (with 0) the transaction ended.
    #[inline]
    pub fn set_writer(&self, fingerprint: u64) {
        self.writer.store(fingerprint, Relaxed);
    }
    /// HOT. A statement begins; `writes`: it changes rows or locks them.
    #[inline]
    pub fn begin(&self, fingerprint: u64, writes: bool) {
        self.set_statement(fingerprint);
        if writes {
            self.set_writer(fingerprint);
        }
    }
    /// Monotonic µs of the transaction's begin; 0 outside one.
    pub fn transaction_us(&self) -> u64 {
        self.transaction_us.load(Relaxed)
    }
    /// HOT. A transaction began (or, with 0, ended).
    #[inline]
    pub fn set_transaction_us(&self, at: u64) {
        self.transaction_us.store(at, Relaxed);
    }
    /// Monotonic µs since when the client does not take what is there for it; 0 when it does.
    pub fn stalled_us(&self) -> u64 {
        self.stalled_us.load(Relaxed)
    }
    /// The client stopped taking its bytes (or, with 0, takes them again).
    pub fn set_stalled_us(&self, at: u64) {
        self.stalled_us.store(at, Relaxed);
    }
    /// Monotonic µs since when the client is idle inside its transaction; 0 when it is not.
    pub fn thinking_us(&self) -> u64 {
        self.thinking_us.load(Relaxed)
    }
    /// HOT. The client has its answer inside a transaction (or, with 0, asks again).
    #[inline]
    pub fn set_thinking_us(&self, at: u64) {
        self.thinking_us.store(at, Relaxed);
    }
}
