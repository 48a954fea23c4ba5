//! Lines of ini files to a flat list of headers and pairs, includes followed.
//!
//! Owns the dialect: comments, quoted keys, `%include`. May read files. Knows no setting.
//! Mirrors: PgBouncer's ini reader: comments are whole lines, `%include` is relative to the
//! working directory and at most 10 deep, keys may stand in single quotes, the text behind a
//! `[header]` is read as if it stood on a line of its own, values run to the end of the line.

use super::error::{ConfigError, Place, Problem};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep includes may be nested.
const MAX_INCLUDE_DEPTH: usize = 10;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// `[name]`
    Section(String),
    /// `key = value`
    Pair {
        /// Without quotes.
        key: String,
        /// Trailing blanks trimmed.
        value: String,
    },
}

/// What was read, errors and all.
#[derive(Debug, Default)]
pub struct Lines {
    /// Headers and pairs, in order.
    pub items: Vec<(Place, Item)>,
    /// Everything that was not understood.
    pub errors: Vec<ConfigError>,
    /// Every file that was opened, in order; the first is the one that was asked for.
    pub files: Vec<PathBuf>,
}

/// Reads a file and what it includes.
pub fn read(path: &Path) -> Lines {
    let mut lines = Lines::default();
    lines.read_file(path, 0, None);
    lines
}

/// Reads text as if it stood in a file; includes are followed.
pub fn parse(name: &Path, bytes: &[u8]) -> Lines {
    let mut lines = Lines::default();
    lines.files.push(name.to_owned());
    lines.parse_bytes(&Arc::from(name), bytes, 0);
    lines
}

impl Lines {
    fn read_file(&mut self, path: &Path, depth: usize, from: Option<&Place>) {
        match std::fs::read(path) {
            Ok(bytes) => {
                self.files.push(path.to_owned());
                self.parse_bytes(&Arc::from(path), &bytes, depth);
            }
            Err(error) => {
                let whole = Place {
                    file: Arc::from(path),
                    line: 0,
                };
                let (place, key) = match from {
                    Some(place) => (place.clone(), format!("%include {}", path.display())),
                    None => (whole, String::new()),
                };
                self.errors.push(ConfigError {
                    place,
                    key,
                    problem: Problem::Unreadable(error),
                });
            }
        }
    }

    fn parse_bytes(&mut self, file: &Arc<Path>, bytes: &[u8], depth: usize) {
        // COMPAT: a C string ends at its first NUL.
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let place = Place {
                file: file.clone(),
                line: index + 1,
            };
            let line = line.trim_ascii();
            if line.is_empty() || matches!(line[0], b';' | b'#') {
                continue;
            }
            match std::str::from_utf8(line) {
                Ok(line) => self.parse_line(place, line, depth),
                Err(_) => self.fail(place, "", Problem::NotUtf8),
            }
        }
    }

    fn parse_line(&mut self, place: Place, line: &str, depth: usize) {
        let mut rest = line;
        while let Some(header) = rest.strip_prefix('[') {
            let Some((name, after)) = header.split_once(']') else {
                return self.fail(place, "", Problem::OpenHeader);
            };
            self.items
                .push((place.clone(), Item::Section(name.to_owned())));
            rest = after.trim_start();
        }
        if rest.is_empty() || rest.starts_with([';', '#']) {
            return;
        }
        if let Some(path) = rest.strip_prefix("%include")
            && path.starts_with([' ', '\t'])
        {
            return self.include(place, Path::new(path.trim()), depth);
        }
        match split_pair(rest) {
            Ok((key, value)) => {
                let (key, value) = (key.to_owned(), value.to_owned());
                self.items.push((place, Item::Pair { key, value }));
            }
            Err(problem) => self.fail(place, "", problem),
        }
    }

    fn include(&mut self, place: Place, path: &Path, depth: usize) {
        if depth >= MAX_INCLUDE_DEPTH {
            let problem = Problem::IncludeTooDeep(MAX_INCLUDE_DEPTH);
            return self.fail(place, "%include", problem);
        }
        self.read_file(path, depth + 1, Some(&place));
    }

    fn fail(&mut self, place: Place, key: &str, problem: Problem) {
        self.errors.push(ConfigError {
            place,
            key: key.to_owned(),
            problem,
        });
    }
}

/// `key = value`, the key bare or in single quotes (nothing can be escaped inside).
fn split_pair(line: &str) -> Result<(&str, &str), Problem> {
    let (key, rest) = if let Some(quoted) = line.strip_prefix('\'') {
        quoted.split_once('\'').ok_or(Problem::OpenQuotedKey)?
    } else if line.starts_with('"') {
        return Err(Problem::DoubleQuotedKey);
    } else {
        let end = line
            .find(|c: char| !(c.is_ascii_alphanumeric() || "_.-*".contains(c)))
            .unwrap_or(line.len());
        line.split_at(end)
    };
    match rest.trim_start_matches([' ', '\t']).strip_prefix('=') {
        Some(value) => Ok((key, value.trim_ascii())),
        None => Err(Problem::NotAPair),
    }
}
