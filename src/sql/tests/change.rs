//! What may change in a text without changing its fingerprint, and what may not.

use std::collections::HashMap;

use super::*;

/// Statements beside those of `shapes`, for forms that an ORM does not write.
const MORE: &[&str] = &[
    "SELECT a, COUNT(*) FROM s.t AS x WHERE b->>'k' = 'v' AND c @> '{}'::jsonb GROUP BY a HAVING COUNT(*) > 3",
    "SELECT CASE WHEN a > 1 THEN 'x' ELSE NULL END, EXTRACT(year FROM d), a::numeric(10,2) FROM t",
    "SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b DESC) FROM t WHERE NOT (a BETWEEN 1 AND 5)",
    "INSERT INTO t SELECT a, 5 FROM u WHERE a IS NOT DISTINCT FROM NULL ON CONFLICT (a) DO UPDATE SET b = 7",
    "WITH x AS (DELETE FROM t WHERE a = 1 RETURNING b) SELECT b FROM x UNION ALL SELECT 3",
    "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = 5 WHEN NOT MATCHED THEN DO NOTHING",
    "SELECT x FROM generate_series(1, 10) AS x CROSS JOIN LATERAL (SELECT x * 2 AS y) AS z LIMIT 5",
    "SELECT ARRAY['a', 'b'], j ?| ARRAY['x', 'y'], \"MixedCase\", $1, $2::int4 FROM t FOR UPDATE SKIP LOCKED",
    "UPDATE t SET a = a - 1, b = -2 WHERE c <> ALL(ARRAY[1, 2, 3]) AND d LIKE '%x%'",
    "COPY t (a, b) FROM STDIN",
    "CREATE TABLE t (a int4 NOT NULL DEFAULT 5, b varchar(20))",
    "PREPARE p (int4) AS SELECT a FROM t WHERE b = $1 AND c = 5",
    "DECLARE cur CURSOR FOR SELECT a FROM t WHERE b = 5",
];

fn corpus() -> Vec<String> {
    let mut dice = shapes::Dice::new(99);
    let mut all: Vec<String> = (0..1500).map(|_| shapes::statement(&mut dice)).collect();
    all.extend(MORE.iter().map(|text| (*text).to_owned()));
    all
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Blank,
    Word,
    Quoted,
    Text,
    Number,
    Parameter,
    Sign,
}

/// Cuts a text into tokens, the simple way: what the corpus holds is well formed.
fn tokens(text: &str) -> Vec<(Kind, String)> {
    let chars: Vec<char> = text.chars().collect();
    let mut all = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let run = |from: usize, is: &dyn Fn(char) -> bool| {
            (from..chars.len())
                .find(|i| !is(chars[*i]))
                .unwrap_or(chars.len())
        };
        let c = chars[at];
        let kind = match c {
            c if c.is_whitespace() => {
                at = run(at, &char::is_whitespace);
                Kind::Blank
            }
            '-' if chars.get(at + 1) == Some(&'-') => {
                at = run(at, &|c| c != '\n');
                Kind::Blank
            }
            '\'' | '"' => {
                at = run(at + 1, &|x| x != c) + 1;
                while chars.get(at) == Some(&c) {
                    at = run(at + 1, &|x| x != c) + 1;
                }
                if c == '"' { Kind::Quoted } else { Kind::Text }
            }
            '$' => {
                at = run(at + 1, &|c| c.is_ascii_digit());
                Kind::Parameter
            }
            c if c.is_ascii_digit() => {
                at = run(at, &|c| c.is_ascii_digit() || c == '.');
                Kind::Number
            }
            c if c.is_alphabetic() || c == '_' => {
                at = run(at, &|c| c.is_alphanumeric() || c == '_');
                Kind::Word
            }
            c if "<>=!@#|?-+*/%&~:".contains(c) => {
                at = run(at, &|c| "<>=!@#|?-+*/%&~:".contains(c));
                Kind::Sign
            }
            _ => {
                at += 1;
                Kind::Sign
            }
        };
        all.push((kind, chars[start..at].iter().collect()));
    }
    all
}

fn blank(dice: &mut Dice) -> &'static str {
    [" ", "\n", "\t  ", " /* x */ ", " -- y ' \n", "/**/", "\r\n"][dice.below(7)]
}

