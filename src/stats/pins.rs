//! Why a client keeps its server between transactions, and since when.
//!
//! Owns: the reasons and their words on screens and metrics. Written by the client's task when its
//! link has found out; read by anybody.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins(u8);

impl Pins {
    /// No reason.
    pub const NONE: Self = Self(0);
    /// An advisory lock of the session.
    pub const ADVISORY_LOCK: Self = Self(1);
    /// A temporary table that outlives its transaction.
    pub const TEMPORARY: Self = Self(1 << 1);
    /// A cursor WITH HOLD.
    pub const CURSOR: Self = Self(1 << 2);
    /// LOAD: a library cannot be taken out again.
    pub const LIBRARY: Self = Self(1 << 3);
    /// A sequence whose value of this session may be asked for.
    pub const SEQUENCE: Self = Self(1 << 4);
    /// A statement prepared by SQL that only this server has.
    pub const PREPARED: Self = Self(1 << 5);

    /// Every reason with its word.
    pub const WORDS: [(Self, &'static str); 6] = [
        (Self::ADVISORY_LOCK, "advisory lock"),
        (Self::TEMPORARY, "temporary table"),
        (Self::CURSOR, "cursor with hold"),
        (Self::LIBRARY, "library"),
        (Self::SEQUENCE, "sequence"),
        (Self::PREPARED, "prepared statement"),
    ];

    /// Whether there is no reason.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Whether any of `reasons` is in here.
    pub const fn has(self, reasons: Self) -> bool {
        self.0 & reasons.0 != 0
    }
    /// Both.
    #[must_use]
    pub const fn or(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
    /// Without `less`.
    #[must_use]
    pub const fn without(self, less: Self) -> Self {
        Self(self.0 & !less.0)
    }
    /// The words, in the order of `WORDS`.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let reasons = Self::WORDS.into_iter();
        reasons.filter_map(move |(reason, word)| self.has(reason).then_some(word))
    }
    /// The words as one text.
    pub fn text(self) -> String {
        self.words().collect::<Vec<_>>().join(", ")
    }
}

/// Pins of one client, now.
#[derive(Debug, Default)]
pub struct PinSlot {
    reasons: AtomicU8,
    since_us: AtomicU64,
}

impl PinSlot {
    /// Reasons now.
    pub fn reasons(&self) -> Pins {
        Pins(self.reasons.load(Relaxed))
    }
    /// Monotonic µs since when the client keeps its server; 0 when it does not.
    pub fn since_us(&self) -> u64 {
        self.since_us.load(Relaxed)
    }
    /// The reasons are these at `now` (monotonic µs). Gives those that are new.
    pub fn set(&self, reasons: Pins, now: u64) -> Pins {
        let before = Pins(self.reasons.swap(reasons.0, Relaxed));
        if reasons.is_empty() {
            self.since_us.store(0, Relaxed);
        } else if before.is_empty() {
            self.since_us.store(now, Relaxed);
        }
        reasons.without(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_pinned_since_its_first_reason() {
        let slot = PinSlot::default();
        let both = Pins::CURSOR.or(Pins::ADVISORY_LOCK);
        assert_eq!(slot.set(Pins::CURSOR, 5), Pins::CURSOR);
        assert_eq!(slot.set(both, 7), Pins::ADVISORY_LOCK);
        assert_eq!((slot.reasons(), slot.since_us()), (both, 5));
        assert_eq!(both.text(), "advisory lock, cursor with hold");
        assert_eq!(slot.set(Pins::ADVISORY_LOCK, 8), Pins::NONE);
        assert_eq!(slot.since_us(), 5);
        assert_eq!(slot.set(Pins::NONE, 9), Pins::NONE);
        assert_eq!((slot.reasons(), slot.since_us()), (Pins::NONE, 0));
        assert_eq!(slot.set(Pins::LIBRARY, 11), Pins::LIBRARY);
        assert_eq!(slot.since_us(), 11);
    }

    #[test]
    fn every_reason_has_a_word() {
        let all = Pins::WORDS
            .iter()
            .fold(Pins::NONE, |all, (pin, _)| all.or(*pin));
        assert_eq!(all.words().count(), Pins::WORDS.len());
        assert_eq!(Pins::NONE.text(), "");
    }
}
