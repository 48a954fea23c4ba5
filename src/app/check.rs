//! `--check`: what the configuration means, without running it.
//!
//! Reads every file that a start would read and asks each server for its `max_connections`. Exit
//! status 1 for what would end a start: errors in the file, TLS files that cannot be used.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use super::{ask, live};
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
    let live = match live::build(config, None) {
        Ok(live) => live,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let allowed = ask::max_connections(&live, &demands);
    print!("{}", config::report(&live.config, &demands, &allowed));
    let monitor = ask::monitor(&live);
    if !monitor.is_empty() {
        println!("\nSidecar:");
    }
    for line in monitor {
        println!("  {line}");
    }
    ExitCode::SUCCESS
}
