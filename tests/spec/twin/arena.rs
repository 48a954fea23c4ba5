//! Two databases alike, one reached directly, one through a pool with neighbours; one script played
//! in both, step by step.

use super::Features;
use super::neighbours::Neighbours;
use super::script::{Act, Script, Step};
use super::side::Side;
use crate::assert_soon;
use crate::support::{Bouncer, Login, Pg, RawClient, Running};
use std::time::{Duration, Instant};

/// What every session is asked now and then. A placeholder such as `my.var` that was never set is
/// NULL on a fresh backend and empty on one where anybody ever set it: both are nothing.
const PROBES: [&str; 3] = [
    "select current_setting('TimeZone'), current_setting('DateStyle'), current_setting('application_name'), \
     current_setting('client_encoding'), current_setting('standard_conforming_strings'), current_user, session_user",
    "select current_setting('lock_timeout'), current_setting('statement_timeout'), \
     current_setting('search_path'), current_setting('work_mem'), current_setting('IntervalStyle'), \
     current_setting('default_transaction_isolation'), current_setting('default_transaction_read_only'), \
     current_setting('extra_float_digits'), current_setting('bytea_output'), \
     current_setting('client_min_messages'), current_setting('role'), current_setting('session_authorization'), \
     coalesce(current_setting('my.var', true), ''), current_setting('enable_seqscan'), \
     current_setting('idle_in_transaction_session_timeout'), current_setting('default_transaction_deferrable')",
    "show transaction_isolation; show transaction_read_only; show transaction_deferrable; \
     show search_path; show lock_timeout; show role; show session_authorization",
];

/// Tables, rights and functions of both databases.
const SCHEMA: &str = "
    create table item (id int primary key, name text);
    create table other (id int primary key, name text);
    create sequence seq1; create sequence seq2;
    create schema s1; create table s1.item (id int primary key, name text);
    create function set_it(n text, v text, l bool) returns text language sql as 'select set_config(n, v, l)';
    create function lock_it(n int) returns text language plpgsql as
        'begin perform pg_advisory_lock_shared(n); return n; end';
    create function free_it(n int) returns bool language sql as 'select pg_advisory_unlock_shared(n)';
    create function calls_lock(n int default 31) returns text language sql as 'select lock_it(n)';
    create function temp_it() returns int language plpgsql as
        'begin create temp table if not exists tf as select 1 as n; return (select count(*) from tf); end';
    create function drop_it() returns void language plpgsql as
        'begin drop table if exists tf; end';
    create function hold_it() returns void language plpgsql as
        'begin execute ''declare fc cursor with hold for select generate_series(1, 9)''; end';
    create function harmless(n int) returns int language plpgsql as
        'begin update item set name = name where id = n; return n + (select count(*) from item); end';
    create function maybe_lock(n int) returns text language plpgsql as
        'begin if n > 2 then return lock_it(32); end if; return harmless(n); end';
    grant all on schema public, s1 to public;
    grant all on all tables in schema public, s1 to app, third;
    grant select on item to other;
    grant all on all sequences in schema public to public;";
/// DELETE waits for no reader, unlike TRUNCATE.
const RESET: &str = "
    delete from item; delete from other; delete from s1.item;
    insert into item select n, 'name ' || n from generate_series(1, 5) n;
    insert into s1.item values (1, 'in s1');
    select setval('seq1', 100, false), setval('seq2', 200, false);";
/// Locks of a session that has ended; keys over 1000 are the neighbours'.
const LEFT: &str = "select count(*) from pg_locks where locktype = 'advisory' and objid < 1000 \
    and database = (select oid from pg_database where datname = current_database())";
/// Where a value may have been advanced unseen, pgweir says so in place of "not yet defined", before
/// PostgreSQL has told the columns.
const REFUSAL: &str = "M=currval and lastval are not available here";
/// Names that a session may have: their masked forms are known as readers of sequences from the
/// start, since the first read of an application is refused by design.
const READERS: [(&str, &str); 7] = [
    ("", "UTF8"),
    ("odoo-1", "UTF8"),
    ("one", "UTF8"),
    ("it''s", "UTF8"),
    ("two", "UTF8"),
    ("Ünicode", "UTF8"),
    ("Ünicode", "LATIN1"),
];

