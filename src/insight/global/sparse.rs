//! Figures of a closed slice of time: histograms without their empty buckets.

use crate::insight::figures::{
    APPS, AppId, Bounded, CLASSES, Fetched, Few, Figures, Parts, PoolFigures, Repeat, SQLSTATES,
    Slowest, SqlState, TransactionFigures,
};
use crate::insight::histogram::Histogram;
use crate::sql::Class;

/// Figures that can be kept in little room.
pub trait Sparse {
    /// As they are added to.
    type Dense: Default;
    /// Without what is empty.
    fn of(dense: &Self::Dense) -> Self;
    /// Adds them to others.
    fn add_to(&self, dense: &mut Self::Dense);
}

type Buckets = Box<[(u8, u32)]>;

fn buckets(histogram: &Histogram) -> Buckets {
    histogram.nonzero().into()
}

/// [`Figures`].
#[derive(Debug)]
pub struct SparseFigures {
    calls: u64,
    errors: u32,
    cancelled: u32,
    abandoned: u32,
    time_shared: u32,
    slow: u32,
    over: [u32; 3],
    rows: u64,
    request_bytes: u64,
    result_bytes: u64,
    parts: Parts,
    prepare_us: u64,
    min_us: u64,
    slowest: Slowest,
    squares: f64,
    first_seen_us: u64,
    last_seen_us: u64,
    histogram: Buckets,
    apps: Box<[(AppId, u64)]>,
    sqlstates: Box<[(SqlState, u64)]>,
    /// Rarely there.
    fetched: Option<Box<Fetched>>,
    class: Class,
}

/// Counts of a minute.
fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Sparse for SparseFigures {
    type Dense = Figures;

    fn of(dense: &Figures) -> Self {
        Self {
            calls: dense.calls,
            errors: small(dense.errors),
            cancelled: small(dense.cancelled),
            abandoned: small(dense.abandoned),
            time_shared: small(dense.time_shared),
            slow: small(dense.slow),
            over: dense.over.map(small),
            rows: dense.rows,
            request_bytes: dense.request_bytes,
            result_bytes: dense.result_bytes,
            parts: dense.parts,
            prepare_us: dense.prepare_us,
            min_us: dense.min_us,
            slowest: dense.slowest,
            squares: dense.squares,
            first_seen_us: dense.first_seen_us,
            last_seen_us: dense.last_seen_us,
            histogram: buckets(&dense.histogram),
            apps: dense.apps.0.as_slice().into(),
            sqlstates: dense.sqlstates.0.as_slice().into(),
            fetched: (dense.fetched.calls > 0).then(|| Box::new(dense.fetched)),
            class: dense.class,
        }
    }

    fn add_to(&self, dense: &mut Figures) {
        let mut counts = Figures {
            calls: self.calls,
            errors: self.errors.into(),
            cancelled: self.cancelled.into(),
            abandoned: self.abandoned.into(),
            time_shared: self.time_shared.into(),
            slow: self.slow.into(),
            rows: self.rows,
            request_bytes: self.request_bytes,
            result_bytes: self.result_bytes,
            parts: self.parts,
            prepare_us: self.prepare_us,
            min_us: self.min_us,
            slowest: self.slowest,
            squares: self.squares,
            over: self.over.map(u64::from),
            first_seen_us: self.first_seen_us,
            last_seen_us: self.last_seen_us,
            fetched: self.fetched.as_deref().copied().unwrap_or_default(),
            class: self.class,
            ..Figures::default()
        };
        for &(app, n) in &self.apps {
            counts.apps.add(app, n, APPS);
        }
        for &(sqlstate, n) in &self.sqlstates {
            counts.sqlstates.add(sqlstate, n, SQLSTATES);
        }
        dense.merge_counts(&counts);
        dense.histogram.merge_sparse(&self.histogram);
    }
}

/// [`Bounded`].
#[derive(Debug)]
struct SparseBounded {
    counts: Box<[(u8, u64)]>,
    sum_us: u64,
}

impl SparseBounded {
    fn of(dense: &Bounded) -> Self {
        let counts = (0u8..).zip(dense.counts).filter(|(_, count)| *count > 0);
        Self {
            counts: counts.collect(),
            sum_us: dense.sum_us,
        }
    }

    fn add_to(&self, dense: &mut Bounded) {
        for &(at, count) in &self.counts {
            if let Some(cell) = dense.counts.get_mut(at as usize) {
                *cell += count;
            }
        }
        dense.sum_us += self.sum_us;
    }
}

/// [`PoolFigures`].
#[derive(Debug)]
pub struct SparsePool {
    statements: SparseBounded,
    statement_histogram: Buckets,
    transactions: SparseBounded,
    transaction_histogram: Buckets,
    parts: Parts,
    classes: [u64; CLASSES],
    rows: u64,
    sqlstates: Box<[(SqlState, u64)]>,
    apps: Box<[(AppId, u64)]>,
}

impl Sparse for SparsePool {
    type Dense = PoolFigures;

    fn of(dense: &PoolFigures) -> Self {
        Self {
            statements: SparseBounded::of(&dense.statements),
            statement_histogram: buckets(&dense.statement_histogram),
            transactions: SparseBounded::of(&dense.transactions),
            transaction_histogram: buckets(&dense.transaction_histogram),
            parts: dense.parts,
            classes: dense.classes,
            rows: dense.rows,
            sqlstates: dense.sqlstates.0.as_slice().into(),
            apps: dense.apps.0.as_slice().into(),
        }
    }

    fn add_to(&self, dense: &mut PoolFigures) {
        self.statements.add_to(&mut dense.statements);
        self.transactions.add_to(&mut dense.transactions);
        dense.merge(&PoolFigures {
            parts: self.parts,
            classes: self.classes,
            rows: self.rows,
            sqlstates: Few(self.sqlstates.to_vec()),
            apps: Few(self.apps.to_vec()),
            ..PoolFigures::default()
        });
        dense
            .statement_histogram
            .merge_sparse(&self.statement_histogram);
        dense
            .transaction_histogram
            .merge_sparse(&self.transaction_histogram);
    }
}

/// [`TransactionFigures`].
#[derive(Debug)]
pub struct SparseTransactions {
    transactions: u64,
    commits: u64,
    rollbacks: u64,
    silent_rollbacks: u64,
    abandoned: u64,
    statements: u64,
    hold_us: u64,
    server_us: u64,
    think_us: u64,
    histogram: Buckets,
    repeat: Repeat,
}

impl Sparse for SparseTransactions {
    type Dense = TransactionFigures;

    fn of(dense: &TransactionFigures) -> Self {
        Self {
            transactions: dense.transactions,
            commits: dense.commits,
            rollbacks: dense.rollbacks,
            silent_rollbacks: dense.silent_rollbacks,
            abandoned: dense.abandoned,
            statements: dense.statements,
            hold_us: dense.hold_us,
            server_us: dense.server_us,
            think_us: dense.think_us,
            histogram: buckets(&dense.histogram),
            repeat: dense.repeat,
        }
    }

    fn add_to(&self, dense: &mut TransactionFigures) {
        dense.merge(&TransactionFigures {
            transactions: self.transactions,
            commits: self.commits,
            rollbacks: self.rollbacks,
            silent_rollbacks: self.silent_rollbacks,
            abandoned: self.abandoned,
            statements: self.statements,
            hold_us: self.hold_us,
            server_us: self.server_us,
            think_us: self.think_us,
            repeat: self.repeat,
            ..TransactionFigures::default()
        });
        dense.histogram.merge_sparse(&self.histogram);
    }
}
