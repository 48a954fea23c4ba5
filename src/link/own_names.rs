//! Names of prepared statements that a server which is the client's own has as they are.
//!
//! Owns: which of the client's names PostgreSQL itself may know. What comes later under such a name
//! goes out as it is, so that PostgreSQL says whether it is taken.

use std::collections::BTreeSet;

use super::Link;
use crate::session::prepared::SERVER_PREFIX;

/// Names that are remembered one by one; with more of them every name counts as known.
const MOST: usize = 1024;

/// Names that may be real.
#[derive(Debug, Default)]
pub(super) struct OwnNames {
    some: BTreeSet<Box<[u8]>>,
    /// A text that could not be read may have taken any name.
    is_any: bool,
    /// A text that may take names is on its way.
    is_taking: bool,
}

impl OwnNames {
    /// Any name may be real from now on.
    pub(super) fn add_any(&mut self) {
        self.is_any = true;
    }

    /// A name may be real from now on.
    pub(super) fn add(&mut self, name: &[u8]) {
        self.is_any |= self.some.len() >= MOST;
        if !self.is_any {
            self.some.insert(name.into());
        }
    }

    /// A text is sent that may take names, behind a DEALLOCATE ALL of its own too.
    pub(super) fn begin(&mut self) {
        self.is_taking = true;
    }

    /// The text is answered.
    pub(super) fn end(&mut self) {
        self.is_taking = false;
    }

    /// DEALLOCATE ALL or DISCARD ALL ran; whether no name is left.
    pub(super) fn forget(&mut self) -> bool {
        if !self.is_taking {
            *self = Self::default();
        }
        !self.is_taking
    }

    fn has(&self, name: &[u8]) -> bool {
        self.is_any || self.some.contains(name)
    }
}

impl Link<'_> {
    /// Whether PostgreSQL itself may know a name that the client has not prepared by way of ours.
    pub(super) fn may_be_real(&self, name: &[u8]) -> bool {
        self.keeps_state && self.own_names.has(name) && !name.starts_with(SERVER_PREFIX.as_bytes())
    }
}
