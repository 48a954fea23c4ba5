//! The twin test: random sessions played step by step on a direct connection and through pgweir
//! among noisy neighbours; everything that a client can see must be the same.
//!
//! `PGWEIR_TWIN=N` plays N scripts for each pool size, `PGWEIR_TWIN_SEED=S` begins at seed S,
//! `PGWEIR_TWIN_FEATURES=settings,listen` (or `all`) turns kinds of statements on,
//! `PGWEIR_TWIN_FINDINGS=N` goes on until N scripts for each size differ.

use crate::only_pgweir;
use crate::support::Pg;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[path = "twin/arena.rs"]
mod arena;
#[path = "twin/generate.rs"]
mod generate;
#[path = "twin/neighbours.rs"]
mod neighbours;
#[path = "twin/script.rs"]
mod script;
#[path = "twin/shrink.rs"]
mod shrink;
#[path = "twin/side.rs"]
mod side;
#[path = "twin/words.rs"]
mod words;

use arena::Arena;
use shrink::{Finding, shrink};

/// Kinds of statements a script may have beside transactions, reads and reported settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    /// Settings that PostgreSQL does not report.
    pub const SETTINGS: u32 = 1;
    /// Such settings in the startup packet.
    pub const STARTUP: u32 = 1 << 1;
    /// DISCARD, RESET ALL, DEALLOCATE ALL.
    pub const DISCARD: u32 = 1 << 2;
    pub const LISTEN: u32 = 1 << 3;
    pub const SQL_PREPARED: u32 = 1 << 4;
    /// An unnamed statement used after a ReadyForQuery.
    pub const UNNAMED: u32 = 1 << 5;
    /// Temporary tables that outlive their transaction.
    pub const TEMP: u32 = 1 << 6;
    pub const LOCKS: u32 = 1 << 7;
    pub const CURSORS: u32 = 1 << 8;
    pub const SEQUENCES: u32 = 1 << 9;
    pub const ROLES: u32 = 1 << 10;
    /// Neighbours whose DO blocks and functions set things.
    pub const CODE: u32 = 1 << 11;
    /// Prepared statements that do not exist, or exist already.
    pub const LOST_NAMES: u32 = 1 << 12;
    /// Values of the startup packet as PostgreSQL spells them, before the first statement.
    pub const LOGIN_VALUES: u32 = 1 << 13;
    /// RESET of one setting.
    pub const RESETS: u32 = 1 << 14;
    /// Parse while the transaction is aborted.
    pub const PARSE_ABORTED: u32 = 1 << 15;
    /// Code that no text names: behind views, triggers and operators.
    pub const HIDDEN_CODE: u32 = 1 << 16;
    /// set_config() for the session whose arguments are neither literals nor parameters.
    pub const CONFIG_PARAMS: u32 = 1 << 17;
    /// A list keeps the spelling that set_config() gave it.
    pub const SPELLING: u32 = 1 << 18;
    /// RESET and what depends on it in one message: in between the server's own start values hold.
    pub const MIXED_RESETS: u32 = 1 << 19;

    /// Several messages in one write.
    pub const PIPELINES: u32 = 1 << 20;

    /// Locks, temporary tables and cursors that functions make.
    pub const FUNCTIONS: u32 = 1 << 21;

    const NAMES: [(&'static str, u32); 22] = [
        ("settings", Self::SETTINGS),
        ("startup", Self::STARTUP),
        ("discard", Self::DISCARD),
        ("listen", Self::LISTEN),
        ("sql_prepared", Self::SQL_PREPARED),
        ("unnamed", Self::UNNAMED),
        ("temp", Self::TEMP),
        ("locks", Self::LOCKS),
        ("cursors", Self::CURSORS),
        ("sequences", Self::SEQUENCES),
        ("roles", Self::ROLES),
        ("code", Self::CODE),
        ("lost_names", Self::LOST_NAMES),
        ("login_values", Self::LOGIN_VALUES),
        ("resets", Self::RESETS),
        ("parse_aborted", Self::PARSE_ABORTED),
        ("hidden_code", Self::HIDDEN_CODE),
        ("config_params", Self::CONFIG_PARAMS),
        ("spelling", Self::SPELLING),
        ("mixed_resets", Self::MIXED_RESETS),
        ("pipelines", Self::PIPELINES),
        ("functions", Self::FUNCTIONS),
    ];

    pub fn has(self, feature: u32) -> bool {
        self.0 & feature != 0
    }

    /// What pgweir does by now, or what the environment asks for.
    pub fn on() -> Self {
        let names = std::env::var("PGWEIR_TWIN_FEATURES");
        Self::named(names.as_deref().unwrap_or(ON))
    }

    fn named(list: &str) -> Self {
        let all = Self::NAMES.iter();
        let chosen = all.filter(|(name, _)| list == "all" || list.split(',').any(|n| n == *name));
        Self(chosen.fold(0, |bits, (_, bit)| bits | bit))
    }
}

/// What the suite plays.
const ON: &str = "lost_names,unnamed,settings,startup,code,listen,discard,resets,roles,\
    temp,locks,cursors,sql_prepared,sequences,functions,pipelines,config_params";
/// Scripts for each pool size in the suite.
const SCRIPTS: u64 = 100;
const SIZES: [u32; 3] = [1, 2, 20];

fn environment(key: &str) -> Option<u64> {
    std::env::var(key).ok()?.parse().ok()
}

/// A cluster of its own: roles are members of each other here.
fn cluster() -> &'static Pg {
    static CLUSTER: OnceLock<Pg> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let pg = Pg::start();
        pg.admin().ok("grant other, third to app");
        pg
    })
}

/// Plays scripts until as many show a difference as are wanted; each difference ends its pool.
fn hunt(pool_size: u32, features: Features) -> (u64, Vec<Finding>) {
    let first = environment("PGWEIR_TWIN_SEED").unwrap_or(1 + u64::from(pool_size) * 1_000_000);
    let count = environment("PGWEIR_TWIN");
    let wanted = environment("PGWEIR_TWIN_FINDINGS").unwrap_or(1) as usize;
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut arena = Arena::new(cluster(), pool_size, features);
    let (mut played, mut findings) = (0, Vec::new());
    let mut story: Vec<script::Script> = Vec::new();
    for seed in first..first + count.unwrap_or(SCRIPTS) {
        if findings.len() >= wanted || (count.is_none() && Instant::now() > deadline) {
            break;
        }
        let script = generate::script(seed, features);
        played += 1;
        story.push(script);
        let Some(script) = story.last() else { break };
        if let Some(mismatch) = arena.play(script) {
            let finding = Finding {
                pool_size,
                story: std::mem::take(&mut story),
                mismatch,
                repeats: false,
                deeds: arena.deeds(),
            };
            findings.push(shrink(cluster(), features, finding));
            arena = Arena::new(cluster(), pool_size, features);
        }
    }
    (played, findings)
}

#[test]
fn a_session_through_the_pool_is_as_a_direct_one() {
    only_pgweir!();
    let features = Features::on();
    cluster();
    let hunts = SIZES.map(|size| std::thread::spawn(move || hunt(size, features)));
    let mut found = String::new();
    for hunt in hunts {
        let (played, findings) = hunt.join().expect("the hunt ends");
        eprintln!("{played} scripts");
        found.extend(findings.iter().map(Finding::transcript));
    }
    assert!(found.is_empty(), "{found}");
}
