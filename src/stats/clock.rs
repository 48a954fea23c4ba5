//! One clock for everything that is measured: microseconds of `CLOCK_MONOTONIC`.
//!
//! A plain `u64` fits an atomic slot, which `Instant` does not; and no process-wide epoch is needed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds on the monotonic clock. About 30 ns (vDSO), so at most two reads per query.
#[inline]
pub fn now_us() -> u64 {
    match nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC) {
        Ok(t) => micros(t.tv_sec(), t.tv_nsec()),
        Err(_) => 0,
    }
}

#[inline]
fn micros(seconds: i64, nanos: i64) -> u64 {
    (seconds as u64).wrapping_mul(1_000_000) + (nanos as u64) / 1_000
}

/// Wall clock of a monotonic reading, for columns such as `connect_time`.
pub fn to_wall(us: u64) -> SystemTime {
    let age = Duration::from_micros(now_us().saturating_sub(us));
    SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH)
}

/// Microseconds of a duration, saturating.
pub fn as_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
