//! What receives the tokens beside the hash: nothing, or a text.
//!
//! Owns: the one interface of both. The lexer is compiled once for each, so that a fingerprint
//! pays nothing for the text that it does not make.

/// A constant, as far as its stand-in in a text depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// A string of any form.
    Text,
    /// A number.
    Number,
    /// NULL.
    Null,
    /// TRUE or FALSE.
    Truth,
    /// The name of a savepoint, cursor or prepared statement.
    Name,
}

/// Receives the normalised tokens of one statement.
pub trait Sink {
    /// A place to go back to.
    type Mark: Copy;
    /// A name or keyword: its content as in the source, doubled quotes and all.
    fn name(&mut self, content: &[u8], is_quoted: bool);
    /// An operator, `::`, `..` or `:=`.
    fn operator(&mut self, operator: &[u8]);
    /// `( ) [ ] , . :` or a byte that SQL does not know.
    fn byte(&mut self, byte: u8);
    /// One constant.
    fn constant(&mut self, constant: Constant);
    /// A whole list of constants.
    fn list(&mut self, first: Constant);
    /// `$1`, or a number that is kept; as in the source.
    fn verbatim(&mut self, text: &[u8]);
    /// The row before stands for several.
    fn repeated(&mut self);
    /// The statement goes on behind the cap.
    fn truncated(&mut self);
    /// Here.
    fn mark(&self) -> Self::Mark;
    /// Forgets what came since.
    fn rollback(&mut self, mark: Self::Mark);
}

/// No text is wanted.
impl Sink for () {
    type Mark = ();
    #[inline(always)]
    fn name(&mut self, _: &[u8], _: bool) {}
    #[inline(always)]
    fn operator(&mut self, _: &[u8]) {}
    #[inline(always)]
    fn byte(&mut self, _: u8) {}
    #[inline(always)]
    fn constant(&mut self, _: Constant) {}
    #[inline(always)]
    fn list(&mut self, _: Constant) {}
    #[inline(always)]
    fn verbatim(&mut self, _: &[u8]) {}
    #[inline(always)]
    fn repeated(&mut self) {}
    #[inline(always)]
    fn truncated(&mut self) {}
    #[inline(always)]
    fn mark(&self) {}
    #[inline(always)]
    fn rollback(&mut self, (): ()) {}
}
