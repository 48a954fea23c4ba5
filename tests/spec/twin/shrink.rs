//! The shortest story that still shows a difference: sessions and steps are dropped as long as it
//! stays.

use super::Features;
use super::arena::{Arena, Mismatch};
use super::script::Script;
use crate::support::Pg;

/// Runs that may be spent on one finding.
const ATTEMPTS: u32 = 160;

/// A difference, with the script it was found with.
pub struct Finding {
    pub pool_size: u32,
    /// Sessions that were played on the same servers before; the difference is in the last one.
    pub story: Vec<Script>,
    pub mismatch: Mismatch,
    /// Whether it came again with a fresh pool; if not, the story is just the last session.
    pub repeats: bool,
    /// What the neighbours did last.
    pub deeds: Vec<String>,
}

impl Finding {
    /// What a reader needs to repeat it.
    pub fn transcript(&self) -> String {
        let Mismatch {
            step,
            direct,
            pooled,
        } = &self.mismatch;
        let story: String = self.story.iter().map(Script::to_string).collect();
        format!(
            "pool_size {}, {story}    {}\n{}  at step {step}\n    direct: {}\n    pooled: {}\n",
            self.pool_size,
            self.deeds.join("\n    "),
            if self.repeats {
                ""
            } else {
                "  (not seen again with a fresh pool)\n"
            },
            only_in(direct, pooled).join("\n            "),
            only_in(pooled, direct).join("\n            "),
        )
    }
}

/// What the other side does not have; everything when that is nothing (the order differs).
fn only_in(own: &[String], other: &[String]) -> Vec<String> {
    let differ: Vec<_> = own
        .iter()
        .filter(|line| !other.contains(line))
        .cloned()
        .collect();
    if differ.is_empty() {
        own.to_vec()
    } else {
        differ
    }
}

/// Shrinks what was found; each attempt has a pool of its own.
pub fn shrink(pg: &Pg, features: Features, finding: Finding) -> Finding {
    let mut shrinker = Shrinker {
        pg,
        features,
        attempts: ATTEMPTS,
        finding,
    };
    shrinker.run();
    let Shrinker { mut finding, .. } = shrinker;
    if !finding.repeats {
        let last = finding.story.pop();
        finding.story = last.into_iter().collect();
    }
    finding
}

struct Shrinker<'a> {
    pg: &'a Pg,
    features: Features,
    attempts: u32,
    finding: Finding,
}

impl Shrinker<'_> {
    fn run(&mut self) {
        let whole = self.finding.story.clone();
        if let Some(last) = self.finding.story.last_mut() {
            last.steps.truncate(self.finding.mismatch.step.max(1));
        }
        let shortened = self.finding.story.clone();
        let last = shortened.len().saturating_sub(1);
        let found = [1, 2, 4, 8].into_iter().any(|n| {
            let from = (last + 1).saturating_sub(n);
            self.shows(shortened[from..].to_vec())
        });
        if !found {
            self.finding.story = whole;
            return;
        }
        self.finding.repeats = true;
        self.drop_sessions();
        for session in (0..self.finding.story.len()).rev() {
            self.drop_steps(session);
        }
        for session in 0..self.finding.story.len() {
            self.drop_startup(session);
        }
    }

    /// Whether this story shows a difference in its last session too; then it is the finding.
    fn shows(&mut self, story: Vec<Script>) -> bool {
        if self.attempts == 0 {
            return false;
        }
        self.attempts -= 1;
        let mut arena = Arena::new(self.pg, self.finding.pool_size, self.features);
        let last = story.len().saturating_sub(1);
        for (n, script) in story.iter().enumerate() {
            let Some(mismatch) = arena.play(script) else {
                continue;
            };
            self.finding.story = story[..=n].to_vec();
            self.finding.mismatch = mismatch;
            self.finding.deeds = arena.deeds();
            return n <= last;
        }
        false
    }

    fn drop_sessions(&mut self) {
        let mut at = 0;
        while at + 1 < self.finding.story.len() {
            let mut less = self.finding.story.clone();
            less.remove(at);
            if !self.shows(less) {
                at += 1;
            }
        }
    }

    fn drop_steps(&mut self, session: usize) {
        let length = |finding: &Finding| finding.story.get(session).map_or(0, |s| s.steps.len());
        let mut size = length(&self.finding).div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < length(&self.finding) {
                let mut less = self.finding.story.clone();
                let steps = &mut less[session].steps;
                steps.drain(at..(at + size).min(steps.len()));
                if !self.shows(less) {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    fn drop_startup(&mut self, session: usize) {
        let Some(script) = self.finding.story.get(session) else {
            return;
        };
        for n in (0..script.startup.len()).rev() {
            let mut less = self.finding.story.clone();
            if session < less.len() && n < less[session].startup.len() {
                less[session].startup.remove(n);
                self.shows(less);
            }
        }
    }
}
