//! HOT. Which fingerprints have a text already, asked once per statement by every lane.
//!
//! Eight-way sets of one cache line each. A fingerprint that is in here is known; one that is not
//! may only have been pushed out, then its text is sent once more and the collector drops it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

const WAYS: usize = 8;

/// One cache line of fingerprints; 0 is empty.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// The fingerprints whose text the global table has, or is about to get.
#[derive(Debug)]
pub struct Known {
    sets: Box<[Set]>,
    next: AtomicUsize,
}

impl Known {
    /// Room for `groups` fingerprints and as many again.
    pub fn with_room_for(groups: usize) -> Self {
        let sets = (2 * groups / WAYS).next_power_of_two().clamp(64, 1 << 20);
        Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn set(&self, fingerprint: u64) -> &Set {
        // The set is chosen by the high bits: the low ones choose the bucket of a table.
        &self.sets[(fingerprint >> 32) as usize & (self.sets.len() - 1)]
    }

    /// HOT. Whether the text of a fingerprint is there.
    #[inline]
    pub fn has(&self, fingerprint: u64) -> bool {
        let set = self.set(fingerprint);
        set.0.iter().any(|way| way.load(Relaxed) == fingerprint)
    }

    /// The text has been handed over.
    pub fn insert(&self, fingerprint: u64) {
        if self.has(fingerprint) {
            return;
        }
        let set = self.set(fingerprint);
        let empty = set.0.iter().position(|way| way.load(Relaxed) == 0);
        let way = empty.unwrap_or_else(|| self.next.fetch_add(1, Relaxed) % WAYS);
        set.0[way].store(fingerprint, Relaxed);
    }

    /// The text is gone: the next statement brings it again.
    pub fn remove(&self, fingerprint: u64) {
        for way in &self.set(fingerprint).0 {
            let _ = way.compare_exchange(fingerprint, 0, Relaxed, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_known_until_it_is_removed() {
        let known = Known::with_room_for(1000);
        let all: Vec<u64> = (1..=1000u64)
            .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        for &fingerprint in &all {
            known.insert(fingerprint);
        }
        let kept = all.iter().filter(|&&f| known.has(f)).count();
        assert!(kept > 990, "{kept}");
        known.remove(all[999]);
        assert!(!known.has(all[999]));
    }
}
