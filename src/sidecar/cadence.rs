//! When to look at the locks again.
//!
//! Owns the rhythm, knows no PostgreSQL: soon after something got old, each second while somebody
//! waits, rarely while nobody does, not at all when nothing is old.

use std::time::Duration;

/// The rhythm of the first [`EAGER`].
const FAST: Duration = Duration::from_millis(250);
const EAGER: Duration = Duration::from_secs(2);
const SLOW: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(5);

/// The rhythm of one server's lock question.
#[derive(Debug, Default)]
pub struct Cadence {
    /// How long the present bout of looking has lasted.
    elapsed: Duration,
    pause: Option<Duration>,
}

impl Cadence {
    /// After a look: the pause until the next one. `is_lively`: somebody waits, or did at the look
    /// before; `until_limit`: the time until the longest wait reaches the next limit that raises a
    /// flag.
    pub fn next(&mut self, is_lively: bool, until_limit: Option<Duration>) -> Duration {
        let pause = match self.pause {
            _ if self.elapsed < EAGER => FAST,
            Some(pause) if !is_lively => (pause * 2).clamp(SLOW, SLOWEST),
            _ => SLOW,
        };
        self.pause = Some(pause);
        let next = match until_limit {
            // A little late, so that the limit has been passed when it is looked at.
            Some(limit) => pause.min(limit + FAST / 10).max(FAST / 10),
            None => pause,
        };
        self.elapsed += next;
        next
    }

    /// Nothing is old any more.
    pub fn rest(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(duration: Duration) -> u128 {
        duration.as_millis()
    }

    #[test]
    fn the_rhythm_slows_down_while_nobody_waits() {
        let mut cadence = Cadence::default();
        let pauses: Vec<_> = (0..13).map(|_| ms(cadence.next(false, None))).collect();
        assert_eq!(pauses[..8], [250; 8]);
        assert_eq!(pauses[8..], [1000, 2000, 4000, 5000, 5000]);
        assert_eq!(ms(cadence.next(true, None)), 1000);
        cadence.rest();
        assert_eq!(ms(cadence.next(false, None)), 250);
    }

    #[test]
    fn a_limit_is_not_slept_through() {
        let mut cadence = Cadence::default();
        for _ in 0..12 {
            cadence.next(false, None);
        }
        let next = cadence.next(false, Some(Duration::from_millis(700)));
        assert_eq!(ms(next), 725);
        assert_eq!(ms(cadence.next(false, Some(Duration::ZERO))), 25);
    }
}
