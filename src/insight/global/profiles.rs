//! Profiles of transactions.

use crate::insight::figures::{ByKey, TransactionFigures};
use crate::insight::labels;
use crate::insight::lane::TransactionKey;

/// Profiles kept apart; more are summed up per pool and application.
const KEPT: usize = 2000;

/// By heaviest statement, pool and application.
#[derive(Debug, Default)]
pub struct Profiles {
    pub(in crate::insight) profiles: ByKey<TransactionKey, TransactionFigures>,
}

impl Profiles {
    /// Adds a lane's.
    pub fn merge(&mut self, key: TransactionKey, delta: &TransactionFigures) {
        let is_full = self.profiles.len() >= KEPT;
        let key = match is_full && !self.profiles.contains_key(&key) {
            true => TransactionKey {
                heaviest: labels::OTHER,
                ..key
            },
            false => key,
        };
        self.profiles.entry(key).or_default().merge(delta);
    }
}
