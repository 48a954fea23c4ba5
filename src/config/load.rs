//! Headers and pairs to a snapshot: every line is tried, every error is kept.
//!
//! Owns the walk over a file and the rules that need more than one line. May read files.
//! Mirrors: PgBouncer's section handlers, with two differences: nothing is half applied, and a
//! trailing ` ; comment` behind numbers, words and lists is tolerated (and remembered).

use super::check::without_effect;
use super::error::{ConfigError, ConfigErrors, Place, Problem};
use super::ini::{self, Item, Lines};
use super::nearest::nearest;
use super::registry::{Entry, Status, find};
use super::value::Remark;
use super::{
    ALIASES, CONSOLE_DATABASE, Config, CustomQueries, DATABASE_KEYS, DatabaseConfig, Foreign,
    ForeignKind, OWN_SETTINGS, PEER_KEYS, PeerConfig, SETTINGS, Targets, USER_KEYS, connstr,
};
use std::path::Path;

/// Longest name of a database PgBouncer can hold.
const MAX_DATABASE_NAME: usize = 63;
/// Longest name of a user PgBouncer can hold.
const MAX_USER_NAME: usize = 127;

/// Reads a file and what it includes. Either a whole snapshot or every error in it.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    build(path, ini::read(path))
}

/// Reads text as if it stood in the file `name`; `%include` lines are followed.
pub fn parse(name: &Path, text: &[u8]) -> Result<Config, ConfigErrors> {
    build(name, ini::parse(name, text))
}

fn build(path: &Path, lines: Lines) -> Result<Config, ConfigErrors> {
    let mut loader = Loader::new(path);
    loader.config.files = lines.files;
    loader.errors = lines.errors;
    for (place, item) in lines.items {
        match item {
            Item::Section(name) => loader.header(place, &name),
            Item::Pair { key, value } => loader.pair(place, &key, &value),
        }
    }
    loader.finish(path)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    None,
    Main,
    Own,
    Databases,
    Users,
    Peers,
    Unknown,
}

struct Loader {
    config: Config,
    errors: Vec<ConfigError>,
    section: Section,
    has_main: bool,
}

/// Name of one of our own settings among the sources.
pub(super) fn own_name(key: &str) -> String {
    format!("pgweir.{key}")
}

impl Loader {
    fn new(path: &Path) -> Self {
        let mut config = Config::default();
        config.settings.conffile = Some(path.display().to_string());
        Self {
            config,
            errors: Vec::new(),
            section: Section::None,
            has_main: false,
        }
    }

    fn fail(&mut self, place: &Place, key: impl Into<String>, problem: Problem) {
        self.errors.push(ConfigError {
            place: place.clone(),
            key: key.into(),
            problem,
        });
    }

    fn header(&mut self, place: Place, name: &str) {
        self.section = match name {
            "pgbouncer" => Section::Main,
            "databases" => Section::Databases,
            "users" => Section::Users,
            "peers" => Section::Peers,
            "pgweir" => Section::Own,
            _ => Section::Unknown,
        };
        match self.section {
            Section::Main => self.main_header(&place),
            Section::Own => self.foreign(&place, ForeignKind::OwnSection),
            Section::Unknown => self.fail(&place, "", Problem::UnknownSection(name.to_owned())),
            _ => {}
        }
    }

    /// COMPAT: every [pgbouncer] header puts the settings back to their defaults, except those
    /// whose default is NULL.
    fn main_header(&mut self, place: &Place) {
        self.has_main = true;
        let mut lost = Vec::new();
        let fresh = super::Settings::default();
        for entry in SETTINGS.iter().filter(|entry| entry.default.is_some()) {
            (entry.copy)(&mut self.config.settings, &fresh);
            if self.config.sources.remove(entry.key).is_some() {
                lost.push(entry.key);
            }
        }
        if !lost.is_empty() {
            self.config.warnings.push(format!(
                "{place}: another [pgbouncer] header puts back to the default what was set before: {}",
                lost.join(", ")
            ));
        }
    }

    fn foreign(&mut self, place: &Place, kind: ForeignKind) {
        self.config.foreign.push(Foreign {
            place: place.clone(),
            kind,
        });
    }

    fn pair(&mut self, place: Place, key: &str, value: &str) {
        match self.section {
            Section::None => self.fail(&place, key, Problem::OutsideSection),
            Section::Unknown => {}
            Section::Main => self.setting(place, key, value),
            Section::Own => self.own_setting(place, key, value),
            Section::Databases => self.database(place, key, value),
            Section::Users => self.user(place, key, value),
            Section::Peers => self.peer(place, key, value),
        }
    }