fn other_text(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => "''".into(),
        1 => "E'it\\'s'".into(),
        2 => "$q$ ' $q$".into(),
        3 => "U&'x'".into(),
        4 => format!("'{}'", "long ".repeat(dice.below(40))),
        _ => format!("'a''{}'", dice.below(1000)),
    }
}

/// The same statement, written by somebody else about other values.
fn rewritten(text: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    let all = tokens(text);
    let words: Vec<&(Kind, String)> = all
        .iter()
        .filter(|(kind, _)| *kind != Kind::Blank)
        .collect();
    let ddl = words[0].1 == "CREATE";
    let mut previous: (Kind, &str) = (Kind::Blank, "");
    for (at, (kind, token)) in words.iter().enumerate() {
        if at > 0 || dice.below(2) == 0 {
            let tight = matches!(token.as_str(), "(" | ")" | "," | ".")
                || matches!(previous.1, "(" | ")" | "," | ".");
            if !tight || dice.below(3) == 0 {
                out += blank(dice);
            }
        }
        let is_savepoint = previous.1.eq_ignore_ascii_case("savepoint");
        match kind {
            Kind::Word => out.extend(token.chars().map(|c| {
                if dice.below(2) == 0 {
                    c.to_ascii_uppercase()
                } else {
                    c.to_ascii_lowercase()
                }
            })),
            Kind::Quoted if is_savepoint => out += &format!("\"{}-é\"", dice.next()),
            Kind::Text if !ddl => out += &other_text(dice),
            Kind::Number if !previous.1.eq_ignore_ascii_case("by") => {
                let list = words[at - 1].1 == "(" || words[at - 1].1 == ",";
                let longer = list
                    && words.get(at + 1).is_some_and(|next| next.1 == ",")
                    && words[at - 1].1 == ","
                    && in_list(&words, at);
                if longer {
                    (0..dice.below(4)).for_each(|_| out += &format!("{}, ", dice.below(99)));
                }
                out += &format!("{}", dice.below(1_000_000));
            }
            _ => out += token,
        }
        previous = (*kind, token);
    }
    out + [" ", ";", "\n", " /* end='x' */", ""][dice.below(5)]
}

/// Whether the number at `at` stands in a list behind IN: only there lengths are free.
fn in_list(words: &[&(Kind, String)], at: usize) -> bool {
    let open = (0..at)
        .rev()
        .find(|i| words[*i].0 != Kind::Number && words[*i].1 != ",");
    open.is_some_and(|open| {
        open > 0 && words[open].1 == "(" && words[open - 1].1.eq_ignore_ascii_case("in")
    })
}

#[test]
fn other_blanks_case_literals_and_lengths_are_the_same_statement() {
    let mut dice = Dice(5);
    for text in corpus() {
        for rules in [default(), strict(18)] {
            let first = single(text.as_bytes(), rules).fingerprint;
            for _ in 0..3 {
                let other = rewritten(&text, &mut dice);
                let shown = |sql: &str| normalise(sql.as_bytes(), rules);
                assert_eq!(
                    single(other.as_bytes(), rules).fingerprint,
                    first,
                    "{text}\n{other}\n{}\n{}",
                    shown(&text),
                    shown(&other)
                );
            }
        }
    }
}

#[test]
fn other_names_words_operators_and_ordinals_are_another_statement() {
    let mut changed = 0;
    for text in corpus() {
        let first = single(text.as_bytes(), default());
        let all = tokens(&text);
        if first.class == Class::Control {
            continue;
        }
        for (at, (kind, token)) in all.iter().enumerate() {
            let before = all[..at]
                .iter()
                .rev()
                .find(|(kind, _)| *kind != Kind::Blank)
                .map_or("", |(_, t)| t.as_str());
            // The name of a cursor is a constant; a list of one is a comparison.
            if before.eq_ignore_ascii_case("declare") {
                continue;
            }
            let other = match kind {
                Kind::Word => format!("{token}_x"),
                Kind::Quoted => format!("{}_x\"", &token[..token.len() - 1]),
                Kind::Parameter => format!("{token}1"),
                Kind::Number if before.eq_ignore_ascii_case("by") => format!("{token}1"),
                Kind::Sign if token == "=" => "<".to_owned(),
                Kind::Sign if token == "-" && before != ">" && before != "=" => "+".to_owned(),
                Kind::Sign if ["<>", "->>", "@>", "::", ">", "*"].contains(&token.as_str()) => {
                    "=".to_owned()
                }
                _ => continue,
            };
            let mut tokens: Vec<&str> = all.iter().map(|(_, token)| token.as_str()).collect();
            tokens[at] = &other;
            let changed_text = tokens.concat();
            assert_ne!(
                single(changed_text.as_bytes(), default()).fingerprint,
                first.fingerprint,
                "{text}\n{changed_text}"
            );
            changed += 1;
        }
    }
    assert!(changed > 20_000, "{changed}");
}

