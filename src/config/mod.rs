//! Configuration text to an immutable snapshot: ini dialect, settings, databases, users, userlist.
//!
//! Owns `Config`, the snapshot everybody reads behind an `Arc`, and the registry of settings.
//! May read files; never the network, never another room. A load either gives a whole snapshot
//! or every error with file and line, so that a reload cannot be half applied.
//! Mirrors: `pgbouncer.ini` of PgBouncer 1.25.2, plus the section `[pgweir]`.
//!
//! ```text
//! ini.rs          lines to headers and pairs        value.rs, kinds.rs  text to typed values
//! connstr.rs      the lists in [databases] ...      registry*.rs        one row per setting
//! load.rs         pairs to a snapshot               reload.rs           the same, once running
//! set.rs          SET, SHOW CONFIG                  diff.rs             what a reload changes
//! effective.rs    what holds for a database, user   userlist.rs         auth_file
//! check.rs        the report of --check             demand.rs           its connection sums
//! reference.rs    config/reference.ini              nearest.rs          "nearest: pool_mode"
//! custom_queries.rs  custom_queries_file            targets.rs          targets_file
//! ```

mod check;
mod connstr;
mod custom_queries;
mod demand;
mod diff;
mod effective;
mod error;
mod ini;
mod kinds;
mod load;
mod nearest;
mod reference;
mod registry;
mod registry_entries;
mod registry_own;
mod registry_settings;
mod reload;
mod set;
mod targets;
mod userlist;
mod value;

pub use check::{Acceptance, acceptance, report};
pub use custom_queries::{Column, ColumnKind, CustomQueries, CustomQuery};
pub use demand::{Demand, Verdict, server_demand};
pub use diff::{Change, Fate, diff, fate, is_server_tls_changed};
pub use effective::PoolView;
pub use error::{ConfigError, ConfigErrors, Place, Problem, SetError};
pub use kinds::{
    AuthType, LoadBalance, NestedTransactions, Password, PoolMode, Protocols, SessionMode,
    SlowLogFormat, SslMode,
};
pub use load::{load, parse};
pub use reference::reference;
pub use registry::{Entry, Reload, Status};
pub use registry_entries::{
    ALIASES, DATABASE_KEYS, DatabaseConfig, PEER_KEYS, PeerConfig, USER_KEYS, UserConfig,
};
pub use registry_own::{OWN_SETTINGS, OwnSettings};
pub use registry_settings::{SETTINGS, Settings};
pub use reload::reload;
pub use set::ConfigRow;
pub use targets::{Target, Targets};
pub use userlist::{Secret, Userlist, UserlistError};
pub use value::{Invalid, Kind, List, Remark};

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The console's database; nothing else may have this name.
pub const CONSOLE_DATABASE: &str = "pgbouncer";

/// One consistent reading of the configuration. Replaced as a whole, never changed in place.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `[pgbouncer]`
    pub settings: Settings,
    /// `[pgweir]`
    pub own: OwnSettings,
    /// `[databases]` without the `*` line.
    pub databases: BTreeMap<String, DatabaseConfig>,
    /// The `*` line of `[databases]`: what any other name gets.
    pub auto_database: Option<DatabaseConfig>,
    /// `[users]`
    pub users: BTreeMap<String, UserConfig>,
    /// `[peers]`
    pub peers: BTreeMap<u32, PeerConfig>,
    /// What `custom_queries_file` held that can be asked.
    pub custom_queries: Vec<CustomQuery>,
    /// Entries of `custom_queries_file` that were left out; each has its warnings.
    pub rejected_queries: usize,
    /// What `targets_file` held.
    pub targets: Vec<Target>,
    /// To be logged once: traps, settings without effect, and the like.
    pub warnings: Vec<String>,
    /// Where each value was written: `pool_mode`, `pgweir.lanes`, `databases.NAME`, `users.NAME`,
    /// `peers.N`. What is missing here has its default.
    pub sources: BTreeMap<String, Place>,
    /// Every file that was read, the one asked for first.
    pub files: Vec<PathBuf>,
    /// Lines that PgBouncer would refuse or read differently.
    pub foreign: Vec<Foreign>,
}

/// A line that only we understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Where it stands.
    pub place: Place,
    /// What PgBouncer would make of it.
    pub kind: ForeignKind,
}

/// What PgBouncer makes of a line of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignKind {
    /// It does not start.
    #[error("it refuses the section [pgweir]")]
    OwnSection,
    /// A comment behind a number or word: it does not start.
    #[error("it has no comments behind values, and takes \"{0}\" as part of it")]
    TrailingComment(String),
    /// A comment behind a list: it starts and takes the comment for words of the list.
    #[error("it has no comments behind values, and takes \"{0}\" for words of the list")]
    CommentInList(String),
}

impl ForeignKind {
    /// Would PgBouncer refuse to start?
    pub fn is_refused(&self) -> bool {
        !matches!(self, ForeignKind::CommentInList(_))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
