#![allow(clippy::unwrap_used)]

use super::*;

struct Session {
    store: SettingsStore,
    tracked: Tracked,
    state: SessionState,
}

impl Session {
    fn with_startup(pairs: &[(&str, &str)]) -> Self {
        let store = SettingsStore::default();
        let state = SessionState::with_startup(store.startup(pairs.iter().copied()));
        Self {
            store,
            tracked: Tracked::with_extra::<&str>(&[]),
            state,
        }
    }

    fn apply(&mut self, effect: Effect) {
        self.state.apply(&effect, &self.store, &self.tracked);
    }

    /// Words: `x=1`, `reset x`, `savepoint a`, `release a`, `to a`, `listen c`, ...
    fn run(&mut self, script: &str) {
        for step in script.split(';').map(str::trim) {
            let (verb, name) = step.split_once(' ').unwrap_or((step, ""));
            let name: Box<str> = name.into();
            match verb {
                "begin" => self.apply(Effect::Begin),
                "commit" => {
                    self.apply(Effect::Commit(false));
                    self.state.committed();
                }
                "chain" => {
                    self.apply(Effect::Commit(true));
                    self.state.committed();
                }
                "rollback" => {
                    self.apply(Effect::Rollback(false));
                    self.state.rolled_back();
                }
                "savepoint" => self.apply(Effect::Savepoint(name)),
                "release" => self.apply(Effect::Release(name)),
                "to" => self.apply(Effect::RollbackTo(name)),
                "reset" => self.apply(Effect::Reset(name)),
                "resetall" => self.apply(Effect::ResetAll),
                "discard" => self.apply(Effect::DiscardAll),
                "listen" => self.apply(Effect::Listen(name)),
                "unlisten" if &*name == "*" => self.apply(Effect::Unlisten(None)),
                "unlisten" => self.apply(Effect::Unlisten(Some(name))),
                set => {
                    let (name, value) = set.split_once('=').unwrap();
                    self.apply(Effect::Set {
                        name: name.into(),
                        value: value.into(),
                    });
                }
            }
        }
    }

    fn shown(&self) -> String {
        let pairs = self.state.settings().iter();
        let pairs: Vec<_> = pairs.map(|(n, v)| format!("{n}={v}")).collect();
        pairs.join(" ")
    }
}

#[test]
fn the_rules_of_transactions() {
    for (script, want) in [
        ("x=1", "x=1"),
        ("x=1;commit;begin;x=2;rollback", "x=1"),
        ("x=1;commit;begin;x=2;commit", "x=2"),
        ("x=1;commit;begin;reset x;rollback", "x=1"),
        ("x=1;commit;begin;reset x;commit", ""),
        ("x=1;commit;begin;resetall;rollback", "x=1"),
        // BEGIN in an implicit block takes along what went before it.
        ("x=1;begin;y=2;rollback", ""),
        ("begin;savepoint a;x=1;to a;commit", ""),
        ("begin;x=1;savepoint a;x=2;to a;commit", "x=1"),
        ("begin;x=1;savepoint a;x=2;to a;rollback", ""),
        ("begin;savepoint a;x=1;release a;commit", "x=1"),
        ("begin;savepoint a;x=1;release a;rollback", ""),
        // The savepoint survives a ROLLBACK TO.
        ("begin;savepoint a;x=1;to a;x=2;to a;x=3;to a;commit", ""),
        // One of the same name hides the older one, until it is released.
        ("begin;savepoint a;x=1;savepoint a;x=2;to a;commit", "x=1"),
        (
            "begin;savepoint a;x=1;savepoint a;x=2;release a;to a;commit",
            "",
        ),
        ("begin;savepoint a;x=1;savepoint b;x=2;to a;commit", ""),
        (
            "begin;savepoint a;x=1;savepoint b;x=2;release b;to a;commit",
            "",
        ),
        (
            "begin;savepoint a;x=1;savepoint b;x=2;release a;commit",
            "x=2",
        ),
        // What ROLLBACK TO has destroyed is no target any more.
        (
            "begin;savepoint a;savepoint b;x=1;to a;x=2;to b;commit",
            "x=2",
        ),
        ("begin;x=1;chain;x=2;rollback", "x=1"),
        ("begin;x=1;rollback;x=2;commit", "x=2"),
        // Savepoints end with their transaction.
        ("begin;savepoint a;commit;begin;x=1;to a;commit", "x=1"),
        // Neither tracked nor bound to the transaction.
        ("TimeZone=1;DATESTYLE=2;transaction_isolation=3;seed=4", ""),
        ("role=r;work_mem=1", "work_mem=1 role=r"),
        ("role=r;x=1;resetall", "role=r"),
        ("role=r;session_authorization=u", "session_authorization=u"),
        ("role=r;session_authorization=u;discard", ""),
        ("role=r;reset session_authorization", ""),
    ] {
        let mut session = Session::with_startup(&[]);
        session.run(script);
        assert_eq!(session.shown(), want, "{script}");
    }
}

#[test]
fn startup_values_come_back() {
    for (script, want) in [
        ("w=1", "w=1"),
        ("w=1;reset w", "w='s'"),
        ("w=1;x=1;resetall", "w='s'"),
        ("w=1;x=2;commit;discard", "w='s'"),
        ("reset w;reset y", "w='s'"),
        ("begin;w=1;reset w;rollback", "w='s'"),
    ] {
        let mut session = Session::with_startup(&[("W", "s")]);
        session.run(script);
        assert_eq!(session.shown(), want, "{script}");
    }
}

#[test]
fn listen_takes_effect_at_commit() {
    let listen = |name: &str| ListenChange::Listen(name.into());
    let unlisten = |name: &str| ListenChange::Unlisten(name.into());
    for (script, want) in [
        ("listen a", vec![listen("a")]),
        ("begin;listen a;rollback;listen b", vec![listen("b")]),
        (
            "begin;listen a;savepoint s;listen b;to s;listen c",
            vec![listen("a"), listen("c")],
        ),
        (
            "begin;savepoint s;listen b;release s;unlisten b",
            vec![listen("b"), unlisten("b")],
        ),
        (
            "begin;listen a;unlisten *",
            vec![listen("a"), ListenChange::UnlistenAll],
        ),
        ("discard", vec![ListenChange::UnlistenAll]),
    ] {
        let mut session = Session::with_startup(&[]);
        session.run(script);
        assert_eq!(session.state.committed(), want, "{script}");
        assert_eq!(session.state.committed(), [], "{script}");
    }
}

#[test]
fn discard_all_cannot_be_undone() {
    let mut session = Session::with_startup(&[]);
    session.run("x=1;commit;discard;rollback");
    assert_eq!(session.shown(), "");
}

#[test]
fn a_transaction_is_only_kept_where_something_happened() {
    let mut session = Session::with_startup(&[]);
    session.run("begin;reset x;TimeZone=1;release nothing;to nothing");
    assert!(!session.state.is_in_transaction());
    session.run("savepoint a");
    assert!(session.state.is_in_transaction());
    session.run("commit;x=1");
    assert!(session.state.is_in_transaction());
    session.run("commit");
    assert!(!session.state.is_in_transaction());
}
