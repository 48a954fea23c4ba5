//! Whole texts that a pooler may answer by itself.
//!
//! Owns: the recognition of one statement that is nothing but transaction control or DISCARD, in
//! any spelling. Strict: what is not understood to its last word is not recognised, and neither is
//! a byte that a server of another version or encoding might refuse.
//! Source: `TransactionStmt`, `DiscardStmt`, `VariableResetStmt`, `DeallocateStmt` and
//! `UnlistenStmt` of PostgreSQL's grammar (16 to 18 have the same).
// HOT

use super::bytes;
use super::scan;

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
    /// DEALLOCATE ALL, DEALLOCATE PREPARE ALL.
    DeallocateAll,
    /// UNLISTEN *.
    UnlistenAll,
}

/// HOT. Whether a text may be one of these, by its first two letters or by what stands before them.
#[inline]
pub fn may_be_control(text: &[u8]) -> bool {
    let first = bytes::lower(bytes::word_at(text, 0)) & 0xffff;
    match (first & 0xff) as u8 {
        b'a' | b'b' | b'c' | b'd' | b'e' | b'r' | b's' | b'u' => matches!(
            &first.to_le_bytes()[..2],
            b"ab" | b"be" | b"co" | b"de" | b"di" | b"en" | b"re" | b"ro" | b"st" | b"un"
        ),
        b'\t' | b'\n' | 0x0c | b'\r' | b' ' | b'-' | b'/' => true,
        _ => false,
    }
}

/// What the text of a Query asks for, if it is one such statement and nothing else. One NUL may end
/// the text; bytes behind it make it none of these, since PostgreSQL refuses the message.
pub fn control(text: &[u8]) -> Option<Control> {
    may_be_control(text).then(|| recognise(text)).flatten()
}

fn recognise(text: &[u8]) -> Option<Control> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let mut words = Words { text, at: 0 };
    let found = statement(&mut words)?;
    words.is_over().then_some(found)
}

fn statement(words: &mut Words) -> Option<Control> {
    let mut lower = [0; 10];
    match words.first(&mut lower)? {
        b"begin" => {
            words.work();
            modes(words)
        }
        b"start" => words.takes(b"transaction").then(|| modes(words)).flatten(),
        b"commit" | b"end" => ended(words, Control::Commit),
        b"rollback" | b"abort" => ended(words, Control::Rollback),
        b"discard" => discarded(words),
        b"reset" => words.takes(b"all").then_some(Control::ResetAll),
        b"deallocate" => {
            words.takes(b"prepare");
            words.takes(b"all").then_some(Control::DeallocateAll)
        }
        b"unlisten" => words.takes_byte(b'*').then_some(Control::UnlistenAll),
        _ => None,
    }
}

/// The modes of a transaction, any number of them; a comma may stand between two.
fn modes(words: &mut Words) -> Option<Control> {
    let mut must_follow = false;
    while mode(words)? {
        must_follow = words.takes_byte(b',');
    }
    (!must_follow).then_some(Control::Begin)
}

/// One mode; false if none begins here, None if one begins and is not whole.
fn mode(words: &mut Words) -> Option<bool> {
    let is_whole = if words.takes(b"isolation") {
        words.takes(b"level") && level(words)
    } else if words.takes(b"read") {
        words.takes(b"only") || words.takes(b"write")
    } else if words.takes(b"not") {
        words.takes(b"deferrable")
    } else {
        return Some(words.takes(b"deferrable"));
    };
    is_whole.then_some(true)
}

fn level(words: &mut Words) -> bool {
    if words.takes(b"read") {
        return words.takes(b"committed") || words.takes(b"uncommitted");
    }
    if words.takes(b"repeatable") {
        return words.takes(b"read");
    }
    words.takes(b"serializable")
}

/// What may stand behind COMMIT and ROLLBACK.
fn ended(words: &mut Words, control: Control) -> Option<Control> {
    words.work();
    if words.takes(b"and") && !(words.takes(b"no") && words.takes(b"chain")) {
        return None;
    }
    Some(control)
}

fn discarded(words: &mut Words) -> Option<Control> {
    const WHAT: [(&[u8], Control); 5] = [
        (b"all", Control::DiscardAll),
        (b"temp", Control::DiscardTemp),
        (b"temporary", Control::DiscardTemp),
        (b"plans", Control::DiscardPlans),
        (b"sequences", Control::DiscardSequences),
    ];
    let found = WHAT.iter().find(|(word, _)| words.takes(word));
    found.map(|(_, control)| *control)
}

/// The words of a text that is ASCII as far as it is read.
struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Words<'_> {
    /// Moves behind blanks and comments. What is not plain stops it: an open comment, bytes that
    /// are not ASCII (they may be invalid in the client's encoding), and the vertical tab, which
    /// is a blank only from PostgreSQL 16 on.
    fn skip(&mut self) {
        loop {
            let start = self.at;
            let end = match self.text.get(start) {
                Some(b'\t' | b'\n' | 0x0c | b'\r' | b' ') => start + 1,
                Some(b'-') if scan::comment_starts(self.text, start) => {
                    scan::line_comment(self.text, start)
                }
                Some(b'/') if scan::comment_starts(self.text, start) => {
                    match scan::block_comment(self.text, start) {
                        Some(end) => end,
                        None => return,
                    }
                }
                _ => return,
            };
            let skipped = self.text.get(start..end).unwrap_or_default();
            if skipped.iter().any(|b| *b == 0 || !b.is_ascii()) {
                return;
            }
            self.at = end;
        }
    }

    /// The first word in lower case, if it is no longer than `lower`.
    fn first<'b>(&mut self, lower: &'b mut [u8; 10]) -> Option<&'b [u8]> {
        self.skip();
        let end = scan::name(self.text, self.at);
        let word = self.text.get(self.at..end)?;
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        self.at = end;
        Some(lower)
    }

    /// Moves behind the word if it stands next.
    fn takes(&mut self, word: &[u8]) -> bool {
        self.skip();
        let end = scan::name(self.text, self.at);
        let found = self.text.get(self.at..end).unwrap_or_default();
        let is_it = found.eq_ignore_ascii_case(word);
        if is_it {
            self.at = end;
        }
        is_it
    }

    /// Moves behind the comma or the operator of one byte if it stands next.
    fn takes_byte(&mut self, byte: u8) -> bool {
        self.skip();
        let is_it = self.text.get(self.at) == Some(&byte)
            && (byte == b',' || scan::operator(self.text, self.at) == self.at + 1);
        self.at += usize::from(is_it);
        is_it
    }

    fn work(&mut self) {
        let _ = self.takes(b"work") || self.takes(b"transaction");
    }

    /// Whether only semicolons follow.
    fn is_over(&mut self) -> bool {
        self.skip();
        while self.text.get(self.at) == Some(&b';') {
            self.at += 1;
            self.skip();
        }
        self.at == self.text.len()
    }
}
