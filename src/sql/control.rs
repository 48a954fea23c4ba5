//! Whole texts that a pooler may answer by itself.
//!
//! Owns: the recognition of one statement that is nothing but transaction control or DISCARD, in
//! any spelling. Strict: what is not understood to its last word is not recognised.

/// What such a text asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// BEGIN or START TRANSACTION, with modes that PostgreSQL's grammar has.
    Begin,
    /// COMMIT or END, without AND CHAIN.
    Commit,
    /// ROLLBACK or ABORT of the whole transaction, without AND CHAIN.
    Rollback,
    /// DISCARD ALL.
    DiscardAll,
    /// DISCARD TEMP or TEMPORARY.
    DiscardTemp,
    /// DISCARD PLANS.
    DiscardPlans,
    /// DISCARD SEQUENCES.
    DiscardSequences,
    /// RESET ALL.
    ResetAll,
    /// DEALLOCATE [PREPARE] ALL.
    DeallocateAll,
    /// UNLISTEN *.
    UnlistenAll,
}

/// HOT. What the text of a Query asks for, if it is one such statement and nothing else. Ends at
/// the first NUL.
pub fn control(_text: &[u8]) -> Option<Control> {
    None
}
