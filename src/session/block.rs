//! A transaction block that only the client and we know of.
//!
//! A BEGIN is answered at once and held until the first statement needs a server: the two then go
//! out in one write, and a block without a statement costs no server. Owns: what was begun.

/// The block of a client that has no server.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Block {
    /// None is open.
    #[default]
    None,
    /// BEGIN was answered and is held: its text.
    Held(Box<[u8]>),
    /// A held BEGIN was refused later: everything fails until the client ends the block.
    Failed,
}

impl Block {
    /// HOT. Whether the client is in no block of ours.
    #[inline]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}
