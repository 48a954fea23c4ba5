//! The shortest script that still shows a difference: steps are dropped as long as it stays.

use super::Features;
use super::arena::{Arena, Mismatch};
use super::script::Script;
use crate::support::Pg;

/// A difference, with the script it was found with.
pub struct Finding {
    pub pool_size: u32,
    pub script: Script,
    pub mismatch: Mismatch,
    /// Whether it came again with a fresh pool; if not, the script is the whole one.
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
        format!(
            "pool_size {}, {}    {}\n{}  at step {step}\n    direct: {}\n    pooled: {}\n",
            self.pool_size,
            self.script,
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
pub fn shrink(pg: &Pg, features: Features, mut finding: Finding) -> Finding {
    let pool_size = finding.pool_size;
    let again = |script: &Script| {
        let mut arena = Arena::new(pg, pool_size, features);
        let mismatch = arena.play(script)?;
        Some((mismatch, arena.deeds()))
    };
    let mut attempts = 120;
    let mut script = finding.script.clone();
    script.steps.truncate(finding.mismatch.step.max(1));
    let Some(first) = again(&script) else {
        return finding;
    };
    (finding.mismatch, finding.deeds) = first;
    finding.repeats = true;
    let mut size = script.steps.len().div_ceil(2);
    while size > 0 && attempts > 0 {
        let mut at = 0;
        while at < script.steps.len() && attempts > 0 {
            let mut less = script.clone();
            less.steps.drain(at..(at + size).min(less.steps.len()));
            attempts -= 1;
            match again(&less) {
                Some(found) => {
                    script = less;
                    (finding.mismatch, finding.deeds) = found;
                }
                None => at += size,
            }
        }
        size /= 2;
    }
    for n in (0..script.startup.len()).rev() {
        let mut less = script.clone();
        less.startup.remove(n);
        if let Some(found) = again(&less) {
            script = less;
            (finding.mismatch, finding.deeds) = found;
        }
    }
    finding.script = script;
    finding
}
