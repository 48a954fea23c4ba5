//! Texts in pieces, longer than the cap, or no SQL at all.

use std::ops::Range;

use super::super::statements::{Limits, each_within};
use super::*;

fn within(sql: &[u8], limits: Limits) -> Vec<Statement> {
    let mut found = Vec::new();
    each_within(sql, limits, &mut |s: &Statement| found.push(s.clone()));
    found
}

fn streamed(sql: &[u8], limits: Limits, cuts: &[usize]) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut stream = Stream::within(limits);
    let mut from = 0;
    for cut in cuts.iter().copied().chain([sql.len()]) {
        stream.push(&sql[from..cut], &mut |s| found.push(s.clone()));
        from = cut;
    }
    stream.finish(&mut |s| found.push(s.clone()));
    found
}

fn limits(dice: &mut Dice) -> Limits {
    let groupings = [
        Grouping::Default,
        Grouping::Strict(16),
        Grouping::Strict(18),
    ];
    let rules = Rules {
        grouping: groupings[dice.below(3)],
        backslash_quotes: dice.below(4) == 0,
        opaque_encoding: dice.below(20) == 0,
    };
    let caps = [16, 64, 64, 100, CAP];
    Limits {
        rules,
        cap: caps[dice.below(5)],
    }
}

/// What must hold for any bytes.
fn check(sql: &[u8], dice: &mut Dice) {
    let limits = limits(dice);
    let whole = within(sql, limits);
    assert!(!whole.is_empty());
    let mut last = 0;
    let inside = |range: &Range<usize>| {
        assert!(
            range.start <= range.end && range.end <= sql.len(),
            "{range:?} {sql:?}"
        );
        range.start
    };
    for statement in &whole {
        let start = inside(&statement.span);
        assert!(start >= last, "{sql:?}");
        last = statement.span.end;
        statement
            .tags
            .iter()
            .for_each(|range| assert!(inside(range) >= start));
        statement
            .name
            .iter()
            .for_each(|range| assert!(inside(range) >= start));
    }
    let mut cuts: Vec<usize> = (0..dice.below(6))
        .map(|_| dice.below(sql.len() + 1))
        .collect();
    cuts.sort_unstable();
    assert_eq!(
        streamed(sql, limits, &cuts),
        whole,
        "{cuts:?} {limits:?} {:?}",
        String::from_utf8_lossy(sql)
    );
    assert_eq!(
        single(sql, limits.rules),
        within(sql, limits.rules.into())[0]
    );
    let shown = normalise(sql, limits.rules);
    assert!(!shown.is_empty());
    redact(sql, limits.rules);
    verb_and_relation(&shown);
    tags(sql);
}

/// A statement of an ORM with a few bytes lost, changed or put in.
fn mutated(dice: &mut Dice) -> Vec<u8> {
    let mut text = shapes::statement(&mut shapes::Dice::new(dice.next() % 5000)).into_bytes();
    text.truncate(4000);
    for _ in 0..1 + dice.below(6) {
        let at = dice.below(text.len());
        match dice.below(4) {
            0 if at < text.len() => drop(text.remove(at)),
            1 if at < text.len() => text[at] = dice.next() as u8,
            2 => text.truncate(at + 1),
            _ => drop(text.splice(at..at, dice.pick(PIECES).bytes())),
        }
    }
    text
}

/// PGWEIR_FUZZ=number for a longer run.
fn rounds(usual: usize) -> usize {
    let wanted = std::env::var("PGWEIR_FUZZ").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn torn_sql_never_panics_and_reads_the_same_in_pieces() {
    let mut dice = Dice(rounds(1) as u64);
    for _ in 0..rounds(20_000) {
        let text = if dice.below(2) == 0 {
            garbage(&mut dice)
        } else {
            mutated(&mut dice)
        };
        check(&text, &mut dice);
    }
}

#[test]
fn any_bytes_never_panic_and_read_the_same_in_pieces() {
    bolero::check!()
        .with_type::<(Vec<u8>, u64)>()
        .for_each(|(bytes, seed)| {
            check(bytes, &mut Dice(*seed));
        });
}

#[test]
fn every_cut_of_a_text_gives_the_same() {
    let text = "/* a='b' */ INSERT INTO t (a, b) VALUES (1, 'x''y'), (2, E'\\'z'), (3, $q$;$q$); \
                -- c\nSELECT 'a'\n'b' FROM \"q\"\"q\" WHERE a IN (1, 2, 3) /* t=1 */; ; COMMIT";
    for cap in [16, 32, 64, CAP] {
        let limits = Limits {
            rules: default(),
            cap,
        };
        let whole = within(text.as_bytes(), limits);
        assert_eq!(whole.len(), 3);
        for first in 0..=text.len() {
            for second in first..=text.len() {
                assert_eq!(
                    streamed(text.as_bytes(), limits, &[first, second]),
                    whole,
                    "{cap} {first} {second}"
                );
            }
        }
    }
}

#[test]
fn what_is_longer_than_the_cap_is_one_shape() {
    let insert = |rows: usize, word: &str| {
        let rows: Vec<String> = (0..rows).map(|n| format!("({n}, '{word}')")).collect();
        format!("INSERT INTO t (a, b) VALUES {}; SELECT 1", rows.join(", "))
    };
    let long: Vec<Vec<Statement>> = [(9_000, "abc"), (20_000, "a"), (5_000, "a longer word")]
        .iter()
        .map(|(rows, word)| all(insert(*rows, word).as_bytes(), default()))
        .collect();
    for found in &long {
        assert_eq!(found.len(), 2);
        assert!(found[0].is_truncated && !found[0].is_unterminated);
        assert_eq!(found[0].fingerprint, long[0][0].fingerprint);
        assert_eq!(found[1].fingerprint, fingerprint("select 2"));
    }
    assert_eq!(
        normalise(insert(9_000, "x").as_bytes(), default()),
        "insert into t (a, b) values ($1, $2) /*, ... */ /* truncated */; select $1"
    );
    assert_ne!(
        long[0][0].fingerprint,
        fingerprint("insert into t (a, b) values (1, 'a'), (2, 'b')")
    );
    let list = |length: usize| {
        let ids: Vec<String> = (0..length).map(|n| n.to_string()).collect();
        format!("select a from t where b in ({})", ids.join(","))
    };
    assert_eq!(fingerprint(&list(20_000)), fingerprint(&list(90_000)));
    assert_eq!(fingerprint(&list(3)), fingerprint(&list(9_000)));
}

#[test]
fn a_long_literal_does_not_hide_where_the_statement_ends() {
    let text = format!(
        "insert into t values ('{}'); select 1",
        "it''s; ".repeat(40_000)
    );
    let found = all(text.as_bytes(), default());
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].span.end, text.len() - 10);
    assert!(found[0].is_truncated && !found[1].is_truncated);
    let open = all(&text.as_bytes()[..200_000], default());
    assert!(open.len() == 1 && open[0].is_unterminated);
}

#[test]
fn a_stream_keeps_no_more_than_the_cap_and_gives_it_back() {
    let limits = Limits::from(default());
    let mut stream = Stream::within(limits);
    let mut found = 0;
    for _ in 0..200 {
        stream.push(
            &b"select a, b from t where c = 1 and d in (1, 2)      ".repeat(100),
            &mut |_| found += 1,
        );
        assert!(
            stream.kept_bytes() <= 2 * (CAP + 1),
            "{}",
            stream.kept_bytes()
        );
    }
    stream.finish(&mut |_| found += 1);
    assert_eq!((found, stream.kept_bytes()), (1, 0));
}
