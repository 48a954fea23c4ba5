//! Reading the file again: what a running process keeps.
//!
//! Owns the difference between a first load and a later one. May read files.
//! Mirrors: PgBouncer keeps boot-only values silently (here with a warning), and values without a
//! default when their line goes away.

use super::error::ConfigErrors;
use super::load::{load, own_name};
use super::registry::{Entry, Reload};
use super::{Config, OWN_SETTINGS, SETTINGS};
use std::path::Path;

/// Reads a file for a process that runs already. Boot-only settings keep the running value (a
/// warning says so), and settings whose default is NULL keep theirs when the file is silent.
pub fn reload(path: &Path, running: &Config) -> Result<Config, ConfigErrors> {
    let mut config = load(path)?;
    keep(&mut config, running);
    Ok(config)
}

fn keep(config: &mut Config, running: &Config) {
    let mut warnings = Vec::new();
    keep_in(
        SETTINGS,
        &mut config.settings,
        &running.settings,
        |key| config.sources.contains_key(key),
        &mut warnings,
    );
    keep_in(
        OWN_SETTINGS,
        &mut config.own,
        &running.own,
        |key| config.sources.contains_key(&own_name(key)),
        &mut warnings,
    );
    config.warnings.append(&mut warnings);
}

fn keep_in<T: Default>(
    table: &'static [Entry<T>],
    new: &mut T,
    running: &T,
    is_written: impl Fn(&str) -> bool,
    warnings: &mut Vec<String>,
) {
    for entry in table {
        let boot = entry.reload == Reload::Boot;
        // COMPAT: what has no default is not reset when its line goes away.
        let silent = entry.default.is_none() && !is_written(entry.key);
        if boot && is_written(entry.key) && entry.show(new) != entry.show(running) {
            warnings.push(format!(
                "{} stays {} until the next start (the file says {})",
                entry.key,
                entry.show_masked(running),
                entry.show_masked(new)
            ));
        }
        if boot || silent {
            (entry.copy)(new, running);
        }
    }
}
