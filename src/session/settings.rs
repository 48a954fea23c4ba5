//! The settings of a client that PostgreSQL does not report: what it has SET, and has not RESET.
//!
//! Owns: immutable, shared sets of (name, SQL value), and the SQL that leads from one set to
//! another. Equal sets are one `Arc`, so that "does this server match this client" is one pointer
//! comparison. Tracked parameters (`params.rs`) are not in here: PostgreSQL reports those.
//! Source: PostgreSQL "SET", "RESET", "SET ROLE", "SET SESSION AUTHORIZATION".

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use super::names;

/// The role in force. Set last: what stands in front may need the rights of the login user.
pub const ROLE: &str = "role";
/// The session user. Takes the role with it when it changes, so it is set in front of the role.
pub const AUTHORIZATION: &str = "session_authorization";

/// Most names one client may have set. A session of ordinary software sets less than ten.
const MOST_NAMES: usize = 256;
/// Most bytes of names and values of one client.
const MOST_BYTES: usize = 64 * 1024;
/// Sets known before unused ones are looked for.
const PURGE_FROM: usize = 512;

/// Settings that decide what PostgreSQL folds into a statement when it parses it: literals of time,
/// arrays, XML and money, and what the grammar accepts. The tracked ones are in `Params`. Search
/// path, role and row security are not among them: PostgreSQL itself watches those for its plans.
const FOLDED: [&str; 13] = [
    "array_nulls",
    "backslash_quote",
    "bytea_output",
    "datestyle",
    "default_text_search_config",
    "escape_string_warning",
    "intervalstyle",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "timezone_abbreviations",
    "transform_null_equals",
    "xmloption",
];

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Setting {
    /// Lower case.
    name: Box<str>,
    /// SQL that may stand behind `SET name TO`, or a literal of the raw value.
    value: Box<str>,
    /// The value goes to `set_config()`: SET would take a list in one literal for one element.
    is_raw: bool,
    /// The role whose rights it took, where the login user may lack them.
    under: Option<Box<str>>,
}

/// What a session has set, in the order of the last SET of each name; the session user and the role
/// come last.
#[derive(Debug, Default)]
pub struct Settings {
    list: Box<[Setting]>,
    /// These follow from the list.
    parse_context: u64,
    bytes: usize,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}
impl Eq for Settings {}
impl Hash for Settings {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.list.hash(state);
    }
}

impl Settings {
    fn of(list: Vec<Setting>) -> Self {
        let bytes = list.iter().map(|s| s.name.len() + s.value.len()).sum();
        let mut folded: Vec<&Setting> = list.iter().filter(|s| is_folded(&s.name)).collect();
        folded.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let parse_context = if folded.is_empty() {
            0
        } else {
            let mut hasher = DefaultHasher::new();
            folded.hash(&mut hasher);
            hasher.finish()
        };
        Self {
            list: list.into(),
            parse_context,
            bytes,
        }
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Names that are set.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The value of a (lower-case) name as SQL.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.list.iter().find(|s| &*s.name == name)?;
        Some(&found.value)
    }

    /// The role whose rights are needed to set `name` again: a session of a superuser's role has
    /// set it, and the login user may not. With another session user it is a superuser itself.
    fn rights_for(&self, name: &str) -> Option<Box<str>> {
        if !names::needs_superuser(name) || self.get(AUTHORIZATION).is_some() {
            return None;
        }
        self.get(ROLE).map(Box::from)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|s| (&*s.name, &*s.value))
    }

    /// More than one client may have: over 256 names or 64 KiB.
    pub fn is_over_limit(&self) -> bool {
        self.list.len() > MOST_NAMES || self.bytes > MOST_BYTES
    }

    /// What a Parse folds of these besides its text: 0 when none of them matters to it.
    pub fn parse_context(&self) -> u64 {
        self.parse_context
    }

    /// The SQL that makes a session with `has` match `wants`; `None` when it does. The session user
    /// and the role give way first, so that the rest is set with the rights of the login user.
    pub fn difference(wants: &Settings, has: &Settings) -> Option<String> {
        if std::ptr::eq(wants, has) || wants.list == has.list {
            return None;
        }
        let is_identity = |name: &str| name == ROLE || name == AUTHORIZATION;
        let rest = |set: &Settings| {
            let names = set.list.iter().filter(|s| !is_identity(&s.name));
            names.cloned().collect::<Vec<_>>()
        };
        let (wanted, had) = (rest(wants), rest(has));
        let mut sql = String::new();
        let rest_differs = wanted.iter().any(|s| !had.contains(s))
            || had.iter().any(|s| wants.get(&s.name).is_none());
        let user_differs = wants.get(AUTHORIZATION) != has.get(AUTHORIZATION);
        let gives_way = rest_differs || user_differs;
        if has.get(ROLE).is_some() && (gives_way || wants.get(ROLE).is_none()) {
            push_reset(&mut sql, ROLE);
        }
        if has.get(AUTHORIZATION).is_some() && gives_way {
            push_reset(&mut sql, AUTHORIZATION);
        }
        for gone in had.iter().filter(|s| wants.get(&s.name).is_none()) {
            with_rights(&mut sql, gone, |sql| push_reset(sql, &gone.name));
        }
        for setting in wanted.iter().filter(|s| !had.contains(s)) {
            with_rights(&mut sql, setting, |sql| push_set(sql, setting, false));
        }
        for setting in wants.list.iter().filter(|s| is_identity(&s.name)) {
            let stands = has.list.contains(setting) && !gives_way;
            if !stands {
                push_set(&mut sql, setting, false);
            }
        }
        (!sql.is_empty()).then_some(sql)
    }

    /// The SQL that sets one of them for the rest of a transaction; `None` where it is not among them.
    pub fn local(&self, name: &str) -> Option<String> {
        let setting = self.list.iter().find(|s| *s.name == *name)?;
        let mut sql = String::new();
        push_set(&mut sql, setting, true);
        Some(sql)
    }

    /// The SQL that sets everything, for a session that is as new: what follows
    /// `RESET SESSION AUTHORIZATION;RESET ALL;`.
    pub fn whole(wants: &Settings) -> String {
        let mut sql = String::new();
        for setting in &wants.list {
            with_rights(&mut sql, setting, |sql| push_set(sql, setting, false));
        }
        sql
    }
}

