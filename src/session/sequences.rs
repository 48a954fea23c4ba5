//! Whose sequence values a server's session holds, and who asks for them later.
//!
//! Owns: the rules by which `currval()` and `lastval()` may be asked of a server that others have
//! used too. Conservative: whatever may advance a sequence (a trigger, a default, code) counts as if
//! it did. No I/O. Source: PostgreSQL, "Sequence Manipulation Functions", DISCARD.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;

use crate::sql::{Class, Touches};

/// Stands for more than one.
const SEVERAL: u64 = u64::MAX;

/// On which server a client may have advanced sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory(u64);

/// Whose values a server's session may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner(u64);

impl Memory {
    /// HOT. Whether the client has advanced none since its begin or its last DISCARD.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// HOT. Whether this server, and no other, may have what the client advanced.
    #[inline]
    pub const fn is_at(self, server: u64) -> bool {
        self.0 == server
    }

    /// HOT. Whether it is exactly one server.
    #[inline]
    pub const fn is_one(self) -> bool {
        self.0 != 0 && self.0 != SEVERAL
    }
}

impl Owner {
    /// The session holds none.
    pub const NOBODY: Self = Self(0);
    /// It holds several clients' values, or old ones.
    pub const MIXED: Self = Self(SEVERAL);

    /// HOT. Whether the session holds none.
    #[inline]
    pub const fn is_nobody(self) -> bool {
        self.0 == 0
    }

    /// HOT. Whether it holds nothing but values of this client.
    #[inline]
    pub const fn is(self, client: u64) -> bool {
        self.0 == client
    }
}

/// HOT. `client` may advance a sequence on `server`.
#[inline]
pub fn advance(memory: &mut Memory, owner: &mut Owner, client: u64, server: u64) {
    let was_here = memory.is_at(server);
    owner.0 = match *owner {
        Owner::NOBODY => client,
        known if known.is(client) && was_here => client,
        _ => SEVERAL,
    };
    if !was_here {
        memory.0 = if memory.is_none() { server } else { SEVERAL };
    }
}

/// Whether PostgreSQL's answer to `currval()` is the one of a direct connection.
pub fn may_read(memory: Memory, owner: Owner, client: u64, server: u64) -> bool {
    if memory.is_none() {
        owner.is_nobody()
    } else {
        owner.is(client) && memory.is_at(server)
    }
}

/// What statements do with sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Some statement may advance one.
    pub may_advance: bool,
    /// Some statement says that it advances one, or puts in rows.
    pub advances: bool,
    /// What an earlier transaction advanced is read.
    pub reads_earlier: bool,
    /// What these statements advanced is read.
    pub reads_own: bool,
}

impl Seen {
    /// HOT. One more statement.
    #[inline]
    pub fn add(&mut self, class: Class, touches: Touches) {
        const WATCHED: Touches = Touches::SEQUENCE
            .or(Touches::SEQUENCE_READ)
            .or(Touches::CODE)
            .or(Touches::FUNCTION);
        let is_quiet = matches!(class, Class::Select | Class::Control | Class::Empty);
        if !is_quiet || touches.has(WATCHED) {
            self.add_watched(class, touches);
        }
    }

    fn add_watched(&mut self, class: Class, touches: Touches) {
        // A text that was not understood has both.
        let is_clear = !touches.has(Touches::CODE);
        let calls = is_clear && touches.has(Touches::SEQUENCE);
        if is_clear && touches.has(Touches::SEQUENCE_READ) {
            // A row that is put in refers to one that was put in before.
            if self.advances || (calls && class != Class::Insert) {
                self.reads_own = true;
            } else {
                self.reads_earlier = true;
            }
        }
        let puts_in = matches!(class, Class::Insert | Class::Merge | Class::Copy);
        self.advances |= calls || puts_in;
        let is_reading = matches!(class, Class::Select | Class::Control | Class::Empty);
        let is_code = touches.has(Touches::CODE.or(Touches::FUNCTION));
        self.may_advance |= calls || is_code || !is_reading;
    }
}

/// How an application uses the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reliance {
    /// It reads them in the transaction that advanced.
    Within,
    /// It reads them in later transactions.
    Across,
}

/// The applications of one pool that read them, by the number of their masked name.
#[derive(Debug, Default)]
pub struct Readers {
    is_any: AtomicBool,
    known: ArcSwap<Vec<(u32, Reliance)>>,
}

impl Readers {
    /// HOT. What is known of an application.
    #[inline]
    pub fn of(&self, app: u32) -> Option<Reliance> {
        if !self.is_any.load(Relaxed) {
            return None;
        }
        let known = self.known.load();
        let found = known.iter().find(|(known, _)| *known == app);
        found.map(|(_, reliance)| *reliance)
    }

    /// The application has read one.
    pub fn note(&self, app: u32, reliance: Reliance) {
        if self.of(app) >= Some(reliance) {
            return;
        }
        self.known.rcu(|known| {
            let mut next = Vec::clone(known);
            match next.iter_mut().find(|(known, _)| *known == app) {
                Some((_, known)) => *known = reliance.max(*known),
                None => next.push((app, reliance)),
            }
            Arc::new(next)
        });
        self.is_any.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clients_own_values_are_read() {
        let (mut first, mut second, mut owner) = <(Memory, Memory, Owner)>::default();
        assert!(may_read(first, owner, 1, 9), "PostgreSQL refuses it");
        advance(&mut first, &mut owner, 1, 9);
        advance(&mut first, &mut owner, 1, 9);
        assert!(may_read(first, owner, 1, 9));
        assert!(!may_read(second, owner, 2, 9));
        assert!(!may_read(first, Owner::NOBODY, 1, 8));
        advance(&mut second, &mut owner, 2, 9);
        assert!(!may_read(first, owner, 1, 9));
        assert!(!may_read(second, owner, 2, 9));
    }

    #[test]
    fn what_was_advanced_elsewhere_too_may_be_newer_there() {
        let (mut memory, mut here, mut there) = <(Memory, Owner, Owner)>::default();
        advance(&mut memory, &mut here, 1, 9);
        advance(&mut memory, &mut there, 1, 8);
        assert!(!memory.is_one());
        assert!(!may_read(memory, here, 1, 9));
        assert!(!may_read(memory, there, 1, 8));
        let mut memory = Memory::default();
        advance(&mut memory, &mut here, 1, 9);
        assert!(!may_read(memory, here, 1, 9), "left from before a DISCARD");
    }

    #[test]
    fn a_row_refers_to_an_earlier_one() {
        let mut seen = Seen::default();
        seen.add(Class::Insert, Touches::SEQUENCE_READ);
        assert!(seen.reads_earlier && seen.advances);
        let mut seen = Seen::default();
        seen.add(Class::Insert, Touches::NONE);
        seen.add(Class::Select, Touches::SEQUENCE_READ);
        assert!(seen.reads_own && !seen.reads_earlier);
        let mut seen = Seen::default();
        seen.add(Class::Other, Touches::ALL);
        assert!(!seen.reads_earlier && !seen.advances && seen.may_advance);
        let mut seen = Seen::default();
        seen.add(Class::Select, Touches::NONE);
        assert_eq!(seen, Seen::default());
    }

    #[test]
    fn reliance_only_grows() {
        let readers = Readers::default();
        assert_eq!(readers.of(3), None);
        readers.note(3, Reliance::Across);
        readers.note(3, Reliance::Within);
        assert_eq!(readers.of(3), Some(Reliance::Across));
        assert_eq!(readers.of(4), None);
    }
}
