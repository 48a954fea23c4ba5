//! SET and SHOW CONFIG: single settings by name, on a snapshot.
//!
//! Owns the console's view of the registry. Touches nothing.
//! Mirrors: `SET key = value` (boot-only keys are accepted and ignored) and SHOW CONFIG's texts.

use super::error::{Problem, SetError};
use super::load::{assign, kept};
use super::nearest::nearest;
use super::registry::{Reload, find};
use super::{CONSOLE_DATABASE, SETTINGS, Settings};

/// One row of SHOW CONFIG; `None` is SQL NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRow {
    /// Name of the setting.
    pub key: &'static str,
    /// Its value as PgBouncer prints it: `%g` seconds, decimal integers, lists as written.
    pub value: Option<String>,
    /// Its default as it would be written.
    pub default: Option<&'static str>,
    /// May a reload or SET change it?
    pub changeable: bool,
}

impl Settings {
    /// A copy with one setting changed. Boot-only settings come back unchanged, as in PgBouncer.
    ///
    /// Errors: unknown key, a value the setting cannot have, a protecting value that does not work.
    pub fn set(&self, key: &str, value: &str) -> Result<Settings, SetError> {
        let fail = |problem| SetError {
            key: key.to_owned(),
            problem,
        };
        let Some(entry) = find(SETTINGS, key) else {
            let suggestion = nearest(SETTINGS, key);
            return Err(fail(Problem::UnknownKey { suggestion }));
        };
        let mut settings = self.clone();
        assign(entry, &mut settings, value, &mut Vec::new()).map_err(fail)?;
        kept(entry, &settings).map_err(fail)?;
        if settings.auth_dbname.as_deref() == Some(CONSOLE_DATABASE) {
            return Err(fail(Problem::ReservedAuthDatabase));
        }
        match entry.reload {
            Reload::Live => Ok(settings),
            Reload::Boot => Ok(self.clone()),
        }
    }

    /// Every setting, in PgBouncer's order.
    pub fn show_config(&self) -> impl Iterator<Item = ConfigRow> + '_ {
        SETTINGS.iter().map(|entry| ConfigRow {
            key: entry.key,
            value: entry.show(self),
            default: entry.default,
            changeable: entry.reload == Reload::Live,
        })
    }
}
