//! What `/metrics` says of statements, as plain rows that hold no constant of any statement.
//!
//! Everything counts since the start and never goes down, whatever the console resets. Pools beyond
//! the first hundred fold into user `(other)`, in the order in which they were first seen, so that
//! no pool changes its label.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::View;
use super::figures::{Bounded, CLASSES, Parts};
use super::global::PoolTotals;
use super::lane::PoolId;
use super::names::PoolName;
use super::read::Totals;
use crate::sql::{self, Class};

/// Pools that have labels of their own.
const MAX_POOLS: usize = 100;
/// Longest first word in a label, bytes.
const LONGEST_VERB: usize = 32;
/// Longest name of a relation in a label, bytes.
const LONGEST_TABLE: usize = 128;
/// Label of what stands for several.
const OTHER: &str = "(other)";

/// One pool, or several that fold.
#[derive(Clone, Debug, Default)]
pub struct PoolExport {
    /// Server time of statements, without transaction control.
    pub statements: Bounded,
    /// Time that transactions held a server.
    pub transactions: Bounded,
    /// Sums over all statements.
    pub parts: Parts,
    /// Statements by class.
    pub classes: [u64; CLASSES],
    /// Rows by class.
    pub rows: [u64; CLASSES],
}

/// A statement with counters of its own, or the rest of a pool.
#[derive(Clone, Debug)]
pub struct TopExport {
    /// `None` for the rest.
    pub fingerprint: Option<u64>,
    /// The pool's labels.
    pub pool: PoolName,
    /// Calls, server time in µs, rows, errors.
    pub amounts: [u64; 4],
}

/// What a statement with counters of its own is about.
#[derive(Clone, Debug)]
pub struct TopInfo {
    /// Which.
    pub fingerprint: u64,
    /// Its first word.
    pub verb: String,
    /// The first relation; empty when none can be seen.
    pub table: String,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Pools by label.
    pub pools: Vec<(PoolName, PoolExport)>,
    /// Errors: database, code or class, how many.
    pub errors: Vec<(Arc<str>, String, u64)>,
    /// The heaviest statements, and the rest per pool.
    pub top: Vec<TopExport>,
    /// What they are about.
    pub infos: Vec<TopInfo>,
    /// Server time by application, µs.
    pub apps: Vec<(Arc<str>, u64)>,
    /// Targets: name, calls, missed.
    pub targets: Vec<(Arc<str>, u64, u64)>,
    /// The table.
    pub totals: Totals,
    /// Database, flag, severity, flagged now, begun since the start.
    pub flags: Vec<FlagExport>,
    /// The longest wait for a lock by database, µs.
    pub lock_waits: Vec<(Arc<str>, u64)>,
}

/// Sessions with a flag.
#[derive(Clone, Debug)]
pub struct FlagExport {
    /// As clients name it.
    pub database: Arc<str>,
    /// Label of the flag.
    pub flag: &'static str,
    /// Label of the severity.
    pub severity: &'static str,
    /// Sessions that have it now.
    pub flagged: u64,
    /// How many have begun since the start.
    pub begun: u64,
}

impl PoolExport {
    fn add(&mut self, totals: &PoolTotals) {
        let figures = &totals.since_start;
        self.statements.merge(&figures.statements);
        self.transactions.merge(&figures.transactions);
        self.parts.merge(&figures.parts);
        for (mine, theirs) in self.classes.iter_mut().zip(figures.classes) {
            *mine += theirs;
        }
        for (mine, theirs) in self.rows.iter_mut().zip(totals.class_rows) {
            *mine += theirs;
        }
    }

    /// Statements and rows by the word that metrics have for their class.
    pub fn by_class(&self) -> Vec<(&'static str, u64, u64)> {
        let mut words: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
        for (at, class) in ALL_CLASSES.iter().enumerate() {
            let word = words.entry(word(*class)).or_default();
            word.0 += self.classes[at];
            word.1 += self.rows[at];
        }
        let used = words.into_iter().filter(|(_, (n, rows))| n + rows > 0);
        used.map(|(word, (n, rows))| (word, n, rows)).collect()
    }
}

/// In the order of their numbers.
const ALL_CLASSES: [Class; CLASSES] = [
    Class::Select,
    Class::Insert,
    Class::Update,
    Class::Delete,
    Class::Merge,
    Class::Copy,
    Class::Ddl,
    Class::Maintenance,
    Class::Control,
    Class::Empty,
    Class::Other,
    Class::Composite,
];

/// Label of a class.
fn word(class: Class) -> &'static str {
    match class {
        Class::Select => "select",
        Class::Insert => "insert",
        Class::Update => "update",
        Class::Delete => "delete",
        Class::Merge => "merge",
        Class::Copy => "copy",
        Class::Ddl => "ddl",
        Class::Maintenance => "maintenance",
        Class::Control => "control",
        Class::Empty | Class::Other | Class::Composite => "other",
    }
}

