//! A log-linear histogram of microseconds: 4 buckets per octave, 512 bytes.
//!
//! A quantile is off by at most 12.5 % of its value. Limits that alerts speak of fall inside
//! buckets, so they have exact counters of their own ([`super::figures::OVER_US`]).

/// How many buckets there are: 4 µs to over four hours, the ends take what is beyond.
pub const BUCKETS: usize = 128;

/// Counts of values in µs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram([u32; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Histogram {
    /// HOT. Position of a value.
    #[inline]
    pub fn bucket_of(us: u64) -> usize {
        if us < 4 {
            return 0;
        }
        let octave = us.ilog2() as usize;
        let quarter = (us >> (octave - 2)) as usize & 3;
        (4 * (octave - 2) + quarter).min(BUCKETS - 1)
    }

    /// Smallest value of a bucket, µs.
    pub fn lower_us(bucket: usize) -> u64 {
        if bucket == 0 {
            return 0;
        }
        let (octave, quarter) = (bucket / 4 + 2, (bucket % 4) as u64);
        (4 + quarter) << (octave - 2)
    }

    /// Smallest value of the next bucket, µs.
    pub fn upper_us(bucket: usize) -> u64 {
        let (octave, quarter) = (bucket / 4 + 2, (bucket % 4) as u64);
        (5 + quarter) << (octave - 2)
    }

    /// HOT. Counts `n` equal values.
    #[inline]
    pub fn add(&mut self, us: u64, n: u32) {
        let cell = &mut self.0[Self::bucket_of(us)];
        *cell = cell.saturating_add(n);
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// Adds counts by position, as [`Histogram::nonzero`] gave them.
    pub fn merge_sparse(&mut self, counts: &[(u8, u32)]) {
        for &(bucket, n) in counts {
            if let Some(cell) = self.0.get_mut(bucket as usize) {
                *cell = cell.saturating_add(n);
            }
        }
    }

    /// The buckets that are not empty.
    pub fn nonzero(&self) -> Vec<(u8, u32)> {
        (0u8..)
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|&n| u64::from(n)).sum()
    }

    /// The value below which the share `q` (0 to 1) lies, in µs, interpolated inside its bucket;
    /// `None` when nothing was counted.
    pub fn quantile_us(&self, q: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = (q.clamp(0.0, 1.0) * total as f64).max(0.5);
        let mut below = 0.0;
        for (bucket, &n) in self.0.iter().enumerate().filter(|(_, n)| **n > 0) {
            let n = f64::from(n);
            if below + n >= rank {
                let (low, high) = (Self::lower_us(bucket) as f64, Self::upper_us(bucket) as f64);
                return Some(low + (high - low) * (rank - below) / n);
            }
            below += n;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_a_value_lies_in_its_own() {
        for bucket in 0..BUCKETS - 1 {
            assert_eq!(Histogram::upper_us(bucket), Histogram::lower_us(bucket + 1));
        }
        for us in (0..100_000).chain((17..34).map(|bit| (1 << bit) - 1)) {
            let bucket = Histogram::bucket_of(us);
            assert!(Histogram::lower_us(bucket) <= us && us < Histogram::upper_us(bucket));
        }
        assert_eq!(Histogram::bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_within_an_eighth() {
        let mut histogram = Histogram::default();
        for us in 1..=100_000u64 {
            histogram.add(us, 1);
        }
        for q in [0.5, 0.95, 0.99] {
            let found = histogram.quantile_us(q).unwrap_or_default();
            let exact = q * 100_000.0;
            assert!((found - exact).abs() <= exact / 8.0, "{q}: {found}");
        }
        assert_eq!(Histogram::default().quantile_us(0.5), None);
    }

    #[test]
    fn sparse_and_whole_agree() {
        let mut one = Histogram::default();
        one.add(7, 3);
        one.add(1_000_000, 2);
        let mut other = Histogram::default();
        other.merge_sparse(&one.nonzero());
        assert_eq!(one, other);
    }
}
