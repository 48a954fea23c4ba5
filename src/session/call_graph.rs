//! Which functions call which, as far as it takes to say what one may do to the session of its
//! caller.
//!
//! Owns: what servers have told of functions by their names, and what is still to be asked. A
//! function may leave something if any of its name does, in whatever schema, or anything that it
//! calls. Bounded: what grows over the bounds may leave something.

use std::collections::{HashMap, HashSet};

use crate::sql::{self, Touches};

/// Most names in one graph.
const MOST: usize = 128;

/// Most times that servers are asked for more.
const ROUNDS: u32 = 8;

/// What servers have told of all functions of one name.
#[derive(Debug, Default)]
struct Told {
    touches: Touches,
    calls: Vec<Box<str>>,
}

/// Functions by name. One without an entry of its own does not exist.
#[derive(Debug, Default)]
pub struct CallGraph {
    functions: HashMap<Box<str>, Told>,
    unasked: Vec<Box<str>>,
    rounds: u32,
}

impl CallGraph {
    /// These are of interest.
    pub fn want<'a>(&mut self, names: impl IntoIterator<Item = &'a Box<str>>) {
        for name in names {
            if !self.functions.contains_key(name) {
                self.functions.insert(name.clone(), Told::default());
                self.unasked.push(name.clone());
            }
        }
    }

    /// The names that a server is to be asked about next; none: all is known that will be.
    pub fn next_names(&mut self) -> Vec<Box<str>> {
        let names = std::mem::take(&mut self.unasked);
        self.rounds += 1;
        let is_over = self.rounds > ROUNDS || self.functions.len() > MOST;
        if is_over {
            for name in &names {
                self.leaves(name);
            }
            return Vec::new();
        }
        names
    }

    /// There is a function of this name that may leave something.
    pub fn leaves(&mut self, name: &str) {
        self.tell(name).touches |= Touches::FUNCTION;
    }

    /// There is a function of this name that does what stands in `body`, which is in SQL or in
    /// PL/pgSQL.
    pub fn runs(&mut self, name: &str, body: &[u8], is_sql: bool) {
        let Some(body) = sql::read_body(body, is_sql) else {
            return self.leaves(name);
        };
        self.want(&body.calls);
        let told = self.tell(name);
        told.calls.extend(body.calls);
        if body.notifies {
            told.touches |= Touches::NOTIFIES;
        }
    }

    fn tell(&mut self, name: &str) -> &mut Told {
        self.functions.entry(name.into()).or_default()
    }

    /// What these, and whatever they call, touch: `FUNCTION` where one may leave something, else
    /// at most `NOTIFIES`.
    pub fn touches(&self, names: &[Box<str>]) -> Touches {
        let mut touches = Touches::NONE;
        let mut seen: HashSet<&str> = HashSet::new();
        let mut open: Vec<&str> = names.iter().map(|name| &**name).collect();
        while let Some(name) = open.pop() {
            let Some(told) = self.functions.get(name) else {
                return Touches::FUNCTION;
            };
            touches |= told.touches;
            if seen.insert(name) {
                open.extend(told.calls.iter().map(|name| &**name));
            }
        }
        touches
    }
}

#[cfg(test)]
mod tests {
    use super::{CallGraph, MOST, Touches};

    fn names(of: &[&str]) -> Vec<Box<str>> {
        of.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn a_function_is_what_it_calls() {
        let mut graph = CallGraph::default();
        graph.want(&names(&["a", "b"]));
        assert_eq!(graph.next_names(), names(&["a", "b"]));
        graph.runs("a", b"select c(1), a(2)", true);
        graph.runs("b", b"select 1", true);
        assert_eq!(graph.next_names(), names(&["c"]));
        graph.runs("c", b"begin execute x; end", true);
        assert!(graph.next_names().is_empty());
        assert_eq!(graph.touches(&names(&["a"])), Touches::FUNCTION);
        assert_eq!(graph.touches(&names(&["b"])), Touches::NONE);
        assert_eq!(graph.touches(&names(&["never asked"])), Touches::FUNCTION);
    }

    #[test]
    fn a_notification_is_told_of_whoever_calls() {
        let mut graph = CallGraph::default();
        graph.want(&names(&["a"]));
        graph.runs("a", b"begin perform b(1); end", false);
        graph.runs("b", b"begin perform pg_notify('c', 'd'); end", false);
        assert_eq!(graph.touches(&names(&["a"])), Touches::NOTIFIES);
    }

    #[test]
    fn one_of_many_with_a_name_is_enough() {
        let mut graph = CallGraph::default();
        graph.want(&names(&["a"]));
        graph.leaves("a");
        graph.runs("a", b"select 1", true);
        assert!(graph.touches(&names(&["a"])).has(Touches::FUNCTION));
    }

    #[test]
    fn what_does_not_exist_leaves_nothing() {
        let mut graph = CallGraph::default();
        graph.want(&names(&["a"]));
        assert_eq!(graph.next_names().len(), 1);
        assert!(graph.touches(&names(&["a"])).is_empty());
    }

    #[test]
    fn chains_and_crowds_have_an_end() {
        let mut chain = CallGraph::default();
        chain.want(&names(&["f0"]));
        let mut rounds = 0;
        loop {
            let next = chain.next_names();
            let Some(name) = next.first() else { break };
            rounds += 1;
            chain.runs(name, format!("select f{rounds}(1)").as_bytes(), true);
        }
        assert!(rounds < 20 && chain.touches(&names(&["f0"])).has(Touches::FUNCTION));

        let mut crowd = CallGraph::default();
        crowd.want(
            (0..=MOST)
                .map(|n| format!("f{n}").into_boxed_str())
                .collect::<Vec<_>>()
                .iter(),
        );
        assert!(crowd.next_names().is_empty());
        assert!(crowd.touches(&names(&["f0"])).has(Touches::FUNCTION));
    }
}