/// Whether the setting matters to a Parse, or may, being unknown. Names with a dot belong to
/// extensions and applications; what reads them (`current_setting()`) is not folded.
fn is_folded(name: &str) -> bool {
    FOLDED.contains(&name) || !(name.contains('.') || names::is_known(name))
}

/// A setting's name is quoted always: its parts may be reserved words, as in `app.user`.
fn push_name(sql: &mut String, name: &str) {
    for (index, part) in name.split('.').enumerate() {
        if index > 0 {
            sql.push('.');
        }
        sql.push('"');
        for c in part.chars() {
            if c == '"' {
                sql.push(c);
            }
            sql.push(c);
        }
        sql.push('"');
    }
}

/// What `push` writes, as the role that has the right to it.
fn with_rights(sql: &mut String, setting: &Setting, push: impl FnOnce(&mut String)) {
    if let Some(role) = &setting.under {
        let _ = write!(sql, "SET \"role\" TO {role};");
        push(sql);
        push_reset(sql, ROLE);
    } else {
        push(sql);
    }
}

fn push_reset(sql: &mut String, name: &str) {
    sql.push_str("RESET ");
    push_name(sql, name);
    sql.push(';');
}

fn push_set(sql: &mut String, setting: &Setting, is_local: bool) {
    if setting.is_raw {
        sql.push_str("SELECT pg_catalog.set_config(");
        push_literal(sql, &setting.name);
        let _ = write!(sql, ",{},{is_local});", setting.value);
        return;
    }
    sql.push_str(if is_local { "SET LOCAL " } else { "SET " });
    push_name(sql, &setting.name);
    let _ = write!(sql, " TO {};", setting.value);
}

/// A literal that cannot be left, whatever standard_conforming_strings says.
fn push_literal(sql: &mut String, value: &str) {
    if value.contains('\\') {
        sql.push('E');
    }
    sql.push('\'');
    for c in value.chars() {
        if c == '\'' || c == '\\' {
            sql.push(c);
        }
        sql.push(c);
    }
    sql.push('\'');
}

/// PostgreSQL's GUC_LIST_QUOTE: SET takes their elements one by one and quotes each.
fn is_list(name: &str) -> bool {
    matches!(
        name,
        "search_path"
            | "temp_tablespaces"
            | "local_preload_libraries"
            | "session_preload_libraries"
    )
}

/// All sets that any client or server has.
#[derive(Debug, Default)]
pub struct SettingsStore {
    empty: Arc<Settings>,
    sets: Mutex<Sets>,
}

#[derive(Debug, Default)]
struct Sets {
    known: HashSet<Arc<Settings>>,
    /// Purge when this many are known.
    purge_at: usize,
}

impl SettingsStore {
    /// Nothing set.
    pub fn empty(&self) -> Arc<Settings> {
        Arc::clone(&self.empty)
    }

