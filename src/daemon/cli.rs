//! The command line, PgBouncer's and two words of ours.
//!
//! Owns: the flags and the texts of usage errors. Touches nothing else: it prints nothing and ends
//! nothing, `main` does. Mirrors: surface 2.1, `getopt_long`'s messages.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::wire::version;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the pooler.
    Run(RunOptions),
    /// `--check CONFIG`: print the effective settings and stop.
    Check(PathBuf),
    /// `--fingerprint [FILE]`: print the fingerprint of each statement and stop.
    Fingerprint(FingerprintOptions),
    /// `-V`.
    Version,
    /// `-h`.
    Help,
}

/// What to fingerprint, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FingerprintOptions {
    /// Statements from this file; None: from standard input.
    pub file: Option<PathBuf>,
    /// `--strict 16|18`: lists as pg_stat_statements of this version keeps them.
    pub strict: Option<u8>,
}

/// How to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// The one positional argument.
    pub config: PathBuf,
    /// `-d`: detach from the terminal.
    pub daemon: bool,
    /// `-q`: no log lines on standard error.
    pub quiet: bool,
    /// Number of `-v`.
    pub verbose: u8,
    /// `-R`: take over from a running process.
    pub reboot: bool,
    /// `-u NAME`: the account to run as.
    pub user: Option<String>,
}

/// A command line that cannot be followed; `Display` gives the two lines for standard error. Exit 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{program}: {problem}\nTry \"{program} --help\" for more information.")]
pub struct UsageError {
    program: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("no configuration file specified")]
    NoConfig,
    #[error("unrecognized option '{0}'")]
    UnknownLong(String),
    #[error("invalid option -- '{0}'")]
    UnknownShort(String),
    #[error("option '{0}' requires an argument")]
    LongNeedsValue(String),
    #[error("option requires an argument -- '{0}'")]
    ShortNeedsValue(String),
    #[error("option '{0}' doesn't allow an argument")]
    UnwantedValue(String),
    #[error("option '--strict' takes 16 or 18, not '{0}'")]
    UnknownVersion(String),
    #[error("option '--strict' goes with --fingerprint only")]
    StrictAlone,
    #[error("option '--fingerprint' takes one file")]
    OneFile,
    #[error("{0}")]
    Other(String),
}

impl From<lexopt::Error> for Problem {
    fn from(error: lexopt::Error) -> Self {
        use lexopt::Error as E;
        let short = |option: &str| option.trim_start_matches('-').to_owned();
        match error {
            E::UnexpectedOption(option) if option.starts_with("--") => Problem::UnknownLong(option),
            E::UnexpectedOption(option) => Problem::UnknownShort(short(&option)),
            E::MissingValue {
                option: Some(option),
            } if option.starts_with("--") => Problem::LongNeedsValue(option),
            E::MissingValue {
                option: Some(option),
            } => Problem::ShortNeedsValue(short(&option)),
            E::UnexpectedValue { option, .. } => Problem::UnwantedValue(option),
            other => Problem::Other(other.to_string()),
        }
    }
}

#[derive(Default)]
struct Seen {
    run: RunOptions,
    positional: Vec<PathBuf>,
    check: bool,
    fingerprint: bool,
    strict: Option<u8>,
}

/// Reads a whole command line, the program's own name first.
///
/// # Errors
/// [`UsageError`] with PgBouncer's text; exit status 1.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut args = args.into_iter();
    let program = program_name(args.next());
    read(Parser::from_args(args)).map_err(|problem| UsageError { program, problem })
}

/// The name for usage texts: what the program was called as.
pub fn program_name(first: Option<OsString>) -> String {
    match first {
        Some(name) => name.to_string_lossy().into_owned(),
        None => "pgweir".to_owned(),
    }
}

