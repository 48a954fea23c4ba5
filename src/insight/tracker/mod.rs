//! HOT. What is in flight on one server, and what its answers amount to.
//!
//! One tracker per server connection, so that an idle client costs nothing. The relay tells it each
//! request that may run a statement and each answer, in order (`link/observe.rs`); `server::pending`
//! says whose answer it is. When everything is answered the sums go to the lane's table under one
//! uncontended lock. No allocation for a statement whose fingerprint is known; nothing here can fail
//! a query.
//!
//! ```text
//! requests.rs     what was asked: statements of a Query, portals, Executes
//! answers.rs      what came back: rows, ends, errors, and when
//! cursors.rs      which statement a FETCH fetches from
//! settle.rs       whose time an arrival is
//! record.rs       into the lane's table
//! transaction.rs  the transaction as a whole: hold time, repeated statements
//! ```

mod answers;
mod cursors;
mod record;
mod requests;
mod settle;
mod transaction;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

pub use answers::Failed;
pub use record::Owner;
pub use requests::Text;

use super::Insight;
use super::figures::{AppId, Parts, SUCCESS, SqlState};
use super::lane::{NewText, PoolId};
use crate::sql::{Class, Summary, Verb};
use cursors::Cursors;
use transaction::Transaction;

/// Answered statements are recorded at the latest when there are this many.
const MAX_DONE: usize = 64;
/// Statements in flight that are told apart; what a text holds beyond them is counted as unseen.
const MAX_RUNNING: usize = 16_384;
/// Named portals and statements remembered per server; more are counted as unseen.
const MAX_NAMES: usize = 4096;
/// Bytes of a name that PostgreSQL keeps (NAMEDATALEN - 1).
const NAME: usize = 63;
/// Named portals that keep a text that is not known yet.
const MAX_TEXTS: usize = 32;

/// A statement that was sent and is not answered.
#[derive(Debug)]
struct Running {
    what: Summary,
    /// Which request it belongs to: statements of one Query have one number.
    request: u32,
    is_extended: bool,
    /// It goes on with a portal that has run already: no call of its own.
    continues: bool,
    /// It stands for so many more of its request, all unseen.
    more: u32,
    /// When its request was there, µs.
    start_us: u64,
    /// When the first byte of its reply was there, µs; 0 while it is not.
    first_us: u64,
    parts: Parts,
    request_bytes: u64,
    /// Hash of its raw text, from the second time on that its transaction sends it.
    text_hash: u64,
    /// Rarely there, so boxed.
    extra: Option<Box<Extra>>,
}

/// What only some statements bring.
#[derive(Debug, Default)]
struct Extra {
    /// The text of a fingerprint that has none yet, until it has been handed over.
    text: Option<Box<[u8]>>,
    /// Its text was handed over when it was sent.
    has_brought_text: bool,
    /// The text as it is, where samples keep their constants.
    sample: Option<Box<[u8]>>,
    /// The comment that may hold tags.
    tags: Option<Box<[u8]>>,
    /// PREPARE and DEALLOCATE, and what is about cursors: the name.
    name: Option<Box<[u8]>>,
    /// PREPARE: the body's fingerprint and class.
    body: Option<Body>,
    /// FETCH that has worked: fingerprint of the cursor's DECLARE.
    cursor: Option<u64>,
}

/// The body of an SQL-level PREPARE.
#[derive(Debug)]
struct Body {
    fingerprint: u64,
    class: Class,
    /// Its text, where it is not known yet.
    text: Option<Box<[u8]>>,
}

/// A statement that was answered.
#[derive(Debug)]
struct Done {
    run: Running,
    sqlstate: SqlState,
    rows: u64,
    result_bytes: u64,
    /// Its time is that of a group of statements.
    is_shared: bool,
    /// The client was gone before it ended.
    is_abandoned: bool,
}

impl Done {
    fn is_error(&self) -> bool {
        self.sqlstate != SUCCESS
    }
}

/// A statement whose name went to the server as it is.
#[derive(Debug)]
struct Named {
    what: Summary,
    /// Its text, where it was not known.
    text: Option<Box<[u8]>>,
}

/// A portal that was bound.
#[derive(Debug, Default)]
struct Portal {
    what: Summary,
    text: Option<Box<[u8]>>,
    /// The cursor that its statement names.
    cursor: Option<Box<[u8]>>,
    has_run: bool,
}