/// Where scripts are played.
pub struct Arena {
    direct: (Login, RawClient),
    pooled: (Login, RawClient),
    /// Ends with the arena.
    _bouncer: Running,
    neighbours: Neighbours,
    features: Features,
}

/// The first difference.
pub struct Mismatch {
    /// Number of the step, from 1; 0 is the login.
    pub step: usize,
    pub direct: Vec<String>,
    pub pooled: Vec<String>,
}

impl Arena {
    pub fn new(pg: &Pg, pool_size: u32, features: Features) -> Self {
        let (one, two) = (fresh(pg, "twin_direct"), fresh(pg, "twin_pooled"));
        let bouncer = Bouncer::new(pg)
            .pool_size(pool_size)
            .set("server_round_robin", u8::from(pool_size > 1))
            .own("max_pins", pool_size)
            .start();
        let login = bouncer.login().database(&two.0);
        if features.has(Features::SEQUENCES) {
            teach(&login);
        }
        Self {
            direct: (Login::new(pg.port).database(&one.0), one.1),
            neighbours: Neighbours::new(&login, u64::from(pool_size), features),
            pooled: (login, two.1),
            _bouncer: bouncer,
            features,
        }
    }

    /// The last things the neighbours did.
    pub fn deeds(&self) -> Vec<String> {
        let deeds = &self.neighbours.deeds;
        deeds[deeds.len().saturating_sub(6)..].to_vec()
    }

    /// Plays a script on both sides.
    pub fn play(&mut self, script: &Script) -> Option<Mismatch> {
        for admin in [&mut self.direct.1, &mut self.pooled.1] {
            admin.ok(RESET);
            // A backend ends a little after its connection.
            assert_soon!(admin.one(LEFT) == "0", "locks end with their session");
        }
        self.neighbours.complaints.clear();
        self.neighbours.deeds.clear();
        let mut duel = match self.log_in(script) {
            Ok(duel) => duel,
            Err(mismatch) => return Some(mismatch),
        };
        let mut found = None;
        if self.features.has(Features::LOGIN_VALUES) {
            found = duel.compare(0, Vec::new(), Vec::new());
        }
        for (n, step) in script.steps.iter().enumerate() {
            if step.not_aborted && duel.direct.status == b'E' {
                continue;
            }
            found = found.or_else(|| duel.step(self, n + 1, step));
            if found.is_some() || duel.direct.status == 0 {
                return found;
            }
            self.neighbours_turn(&duel);
            found = self.complaints(n + 1);
        }
        found.or_else(|| duel.finish(self, script.steps.len() + 1))
    }

    fn log_in(&self, script: &Script) -> Result<Duel, Mismatch> {
        let with = |login: &Login| {
            let login = login.clone().user(script.user);
            script
                .startup
                .iter()
                .fold(login, |login, (key, value)| login.parameter(key, value))
        };
        let both = (
            Side::connect(&with(&self.direct.0)),
            Side::connect(&with(&self.pooled.0)),
        );
        match both {
            (Ok(direct), Ok(pooled)) => Ok(Duel { direct, pooled }),
            (direct, pooled) => Err(Mismatch {
                step: 0,
                direct: direct.err().into_iter().collect(),
                pooled: pooled.err().into_iter().collect(),
            }),
        }
    }

    /// Outside a transaction somebody else has the server between two steps.
    fn neighbours_turn(&mut self, duel: &Duel) {
        if duel.pooled.status == b'I' {
            self.neighbours.turn();
        } else {
            self.neighbours.pump();
        }
    }

    fn complaints(&mut self, step: usize) -> Option<Mismatch> {
        (!self.neighbours.complaints.is_empty()).then(|| Mismatch {
            step,
            direct: Vec::new(),
            pooled: std::mem::take(&mut self.neighbours.complaints),
        })
    }
}

/// Lets the pool know who reads sequences in later transactions.
fn teach(login: &Login) {
    let mut client = login.connect();
    for (name, encoding) in READERS {
        client.ok(&format!("set client_encoding to {encoding}"));
        client.ok(&format!("set application_name to '{name}'"));
        client.fails("select lastval()");
    }
}

/// A database of its own for each side of each arena.
fn fresh(pg: &Pg, kind: &str) -> (String, RawClient) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("{kind}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = pg.admin();
    admin.ok(&format!(
        "create database {name} owner app template template0"
    ));
    admin.ok(&format!("alter database {name} set timezone to 'UTC'"));
    let mut inside = Login::new(pg.port)
        .user("postgres")
        .database(&name)
        .connect();
    inside.ok(SCHEMA);
    inside.ok("set lock_timeout to '8s'");
    (name, inside)
}

