//! `--fingerprint`: the answers of the running pooler, offline.
//!
//! Reads texts from a file or standard input, separated by NUL, or by line breaks where there is no
//! NUL. For each text one line: its fingerprint, a tab, its normalised form. A text of several
//! statements gives their fingerprints separated by commas. Texts that are empty are passed over.

use std::fs;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use crate::daemon::cli::FingerprintOptions;
use crate::sql::{self, Grouping, Rules};

/// Prints a line for each text; exit status 1 if they cannot be read or the lines not written.
pub fn run(options: &FingerprintOptions) -> ExitCode {
    let input = match read(options) {
        Ok(input) => input,
        Err(error) => {
            let name = options.file.as_ref().map(|file| file.display().to_string());
            eprintln!("{}: {error}", name.as_deref().unwrap_or("standard input"));
            return ExitCode::FAILURE;
        }
    };
    let rules = Rules {
        grouping: options.strict.map_or(Grouping::Default, Grouping::Strict),
        ..Rules::default()
    };
    match print(&input, rules) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe may leave early, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(options: &FingerprintOptions) -> io::Result<Vec<u8>> {
    match &options.file {
        Some(file) => fs::read(file),
        None => {
            let mut input = Vec::new();
            io::stdin().read_to_end(&mut input)?;
            Ok(input)
        }
    }
}

fn print(input: &[u8], rules: Rules) -> io::Result<()> {
    let separator = if input.contains(&0) { 0 } else { b'\n' };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for text in input
        .split(|b| *b == separator)
        .filter(|text| !text.is_empty())
    {
        let mut fingerprints = String::new();
        sql::each_statement(text, rules, |statement| {
            if !fingerprints.is_empty() {
                fingerprints.push(',');
            }
            fingerprints.push_str(&format!("{:016x}", statement.fingerprint));
        });
        // A quoted name may hold anything; the line must stay one.
        let text = sql::normalise(text, rules).replace(['\n', '\r', '\t'], " ");
        writeln!(out, "{fingerprints}\t{text}")?;
    }
    out.flush()
}
