//! HOT. What a link counts, the states it shows, and when it has taken too long.
//!
//! Two clock reads per query: when its first message comes, when its last answer has come.

use super::ClientSide;
use crate::error::ClientError;
use crate::insight::tracker::Tracker;
use crate::pool::Timeouts;
use crate::stats::clock::now_us;
use crate::stats::slots::NEVER;
use crate::stats::{ClientState, Count};
use crate::wire::backend::Status;

/// Counters of one link, flushed to the pool's at the end of each query.
#[derive(Debug)]
pub(super) struct Timing {
    /// When the query began, µs; 0 while the client thinks.
    query_since: u64,
    /// Nothing more was read since.
    is_first_read: bool,
    transaction_since: u64,
    /// When the client began to think inside a transaction; 0 otherwise.
    thinking_since: u64,
    /// The last reading of the clock.
    now: u64,
    received: u64,
    sent: u64,
    timeouts: Timeouts,
    /// When a client that keeps its server became idle; 0 while it is not.
    kept_since: u64,
    /// pin_timeout, µs, once the client keeps its server.
    kept_limit: u64,
}

impl Timing {
    pub fn begin(client: &ClientSide, since_us: u64) -> Self {
        let counters = client.pool.counters.lane(client.lane);
        counters.add(Count::ServerAssignments, 1);
        let timing = Self {
            query_since: since_us,
            is_first_read: true,
            transaction_since: since_us,
            thinking_since: 0,
            now: since_us,
            received: client.inbound.unparsed().len() as u64,
            sent: 0,
            timeouts: **client.pool.timeouts.load(),
            kept_since: 0,
            kept_limit: NEVER,
        };
        client.slot.set_state(ClientState::Active);
        client.slot.activity.set_transaction_us(since_us);
        timing.set_deadline(client);
        timing
    }

    /// The last reading of the clock, µs.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// HOT. When the running query's first message came, µs.
    #[inline]
    pub fn query_since(&self) -> u64 {
        self.query_since
    }

    /// HOT. Whether what is at hand was read with the running query's first message.
    #[inline]
    pub fn is_first_read(&self) -> bool {
        self.is_first_read
    }

    #[inline]
    pub fn received(&mut self, bytes: usize) {
        self.is_first_read = false;
        self.received += bytes as u64;
    }

    #[inline]
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    pub fn count(&self, client: &ClientSide, count: Count) {
        client.pool.counters.lane(client.lane).add(count, 1);
    }

    /// HOT. A message came: a query begins unless one is running.
    #[inline]
    pub fn request(&mut self, client: &ClientSide, tracker: &mut Tracker) {
        if self.query_since != 0 {
            return;
        }
        self.query_since = now_us();
        self.kept_since = 0;
        self.is_first_read = true;
        if self.thinking_since != 0 {
            let thought = self.query_since.saturating_sub(self.thinking_since);
            tracker.thought(thought, self.query_since);
            client.slot.activity.set_thinking_us(0);
            self.thinking_since = 0;
        }
        if self.transaction_since == 0 {
            self.transaction_since = self.query_since;
            tracker.transaction_begins(self.query_since);
            client.slot.activity.set_transaction_us(self.query_since);
        }
        client.slot.set_request_us(self.query_since);
        client.slot.set_state(ClientState::Active);
        self.set_deadline(client);
    }

    /// HOT. Every outstanding request is answered.
    pub fn query_ended(&mut self, client: &ClientSide, status: Status, now: u64) {
        self.now = now;
        let counters = client.pool.counters.lane(client.lane);
        if self.query_since != 0 {
            counters.add(Count::Queries, 1);
            counters.add(Count::QueryTime, now.saturating_sub(self.query_since));
            self.query_since = 0;
        }
        if status == Status::Idle {
            counters.add(Count::Transactions, 1);
            let spent = now.saturating_sub(self.transaction_since);
            counters.add(Count::TransactionTime, spent);
            self.transaction_since = 0;
            client.slot.activity.set_transaction_us(0);
            client.slot.activity.set_writer(0);
            self.kept_since = now;
            // In session mode the link goes on: nothing runs, nothing is held.
            client.slot.set_state(ClientState::Idle);
        } else {
            client.slot.activity.set_thinking_us(now);
            self.thinking_since = now;
            client.slot.set_state(ClientState::IdleInTransaction);
        }
        self.flush(client);
        self.set_deadline(client);
    }

    /// The client keeps its server from now on; `limit`: how long it may be idle, µs.
    pub fn kept(&mut self, client: &ClientSide, limit: u64) {
        self.kept_limit = limit;
        self.set_deadline(client);
    }

    /// A block is open on the server, and the client has asked for nothing yet.
    pub fn block_opened(&mut self, client: &ClientSide, now: u64) {
        self.now = now;
        self.query_since = 0;
        self.thinking_since = now;
        client.slot.activity.set_thinking_us(now);
        client.slot.set_state(ClientState::IdleInTransaction);
        self.set_deadline(client);
    }

    /// The block is over, and no server has heard of it.
    pub fn block_ended(&mut self, client: &ClientSide, now: u64) {
        self.now = now;
        self.query_since = 0;
        self.thinking_since = 0;
        self.transaction_since = 0;
        client.slot.activity.set_transaction_us(0);
        client.slot.activity.set_thinking_us(0);
        client.slot.set_state(ClientState::Idle);
    }

    /// The link is over.
    pub fn end(&mut self, client: &ClientSide) {
        self.flush(client);
        client.slot.set_deadline_us(NEVER);
    }

    fn flush(&mut self, client: &ClientSide) {
        let counters = client.pool.counters.lane(client.lane);
        counters.add(Count::Received, std::mem::take(&mut self.received));
        counters.add(Count::Sent, std::mem::take(&mut self.sent));
    }

    /// When the janitor shall wake the client.
    #[inline]
    fn set_deadline(&self, client: &ClientSide) {
        if self.timeouts.is_unlimited() && self.kept_limit == NEVER {
            return;
        }
        client.slot.set_deadline_us(self.deadline());
    }

    fn deadline(&self) -> u64 {
        let after = |since: u64, limit: u64| {
            if since == 0 {
                NEVER
            } else {
                since.saturating_add(limit)
            }
        };
        after(self.query_since, self.timeouts.query)
            .min(after(self.thinking_since, self.timeouts.idle_transaction))
            .min(after(self.transaction_since, self.timeouts.transaction))
            .min(after(self.kept_since, self.kept_limit))
    }

    /// The timeout that has run out, if one has.
    #[inline]
    pub fn overdue(&self, client: &ClientSide) -> Option<ClientError> {
        let is_unlimited = self.timeouts.is_unlimited() && self.kept_limit == NEVER;
        if is_unlimited || client.slot.deadline_us() == NEVER {
            return None;
        }
        let now = now_us();
        let is_over = |since: u64, limit: u64| since != 0 && now > since.saturating_add(limit);
        if is_over(self.query_since, self.timeouts.query) {
            return Some(ClientError::query_timeout());
        }
        if is_over(self.thinking_since, self.timeouts.idle_transaction) {
            return Some(ClientError::idle_transaction_timeout());
        }
        if is_over(self.kept_since, self.kept_limit) {
            return Some(ClientError::pin_timeout());
        }
        is_over(self.transaction_since, self.timeouts.transaction)
            .then(ClientError::transaction_timeout)
    }
}
