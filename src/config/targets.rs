//! Targets of the operator's: `targets_file` to names, limits and the statements they hold for.
//!
//! Owns the dialect of that file: `name = limit_ms fingerprint [fingerprint ...]`. May read that one
//! file. Knows no statement; counting calls against targets is the business of others. A broken
//! line is reported with file and line and left out; the others stay.
//! Source: the documented table of test scenarios with a target each.

use super::error::{ConfigError, Place, Problem};
use super::ini::{self, Item};
use super::value::Invalid;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ACCEPTS: &str = "a limit in milliseconds, then fingerprints of 16 hexadecimal digits";
const NAME_ACCEPTS: &str = "1 to 64 letters, digits, _, - and .";
const LONGEST_NAME: usize = 64;
/// Each name is a label of two series, kept for ever.
const MOST: usize = 200;

/// What some statements have to keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Label of its metrics.
    pub name: String,
    /// A call whose server time is longer misses the target.
    pub limit: Duration,
    /// The statements, as SHOW STATEMENTS names them. None is in two targets.
    pub fingerprints: Vec<u64>,
}

/// What a file of targets held.
#[derive(Debug, Default)]
pub struct Targets {
    /// In the order of the file.
    pub targets: Vec<Target>,
    /// One for each line that was left out.
    pub errors: Vec<ConfigError>,
}

impl Targets {
    /// Reads a file; one that cannot be read is one error and no targets.
    pub fn load(path: &Path) -> Self {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(error) => Self {
                targets: Vec::new(),
                errors: vec![ConfigError {
                    place: Place {
                        file: Arc::from(path),
                        line: 0,
                    },
                    key: "targets_file".to_owned(),
                    problem: Problem::Unreadable(error),
                }],
            },
        }
    }

    /// Reads text as if it stood in the file `name`; a `[targets]` header is allowed.
    pub fn parse(name: &Path, bytes: &[u8]) -> Self {
        let lines = ini::parse(name, bytes);
        let mut result = Self {
            targets: Vec::new(),
            errors: lines.errors,
        };
        for (place, item) in lines.items {
            let (key, outcome) = match item {
                Item::Section(section) if section == "targets" => continue,
                Item::Section(section) => (section, Err(Problem::UnknownKeyOf("[targets]"))),
                Item::Pair { key, value } => {
                    let outcome = result.target(&key, &value);
                    (key, outcome)
                }
            };
            match outcome {
                Ok(target) => result.targets.push(target),
                Err(problem) => result.errors.push(ConfigError {
                    place,
                    key,
                    problem,
                }),
            }
        }
        result.errors.sort_by(|a, b| a.place.cmp(&b.place));
        result
    }

    fn target(&self, name: &str, value: &str) -> Result<Target, Problem> {
        let bad = |value: &str, reason, accepts| Problem::BadValue {
            value: value.to_owned(),
            reason,
            accepts,
        };
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('*') {
            return Err(bad(name, Invalid::NotAName, NAME_ACCEPTS));
        }
        if self.targets.iter().any(|target| target.name == name) {
            return Err(Problem::Twice);
        }
        if self.targets.len() >= MOST {
            return Err(Problem::TooMany(MOST));
        }
        let value = value.split(';').next().unwrap_or_default();
        let mut words = value
            .split([',', ' ', '\t'])
            .filter(|word| !word.is_empty());
        let limit = words.next().unwrap_or_default();
        let milliseconds = match limit.parse::<u32>() {
            Ok(0) => return Err(bad(limit, Invalid::OutOfRange, ACCEPTS)),
            Ok(number) => number,
            Err(_) => return Err(bad(limit, Invalid::NotANumber, ACCEPTS)),
        };
        let mut fingerprints = Vec::new();
        for word in words {
            let number = fingerprint(word).ok_or_else(|| bad(word, Invalid::NotAName, ACCEPTS))?;
            if fingerprints.contains(&number) || self.holds(number) {
                return Err(Problem::FingerprintTwice(number));
            }
            fingerprints.push(number);
        }
        if fingerprints.is_empty() {
            return Err(Problem::Missing(ACCEPTS));
        }
        Ok(Target {
            name: name.to_owned(),
            limit: Duration::from_millis(milliseconds.into()),
            fingerprints,
        })
    }

    fn holds(&self, fingerprint: u64) -> bool {
        self.targets
            .iter()
            .any(|target| target.fingerprints.contains(&fingerprint))
    }
}