/// Whether the one error of a step, which ended it, says this.
fn is_refused(lines: &[String], what: &str) -> bool {
    let mut errors = lines.iter().filter(|line| line.starts_with("E "));
    matches!((errors.next(), errors.next()), (Some(one), None) if one.contains(what))
}

/// Both sessions of one script.
struct Duel {
    direct: Side,
    pooled: Side,
}

impl Duel {
    fn step(&mut self, arena: &mut Arena, n: usize, step: &Step) -> Option<Mismatch> {
        match &step.act {
            Act::Send { .. } => self.send(arena, n, &step.act),
            Act::Others(sql) => {
                let before = self.pooled.notified.len();
                let inside = self.pooled.status != b'I';
                for admin in [&mut arena.direct.1, &mut arena.pooled.1] {
                    admin.query(sql);
                }
                // Inside a transaction PostgreSQL keeps notifications back.
                if inside && self.pooled.overhear(Duration::from_millis(1)) {
                    let heard = self.pooled.notified[before..].to_vec();
                    return self.compare(n, Vec::new(), heard);
                }
                // A round trip after which the direct session has heard what was sent.
                self.send(arena, n, &Step::simple("").act)
            }
            Act::Probe => {
                let all = arena.features.has(Features::SETTINGS);
                PROBES[..if all { 3 } else { 1 }]
                    .iter()
                    .find_map(|sql| self.send(arena, n, &Step::simple(sql).act))
            }
        }
    }

    fn send(&mut self, arena: &mut Arena, n: usize, act: &Act) -> Option<Mismatch> {
        let direct = self.direct.play(act, &mut || {});
        let pooled = self.pooled.play(act, &mut || arena.neighbours.pump());
        if self.direct.status == b'I' && self.pooled.status == b'I' {
            self.await_notifications(arena);
        }
        if is_refused(&pooled, REFUSAL) && is_refused(&direct, "C=55000") {
            return self.compare(n, Vec::new(), Vec::new());
        }
        self.compare(n, direct, pooled)
    }

    /// A pooled session's notifications come by another way: they may come a little later.
    fn await_notifications(&mut self, arena: &mut Arena) {
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.pooled.notified.len() < self.direct.notified.len() && Instant::now() < deadline {
            if !self.pooled.overhear(Duration::from_millis(5)) {
                arena.neighbours.pump();
            }
        }
    }

    fn compare(&self, n: usize, direct: Vec<String>, pooled: Vec<String>) -> Option<Mismatch> {
        let whole = |lines: Vec<String>, side: &Side, other: &Side| {
            let mut lines = lines;
            let theirs = other.parameters();
            let own = side.parameters().into_iter();
            let differ = own.filter(|pair| !theirs.contains(pair));
            lines.extend(differ.map(|(key, value)| format!("parameter {key}={value}")));
            if side.status == b'I' && side.notified != other.notified {
                let common = side.notified.iter().zip(&other.notified);
                let same = common.take_while(|(a, b)| a == b).count();
                lines.push(format!(
                    "notifications after {same}: {:?}",
                    &side.notified[same..]
                ));
            }
            lines
        };
        let direct = whole(direct, &self.direct, &self.pooled);
        let pooled = whole(pooled, &self.pooled, &self.direct);
        (direct != pooled).then_some(Mismatch {
            step: n,
            direct,
            pooled,
        })
    }

    /// The end: out of any transaction, one more look, and nothing that comes late.
    fn finish(&mut self, arena: &mut Arena, n: usize) -> Option<Mismatch> {
        let rollback = Step::simple("rollback");
        let goodbye = Step::others("notify c1, 'end'; notify c2, 'end'; notify \"C3\", 'end'");
        let mut found = None;
        for step in [rollback, Step::probe(), goodbye] {
            found = found.or_else(|| self.step(arena, n, &step));
        }
        while found.is_none() && arena.features.has(Features::LISTEN) {
            if !self.pooled.overhear(Duration::from_millis(3)) {
                break;
            }
            found = self.compare(n, Vec::new(), Vec::new());
        }
        found
    }
}
