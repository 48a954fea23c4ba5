//! Other clients of the same pool: they set, listen, lock, prepare and create what the session under
//! test must never see, and a witness among them, who sets nothing, must see nothing either.
//!
//! They act between the steps, on the same thread, so that a seed repeats a run. One that has to
//! wait for a server is left waiting and read later.

use super::Features;
use crate::support::frames::{bind, close, describe, execute, parse, query, sync};
use crate::support::shapes::Dice;
use crate::support::witness::{TRACKED, TRACKED_UNTOUCHED, UNTOUCHED, WITNESS};
use crate::support::{Login, PgError, RawClient};
use std::collections::VecDeque;
use std::time::Duration;

struct Neighbour {
    client: RawClient,
    login: Login,
    bursts: VecDeque<Vec<u8>>,
    waiting: bool,
    /// Rows that must come, joined by `|`.
    expects: Option<&'static str>,
    rows: Vec<String>,
}

impl Neighbour {
    fn new(login: Login) -> Self {
        Self {
            client: login.connect(),
            login,
            bursts: VecDeque::new(),
            waiting: false,
            expects: None,
            rows: Vec::new(),
        }
    }

    /// Goes on with what it does, waiting at most `pause` for each message; complaints.
    fn pump(&mut self, pause: Duration) -> Vec<String> {
        let mut complaints = Vec::new();
        loop {
            if !self.waiting {
                let Some(bytes) = self.bursts.pop_front() else {
                    return complaints;
                };
                let _ = self.client.send(&bytes);
                self.waiting = true;
            }
            if self.client.silent_for(pause) {
                return complaints;
            }
            complaints.extend(self.take());
        }
    }

    fn take(&mut self) -> Option<String> {
        let Some(message) = self.client.receive() else {
            self.client = self.login.connect();
            self.waiting = false;
            self.bursts.clear();
            return Some("a neighbour's connection ended".to_owned());
        };
        match message.tag {
            b'Z' => {
                self.waiting = false;
                self.settle()
            }
            b'E' => {
                self.expects = None;
                let error = PgError::parse(&message.body);
                // Division by zero is meant; the others follow from its own role and settings.
                let own = ["22012", "25006", "42501", "25P02"];
                (!own.contains(&error.sqlstate())).then(|| format!("a neighbour got {error:?}"))
            }
            b'D' => {
                self.rows.push(cells(&message.body));
                None
            }
            _ => None,
        }
    }

    fn settle(&mut self) -> Option<String> {
        let rows = std::mem::take(&mut self.rows).join("\n");
        let expected = self.expects.take()?;
        (rows != expected).then(|| format!("the witness saw {rows}\n      instead of {expected}"))
    }
}

fn cells(body: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = &body[2..];
    while rest.len() >= 4 {
        let length = i32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
        rest = &rest[4..];
        let length = usize::try_from(length).unwrap_or(0);
        out.push(String::from_utf8_lossy(&rest[..length]).into_owned());
        rest = &rest[length..];
    }
    out.join("|")
}

/// All neighbours of one pool.
pub struct Neighbours {
    noisy: Vec<Neighbour>,
    witness: Neighbour,
    dice: Dice,
    features: Features,
    pub complaints: Vec<String>,
    /// What they have done since the script began.
    pub deeds: Vec<String>,
}

impl Neighbours {
    pub fn new(login: &Login, seed: u64, features: Features) -> Self {
        let noisy = (0..3)
            .map(|n| {
                let login = login
                    .clone()
                    .parameter("application_name", &format!("noisy-{n}"))
                    .parameter("TimeZone", "Australia/Perth");
                Neighbour::new(login)
            })
            .collect();
        Self {
            noisy,
            witness: Neighbour::new(login.clone()),
            dice: Dice::new(seed ^ 0x5eed),
            features,
            complaints: Vec::new(),
            deeds: Vec::new(),
        }
    }

    /// One of them does something; whoever waits is looked after.
    pub fn turn(&mut self) {
        let pause = Duration::from_millis(4);
        let one = self.dice.below(self.noisy.len());
        if self.noisy[one].bursts.is_empty() && !self.noisy[one].waiting {
            let (text, bursts) = action(&mut self.dice, self.features);
            self.deeds.push(format!("neighbour {one}: {text}"));
            self.noisy[one].bursts = bursts.into();
        }
        self.complaints.extend(self.noisy[one].pump(pause));
        if self.dice.chance(30) {
            self.look(pause);
        }
        self.pump();
    }

    fn look(&mut self, pause: Duration) {
        if !self.witness.waiting && self.witness.bursts.is_empty() {
            let all = self.features.has(Features::SETTINGS);
            let (sql, expected) = if all && self.dice.chance(50) {
                (WITNESS, UNTOUCHED)
            } else {
                (TRACKED, TRACKED_UNTOUCHED)
            };
            self.witness.expects = Some(expected);
            self.witness.bursts.push_back(query(sql));
        }
        self.complaints.extend(self.witness.pump(pause));
    }

