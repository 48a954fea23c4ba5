//! Random scripts. The same seed and features give the same script.
//!
//! Kept out, because it differs by nature or by design: pg_backend_pid() and BackendKeyData, now(),
//! transaction ids, random() after setseed(), pg_prepared_statements (names on the server are
//! pgweir's own), pg_listening_channels(), and settings that DO or a function makes for the session
//! (nobody outside PostgreSQL can know them).

use super::Features;
use super::script::{Script, Step};
use super::words::{
    BEGINS, CURSORS, DISCARDS, ENDS, FUNCTIONS, LISTENING, LOCKS, PLAIN, PREPARES, ROLES,
    SAVEPOINTS, SEQUENCES, Setting, TEMPORARY, TRACKED, UNREPORTED,
};
use crate::support::frames::{
    bind, close, describe, execute, extended, flush, parse, parse_typed, query, sync,
};
use crate::support::shapes::Dice;

/// The script of a seed.
pub fn script(seed: u64, features: Features) -> Script {
    let mut dice = Dice::new(seed);
    let startup = startup(&mut dice, features);
    let mut author = Author {
        dice,
        features,
        inside: false,
    };
    let length = 6 + author.dice.below(24);
    let steps = (0..length).map(|_| author.step()).collect();
    Script {
        seed,
        user: "app",
        startup,
        steps,
    }
}

/// Valid values only: a pool learns that a value is bad later than a direct connection does.
fn startup(dice: &mut Dice, features: Features) -> Vec<(String, String)> {
    let mut all = vec![
        ("TimeZone", "Asia/Tokyo"),
        ("DateStyle", "German, DMY"),
        ("application_name", "odoo-1"),
        ("client_encoding", "LATIN1"),
        ("standard_conforming_strings", "on"),
    ];
    if features.has(Features::LOGIN_VALUES) {
        // SET SESSION AUTHORIZATION also undoes a role of the startup packet.
        all.extend([("DateStyle", "German"), ("role", "third")]);
    }
    if features.has(Features::STARTUP) {
        all.extend([
            ("lock_timeout", "9s"),
            ("search_path", "s1, public"),
            ("my.var", "from the packet"),
            ("work_mem", "9MB"),
            ("IntervalStyle", "iso_8601"),
            ("default_transaction_isolation", "repeatable read"),
            ("extra_float_digits", "2"),
            ("options", "-c work_mem=7MB -c statement_timeout=70s"),
            (
                "options",
                "-c geqo=off --lock-timeout=11s -c my.var=it\\'s\\ so",
            ),
            ("options", "-c DateStyle=SQL,\\ DMY"),
        ]);
    }
    let mut chosen = Vec::new();
    for (key, value) in all {
        let twice = chosen.iter().any(|(known, _)| known == key);
        // The packet's own parameter wins over `options`.
        let both = value.contains("DateStyle") && chosen.iter().any(|(k, _)| k == "DateStyle");
        let is_exact = features.has(Features::LOGIN_VALUES);
        if dice.chance(12) && !twice && (is_exact || !both) {
            chosen.push((key.to_owned(), value.to_owned()));
        }
    }
    chosen
}

/// Whether prepared statements are named behind the end of a transaction: if that had failed, what
/// is behind it cannot be made ready.
fn ends_first(parts: &[String]) -> bool {
    let is_end = |part: &String| ENDS.iter().chain(&SAVEPOINTS).any(|end| end == part);
    let is_name = |part: &String| PREPARES.iter().any(|name| name == part);
    let end = parts.iter().position(is_end);
    end.is_some_and(|end| parts[end..].iter().any(is_name))
}

struct Author {
    dice: Dice,
    features: Features,
    /// Whether a transaction is probably open.
    inside: bool,
}

impl Author {
    fn step(&mut self) -> Step {
        if self.features.has(Features::PIPELINES) && self.dice.chance(20) {
            return self.pipeline();
        }
        match self.dice.below(100) {
            0..58 => Step::simple(&self.statement()),
            58..68 => self.several(),
            68..78 => self.extended(),
            78..84 => self.named(),
            84..86 => self.portals(),
            86..89 => self.copying(),
            89..92 if self.features.has(Features::LISTEN) => {
                let n = self.dice.below(1000);
                let channel = *self.dice.pick(&["c1", "c2", "\"C3\"", "c9"]);
                Step::others(&format!("notify {channel}, 'from outside {n}'"))
            }
            89..93 => Step::others("update item set name = 'outside' where id = 5"),
            93..95 if self.features.has(Features::UNNAMED) => self.unnamed_later(),
            _ => Step::probe(),
        }
    }