    fn setting(&mut self, place: Place, key: &str, value: &str) {
        let Some(entry) = find(SETTINGS, key) else {
            let suggestion = nearest(SETTINGS, key);
            return self.fail(&place, key, Problem::UnknownKey { suggestion });
        };
        let value = self.without_comment(&place, entry, value);
        let mut remarks = Vec::new();
        match assign(entry, &mut self.config.settings, value, &mut remarks) {
            Ok(()) => {
                self.config.sources.insert(key.to_owned(), place.clone());
            }
            Err(problem) => self.fail(&place, key, problem),
        }
        self.remark(&place, key, remarks);
    }

    fn own_setting(&mut self, place: Place, key: &str, value: &str) {
        let Some(entry) = find(OWN_SETTINGS, key) else {
            let suggestion = nearest(OWN_SETTINGS, key);
            return self.fail(&place, own_name(key), Problem::UnknownKey { suggestion });
        };
        let value = match (entry.typed, split_comment(value)) {
            (true, Some((value, _))) => value,
            _ => value,
        };
        let mut remarks = Vec::new();
        match assign(entry, &mut self.config.own, value, &mut remarks) {
            Ok(()) => {
                self.config.sources.insert(own_name(key), place.clone());
            }
            Err(problem) => self.fail(&place, own_name(key), problem),
        }
        self.remark(&place, key, remarks);
    }

    /// Cuts a comment off a typed value and remembers it; warns of one inside free text.
    fn without_comment<'a, T>(
        &mut self,
        place: &Place,
        entry: &Entry<T>,
        text: &'a str,
    ) -> &'a str {
        let Some((value, comment)) = split_comment(text) else {
            return text;
        };
        if !entry.typed {
            self.config.warnings.push(format!(
                "{place}: {}: \"{comment}\" is part of the value, there are no comments behind text",
                entry.key
            ));
            return text;
        }
        let kind = match entry.strict {
            true => ForeignKind::TrailingComment(comment.to_owned()),
            false => ForeignKind::CommentInList(comment.to_owned()),
        };
        self.foreign(place, kind);
        value
    }

    fn remark(&mut self, place: &Place, key: &str, remarks: Vec<Remark>) {
        for remark in remarks {
            self.config
                .warnings
                .push(format!("{place}: {key}: {remark}"));
        }
    }

    /// Reads one line of a section of connect strings into a fresh `T`.
    fn line<T: Default>(
        &mut self,
        place: &Place,
        name: &str,
        table: &'static [Entry<T>],
        text: &str,
    ) -> Option<T> {
        let before = self.errors.len();
        let mut owner = T::default();
        let pairs = match connstr::pairs(text) {
            Ok(list) => {
                if let Some(comment) = list.comment {
                    let kind = ForeignKind::TrailingComment(comment.to_owned());
                    self.foreign(place, kind);
                }
                list.pairs
            }
            Err(problem) => {
                self.fail(place, name, problem);
                return None;
            }
        };
        for (key, value) in &pairs {
            self.line_pair(place, (name, table), &mut owner, (key, value));
        }
        (self.errors.len() == before).then_some(owner)
    }

    fn line_pair<T: Default>(
        &mut self,
        place: &Place,
        (name, table): (&str, &'static [Entry<T>]),
        owner: &mut T,
        (written, value): (&str, &str),
    ) {
        let has_aliases = name.starts_with("databases.");
        let alias = ALIASES
            .iter()
            .find(|(alias, _)| has_aliases && *alias == written);
        let key = alias.map_or(written, |(_, key)| *key);
        let full = format!("{name}.{written}");
        let Some(entry) = find(table, key) else {
            let suggestion = nearest(table, key);
            return self.fail(place, full, Problem::UnknownKey { suggestion });
        };
        let mut remarks = Vec::new();
        let outcome = assign(entry, owner, value, &mut remarks).and_then(|()| kept(entry, owner));
        if let Err(problem) = outcome {
            self.fail(place, full.clone(), problem);
        }
        self.remark(place, &full, remarks);
    }

    fn database(&mut self, place: Place, name: &str, text: &str) {
        let full = format!("databases.{name}");
        if name == CONSOLE_DATABASE {
            return self.fail(&place, full, Problem::ReservedDatabase);
        }
        if name.len() > MAX_DATABASE_NAME {
            return self.fail(&place, full, Problem::NameTooLong(MAX_DATABASE_NAME));
        }
        let Some(database) = self.line::<DatabaseConfig>(&place, &full, DATABASE_KEYS, text) else {
            return;
        };
        if database.auth_dbname.as_deref() == Some(CONSOLE_DATABASE) {
            return self.fail(&place, full, Problem::ReservedAuthDatabase);
        }
        match name {
            "*" => self.config.auto_database = Some(database),
            _ => {
                self.config.databases.insert(name.to_owned(), database);
            }
        }
        self.config.sources.insert(full, place);
    }

    fn user(&mut self, place: Place, name: &str, text: &str) {
        let full = format!("users.{name}");
        if name.len() > MAX_USER_NAME {
            return self.fail(&place, full, Problem::NameTooLong(MAX_USER_NAME));
        }
        if let Some(user) = self.line(&place, &full, USER_KEYS, text) {
            self.config.users.insert(name.to_owned(), user);
            self.config.sources.insert(full, place);
        }
    }

    fn peer(&mut self, place: Place, name: &str, text: &str) {
        let full = format!("peers.{name}");
        let id = match name.parse::<u32>() {
            Ok(id @ 1..=65_535) => id,
            _ => return self.fail(&place, full, Problem::BadPeerId),
        };
        let Some(peer) = self.line::<PeerConfig>(&place, &full, PEER_KEYS, text) else {
            return;
        };
        if peer.host.is_empty() {
            return self.fail(&place, full, Problem::PeerWithoutHost);
        }
        self.config.peers.insert(id, peer);
        self.config.sources.insert(full, place);
    }

    fn finish(mut self, path: &Path) -> Result<Config, ConfigErrors> {
        if !self.has_main && self.errors.is_empty() {
            let whole = Place {
                file: path.into(),
                line: 0,
            };
            self.fail(&whole, "", Problem::NoMainSection);
        }
        self.check_promises();
        if self.config.settings.auth_dbname.as_deref() == Some(CONSOLE_DATABASE) {
            let place = self.place_of("auth_dbname", path);
            self.fail(&place, "auth_dbname", Problem::ReservedAuthDatabase);
        }
        if !self.errors.is_empty() {
            self.errors.sort_by(|a, b| a.place.cmp(&b.place));
            return Err(ConfigErrors(self.errors));
        }
        self.read_own_files();
        self.warn_of_idle();
        Ok(self.config)
    }

    /// Their errors are warnings: a slip in a query or a target is no reason to refuse pooling.
    fn read_own_files(&mut self) {
        let own = &self.config.own;
        let mut errors = Vec::new();
        if !own.custom_queries_file.is_empty() {
            let file = CustomQueries::load(Path::new(&own.custom_queries_file));
            self.config.custom_queries = file.queries;
            self.config.rejected_queries = file.rejected;
            errors.extend(file.errors);
        }
        if !own.targets_file.is_empty() {
            let file = Targets::load(Path::new(&own.targets_file));
            self.config.targets = file.targets;
            errors.extend(file.errors);
        }
        let warnings = errors.iter().map(|error| format!("{error} (left out)"));
        self.config.warnings.extend(warnings);
    }

    fn place_of(&self, key: &str, path: &Path) -> Place {
        self.config.sources.get(key).cloned().unwrap_or(Place {
            file: path.into(),
            line: 0,
        })
    }

    fn check_promises(&mut self) {
        for entry in SETTINGS {
            let Some(place) = self.config.sources.get(entry.key).cloned() else {
                continue;
            };
            if let Err(problem) = kept(entry, &self.config.settings) {
                self.fail(&place, entry.key, problem);
            }
        }
    }

    fn warn_of_idle(&mut self) {
        let idle = without_effect(&self.config);
        if !idle.is_empty() {
            self.config.warnings.push(format!(
                "accepted without effect in this release: {}",
                idle.join(", ")
            ));
        }
    }
}

