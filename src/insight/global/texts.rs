//! One text per fingerprint, made once of the first statement that brought it.
//!
//! A text lives as long as a group has it; one whose statement has not ended yet has no group and
//! waits. Never holds a constant of a statement.

use std::sync::Arc;

use super::table::Change;
use crate::insight::figures::ByKey;
use crate::insight::known::Known;
use crate::insight::labels;
use crate::insight::lane::{LaneRecords, NewText};
use crate::insight::read::Texts;
use crate::sql::{self, Rules};

/// Longest text, bytes.
const LONGEST: usize = 4 << 10;
/// Longest text once the budget is spent.
const SHORT: usize = 512;
/// Bytes of texts per group on average; Odoo's mean is 194, and there are two texts of each.
const BUDGET_PER_GROUP: usize = 2 << 10;
/// Texts without a group, of statements that run or had no room.
const WAITING: usize = 1024;
/// How long a text without a group is kept for sure.
const PATIENCE_US: u64 = 60_000_000;

#[derive(Debug, Default)]
struct Entry {
    texts: Option<Texts>,
    groups: usize,
    used_us: u64,
}

/// The texts.
#[derive(Debug)]
pub struct TextTable {
    entries: ByKey<u64, Entry>,
    bytes: usize,
    limit: usize,
    dropped: u64,
}

impl TextTable {
    /// Room for the texts of `groups` groups.
    pub fn with_room_for(groups: usize) -> Self {
        Self {
            entries: ByKey::default(),
            bytes: 0,
            limit: groups + WAITING,
            dropped: 0,
        }
    }

    /// The texts of a fingerprint.
    pub fn get(&self, fingerprint: u64) -> Option<&Texts> {
        self.entries.get(&fingerprint)?.texts.as_ref()
    }

    /// Takes over a lane's new texts.
    pub fn take(&mut self, lane: &LaneRecords, known: &Known, now: u64) {
        self.dropped += lane.texts_dropped;
        let (members, raw): (Vec<_>, Vec<_>) = lane
            .texts
            .iter()
            .partition(|(_, text)| matches!(text, NewText::Members(_)));
        // Composed ones last: their members' texts are among the others.
        for (fingerprint, text) in raw.into_iter().chain(members) {
            if self.get(*fingerprint).is_none() && labels::text(*fingerprint).is_none() {
                let texts = self.make(*fingerprint, text);
                self.insert(*fingerprint, texts, now);
            }
        }
        if self.entries.len() > self.limit {
            self.purge(known, now);
        }
    }

    fn make(&self, fingerprint: u64, text: &NewText) -> Texts {
        let longest = match self.bytes < BUDGET_PER_GROUP * self.limit {
            true => LONGEST,
            false => SHORT,
        };
        match text {
            NewText::Raw(raw) => {
                let rules = rules_of(fingerprint, raw);
                Texts {
                    normalised: cut(&sql::normalise(raw, rules), longest).into(),
                    redacted: cut(&sql::redact(raw, rules), longest).into(),
                }
            }
            NewText::Members(members) => {
                let composed = |pick: fn(&Texts) -> &str| {
                    let texts = members.iter().map(|member| match self.get(*member) {
                        Some(texts) => pick(texts).to_owned(),
                        None => format!("{member:016x}"),
                    });
                    let all = texts.collect::<Vec<_>>().join("; ");
                    Arc::from(cut(&format!("{} {all}", Texts::COMPOSED), longest))
                };
                Texts {
                    normalised: composed(|texts| &texts.normalised),
                    redacted: composed(|texts| &texts.redacted),
                }
            }
        }
    }

    fn insert(&mut self, fingerprint: u64, texts: Texts, now: u64) {
        self.bytes += size(&texts);
        let entry = self.entries.entry(fingerprint).or_default();
        entry.texts = Some(texts);
        entry.used_us = now;
    }

    /// The table changed.
    pub fn follow(&mut self, change: Change, known: &Known, now: u64) {
        match change {
            Change::Added(fingerprint) => {
                let entry = self.entries.entry(fingerprint).or_default();
                entry.groups += 1;
                entry.used_us = now;
            }
            Change::Evicted(fingerprint) => {
                self.detach(fingerprint, 1);
                let entry = self.entries.get(&fingerprint);
                if entry.is_some_and(|entry| entry.groups == 0) {
                    self.remove(fingerprint, known);
                }
            }
        }
    }

    /// So many groups of a fingerprint are gone; its text stays for a while.
    pub fn detach(&mut self, fingerprint: u64, groups: usize) {
        if let Some(entry) = self.entries.get_mut(&fingerprint) {
            entry.groups = entry.groups.saturating_sub(groups);
        }
    }

    /// All groups are gone.
    pub fn detach_all(&mut self) {
        for entry in self.entries.values_mut() {
            entry.groups = 0;
        }
    }

    fn remove(&mut self, fingerprint: u64, known: &Known) {
        if let Some(entry) = self.entries.remove(&fingerprint) {
            self.bytes -= entry.texts.as_ref().map_or(0, size);
        }
        known.remove(fingerprint);
    }

    /// Texts that nobody needs give way: those that waited long, then all without a group.
    fn purge(&mut self, known: &Known, now: u64) {
        for patience in [PATIENCE_US, 0] {
            let unused = self.entries.iter().filter(|(_, entry)| {
                entry.groups == 0 && now.saturating_sub(entry.used_us) >= patience
            });
            let unused: Vec<u64> = unused.map(|(fingerprint, _)| *fingerprint).collect();
            for fingerprint in unused {
                self.remove(fingerprint, known);
            }
            if self.entries.len() <= self.limit {
                return;
            }
        }
    }

    /// Texts for which there was no room, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn size(texts: &Texts) -> usize {
    texts.normalised.len() + texts.redacted.len()
}

/// The first `longest` bytes, at a character's border.
fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

/// Whose rules a text was read by is not told with it: they are those that give its fingerprint.
/// Under others a constant could be taken for a name. An EXECUTE has its body's fingerprint.
fn rules_of(fingerprint: u64, raw: &[u8]) -> Rules {
    let plain = Rules::default();
    let backslash = Rules {
        backslash_quotes: true,
        ..plain
    };
    let opaque = Rules {
        opaque_encoding: true,
        ..plain
    };
    let all = [plain, backslash, opaque];
    let fits = |rules: &Rules| sql::single(raw, *rules).fingerprint == fingerprint;
    match all.into_iter().find(fits) {
        Some(rules) => rules,
        None if raw.contains(&b'\\') => opaque,
        None => plain,
    }
}
