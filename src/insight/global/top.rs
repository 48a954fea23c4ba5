//! The few counters of many that `/metrics` shows by name, and the rest summed up.
//!
//! Every amount is added to exactly one counter, and the sum over all is exact. A counter never goes
//! down: one that gets a name begins at zero, what it was before stays in the rest; one that loses
//! its name goes into the rest, after an hour at the earliest.

use std::hash::Hash;

use crate::insight::figures::ByKey;

/// How long a name stays for sure, µs: a graph over an hour shall not tear.
const STAY_US: u64 = 3_600_000_000;

/// A counter with a name.
#[derive(Debug)]
pub struct Named<R, const V: usize> {
    /// Its share of the rest, when it loses its name.
    pub rest: R,
    /// The amounts.
    pub amounts: [u64; V],
    since_us: u64,
}

/// Counters by key; `R` tells rests apart.
#[derive(Debug)]
pub struct Top<K, R, const V: usize> {
    wanted: usize,
    named: ByKey<K, Named<R, V>>,
    rest: ByKey<R, [u64; V]>,
}

impl<K: Eq + Hash + Copy, R: Eq + Hash + Copy, const V: usize> Top<K, R, V> {
    /// `wanted` names, twice as many at most.
    pub fn with_names(wanted: usize) -> Self {
        Self {
            wanted,
            named: ByKey::default(),
            rest: ByKey::default(),
        }
    }

    /// Adds amounts. While there are few names, each key gets one.
    pub fn add(&mut self, key: K, rest: R, amounts: [u64; V], now: u64) {
        if !self.named.contains_key(&key) && self.named.len() >= self.wanted {
            return self.add_rest(rest, amounts);
        }
        let named = self.named.entry(key).or_insert(Named {
            rest,
            amounts: [0; V],
            since_us: now,
        });
        add(&mut named.amounts, amounts);
    }

    /// Adds amounts that have no name.
    pub fn add_rest(&mut self, rest: R, amounts: [u64; V]) {
        add(self.rest.entry(rest).or_insert([0; V]), amounts);
    }

    /// Gives names to the heaviest of `ranks`.
    pub fn rename(&mut self, mut ranks: Vec<(f64, K, R)>, now: u64) {
        ranks.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        ranks.truncate(self.wanted);
        for &(_, key, rest) in &ranks {
            if self.named.contains_key(&key) {
                continue;
            }
            if self.named.len() >= 2 * self.wanted && !self.give_up_one(&ranks, now) {
                return;
            }
            let new = Named {
                rest,
                amounts: [0; V],
                since_us: now,
            };
            self.named.insert(key, new);
        }
    }

    /// The name that was given longest ago goes, if it may.
    fn give_up_one(&mut self, ranks: &[(f64, K, R)], now: u64) -> bool {
        let may_go = self.named.iter().filter(|(key, named)| {
            now.saturating_sub(named.since_us) >= STAY_US
                && !ranks.iter().any(|(_, ranked, _)| ranked == *key)
        });
        let Some(key) = may_go
            .min_by_key(|(_, named)| named.since_us)
            .map(|(key, _)| *key)
        else {
            return false;
        };
        if let Some(gone) = self.named.remove(&key) {
            self.add_rest(gone.rest, gone.amounts);
        }
        true
    }

    /// Those with a name.
    pub fn named(&self) -> impl Iterator<Item = (K, &Named<R, V>)> {
        self.named.iter().map(|(key, named)| (*key, named))
    }

    /// The rests.
    pub fn rest(&self) -> impl Iterator<Item = (R, [u64; V])> {
        self.rest.iter().map(|(rest, amounts)| (*rest, *amounts))
    }
}

fn add<const V: usize>(sum: &mut [u64; V], amounts: [u64; V]) {
    for (sum, amount) in sum.iter_mut().zip(amounts) {
        *sum += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(top: &Top<u64, u32, 1>) -> u64 {
        let named: u64 = top.named().map(|(_, named)| named.amounts[0]).sum();
        named + top.rest().map(|(_, amounts)| amounts[0]).sum::<u64>()
    }

    #[test]
    fn sums_are_exact_and_names_stay_an_hour() {
        let mut top: Top<u64, u32, 1> = Top::with_names(5);
        for key in 0..20 {
            top.add(key, 0, [key], 1);
        }
        assert_eq!((top.named.len(), total(&top)), (5, 190));
        // Others become heavier: they get names, and the first keep theirs.
        let ranks = |from: u64| (from..from + 8).map(|k| (k as f64, k, 0)).collect();
        top.rename(ranks(10), 2);
        assert_eq!(top.named.len(), 10);
        top.rename(ranks(30), 3);
        assert_eq!(top.named.len(), 10);
        assert!(top.named.contains_key(&0) && !top.named.contains_key(&37));
        top.rename(ranks(30), STAY_US + 3);
        assert_eq!(top.named.len(), 10);
        assert!(!top.named.contains_key(&0) && top.named.contains_key(&37));
        top.add(37, 0, [10], 9);
        assert_eq!(total(&top), 200);
    }
}
