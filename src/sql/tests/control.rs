//! Texts that are recognised whole, and those that only look like it.

use super::*;

const ACCEPTED: &[(&str, Control)] = &[
    ("BEGIN", Control::Begin),
    ("begin;", Control::Begin),
    ("  BeGiN  ;; ; ", Control::Begin),
    ("BEGIN\0", Control::Begin),
    ("BEGIN WORK", Control::Begin),
    ("BEGIN TRANSACTION READ ONLY", Control::Begin),
    ("START TRANSACTION", Control::Begin),
    (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE",
        Control::Begin,
    ),
    (
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        Control::Begin,
    ),
    (
        "begin isolation level serializable , read only , deferrable",
        Control::Begin,
    ),
    ("BEGIN ISOLATION LEVEL READ COMMITTED", Control::Begin),
    (
        "BEGIN ISOLATION LEVEL READ UNCOMMITTED NOT DEFERRABLE",
        Control::Begin,
    ),
    ("BEGIN READ WRITE READ WRITE, READ ONLY", Control::Begin),
    ("START/**/TRANSACTION--x\nREAD--\rONLY", Control::Begin),
    ("/* a /* b */ c */ BEGIN -- why\n", Control::Begin),
    ("BEGIN -- why", Control::Begin),
    ("BEGIN/* why */;/* and */;-- so", Control::Begin),
    ("\u{c}\r\n\tBEGIN\u{c}", Control::Begin),
    ("COMMIT", Control::Commit),
    ("END", Control::Commit),
    ("COMMIT WORK", Control::Commit),
    ("end transaction and no chain;", Control::Commit),
    ("COMMIT AND NO CHAIN", Control::Commit),
    ("ROLLBACK", Control::Rollback),
    ("abort work", Control::Rollback),
    ("ROLLBACK TRANSACTION AND NO CHAIN", Control::Rollback),
    ("DISCARD ALL", Control::DiscardAll),
    ("discard all;", Control::DiscardAll),
    ("DISCARD TEMP", Control::DiscardTemp),
    ("DISCARD TEMPORARY", Control::DiscardTemp),
    ("DISCARD PLANS", Control::DiscardPlans),
    ("DISCARD SEQUENCES", Control::DiscardSequences),
    ("RESET ALL", Control::ResetAll),
    ("DEALLOCATE ALL", Control::DeallocateAll),
    ("DEALLOCATE PREPARE ALL", Control::DeallocateAll),
    ("UNLISTEN *", Control::UnlistenAll),
    ("unlisten*;", Control::UnlistenAll),
    ("UNLISTEN */**/", Control::UnlistenAll),
    ("UNLISTEN *--x", Control::UnlistenAll),
];

