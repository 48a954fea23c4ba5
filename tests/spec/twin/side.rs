//! One of the two sessions: sends steps, and writes down everything it is told.

use super::script::Act;
use crate::support::frames::{copy_data, copy_done};
use crate::support::{Login, Message, PgError, RawClient};
use std::time::{Duration, Instant};

/// Longer than anything a script does, shorter than PATIENCE.
const ANSWER: Duration = Duration::from_secs(10);

/// A session and what it heard.
pub struct Side {
    client: RawClient,
    /// Channel and payload of each NotificationResponse. Its pid is left out: it is the sender's
    /// backend, which differs between the two sides by nature.
    pub notified: Vec<String>,
    /// Status of the last ReadyForQuery; 0 when the connection has ended.
    pub status: u8,
}

impl Side {
    /// Logs in; an error as its line.
    pub fn connect(login: &Login) -> Result<Self, String> {
        let client = login.try_connect().map_err(|error| told('E', &error))?;
        Ok(Self {
            client,
            notified: Vec::new(),
            status: b'I',
        })
    }

    /// Reported parameters as the client knows them now, sorted.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let mut all = self.client.parameters.clone();
        all.sort();
        all
    }

    /// Sends a step's bytes; `pump` runs whenever nothing has come for a while.
    pub fn play(&mut self, act: &Act, pump: &mut dyn FnMut()) -> Vec<String> {
        let Act::Send { bytes, ready, copy } = act else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        if self.client.send(bytes).is_err() {
            self.status = 0;
        }
        let mut left = *ready;
        while left > 0 {
            let Some(message) = self.next(pump) else {
                lines.push("the connection ended, or nothing came".to_owned());
                self.status = 0;
                return lines;
            };
            match message.tag {
                b'A' | b'S' => continue,
                b'N' if is_of_backend(&message) => continue,
                b'Z' => {
                    left -= 1;
                    self.status = message.body.first().copied().unwrap_or(0);
                }
                b'G' => {
                    let _ = self.client.send(&[copy_data(copy), copy_done()].concat());
                }
                _ => {}
            }
            lines.push(line(&message));
        }
        lines
    }

    /// The next message; `None` at the end or after too long a silence.
    fn next(&mut self, pump: &mut dyn FnMut()) -> Option<Message> {
        let deadline = Instant::now() + ANSWER;
        while self.client.silent_for(Duration::from_millis(15)) {
            pump();
            if Instant::now() > deadline {
                return None;
            }
        }
        let message = self.client.receive()?;
        if message.tag == b'A' {
            self.notified.push(notification(&message.body));
        }
        Some(message)
    }

    /// Reads what comes by itself for at most `pause`; whether anything came.
    pub fn overhear(&mut self, pause: Duration) -> bool {
        if self.status == 0 || self.client.silent_for(pause) {
            return false;
        }
        match self.client.receive() {
            Some(message) if message.tag == b'A' => {
                self.notified.push(notification(&message.body));
            }
            Some(_) => {}
            None => self.status = 0,
        }
        true
    }
}

fn notification(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[4..]).into_owned();
    text.trim_end_matches('\0').replace('\0', " ")
}

/// Whether a notice (DEBUG1) tells how the backend's caches grow.
fn is_of_backend(message: &Message) -> bool {
    let text = String::from_utf8_lossy(&message.body);
    text.contains("rehashing catalog cache")
}

/// A message as it is compared.
fn line(message: &Message) -> String {
    let body = &message.body;
    let tag = message.tag as char;
    match message.tag {
        b'E' | b'N' => told(tag, &PgError::parse(body)),
        b'T' => format!("T {}", columns(body)),
        b'D' => mask(&format!("D {}", cells(body))),
        _ => mask(&format!(
            "{tag} {}",
            String::from_utf8_lossy(body).escape_debug()
        )),
    }
}

/// An error or a notice: every field but F, L and R, the place in PostgreSQL's source, which an
/// error of pgweir's own cannot have.
fn told(tag: char, error: &PgError) -> String {
    let fields: Vec<String> = error
        .fields
        .iter()
        .filter(|(key, _)| !matches!(key, 'F' | 'L' | 'R'))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    mask(&format!("{tag} {}", fields.join(" | ")))
}

/// The cells of a row.
fn cells(body: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = &body[2..];
    while rest.len() >= 4 {
        let length = i32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
        rest = &rest[4..];
        let Ok(length) = usize::try_from(length) else {
            out.push("NULL".to_owned());
            continue;
        };
        out.push(format!("'{}'", rest[..length].escape_ascii()));
        rest = &rest[length..];
    }
    out.join(", ")
}

/// Types from this oid on were made by somebody: their numbers differ by nature.
const FIRST_OWN_OID: u32 = 16384;

/// Name, type, modifier and format of each column. Table oid and column number are left out: the
/// two sides work in two databases.
fn columns(body: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = &body[2..];
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        let after = &rest[end + 1..];
        let mut kind: String = after[6..18].iter().map(|b| format!("{b:02x}")).collect();
        let oid = u32::from_be_bytes([after[6], after[7], after[8], after[9]]);
        if oid >= FIRST_OWN_OID {
            kind.replace_range(..8, "own ");
        }
        out.push(format!("{name}:{}", kind.trim_start_matches('0')));
        rest = &after[18..];
    }
    out.join(", ")
}

/// `pg_temp_7` is the number of the backend's slot and `pg_toast_23791` one of a table, which differ
/// by nature; so does the name of the database.
fn mask(text: &str) -> String {
    let out = unnumbered(&unnumbered(text, "pg_temp_"), "pg_toast_");
    out.replace("twin_direct_", "twin_")
        .replace("twin_pooled_", "twin_")
}

/// The text without the digits behind a word.
fn unnumbered(text: &str, word: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = rest.split_at(at + word.len());
        out += before;
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out + rest
}
