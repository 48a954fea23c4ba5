//! Episodes and flags over a series of pictures.

use super::*;

const LIMITS: Limits = Limits {
    warn_s: Some(1.0),
    crit_s: Some(5.0),
};

fn picture(sessions: Vec<LockedSession>) -> LockPicture {
    LockPicture {
        server: "db:5432".into(),
        remote: None,
        polled_us: 0,
        state: LockState::Known(sessions),
    }
}

fn waiting(pid: i32, behind: i32, wait_s: f64) -> LockedSession {
    LockedSession {
        pid,
        blocked_by: vec![behind],
        wait_s: Some(wait_s),
        datname: Some("app".to_owned()),
        locktype: Some("transactionid".to_owned()),
        relation: Some("stock".to_owned()),
        ..LockedSession::default()
    }
}

fn root(pid: i32) -> LockedSession {
    LockedSession {
        pid,
        datname: Some("app".to_owned()),
        usename: Some("odoo".to_owned()),
        backend_type: Some("client backend".to_owned()),
        state: Some("idle in transaction".to_owned()),
        state_age_s: Some(3.0),
        ..LockedSession::default()
    }
}

fn observe(blocking: &Blocking, sessions: Vec<LockedSession>) -> Vec<News> {
    blocking.observe(&picture(sessions), &HashMap::new(), LIMITS)
}

fn count(counts: &BTreeMap<FlagKey, u64>, flag: Flag, severity: Severity) -> u64 {
    let key = (Arc::from("app"), flag, severity);
    counts.get(&key).copied().unwrap_or_default()
}

#[test]
fn a_root_is_told_once_at_its_begin_and_once_at_its_end() {
    let blocking = Blocking::default();
    assert_eq!(observe(&blocking, vec![root(1), waiting(2, 1, 0.9)]), []);
    let began = observe(
        &blocking,
        vec![root(1), waiting(2, 1, 1.1), waiting(3, 2, 0.1)],
    );
    let [News::Began(episode)] = &began[..] else {
        panic!("{began:?}")
    };
    assert_eq!((episode.pid, episode.sessions), (1, 2));
    assert_eq!(episode.severity, Severity::Warning);
    assert_eq!(episode.lock, "row of stock");
    assert_eq!(episode.doing, "idle in transaction for 3.0 s");
    assert!(
        episode.root.contains("not through pgweir"),
        "{}",
        episode.root
    );

    assert_eq!(observe(&blocking, vec![root(1), waiting(2, 1, 6.0)]), []);
    let ended = observe(&blocking, vec![]);
    let [News::Ended(episode)] = &ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!((episode.sessions, episode.longest_s), (2, 6.0));
    assert_eq!(episode.severity, Severity::Critical);
    assert_eq!(observe(&blocking, vec![]), []);
}

#[test]
fn flags_are_counted_now_and_since_the_start() {
    let blocking = Blocking::default();
    observe(
        &blocking,
        vec![root(1), waiting(2, 1, 1.5), waiting(3, 1, 0.5)],
    );
    let (warning, critical) = (Severity::Warning, Severity::Critical);
    assert_eq!(count(&blocking.flagged(), Flag::Blocked, warning), 1);
    assert_eq!(count(&blocking.flagged(), Flag::Blocking, warning), 1);
    assert_eq!(blocking.oldest_waits()["app"], 1.5);

    observe(
        &blocking,
        vec![root(1), waiting(2, 1, 5.5), waiting(3, 1, 4.5)],
    );
    assert_eq!(count(&blocking.flagged(), Flag::Blocked, critical), 1);
    assert_eq!(count(&blocking.flagged(), Flag::Blocked, warning), 1);
    assert_eq!(count(&blocking.begun(), Flag::Blocked, warning), 2);
    assert_eq!(count(&blocking.begun(), Flag::Blocked, critical), 1);

    observe(&blocking, vec![]);
    assert!(blocking.flagged().is_empty());
    assert_eq!(count(&blocking.begun(), Flag::Blocking, critical), 1);
    assert_eq!(blocking.oldest_waits()["app"], 0.0);
}

#[test]
fn what_cannot_be_seen_any_more_ends_in_silence() {
    let blocking = Blocking::default();
    observe(&blocking, vec![root(1), waiting(2, 1, 9.0)]);
    let unknown = LockPicture {
        state: LockState::Unknown("gone".to_owned()),
        ..picture(Vec::new())
    };
    assert_eq!(blocking.observe(&unknown, &HashMap::new(), LIMITS), []);
    assert!(blocking.flagged().is_empty());
}

#[test]
fn limits_may_be_off_and_tell_when_they_are_reached() {
    let only_critical = Limits {
        warn_s: None,
        ..LIMITS
    };
    assert_eq!(only_critical.severity(4.9), None);
    assert_eq!(only_critical.severity(5.0), Some(Severity::Critical));
    let waits = [waiting(2, 1, 4.75), waiting(3, 1, 0.5)];
    let until = LIMITS.until_next(&waits).unwrap();
    assert_eq!(until.as_millis(), 250);
    assert_eq!(Limits::default().until_next(&waits), None);
}