impl View<'_> {
    /// For `/metrics`.
    pub fn export(&self) -> Export {
        let labels = Labels::of(self);
        let mut export = Export {
            targets: self.insight.targets.rows(),
            totals: self.totals(),
            apps: self.export_apps(),
            ..Export::default()
        };
        let mut pools: BTreeMap<PoolName, PoolExport> = BTreeMap::new();
        let mut errors: BTreeMap<(Arc<str>, String), u64> = BTreeMap::new();
        for (id, totals) in self.global.pools.iter() {
            let (database, user) = labels.of_pool(id);
            for (code, n) in &totals.errors {
                let code = String::from_utf8_lossy(code).trim_end().to_owned();
                *errors.entry((Arc::clone(&database), code)).or_default() += n;
            }
            pools.entry((database, user)).or_default().add(totals);
        }
        export.pools = pools.into_iter().collect();
        let errors = errors.into_iter();
        export.errors = errors.map(|((db, code), n)| (db, code, n)).collect();
        self.export_top(&labels, &mut export);
        self.export_flags(&mut export);
        export
    }

    fn export_top(&self, labels: &Labels, export: &mut Export) {
        let mut seen = BTreeSet::new();
        for (key, named) in self.global.top.named() {
            export.top.push(TopExport {
                fingerprint: Some(key.fingerprint),
                pool: labels.of_pool(key.pool),
                amounts: named.amounts,
            });
            if seen.insert(key.fingerprint) {
                export.infos.push(self.info(key.fingerprint));
            }
        }
        // Pools that fold may have the same statement, and surely have a rest each.
        let mut rests: BTreeMap<PoolName, [u64; 4]> = BTreeMap::new();
        for (id, amounts) in self.global.top.rest() {
            let rest = rests.entry(labels.of_pool(id)).or_default();
            for (mine, amount) in rest.iter_mut().zip(amounts) {
                *mine += amount;
            }
        }
        export
            .top
            .sort_by_key(|top| (top.fingerprint, top.pool.clone()));
        export.top.dedup_by(|one, kept| {
            let is_same = one.fingerprint == kept.fingerprint && one.pool == kept.pool;
            if is_same {
                for (mine, amount) in kept.amounts.iter_mut().zip(one.amounts) {
                    *mine += amount;
                }
            }
            is_same
        });
        export
            .top
            .extend(rests.into_iter().map(|(pool, amounts)| TopExport {
                fingerprint: None,
                pool,
                amounts,
            }));
        export.infos.sort_by_key(|info| info.fingerprint);
    }

    fn info(&self, fingerprint: u64) -> TopInfo {
        let (verb, table) = match self.texts(fingerprint) {
            Some(texts) if texts.is_composed() => ("pipeline", None),
            Some(texts) => sql::verb_and_relation(&texts.normalised),
            None => ("", None),
        };
        let verb = verb[..verb.floor_char_boundary(LONGEST_VERB)].to_owned();
        let mut table = table.unwrap_or_default();
        table.truncate(table.floor_char_boundary(LONGEST_TABLE));
        TopInfo {
            fingerprint,
            verb,
            table,
        }
    }

    fn export_flags(&self, export: &mut Export) {
        let flags = self.insight.flags();
        let counts = flags.counts.iter();
        let flag = counts.map(
            |((database, flag, severity), (flagged, begun))| FlagExport {
                database: Arc::clone(database),
                flag: flag.as_str(),
                severity: severity.as_str(),
                flagged: *flagged,
                begun: *begun,
            },
        );
        export.flags = flag.collect();
        let blocking = &self.insight.blocking;
        let now = blocking.flagged();
        for ((database, flag, severity), begun) in blocking.begun() {
            let key = (Arc::clone(&database), flag, severity);
            export.flags.push(FlagExport {
                database,
                flag: flag.word(),
                severity: severity.word(),
                flagged: now.get(&key).copied().unwrap_or_default(),
                begun,
            });
        }
        // A database where nothing happens is shown with zeros: an absent value looks like no data.
        let mut waits: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for (database, wait) in blocking.oldest_waits() {
            waits.insert(database, (wait * 1e6) as u64);
        }
        for ((database, _), _) in &export.pools {
            waits.entry(Arc::clone(database)).or_default();
        }
        export.lock_waits = waits.into_iter().collect();
    }

    fn export_apps(&self) -> Vec<(Arc<str>, u64)> {
        let mut apps: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for (app, named) in self.global.apps.named() {
            let name = self.insight.names.app(app).unwrap_or_default();
            *apps.entry(name).or_default() += named.amounts[0];
        }
        for ((), amounts) in self.global.apps.rest() {
            *apps.entry(Arc::from(OTHER)).or_default() += amounts[0];
        }
        apps.into_iter().collect()
    }
}

/// Labels of pools.
struct Labels(Vec<PoolName>);

impl Labels {
    fn of(view: &View<'_>) -> Self {
        let mut pools = view.insight.names.pools();
        let databases: BTreeSet<Arc<str>> = pools
            .iter()
            .take(MAX_POOLS)
            .map(|(database, _)| Arc::clone(database))
            .collect();
        for (database, user) in pools.iter_mut().skip(MAX_POOLS) {
            *user = Arc::from(OTHER);
            if !databases.contains(database) {
                *database = Arc::from(OTHER);
            }
        }
        Self(pools)
    }

    fn of_pool(&self, id: PoolId) -> PoolName {
        let other = || (Arc::from(OTHER), Arc::from(OTHER));
        self.0.get(id as usize).cloned().unwrap_or_else(other)
    }
}