fn read(mut parser: Parser) -> Result<Command, Problem> {
    let mut seen = Seen::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('d') | Arg::Long("daemon") => seen.run.daemon = true,
            Arg::Short('q') | Arg::Long("quiet") => seen.run.quiet = true,
            Arg::Short('R') | Arg::Long("reboot") => seen.run.reboot = true,
            Arg::Short('v') | Arg::Long("verbose") => {
                seen.run.verbose = seen.run.verbose.saturating_add(1);
            }
            Arg::Short('u') | Arg::Long("user") => {
                seen.run.user = Some(parser.value()?.to_string_lossy().into_owned());
            }
            Arg::Long("check") => seen.check = true,
            Arg::Long("fingerprint") => seen.fingerprint = true,
            Arg::Long("strict") => seen.strict = Some(strict(&parser.value()?)?),
            Arg::Value(value) => seen.positional.push(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    seen.into_command()
}

fn strict(value: &OsStr) -> Result<u8, Problem> {
    match value.to_str() {
        Some("16") => Ok(16),
        Some("18") => Ok(18),
        _ => Err(Problem::UnknownVersion(
            value.to_string_lossy().into_owned(),
        )),
    }
}

impl Seen {
    fn into_command(mut self) -> Result<Command, Problem> {
        let last = self.positional.pop();
        if self.strict.is_some() && !self.fingerprint {
            return Err(Problem::StrictAlone);
        }
        match (last, self.positional.is_empty()) {
            (file, true) if self.fingerprint => Ok(Command::Fingerprint(FingerprintOptions {
                file,
                strict: self.strict,
            })),
            _ if self.fingerprint => Err(Problem::OneFile),
            (Some(config), true) if self.check => Ok(Command::Check(config)),
            (Some(config), true) => Ok(Command::Run(RunOptions { config, ..self.run })),
            _ => Err(Problem::NoConfig),
        }
    }
}

/// What `-h` prints.
pub fn help_text(program: &str) -> String {
    format!(
        "{program} pools connections to PostgreSQL, in PgBouncer's place.

Usage:
  {program} [OPTION]... CONFIG_FILE

Options:
  -d, --daemon              detach from the terminal (needs pidfile)
  -q, --quiet               no log lines on standard error
  -R, --reboot              take over from a running process (not available yet)
  -u, --user=NAME           switch to the account NAME at start
  -v, --verbose             log more; twice for everything
      --check CONFIG_FILE   print the settings in force and where each comes from, then exit
      --fingerprint [FILE]  print fingerprint and normalised text of each statement; statements
                            are separated by NUL, or by line breaks where there is no NUL
      --strict 16|18        with --fingerprint: group as pg_stat_statements of that version does
  -V, --version             print the version, then exit
  -h, --help                print this text, then exit
"
    )
}

/// What `-V` prints; the first line equals SHOW VERSION.
pub fn version_text() -> String {
    format!(
        "{}\nevents: tokio (epoll)\nadns: system resolver\ntls: rustls (aws-lc-rs)\nsystemd: yes\n",
        version::VERSION_TEXT
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(args: &[&str]) -> Result<Command, String> {
        let all = std::iter::once("pgweir").chain(args.iter().copied());
        parse(all.map(OsString::from)).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_in_any_order_and_bundled() {
        let expected = RunOptions {
            config: "/etc/p.ini".into(),
            daemon: true,
            quiet: true,
            verbose: 3,
            reboot: true,
            user: Some("postgres".into()),
        };
        for args in [
            &["-dqR", "-vv", "-v", "-u", "postgres", "/etc/p.ini"][..],
            &["/etc/p.ini", "-d", "-q", "-R", "-vvv", "-upostgres"],
            &[
                "--daemon",
                "--quiet",
                "--reboot",
                "--user=postgres",
                "-vv",
                "--verbose",
                "--",
                "/etc/p.ini",
            ],
        ] {
            assert_eq!(line(args), Ok(Command::Run(expected.clone())), "{args:?}");
        }
    }

    #[test]
    fn usage_errors_read_like_pgbouncers() {
        let cases: [(&[&str], &str); 12] = [
            (
                &["--strict", "16", "a.ini"],
                "option '--strict' goes with --fingerprint only",
            ),
            (
                &["--fingerprint", "--strict", "17"],
                "option '--strict' takes 16 or 18, not '17'",
            ),
            (
                &["--fingerprint", "--strict"],
                "option '--strict' requires an argument",
            ),
            (
                &["--fingerprint", "a", "b"],
                "option '--fingerprint' takes one file",
            ),
            (&[], "no configuration file specified"),
            (&["a.ini", "b.ini"], "no configuration file specified"),
            (&["--check"], "no configuration file specified"),
            (&["--foo", "a.ini"], "unrecognized option '--foo'"),
            (&["-z"], "invalid option -- 'z'"),
            (&["--user"], "option '--user' requires an argument"),
            (&["-u"], "option requires an argument -- 'u'"),
            (
                &["--daemon=3", "a.ini"],
                "option '--daemon' doesn't allow an argument",
            ),
        ];
        for (args, problem) in cases {
            let expected =
                format!("pgweir: {problem}\nTry \"pgweir --help\" for more information.");
            assert_eq!(line(args), Err(expected), "{args:?}");
        }
    }

    #[test]
    fn words_of_ours_and_early_exits() {
        assert_eq!(line(&["--check", "a"]), Ok(Command::Check("a".into())));
        assert_eq!(line(&["a", "--check"]), Ok(Command::Check("a".into())));
        let fingerprint = |file: Option<&str>, strict| {
            let file = file.map(PathBuf::from);
            Ok(Command::Fingerprint(FingerprintOptions { file, strict }))
        };
        assert_eq!(line(&["--fingerprint"]), fingerprint(None, None));
        assert_eq!(line(&["--fingerprint", "f"]), fingerprint(Some("f"), None));
        assert_eq!(
            line(&["--fingerprint", "f", "--strict", "16"]),
            fingerprint(Some("f"), Some(16))
        );
        assert_eq!(
            line(&["--strict=18", "--fingerprint"]),
            fingerprint(None, Some(18))
        );
        assert_eq!(line(&["-V"]), Ok(Command::Version));
        assert_eq!(line(&["--help"]), Ok(Command::Help));
    }

    #[test]
    fn version_begins_where_scripts_look() {
        assert!(version_text().starts_with("PgBouncer 1.25.2 (pgweir "));
    }
}