    /// `base` with one value set (SQL), or, with `None`, not set.
    /// A change of the session user takes the role away, as in PostgreSQL.
    pub fn with(&self, base: &Arc<Settings>, name: &str, value: Option<&str>) -> Arc<Settings> {
        let name = name.to_ascii_lowercase();
        let value = value.map(|value| Setting {
            name: name.as_str().into(),
            value: value.into(),
            is_raw: false,
            under: base.rights_for(&name),
        });
        self.replaced(base, &name, value.as_ref())
    }

    /// `base` with a list of names set to one literal of the whole list, as `set_config()` takes it.
    pub fn with_list(&self, base: &Arc<Settings>, name: &str, value: &str) -> Arc<Settings> {
        let setting = Setting {
            name: name.into(),
            value: value.into(),
            is_raw: true,
            under: base.rights_for(name),
        };
        self.replaced(base, name, Some(&setting))
    }

    /// `base` with one value as it was in `start`. With the session user the role goes back too.
    pub fn reset(&self, base: &Arc<Settings>, name: &str, start: &Settings) -> Arc<Settings> {
        let name = name.to_ascii_lowercase();
        let value_of = |name: &str| start.list.iter().find(|s| *s.name == *name);
        let after = self.replaced(base, &name, value_of(&name));
        match value_of(ROLE) {
            Some(role) if name == AUTHORIZATION => self.replaced(&after, ROLE, Some(role)),
            _ => after,
        }
    }

    /// `base` with all that `over` has put on top.
    pub fn over(&self, base: &Arc<Settings>, over: &Settings) -> Arc<Settings> {
        let all = Arc::clone(base);
        over.list.iter().fold(all, |all, setting| {
            self.replaced(&all, &setting.name, Some(setting))
        })
    }

    fn replaced(&self, base: &Arc<Settings>, name: &str, to: Option<&Setting>) -> Arc<Settings> {
        let now = base.list.iter().find(|s| *s.name == *name);
        let takes_role = name == AUTHORIZATION;
        let is_alone = !(takes_role && base.get(ROLE).is_some());
        if now == to && is_alone && (to.is_none() || is_last(base, name)) {
            return Arc::clone(base);
        }
        let stays = |s: &&Setting| *s.name != *name && !(takes_role && &*s.name == ROLE);
        let mut list: Vec<Setting> = base.list.iter().filter(stays).cloned().collect();
        list.extend(to.cloned());
        self.ordered(list)
    }

    /// The settings of a startup packet: names and raw values, later ones win.
    pub fn startup<N, V>(&self, pairs: impl IntoIterator<Item = (N, V)>) -> Arc<Settings>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut list: Vec<Setting> = Vec::new();
        for (name, value) in pairs {
            let name = name.as_ref().to_ascii_lowercase();
            list.retain(|s| *s.name != *name);
            let mut literal = String::new();
            push_literal(&mut literal, value.as_ref());
            list.push(Setting {
                value: literal.into(),
                is_raw: is_list(&name),
                under: None,
                name: name.into(),
            });
        }
        self.ordered(list)
    }

    /// After RESET ALL in a session with `now` that began with `start`: as at the start, but the
    /// session user and the role stay (PostgreSQL's GUC_NO_RESET_ALL).
    pub fn after_reset_all(&self, now: &Arc<Settings>, start: &Arc<Settings>) -> Arc<Settings> {
        let identity = |s: &&Setting| &*s.name == ROLE || &*s.name == AUTHORIZATION;
        let rest = start.list.iter().filter(|s| !identity(s));
        let kept = now.list.iter().filter(identity);
        self.ordered(rest.chain(kept).cloned().collect())
    }

    /// Sets known; figures of the process.
    pub fn len(&self) -> usize {
        self.locked().known.len()
    }

    /// Whether none but the empty one is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn ordered(&self, mut list: Vec<Setting>) -> Arc<Settings> {
        // Stable: the others keep their order.
        list.sort_by_key(|s| match &*s.name {
            AUTHORIZATION => 1,
            ROLE => 2,
            _ => 0,
        });
        self.share(Settings::of(list))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, settings: Settings) -> Arc<Settings> {
        if settings.is_empty() {
            return self.empty();
        }
        let mut sets = self.locked();
        if let Some(known) = sets.known.get(&settings) {
            return Arc::clone(known);
        }
        if sets.known.len() >= sets.purge_at {
            sets.known.retain(|set| Arc::strong_count(set) > 1);
            sets.purge_at = 2 * sets.known.len().max(PURGE_FROM);
        }
        let shared = Arc::new(settings);
        sets.known.insert(Arc::clone(&shared));
        shared
    }
}

/// Whether setting `name` again would leave the order as it is.
fn is_last(base: &Settings, name: &str) -> bool {
    let after = base.list.iter().rev().take_while(|s| *s.name != *name);
    let mut after = after.filter(|s| &*s.name != ROLE && &*s.name != AUTHORIZATION);
    after.next().is_none()
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
