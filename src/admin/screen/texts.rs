//! Who may read the text of statements, and how a text becomes one line.

use crate::admin::ConsoleUser;
use crate::admin::rows::Cell;
use crate::config::Config;

/// Longest text in a table, in characters.
const WIDTH: usize = 100;
/// In place of a text, as PostgreSQL says it in pg_stat_activity.
const HIDDEN: &str = "<insufficient privilege>";

/// What the one at the console may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Text of statements, constants taken out.
    pub has_texts: bool,
    /// Constants too.
    pub has_samples: bool,
}

impl Reader {
    /// Admins read everything, stats_users and insight_users texts; whoever came in under
    /// auth_type = any without being named reads neither.
    pub fn of(user: &ConsoleUser, config: &Config) -> Self {
        let is_named =
            config.settings.stats_users.has(&user.name) || config.own.insight_users.has(&user.name);
        Self {
            has_texts: user.is_admin || is_named,
            has_samples: user.is_admin,
        }
    }

    /// A text on one line, cut; or that it may not be read.
    pub fn line(self, text: &str) -> Cell {
        match self.has_texts {
            true => Cell::Text(one_line(text)),
            false => HIDDEN.into(),
        }
    }

    /// A text as it is.
    pub fn whole(self, text: &str) -> Cell {
        match self.has_texts {
            true => text.into(),
            false => HIDDEN.into(),
        }
    }
}

/// Runs of blanks and control characters become one blank; at most [`WIDTH`] characters.
pub fn one_line(text: &str) -> String {
    let is_gap = |c: char| c.is_whitespace() || c.is_control();
    let mut line: Vec<char> = Vec::with_capacity(WIDTH + 1);
    for c in text.trim_matches(is_gap).chars() {
        let c = if is_gap(c) { ' ' } else { c };
        if c == ' ' && line.last() == Some(&' ') {
            continue;
        }
        // One more than fits tells that something is left.
        if line.len() == WIDTH {
            line.splice(WIDTH - 3.., "...".chars());
            break;
        }
        line.push(c);
    }
    line.into_iter().collect()
}
