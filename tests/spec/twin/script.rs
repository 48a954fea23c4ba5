//! A script: how a session begins, and its steps, each with the text that a reader can repeat.

use crate::support::frames::{bind, describe, execute, parse, query, sync};
use std::fmt;

/// What happens at a step.
#[derive(Clone, PartialEq, Eq)]
pub enum Act {
    /// The session under test sends `bytes` and reads `ready` ReadyForQuery; every CopyInResponse
    /// is answered with `copy`.
    Send {
        bytes: Vec<u8>,
        ready: usize,
        copy: Vec<u8>,
    },
    /// A session outside, directly on PostgreSQL, does this in both databases.
    Others(String),
    /// The session is asked what it thinks of itself.
    Probe,
}

/// One step.
#[derive(Clone)]
pub struct Step {
    pub text: String,
    pub act: Act,
    /// Left out while the transaction is aborted.
    pub not_aborted: bool,
}

impl Step {
    /// A simple Query.
    pub fn simple(sql: &str) -> Self {
        Self::raw(format!("Q {sql}"), query(sql), 1)
    }

    /// A simple Query that may start COPY ... FROM STDIN.
    pub fn copying(sql: &str, copy: Vec<u8>) -> Self {
        let shown = String::from_utf8_lossy(&copy).escape_debug().to_string();
        let mut step = Self::raw(format!("Q {sql}   <- {shown}"), query(sql), 1);
        if let Act::Send { copy: slot, .. } = &mut step.act {
            *slot = copy;
        }
        step
    }

    /// Parse, Bind, Describe, Execute of an unnamed statement for each text, then one Sync.
    pub fn extended(texts: &[(String, Vec<String>)]) -> Self {
        let mut bytes = Vec::new();
        let mut shown = String::from("PBDE");
        for (sql, values) in texts {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            bytes.extend(parse("", sql));
            bytes.extend(bind("", "", &values));
            bytes.extend(describe(b'P', ""));
            bytes.extend(execute("", 0));
            shown += &format!(" {sql} {values:?};;");
        }
        bytes.extend(sync());
        Self::raw(shown, bytes, 1)
    }

    /// Any bytes that bring `ready` ReadyForQuery.
    pub fn raw(text: String, bytes: Vec<u8>, ready: usize) -> Self {
        Self {
            text,
            act: Act::Send {
                bytes,
                ready,
                copy: Vec::new(),
            },
            not_aborted: false,
        }
    }

    pub fn others(sql: &str) -> Self {
        Self {
            text: format!("outside: {sql}"),
            act: Act::Others(sql.to_owned()),
            not_aborted: false,
        }
    }

    pub fn probe() -> Self {
        Self {
            text: "probe".to_owned(),
            act: Act::Probe,
            not_aborted: false,
        }
    }
}

/// A whole session.
#[derive(Clone)]
pub struct Script {
    pub seed: u64,
    pub user: &'static str,
    /// Parameters of the startup packet beside user and database.
    pub startup: Vec<(String, String)>,
    pub steps: Vec<Step>,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} as {} with {:?}",
            self.seed, self.user, self.startup
        )?;
        for (n, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {:2}. {}", n + 1, step.text)?;
        }
        Ok(())
    }
}