fn fingerprint(word: &str) -> Option<u64> {
    let is_hex = word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(word, 16).ok()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Targets {
        Targets::parse(Path::new("targets.ini"), text.as_bytes())
    }

    fn errors(text: &str) -> Vec<String> {
        read(text).errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_documented_targets_read() {
        let result = read(
            "; five workloads\n[targets]\n\
             select_by_pk = 5 8c1d2e0b44a97f03\n\
             join-5 = 200 1f00a7c93be2d451, 00000000000000ff ; two forms of it\n",
        );
        assert!(result.errors.is_empty(), "{:?}", result.errors);
        let expected = [
            ("select_by_pk", 5, vec![0x8c1d_2e0b_44a9_7f03]),
            ("join-5", 200, vec![0x1f00_a7c9_3be2_d451, 0xff]),
        ];
        let expected = expected.map(|(name, ms, fingerprints)| Target {
            name: name.to_owned(),
            limit: Duration::from_millis(ms),
            fingerprints,
        });
        assert_eq!(result.targets, expected);
    }

    #[test]
    fn a_bad_line_is_named_and_the_others_stay() {
        let text = "a = 5 00000000000000aa\nb = 5\nc = fast 00000000000000cc\n\
                    d = 0 00000000000000dd\ne = 5 xyz\nf = 5 00000000000000aa\n\
                    a = 5 00000000000000ab\ng = 7 00000000000000bb\n[other]\n";
        let names: Vec<_> = read(text).targets.into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["a", "g"]);
        let accepts = format!("accepted: {ACCEPTS}");
        assert_eq!(
            errors(text),
            [
                format!("targets.ini:2: b: missing; {accepts}"),
                format!("targets.ini:3: c: \"fast\": not a whole number; {accepts}"),
                format!("targets.ini:4: d: \"0\": out of range; {accepts}"),
                format!("targets.ini:5: e: \"xyz\": not a name of that form; {accepts}"),
                "targets.ini:6: f: fingerprint 00000000000000aa has a target already".to_owned(),
                "targets.ini:7: a: given twice; accepted: once".to_owned(),
                "targets.ini:9: other: not known here; accepted: [targets]".to_owned(),
            ]
        );
    }

    #[test]
    fn the_shipped_file_reads_and_so_do_its_examples() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/targets.ini");
        let shipped = Targets::load(&path);
        assert!(shipped.errors.is_empty() && shipped.targets.is_empty());
        let text = std::fs::read_to_string(&path).unwrap();
        let examples = text.lines().filter_map(|line| line.strip_prefix(";   "));
        let numbered = examples.skip(1).enumerate().map(|(number, line)| {
            line.replace("0123456789abcdef", &format!("{number:016x}")) + "\n"
        });
        let result = read(&numbered.collect::<String>());
        assert!(result.errors.is_empty(), "{:?}", result.errors);
        let limits: Vec<_> = result.targets.iter().map(|t| t.limit.as_millis()).collect();
        assert_eq!(limits, [5, 200, 3000, 300, 20_000]);
    }

    #[test]
    fn a_missing_file_is_one_error() {
        let result = Targets::load(Path::new("/nowhere/targets.ini"));
        assert!(result.targets.is_empty());
        let said = result.errors[0].to_string();
        assert!(
            said.starts_with("/nowhere/targets.ini: targets_file: cannot read the file: No such"),
            "{said}"
        );
    }
}
