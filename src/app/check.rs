//! `--check`: what the configuration means, without running it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Userlist};

/// Prints the report; exit status 1 when the file has errors.
pub fn run(path: &Path) -> ExitCode {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::FAILURE;
        }
    };
    let users: Option<BTreeSet<String>> = config.settings.auth_file.as_deref().map(|file| {
        let (userlist, errors) = Userlist::load(Path::new(file));
        for error in errors {
            eprintln!("{error}");
        }
        userlist.entries.keys().cloned().collect()
    });
    let demands = config::server_demand(&config, users.as_ref());
    print!("{}", config::report(&config, &demands, &BTreeMap::new()));
    ExitCode::SUCCESS
}
