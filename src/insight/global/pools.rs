//! Sums per pool: since the start for `/metrics`, since the last reset for the console.

use crate::insight::figures::{CLASSES, Few, PoolFigures, SqlState};
use crate::insight::lane::{LaneRecords, PoolId};
use crate::sql::Class;

/// Codes that count alone; of others only the class does (operator.md 3.1).
const ALONE: [&SqlState; 5] = [b"40001", b"40P01", b"55P03", b"57014", b"53300"];
/// Labels of errors per pool; the codes come from the server.
const LABELS: usize = 60;

/// One pool's.
#[derive(Debug, Default)]
pub struct PoolTotals {
    /// Never goes down.
    pub since_start: PoolFigures,
    /// Since RESET STATEMENTS.
    pub since_reset: PoolFigures,
    /// Rows by class, since the start.
    pub class_rows: [u64; CLASSES],
    /// Errors by label, since the start.
    pub errors: Vec<(SqlState, u64)>,
}

impl PoolTotals {
    fn add_errors(&mut self, errors: &Few<SqlState>) {
        for &(sqlstate, n) in &errors.0 {
            let mut label = label_of(sqlstate);
            let is_new = !self.errors.iter().any(|(known, _)| *known == label);
            if is_new && self.errors.len() >= LABELS {
                label = OTHER_LABEL;
            }
            match self.errors.iter_mut().find(|(known, _)| *known == label) {
                Some((_, count)) => *count += n,
                None => self.errors.push((label, n)),
            }
        }
    }
}

/// Label of errors beyond [`LABELS`], and of codes that are none.
const OTHER_LABEL: SqlState = *b"other";

/// The code, or its class followed by blanks.
fn label_of(sqlstate: SqlState) -> SqlState {
    if ALONE.contains(&&sqlstate) {
        return sqlstate;
    }
    let is_code = |b: &u8| b.is_ascii_digit() || b.is_ascii_uppercase();
    match sqlstate {
        [a, b, ..] if is_code(&a) && is_code(&b) => [a, b, b' ', b' ', b' '],
        _ => OTHER_LABEL,
    }
}

/// By pool id.
#[derive(Debug, Default)]
pub struct Pools {
    totals: Vec<Option<Box<PoolTotals>>>,
}

impl Pools {
    fn pool(&mut self, id: PoolId) -> &mut PoolTotals {
        let at = id as usize;
        if self.totals.len() <= at {
            self.totals.resize_with(at + 1, || None);
        }
        self.totals[at].get_or_insert_default()
    }

    /// Adds what one lane recorded.
    pub fn add(&mut self, lane: &LaneRecords) {
        for (id, delta) in (0..).zip(&lane.pools) {
            let Some(delta) = delta.as_deref().filter(|delta| !delta.is_idle()) else {
                continue;
            };
            let totals = self.pool(id);
            totals.since_start.merge(delta);
            totals.since_reset.merge(delta);
            totals.add_errors(&delta.sqlstates);
        }
        for (key, delta) in lane.groups() {
            if delta.rows > 0 && delta.class != Class::Composite {
                self.pool(key.pool).class_rows[delta.class as usize] += delta.rows;
            }
        }
    }

    /// All in which anything happened.
    pub fn iter(&self) -> impl Iterator<Item = (PoolId, &PoolTotals)> {
        (0..)
            .zip(&self.totals)
            .filter_map(|(id, totals)| Some((id, totals.as_deref()?)))
    }

    /// RESET STATEMENTS.
    pub fn reset(&mut self) {
        for totals in self.totals.iter_mut().flatten() {
            totals.since_reset = PoolFigures::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_count_by_class_but_for_the_codes_that_matter() {
        let mut pool = PoolTotals::default();
        let errors = [b"40001", b"23505", b"23503", b"57014", b"\"}\n{x"];
        pool.add_errors(&Few(errors.iter().map(|code| (**code, 2)).collect()));
        let expected = [
            (*b"40001", 2),
            (*b"23   ", 4),
            (*b"57014", 2),
            (*b"other", 2),
        ];
        assert_eq!(pool.errors, expected);
        for n in 0..100u8 {
            let code = [b'A' + n % 26, b'A' + n / 26, b'0', b'0', b'0'];
            pool.add_errors(&Few(vec![(code, 1)]));
        }
        assert!(pool.errors.len() <= LABELS + 1);
        assert_eq!(pool.errors.iter().map(|(_, n)| n).sum::<u64>(), 110);
    }
}