    /// One statement as text.
    fn statement(&mut self) -> String {
        if self.inside && self.dice.chance(18) {
            self.inside = false;
            return (*self.dice.pick(&ENDS)).to_owned();
        }
        if self.inside && self.dice.chance(20) {
            return (*self.dice.pick(&SAVEPOINTS)).to_owned();
        }
        match self.dice.below(100) {
            0..14 => {
                self.inside = true;
                (*self.dice.pick(&BEGINS)).to_owned()
            }
            14..17 => (*self.dice.pick(&ENDS)).to_owned(),
            17..19 => (*self.dice.pick(&SAVEPOINTS)).to_owned(),
            19..47 => self.set(),
            47..64 => self.feature(),
            64..67 => self.transaction_modes(),
            67..70 => "create temp table t0 (n int) on commit drop".to_owned(),
            _ => (*self.dice.pick(&PLAIN)).to_owned(),
        }
    }

    /// A statement of one of the features that are on.
    fn feature(&mut self) -> String {
        let all: [(u32, &[&str]); 10] = [
            (Features::LISTEN, &LISTENING),
            (Features::DISCARD, &DISCARDS),
            (Features::SQL_PREPARED, &PREPARES),
            (Features::TEMP, &TEMPORARY),
            (Features::LOCKS, &LOCKS),
            (Features::CURSORS, &CURSORS),
            (Features::SEQUENCES, &SEQUENCES),
            (Features::FUNCTIONS, &FUNCTIONS),
            (Features::ROLES, &ROLES),
            (Features::ROLES, &ROLES),
        ];
        let on: Vec<_> = all
            .into_iter()
            .filter(|(feature, _)| self.features.has(*feature))
            .collect();
        if on.is_empty() {
            return "select 'plain'".to_owned();
        }
        let (_, words) = *self.dice.pick(&on);
        (*self.dice.pick(words)).to_owned()
    }

