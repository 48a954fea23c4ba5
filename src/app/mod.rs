//! Assembling: start, stop, reload; the only room that knows all the others.
//!
//! ```text
//! start.rs    the order of the boot          live.rs     files to what a reload replaces
//! accept.rs   listeners to lanes             control.rs  signals, ticks, reload, shutdown
//! balance.rs  which lane runs a client       check.rs    --check
//! ask.rs      what --check asks the servers
//! fingerprint.rs  --fingerprint
//! ```

mod accept;
mod ask;
mod balance;
mod check;
mod console;
mod control;
mod fingerprint;
mod live;
mod slow_log;
mod start;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::daemon::cli::{self, Command};

/// Does what the command line asks for. Exit status: 0 for a normal end, 1 for any fatal error.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args = args.peekable();
    let program = cli::program_name(args.peek().cloned());
    match cli::parse(args) {
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Ok(Command::Help) => {
            print!("{}", cli::help_text(&program));
            ExitCode::SUCCESS
        }
        Ok(Command::Version) => {
            print!("{}", cli::version_text());
            ExitCode::SUCCESS
        }
        Ok(Command::Check(path)) => check::run(&path),
        Ok(Command::Fingerprint(options)) => fingerprint::run(&options),
        Ok(Command::Run(options)) => start::run(&options),
    }
}
