//! What a normalised text is about, and names without process ids.
//!
//! Owns: the short labels of metrics and of the console. Reads what `normalise` made, not SQL.

/// The first word of a normalised text, and the relation it works on if one can be seen:
/// behind INTO, UPDATE, the first FROM, TABLE, ON of CREATE INDEX, and their like.
pub fn verb_and_relation(normalised: &str) -> (&str, Option<String>) {
    let mut words = Words { rest: normalised };
    let Some(verb) = words.next() else {
        return (normalised, None);
    };
    let verb = if verb == "(" {
        words.find(|word| *word != "(").unwrap_or(verb)
    } else {
        verb
    };
    let relation = match verb {
        "update" | "table" | "lock" | "truncate" | "vacuum" | "analyze" | "cluster" | "copy"
        | "reindex" => words.relation_behind(None),
        "insert" | "merge" => words.relation_behind(Some(&["into"])),
        "select" | "with" | "delete" | "declare" | "explain" | "prepare" | "values" => {
            words.relation_behind(Some(&["from"]))
        }
        "create" | "alter" | "drop" | "comment" | "refresh" => words.object(),
        _ => None,
    };
    (verb, relation)
}

/// Words that may stand before the name of a relation.
const SKIPPED: [&str; 13] = [
    "table",
    "only",
    "if",
    "not",
    "exists",
    "lateral",
    "concurrently",
    "full",
    "verbose",
    "analyze",
    "freeze",
    "index",
    "(",
];

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    /// A name with its dots and quotes, or one other character.
    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start();
        let mut is_quoted = false;
        let is_part = |c: char, is_quoted: &mut bool| {
            *is_quoted ^= c == '"';
            *is_quoted || c == '"' || c.is_alphanumeric() || matches!(c, '_' | '$' | '.')
        };
        let length = text
            .char_indices()
            .find(|(_, c)| !is_part(*c, &mut is_quoted))
            .map_or(text.len(), |(at, _)| at);
        let length = match (length, text.chars().next()) {
            (_, None) => return None,
            (0, Some(c)) => c.len_utf8(),
            _ => length,
        };
        let (word, rest) = text.split_at(length);
        self.rest = rest;
        Some(word)
    }
}

impl Words<'_> {
    fn relation_behind(&mut self, mut words: Option<&[&str]>) -> Option<String> {
        loop {
            if let Some(words) = words {
                self.find(|word| words.contains(word))?;
            }
            let name = self.find(|word| !SKIPPED.contains(word))?;
            // FROM (SELECT ..: the relation is further inside.
            if name == "select" {
                words = Some(&["from"]);
                continue;
            }
            return is_name(name).then(|| name.to_owned());
        }
    }

    /// The object of a CREATE, ALTER, DROP, COMMENT or REFRESH; for an index, its table.
    fn object(&mut self) -> Option<String> {
        loop {
            match self.next()? {
                "index" => return self.relation_behind(Some(&["on"])),
                "table" | "view" | "sequence" => return self.relation_behind(None),
                word if is_name(word) => {}
                _ => return None,
            }
        }
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '"'))
}

/// An application's name with `*` for process ids: `odoo-1234` is `odoo-*`. Masked are digits
/// between separators; digits that belong to a word or a version (`v2`, `16.4`) stay.
pub fn mask_application(name: &str) -> String {
    let mut masked = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let length = from
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(from.len());
        let (digits, after) = from.split_at(length);
        masked.push_str(before);
        let left = masked.chars().next_back();
        let right = after.chars().next();
        masked.push_str(if is_process_id(left, digits, right) {
            "*"
        } else {
            digits
        });
        rest = after;
    }
    masked.push_str(rest);
    masked
}

fn is_process_id(left: Option<char>, digits: &str, right: Option<char>) -> bool {
    let ends = right.is_none_or(|c| "-_:#@/[](){} ,;".contains(c));
    match left {
        Some(c) if "-_:#@/[({=".contains(c) => ends,
        // A single number behind a blank is more often a version.
        Some(' ') | None => ends && digits.len() >= 3,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_relations() {
        let cases = [
            ("select $1", "select", None),
            ("select a, b from t where x = $1", "select", Some("t")),
            (
                "select count(*) from (select id from s.t limit $1) x",
                "select",
                Some("s.t"),
            ),
            (
                "(select a from t) union (select b from u)",
                "select",
                Some("t"),
            ),
            (
                "with x as (select a from t) select * from x",
                "with",
                Some("t"),
            ),
            (
                "insert into stock_quant (a) values ($1)",
                "insert",
                Some("stock_quant"),
            ),
            (
                "insert into \"My T\".\"x\" values ($1)",
                "insert",
                Some("\"My T\".\"x\""),
            ),
            (
                "update stock_quant set a = $1",
                "update",
                Some("stock_quant"),
            ),
            ("update only t set a = $1", "update", Some("t")),
            ("delete from t where id = $1", "delete", Some("t")),
            ("copy t (a, b) from stdin", "copy", Some("t")),
            ("copy (select a from t) to stdout", "copy", Some("t")),
            (
                "create unique index if not exists i on t (a)",
                "create",
                Some("t"),
            ),
            (
                "alter table if exists only t add column a int4",
                "alter",
                Some("t"),
            ),
            ("drop table if exists t", "drop", Some("t")),
            ("vacuum analyze t", "vacuum", Some("t")),
            ("lock table t in share mode", "lock", Some("t")),
            ("savepoint $1", "savepoint", None),
            ("commit", "commit", None),
            ("", "", None),
        ];
        for (text, verb, relation) in cases {
            let found = verb_and_relation(text);
            assert_eq!(found, (verb, relation.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn process_ids_are_masked() {
        for (name, masked) in [
            ("odoo-1234", "odoo-*"),
            ("odoo-7", "odoo-*"),
            ("psql", "psql"),
            ("worker[991]", "worker[*]"),
            ("gunicorn: worker 4242", "gunicorn: worker *"),
            ("celery@host-3:8", "celery@host-*:*"),
            ("PostgreSQL JDBC Driver", "PostgreSQL JDBC Driver"),
            ("pgAdmin 4 - DB:postgres", "pgAdmin 4 - DB:postgres"),
            ("DBeaver 23.1.0 - Main", "DBeaver 23.1.0 - Main"),
            ("app-v2", "app-v2"),
            ("shop2", "shop2"),
            ("1234", "*"),
            ("", ""),
        ] {
            assert_eq!(mask_application(name), masked, "{name}");
        }
    }
}