    fn setting(&mut self) -> &'static Setting {
        if self.features.has(Features::SETTINGS) && self.dice.chance(75) {
            self.dice.pick(&UNREPORTED)
        } else {
            self.dice.pick(&TRACKED)
        }
    }

    /// A change of a setting, in one of many spellings.
    fn set(&mut self) -> String {
        let Setting { name, values, bad } = self.setting();
        let value = if self.dice.chance(7) {
            bad
        } else {
            self.dice.pick(values)
        };
        let plain = value
            .trim_matches('\'')
            .replace("''", "'")
            .replace('\'', "''");
        let mut form = self.dice.below(24);
        if matches!(form, 12..16) && !self.features.has(Features::RESETS) {
            form = 0;
        }
        // Whether `my.var` is known at all depends on the backend's history.
        if *name == "my.var" && matches!(form, 16 | 23) {
            form = 0;
        }
        let is_list = *name == "search_path" && matches!(form, 17 | 18 | 20 | 22);
        if is_list && !self.features.has(Features::SPELLING) {
            form = 19;
        }
        if form == 22 && !self.features.has(Features::CONFIG_PARAMS) {
            form = 19;
        }
        match form {
            0..6 => format!("set {name} to {value}"),
            6..8 => format!("SET SESSION {} = {value}", name.to_uppercase()),
            8..11 => format!("set local {name} = {value}"),
            11 => format!("/* c */ set /* x */ session -- y\n {name}/**/to/**/{value} ;"),
            12..14 => format!("reset {name}"),
            14 => format!("set {name} to default"),
            15 => format!("set local {name} to default"),
            16 => format!("show {name}"),
            17..19 => format!("select set_config('{name}', '{plain}', false)"),
            19 => format!("select set_config('{name}', '{plain}', true)"),
            20 => format!("select 1, pg_catalog.set_config('{name}', '{plain}', false) || 'x', 2"),
            21 => self.odd_set(),
            22 => format!("select set_config('{name}', '{plain}', id > 3) from item where id = 2"),
            _ => format!("set {name} from current"),
        }
    }

    /// The forms with words of their own.
    fn odd_set(&mut self) -> String {
        let tracked = [
            "set time zone 'Asia/Tokyo'",
            "set time zone -3",
            "set time zone interval '-08:00' hour to minute",
            "set local time zone 'UTC'",
            "set names 'LATIN1'",
            "set names utf8",
            "show time zone",
            "set time zone local",
            "set time zone default",
            "reset time zone",
            "set names default",
        ];
        let resets = self.features.has(Features::RESETS);
        let tracked = &tracked[..if resets {
            tracked.len()
        } else {
            tracked.len() - 4
        }];
        let others = [
            "set schema 's1'",
            "set xml option document",
            "set session characteristics as transaction isolation level serializable",
            "set session characteristics as transaction read only, deferrable",
            "set session characteristics as transaction read write",
            "set work_mem from current",
            "set",
            "set work_mem",
            "reset",
            "reset no_such_setting",
            "set \"work_mem\" to '5MB'",
            "set \"WORK_MEM\" to '6MB'",
            "set my.other = 1; reset my.other",
            "update item set name = set_config('my.var', name, true) where id = 2 returning name",
            "select case when false then set_config('work_mem', '99MB', false) else 'no' end",
            "explain (costs off) select set_config('work_mem', '98MB', false)",
        ];
        if self.features.has(Features::SETTINGS) && self.dice.chance(60) {
            (*self.dice.pick(&others)).to_owned()
        } else {
            (*self.dice.pick(tracked)).to_owned()
        }
    }

    /// SET TRANSACTION and what belongs to one transaction alone.
    fn transaction_modes(&mut self) -> String {
        let all = [
            "set transaction isolation level repeatable read",
            "set transaction read only",
            "SET TRANSACTION READ WRITE",
            "set transaction_read_only to on",
            "set local transaction_isolation to 'serializable'",
            "set transaction isolation level serializable, read only, deferrable",
            "set constraints all deferred",
            "set transaction snapshot 'nothing'",
            "lock table item in access share mode",
        ];
        (*self.dice.pick(&all)).to_owned()
    }

    /// One statement among several.
    fn part(&mut self) -> String {
        let text = self.statement();
        let words = text.to_lowercase();
        let resets = ["reset", "default", "discard", "time zone local"];
        let is_reset = resets.iter().any(|word| words.contains(word));
        if is_reset && !self.features.has(Features::MIXED_RESETS) {
            return "select 'no reset'".to_owned();
        }
        // A statement that is prepared again in front of the text looks at tables.
        let is_of_prepared = self.features.has(Features::SQL_PREPARED);
        if is_of_prepared && words.contains("transaction") && words.contains("set") {
            return "select 'no modes'".to_owned();
        }
        // Where it is refused, so is all that stands in front of it.
        let reads_sequence = ["currval", "lastval"]
            .iter()
            .any(|word| words.contains(word));
        if reads_sequence && !words.contains("nextval") {
            return "select 'no value'".to_owned();
        }
        text
    }

    /// Several statements in one Query, often with an error among them.
    fn several(&mut self) -> Step {
        let count = 2 + self.dice.below(3);
        let mut parts: Vec<String> = (0..count).map(|_| self.part()).collect();
        if self.dice.chance(25) {
            let at = self.dice.below(parts.len());
            parts.insert(at, "select 1/0".to_owned());
        }
        if self.features.has(Features::SQL_PREPARED) && ends_first(&parts) {
            return Step::simple("select 'no names'");
        }
        // A comment to the end of the line would swallow what follows it.
        Step::simple(&parts.join(";\n"))
    }

    /// Queries and batches of the extended protocol, sent without waiting for an answer.
    fn pipeline(&mut self) -> Step {
        let count = 2 + self.dice.below(4);
        let (mut shown, mut all) = (String::from("at once"), Vec::new());
        for _ in 0..count {
            let text = self.part();
            if self.dice.chance(60) {
                shown += &format!(" [Q {text}]");
                all.extend(query(&text));
            } else {
                shown += &format!(" [PBDE {text}]");
                all.extend(extended(&text, &[]));
            }
        }
        Step::raw(shown, all, count)
    }

    /// Unnamed statements of the extended protocol, one or several to a Sync.
    fn extended(&mut self) -> Step {
        let count = if self.dice.chance(70) {
            1
        } else {
            2 + self.dice.below(2)
        };
        let texts: Vec<_> = (0..count)
            .map(|_| match self.dice.below(6) {
                0 => {
                    let Setting { name, values, .. } = self.setting();
                    let value = self.dice.pick(values).trim_matches('\'').to_owned();
                    let is_list = *name == "search_path" && !self.features.has(Features::SPELLING);
                    let is_local = if is_list || self.dice.chance(30) {
                        "true"
                    } else {
                        "false"
                    };
                    let sql = "select set_config($1, $2, $3)".to_owned();
                    let sql = sql.replace("$3", if self.dice.chance(50) { "$3" } else { is_local });
                    let mut values = vec![(*name).to_owned(), value];
                    if sql.contains("$3") {
                        values.push(is_local.to_owned());
                    }
                    (sql, values)
                }
                1 => (
                    "select $1::int + 1, $2::text".into(),
                    vec!["41".into(), "two".into()],
                ),
                2 => (
                    "select name from item where id = $1".into(),
                    vec!["2".into()],
                ),
                _ if count > 1 => (self.part(), Vec::new()),
                _ => (self.statement(), Vec::new()),
            })
            .collect();
        Step::extended(&texts)
    }

    /// Named statements, used again later, closed, forgotten, parsed twice.
    fn named(&mut self) -> Step {
        let name = *self.dice.pick(&["p1", "p2", "p3"]);
        let mut texts = vec![
            "select 'one ' || $1::text",
            "select 'two ' || $1::text, current_setting('DateStyle')",
            "select count(*) from item where name <> $1",
            "select '2026-02-01'::date, $1::text",
            "selec $1",
            "insert into item select 100 + max(id), $1 from item returning name",
        ];
        if self.features.has(Features::LOCKS) {
            texts.push("select pg_try_advisory_lock(12), $1::text");
        }
        if self.features.has(Features::TEMP) {
            texts.push("create temp table tn as select $1::text as x");
        }
        if self.features.has(Features::FUNCTIONS) {
            texts.extend([
                "select maybe_lock(length($1) + 2)",
                "select harmless(4), $1::text",
            ]);
        }
        if self.features.has(Features::SEQUENCES) {
            texts.push("select nextval('seq2'), $1::text");
        }
        let sql = *self.dice.pick(&texts);
        let run = [
            bind("", name, &["x"]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ]
        .concat();
        let kind = if self.features.has(Features::LOST_NAMES) {
            self.dice.below(7)
        } else {
            2
        };
        let (text, bytes) = match kind {
            0 | 1 => ("parse, run", [parse(name, sql), run].concat()),
            2 => (
                "close, parse, run",
                [close(b'S', name), parse(name, sql), run].concat(),
            ),
            3 => ("close", [close(b'S', name), sync()].concat()),
            4 => ("describe", [describe(b'S', name), sync()].concat()),
            5 => (
                "parse typed",
                [parse_typed(name, sql, &[25]), sync()].concat(),
            ),
            _ => ("run", run),
        };
        let mut step = Step::raw(format!("{text} {name}: {sql}"), bytes, 1);
        step.not_aborted = !self.features.has(Features::PARSE_ABORTED);
        step
    }

    /// A named portal read in pieces.
    fn portals(&mut self) -> Step {
        let sql = "select id from item order by id";
        let piece = execute("o1", 2);
        let (text, bytes) = match self.dice.below(4) {
            0 => (
                "bind o1, 2 rows",
                [parse("", sql), bind("o1", "", &[]), piece, sync()].concat(),
            ),
            1 => ("2 more rows of o1", [piece, sync()].concat()),
            2 => ("close o1", [close(b'P', "o1"), flush(), sync()].concat()),
            _ => ("describe o1", [describe(b'P', "o1"), sync()].concat()),
        };
        Step::raw(text.to_owned(), bytes, 1)
    }

    fn copying(&mut self) -> Step {
        let n = 1000 + self.dice.below(1_000_000);
        match self.dice.below(4) {
            0 => Step::copying("copy item from stdin", format!("{n}\tcopied\n").into()),
            1 => Step::copying("copy item from stdin", b"1\tdouble\n".to_vec()),
            2 => Step::copying("copy item from stdin; select 'after'", b"bad\n".to_vec()),
            _ => Step::simple("copy (select id from item order by id limit 2) to stdout"),
        }
    }

    /// An unnamed statement that is parsed in one step and run in a later one.
    fn unnamed_later(&mut self) -> Step {
        if self.dice.chance(50) {
            return Step::raw(
                "parse unnamed".into(),
                [parse("", "select 'kept'"), sync()].concat(),
                1,
            );
        }
        let bytes = [bind("", "", &[]), execute("", 0), sync()].concat();
        Step::raw("run unnamed".into(), bytes, 1)
    }
}
