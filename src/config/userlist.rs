//! auth_file: names and secrets.
//!
//! Owns the parsing of `userlist.txt` and the question whether it has changed. Reads that one
//! file. Never prints a secret. Checking a password is the business of `auth`.
//! Mirrors: PgBouncer: `"name" "secret"` per line, the rest of the line ignored, `""` for a quote,
//! `;` comments (no `#`); reading stops at the first broken line and keeps what came before.

use super::error::Place;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names must be shorter.
const MAX_NAME: usize = 128;
/// Secrets must be shorter.
const MAX_SECRET: usize = 65_531;

/// What is stored for a name. `Debug` shows the kind only.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Clear text: good for every method.
    Plain(String),
    /// `md5` and 32 hexadecimal digits.
    Md5(String),
    /// `SCRAM-SHA-256$iterations:salt$stored:server`, as written.
    Scram(String),
    /// Nothing: the name exists for trust, and can never pass a password method.
    Empty,
}

impl Secret {
    /// Tells the kinds apart by their form.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Secret::Empty;
        }
        if text.starts_with("SCRAM-SHA-256$") {
            return Secret::Scram(text.to_owned());
        }
        match text.strip_prefix("md5") {
            Some(hash) if hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Secret::Md5(text.to_owned())
            }
            _ => Secret::Plain(text.to_owned()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Plain(_) => "Plain(***)",
            Secret::Md5(_) => "Md5(***)",
            Secret::Scram(_) => "Scram(***)",
            Secret::Empty => "Empty",
        })
    }
}

/// Why (the rest of) an auth_file could not be used. What was read before stays.
#[derive(Debug, thiserror::Error)]
pub enum UserlistError {
    /// The process runs on without it.
    #[error("could not open auth_file {}: {error}", .path.display())]
    Unreadable {
        /// As named in the settings.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// Neither a comment nor `"name" "secret"`.
    #[error("{0}: broken auth file: expected \"name\" \"secret\", or ; comment")]
    Broken(Place),
    /// 128 bytes or more.
    #[error("{0}: username too long in auth file")]
    NameTooLong(Place),
    /// 65531 bytes or more.
    #[error("{0}: password too long in auth file")]
    SecretTooLong(Place),
    /// This line is left out.
    #[error("{0}: not valid UTF-8, line left out")]
    NotUtf8(Place),
}

/// What PgBouncer compares to see whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    modified: i64,
    size: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            modified: meta.mtime(),
            size: meta.size(),
        })
    }
}

/// The names and secrets of an auth_file, as of one reading.
#[derive(Clone, Debug, Default)]
pub struct Userlist {
    /// By name; a name that stands twice has its last secret.
    pub entries: BTreeMap<String, Secret>,
    path: PathBuf,
    stamp: Option<Stamp>,
}

impl Userlist {
    /// Reads a file. Whatever could be read is returned, together with what was wrong.
    pub fn load(path: &Path) -> (Self, Vec<UserlistError>) {
        // RACE: stamped before reading, so a change in between is seen by the next comparison.
        let stamp = Stamp::of(path);
        let (mut list, errors) = match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(error) => {
                let path = path.to_owned();
                (
                    Self::default(),
                    vec![UserlistError::Unreadable { path, error }],
                )
            }
        };
        list.path = path.to_owned();
        list.stamp = stamp;
        (list, errors)
    }

    /// Is the file another one than was read, by path, owner, mode, size or modification time?
    pub fn is_stale(&self, path: &Path) -> bool {
        self.path != path || self.stamp != Stamp::of(path)
    }

    /// The secret of a name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.entries.get(name)
    }

    /// Reads text as if it stood in the file `name`.
    pub fn parse(name: &Path, bytes: &[u8]) -> (Self, Vec<UserlistError>) {
        let mut list = Self::default();
        let mut errors = Vec::new();
        let mut reader = Reader { bytes, at: 0 };
        while let Some(start) = reader.next_entry() {
            let place = || Place {
                file: name.into(),
                line: 1 + bytes[..start].iter().filter(|b| **b == b'\n').count(),
            };
            let Some((user, secret)) = reader.entry() else {
                errors.push(UserlistError::Broken(place()));
                break;
            };
            if user.len() >= MAX_NAME {
                errors.push(UserlistError::NameTooLong(place()));
                break;
            }
            if secret.len() >= MAX_SECRET {
                errors.push(UserlistError::SecretTooLong(place()));
                break;
            }
            match (String::from_utf8(user), String::from_utf8(secret)) {
                (Ok(user), Ok(secret)) => {
                    list.entries.insert(user, Secret::parse(&secret));
                }
                _ => errors.push(UserlistError::NotUtf8(place())),
            }
            reader.skip_line();
        }
        (list, errors)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        self.skip_while(|byte| byte != b'\n');
    }

    /// Passes blank lines and comments; where the next entry begins.
    fn next_entry(&mut self) -> Option<usize> {
        loop {
            self.skip_while(|byte| byte.is_ascii_whitespace());
            match self.peek()? {
                b';' => self.skip_line(),
                // COMPAT: a C string ends at its first NUL.
                0 => return None,
                _ => return Some(self.at),
            }
        }
    }

    fn entry(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let user = self.quoted()?;
        self.skip_while(|byte| matches!(byte, b' ' | b'\t'));
        let secret = self.quoted()?;
        Some((user, secret))
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let byte = self.peek()?;
            self.at += 1;
            if byte == b'"' {
                if self.peek() != Some(b'"') {
                    return Some(text);
                }
                self.at += 1;
            }
            text.push(byte);
        }
    }
}