/// The tracker of one server connection.
#[derive(Debug)]
pub struct Tracker {
    insight: Arc<Insight>,
    pool: PoolId,
    lane: usize,
    app: AppId,
    is_on: bool,
    /// Requests numbered, so that the statements of one Query are known.
    requests: u32,
    running: VecDeque<Running>,
    /// The request that the last answer belonged to.
    answered: u32,
    done: Vec<Done>,
    /// How many of `done` have their time.
    settled: usize,
    /// The last of `done` was in an earlier read than its ReadyForQuery, which may be late.
    awaits_ready: bool,
    /// Composed groups whose text is new.
    composed: Vec<(u64, NewText)>,
    /// Since when the server could work on the next statement, µs.
    free_since_us: u64,
    /// Pool wait that the next statement is told.
    wait_us: u64,
    request_bytes: u64,
    reply_bytes: u64,
    rows: u64,
    /// The client does not take its bytes since, µs; 0 when it does.
    stalled_since_us: u64,
    stall_us: u64,
    /// COPY from the client runs since, µs; 0 when none does.
    copy_since_us: u64,
    /// Behind the last statement: its client is silent.
    last: Option<(u64, Class)>,
    think_us: u64,
    unnamed_portal: Option<Portal>,
    portals: HashMap<Box<[u8]>, Portal>,
    /// What the last Parse held, for an error that no Execute is there to take.
    last_parsed: Option<Summary>,
    /// Text of the unnamed statement, where its fingerprint has none yet.
    unnamed_text: Option<Box<[u8]>>,
    /// Statements by name where names go to the server as they are (`max_prepared_statements = 0`).
    named: HashMap<Box<[u8]>, Named>,
    /// SQL-level PREPARE: bodies by name.
    prepared: HashMap<Box<[u8]>, Body>,
    cursors: Cursors,
    transaction: Transaction,
}

impl Running {
    /// The next of those that it stands for.
    fn next_alike(&mut self) -> Self {
        Self {
            what: self.what,
            request: self.request,
            is_extended: self.is_extended,
            continues: false,
            more: std::mem::take(&mut self.more) - 1,
            start_us: self.start_us,
            first_us: 0,
            parts: Parts::default(),
            request_bytes: 0,
            text_hash: 0,
            extra: None,
        }
    }
}

impl Tracker {
    /// For a new server of a pool.
    pub fn for_pool(insight: Arc<Insight>, pool: PoolId) -> Self {
        Self {
            insight,
            pool,
            lane: 0,
            app: 0,
            is_on: false,
            requests: 0,
            running: VecDeque::new(),
            answered: 0,
            done: Vec::new(),
            settled: 0,
            awaits_ready: false,
            composed: Vec::new(),
            free_since_us: 0,
            wait_us: 0,
            request_bytes: 0,
            reply_bytes: 0,
            rows: 0,
            stalled_since_us: 0,
            stall_us: 0,
            copy_since_us: 0,
            last: None,
            think_us: 0,
            unnamed_portal: None,
            portals: HashMap::new(),
            last_parsed: None,
            unnamed_text: None,
            named: HashMap::new(),
            prepared: HashMap::new(),
            cursors: Cursors::default(),
            transaction: Transaction::default(),
        }
    }

    /// HOT. A client is linked. `app`: its masked application name; `wait_us`: how long it waited.
    pub fn begin(&mut self, lane: usize, app: AppId, since_us: u64, wait_us: u64) {
        self.is_on = self.insight.is_enabled();
        if !self.is_on {
            return;
        }
        self.lane = lane;
        self.app = app;
        self.wait_us = wait_us;
        self.free_since_us = since_us + wait_us;
        self.last = None;
        self.think_us = 0;
        self.last_parsed = None;
        self.unnamed_text = None;
        self.rows = 0;
        self.reply_bytes = 0;
        self.request_bytes = 0;
        self.transaction.begin(since_us + wait_us);
    }

    /// HOT. Whether anything is counted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// HOT. Since when the server could work on the next statement, µs.
    #[inline]
    pub fn free_since_us(&self) -> u64 {
        self.free_since_us
    }

    /// The client's application_name changed.
    pub fn set_app(&mut self, app: AppId) {
        self.app = app;
    }

    /// HOT. Whether something is sent and not answered.
    #[inline]
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// SQL-level PREPARE and DEALLOCATE, and what is about cursors, when they have worked.
    fn follow_names(&mut self, done: &mut Done) {
        let what = done.run.what;
        let Some(extra) = done.run.extra.as_mut() else {
            return;
        };
        let (name, body) = (extra.name.take(), extra.body.take());
        match (what.verb, name) {
            (Verb::Declare, Some(name)) => self.cursors.declared(&name, what),
            (Verb::Fetch, Some(name)) => extra.cursor = self.cursors.get(&name),
            (Verb::Close, name) => self.cursors.closed(name.as_deref()),
            (Verb::Prepare, Some(name)) => match body {
                Some(body) => requests::remember(&mut self.prepared, &name, body),
                None => drop(self.prepared.remove(&name)),
            },
            (Verb::Deallocate, Some(name)) => {
                self.prepared.remove(&name);
            }
            (Verb::Deallocate, None) => self.prepared.clear(),
            _ => {}
        }
    }

    /// DISCARD ALL or DEALLOCATE ALL ran.
    pub fn forget_prepared(&mut self) {
        self.prepared.clear();
        self.named.clear();
    }
}