    /// Goes on with what is under way.
    pub fn pump(&mut self) {
        for one in self.noisy.iter_mut().chain([&mut self.witness]) {
            if one.waiting || !one.bursts.is_empty() {
                let said = one.pump(Duration::from_micros(50));
                self.complaints.extend(said);
            }
        }
    }
}

/// What a noisy one does: Query after Query, the next when the last is done. It ends outside a
/// transaction and leaves no pin behind.
fn action(dice: &mut Dice, features: Features) -> (String, Vec<Vec<u8>>) {
    let mut known: Vec<&[&str]> = vec![
        &["set timezone to 'America/Lima'"],
        &["set datestyle to 'German'", "select '2026-02-01'::date"],
        &["set application_name to 'noise'"],
        &[
            "set client_encoding to 'LATIN1'",
            "set client_encoding to 'UTF8'",
        ],
        &["begin", "set timezone to 'Asia/Tokyo'", "rollback"],
        &["begin", "set local application_name to 'inside'", "commit"],
        &["begin; select 1; commit"],
        &["begin", "select 1/0", "rollback"],
        &["select 1/0"],
        &[
            "begin",
            "create temp table t1 (n int) on commit drop",
            "commit",
        ],
        &["do $$ begin raise notice 'noise'; end $$"],
        &[
            "begin isolation level serializable read only",
            "select 1",
            "commit",
        ],
        &[""],
    ];
    if features.has(Features::SETTINGS) {
        known.extend::<[&[&str]; 10]>([
            &["set work_mem to '33MB'"],
            &[
                "set lock_timeout to '77s'",
                "set statement_timeout to '88s'",
            ],
            &["set search_path to nowhere"],
            &["set intervalstyle to 'iso_8601'; set bytea_output to 'escape'"],
            &["select set_config('my.var', 'noise', false)"],
            &["begin", "set default_transaction_read_only to on", "commit"],
            &["set default_transaction_isolation to 'serializable'"],
            &["set client_min_messages to error"],
            &["reset all"],
            &["set extra_float_digits to 0"],
        ]);
    }
    if features.has(Features::DISCARD) {
        known.extend::<[&[&str]; 3]>([&["discard all"], &["discard plans"], &["deallocate all"]]);
    }
    if features.has(Features::CODE) {
        known.extend::<[&[&str]; 3]>([
            &["do $$ begin perform set_config('work_mem', '55MB', false); end $$"],
            &["select public.set_it('my.var', 'by a function', false)"],
            &["do $$ begin execute 'set role other'; end $$"],
        ]);
    }
    if features.has(Features::ROLES) {
        known.extend::<[&[&str]; 2]>([
            &["set role other"],
            &["begin", "set local role third", "commit"],
        ]);
    }
    if features.has(Features::LISTEN) {
        known.extend::<[&[&str]; 3]>([
            &["listen c1", "listen noise"],
            &["notify noise, 'hello'"],
            &["unlisten *"],
        ]);
    }
    if features.has(Features::SQL_PREPARED) {
        known.extend::<[&[&str]; 2]>([
            &[
                "deallocate all",
                "prepare p1 as select 'noise'",
                "execute p1",
            ],
            &[
                "deallocate all",
                "prepare q1(int) as select 'noise' || $1",
                "deallocate q1",
            ],
        ]);
    }
    if features.has(Features::TEMP) {
        known.extend::<[&[&str]; 1]>([&[
            "create temp table t1 as select 'noise' as x",
            // Refused where the neighbour has made itself read only.
            "drop table if exists t1",
        ]]);
    }
    if features.has(Features::LOCKS) {
        known.extend::<[&[&str]; 1]>([&[
            "select pg_advisory_lock(1001)",
            "select pg_advisory_unlock_all()",
        ]]);
    }
    if features.has(Features::CURSORS) {
        known.extend::<[&[&str]; 1]>([&[
            "declare k1 cursor with hold for select 'noise'",
            "close k1",
        ]]);
    }
    if dice.chance(15) {
        return prepared(dice);
    }
    let chosen = *dice.pick(&known);
    let bursts = chosen.iter().map(|sql| query(sql)).collect();
    (chosen.join(" -> "), bursts)
}

/// A statement of a name that the session under test uses too, with another text.
fn prepared(dice: &mut Dice) -> (String, Vec<Vec<u8>>) {
    let text = format!("select 'noise {}' || $1::text", dice.below(3));
    let name = *dice.pick(&["", "p1", "p2"]);
    let bytes = [
        close(b'S', name),
        parse(name, &text),
        bind("", name, &["x"]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ]
    .concat();
    (format!("close, parse, run {name}: {text}"), vec![bytes])
}