const REFUSED: &[&[u8]] = &[
    b"",
    b";",
    b";BEGIN",
    b"\0",
    b"BEGIN; SELECT 1",
    b"BEGIN; BEGIN",
    b"BEGIN SELECT 1",
    b"BEGIN foo",
    b"BEGIN WORK TRANSACTION",
    b"BEGIN ATOMIC",
    b"BEGIN$",
    b"BEGIN_",
    b"BEGIN1",
    b"BEGINN",
    b"BEGI",
    b"BEGIN\xc3\xa9",
    b"BEGIN 'x'",
    b"BEGIN \"work\"",
    b"\"begin\"",
    b"BEGIN()",
    b"BEGIN,",
    b"BEGIN , READ ONLY",
    b"BEGIN READ ONLY,",
    b"BEGIN READ ONLY,,READ WRITE",
    b"BEGIN READ",
    b"BEGIN READ COMMITTED",
    b"BEGIN ISOLATION",
    b"BEGIN ISOLATION LEVEL",
    b"BEGIN ISOLATION LEVEL REPEATABLE",
    b"BEGIN ISOLATION LEVEL REPEATABLE READ WRITE",
    b"BEGIN ISOLATION LEVEL SNAPSHOT",
    b"BEGIN NOT",
    b"BEGIN NOT READ ONLY",
    b"BEGIN ONLY",
    b"START",
    b"START WORK",
    b"START TRANSACTION WORK",
    b"START TRANSACTION foo",
    b"COMMIT AND CHAIN",
    b"COMMIT AND",
    b"COMMIT AND NO",
    b"COMMIT NO CHAIN",
    b"COMMIT AND CHAIN NO",
    b"COMMIT PREPARED 'x'",
    b"COMMIT READ ONLY",
    b"END IF",
    b"END AND CHAIN",
    b"ROLLBACK TO x",
    b"ROLLBACK TO SAVEPOINT x",
    b"ROLLBACK WORK TO x",
    b"ROLLBACK PREPARED 'x'",
    b"ABORT AND CHAIN",
    b"ABORT x",
    b"SAVEPOINT x",
    b"DISCARD",
    b"DISCARD x",
    b"DISCARD ALL TEMP",
    b"RESET",
    b"RESET x",
    b"RESET ALL x",
    b"RESET \"all\"",
    b"RESET all.x",
    b"DEALLOCATE",
    b"DEALLOCATE x",
    b"DEALLOCATE PREPARE",
    b"DEALLOCATE PREPARE x",
    b"DEALLOCATE \"all\"",
    b"UNLISTEN",
    b"UNLISTEN x",
    b"UNLISTEN **",
    b"UNLISTEN *+",
    b"UNLISTEN * x",
    b"SELECT 1",
    b"DELETE FROM t",
    b"CREATE TABLE t ()",
    b"BEGIN /*",
    b"BEGIN /* /* */",
    b"/* BEGIN",
    b"/*/BEGIN",
    b"-- BEGIN",
    b"BEGIN /",
    b"BEGIN -",
    b"BEGIN \x0b",
    b"BEGIN /* \xff */",
    b"BEGIN -- \xc3\xa9",
    b"BEGIN\0SELECT 1",
    b"BEGIN\0\0",
    b"BEGIN\0;",
    b"\0BEGIN",
    b"BE\0GIN",
    b"BEGIN -- \0\n; SELECT 1",
    b"BEGIN /* \0 */",
    b"COMMIT /* */ /",
];

#[test]
fn whole_texts_in_any_spelling() {
    for (text, expected) in ACCEPTED {
        assert_eq!(control(text.as_bytes()), Some(*expected), "{text:?}");
    }
    for (text, expected) in ACCEPTED {
        let shouted = text.to_ascii_uppercase();
        assert_eq!(control(shouted.as_bytes()), Some(*expected), "{shouted:?}");
    }
}

#[test]
fn what_is_not_understood_to_its_last_word_is_refused() {
    for text in REFUSED {
        assert_eq!(control(text), None, "{:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn each_word_counts() {
    for (text, _) in ACCEPTED {
        for more in ["x", " x", ";x", "; select 1", "'", "\"", "(", "$$"] {
            let text = format!("{} \n{more}", text.trim_end_matches('\0'));
            assert_eq!(control(text.as_bytes()), None, "{text:?}");
        }
    }
}

/// Whatever is recognised is one statement of that kind for the lexer too.
#[test]
fn the_lexer_agrees_on_any_bytes() {
    let mut dice = Dice(7);
    for _ in 0..30_000 {
        let mut text = match dice.below(3) {
            0 => garbage(&mut dice),
            _ => ACCEPTED[dice.below(ACCEPTED.len())].0.as_bytes().to_vec(),
        };
        for _ in 0..dice.below(4) {
            let at = dice.below(text.len() + 1);
            match dice.below(3) {
                0 => text.truncate(at),
                1 => text.insert(at, dice.next() as u8),
                _ => drop(text.splice(at..at, dice.pick(PIECES).bytes())),
            }
        }
        if let Some(found) = control(&text) {
            let statements = all(&text, default());
            assert_eq!(statements.len(), 1, "{text:?}");
            let verb = match found {
                Control::Begin => Verb::Begin,
                Control::Commit => Verb::Commit,
                Control::Rollback => Verb::Rollback,
                Control::DeallocateAll => Verb::Deallocate,
                _ => Verb::Other,
            };
            assert_eq!(statements[0].verb, verb, "{text:?}");
            assert_eq!(statements[0].class, Class::Control, "{text:?}");
        }
    }
}