#[test]
fn pairs_that_must_differ() {
    for (one, other) in [
        ("select a where b is null", "select a where b = null"),
        ("select a where b in (1)", "select a where b in (1, 2)"),
        (
            "select a where b in (1, 2)",
            "select a where b not in (1, 2)",
        ),
        ("insert into t values (1)", "insert into t values (1), (2)"),
        (
            "insert into t values (1), (2)",
            "insert into t values (1, 1), (2, 2)",
        ),
        ("select $1", "select 1"),
        ("select $1", "select $2"),
        ("select 'a', 'b'", "select 'a' 'b'"),
        ("select a.b", "select a . b . c"),
        ("select ab", "select a b"),
        ("select abcdefgh, i", "select abcdefghi"),
        ("commit", "rollback"),
        ("begin", "start transaction"),
        ("savepoint x", "release x"),
        ("set x = 1", "set y = 1"),
        ("set x = 1", "set local x = 1"),
        ("set x = 1", "set x = default"),
        ("fetch 1 from c", "fetch c"),
        ("select < =", "select <="),
        ("select ''", "select \"\""),
    ] {
        assert_ne!(fingerprint(one), fingerprint(other), "{one} / {other}");
    }
}

#[test]
fn long_names_count_to_their_63rd_byte() {
    let name = |length: usize, end: &str| format!("select {}{end} from t", "a".repeat(length));
    assert_eq!(fingerprint(&name(63, "x")), fingerprint(&name(63, "yz")));
    assert_ne!(fingerprint(&name(62, "x")), fingerprint(&name(62, "y")));
    let quoted =
        |length: usize, end: &str| format!("select \"{}{end}\" from t", "a".repeat(length));
    for length in 1..70 {
        assert_eq!(
            fingerprint(&name(length, "")),
            fingerprint(&quoted(length, "")),
            "{length}"
        );
    }
    assert_eq!(
        fingerprint(&quoted(63, "x")),
        fingerprint(&quoted(63, "\"\"z"))
    );
}

#[test]
fn the_same_hash_is_the_same_text_and_the_reverse() {
    let mut dice = Dice(11);
    let mut texts: Vec<Vec<u8>> = corpus().into_iter().map(String::into_bytes).collect();
    texts.extend((0..60_000).map(|_| garbage(&mut dice)));
    let mut by_hash: HashMap<u64, String> = HashMap::new();
    let mut by_text: HashMap<String, (u64, String)> = HashMap::new();
    for sql in texts {
        // Parameters look like constants in the text, code is not shown, and bytes that are not
        // UTF-8 look alike.
        let Ok(readable) = std::str::from_utf8(&sql) else {
            continue;
        };
        if readable.contains('$') || readable.contains("do ") || readable.contains("f()") {
            continue;
        }
        let found = all(&sql, default());
        if found.len() != 1 || found[0].is_unterminated {
            continue;
        }
        let text = normalise(&sql, default());
        let known = by_hash
            .entry(found[0].fingerprint)
            .or_insert_with(|| text.clone());
        assert_eq!(*known, text, "{readable}");
        let known = by_text
            .entry(text)
            .or_insert((found[0].fingerprint, readable.to_owned()));
        assert_eq!(known.0, found[0].fingerprint, "{readable}\n{}", known.1);
    }
    assert!(by_hash.len() > 5_000, "{}", by_hash.len());
}