/// Puts a text into its field.
pub(super) fn assign<T>(
    entry: &Entry<T>,
    owner: &mut T,
    text: &str,
    remarks: &mut Vec<Remark>,
) -> Result<(), Problem> {
    (entry.apply)(owner, text, remarks).map_err(|reason| Problem::BadValue {
        value: text.to_owned(),
        reason,
        accepts: entry.accepts,
    })
}

/// An error if the setting protects and its value does not work yet.
pub(super) fn kept<T: Default>(entry: &Entry<T>, owner: &T) -> Result<(), Problem> {
    if !entry.is_unkept_promise(owner) {
        return Ok(());
    }
    let works = match entry.status {
        Status::Protects(works) => works.to_vec(),
        _ => Vec::new(),
    };
    Err(Problem::NotYet {
        value: entry.show_masked(owner),
        works,
    })
}

/// Splits `value ; comment` at the first semicolon that follows a blank (or opens the value).
fn split_comment(text: &str) -> Option<(&str, &str)> {
    let mut after_blank = true;
    for (position, byte) in text.bytes().enumerate() {
        if byte == b';' && after_blank {
            let (value, comment) = text.split_at(position);
            return Some((value.trim_ascii_end(), comment));
        }
        after_blank = byte.is_ascii_whitespace();
    }
    None
}
