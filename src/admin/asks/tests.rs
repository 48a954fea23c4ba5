#![allow(clippy::unwrap_used)]

use super::super::grammar;
use super::*;

fn screen(text: &str) -> (Screen, Options) {
    match grammar::parse(text) {
        Ok(Command::Screen(screen, options)) => (screen, options),
        other => panic!("{text}: {other:?}"),
    }
}

fn error(text: &str) -> (String, String) {
    let error = grammar::parse(text).unwrap_err();
    (error.sqlstate.into_owned(), error.text.into_owned())
}

#[test]
fn screens_by_name() {
    for (text, expected) in [
        ("show statements", Screen::Statements),
        (" SHOW  STATEMENTS ; ", Screen::Statements),
        ("show slow;", Screen::Slow),
        ("select activity", Screen::Activity),
        ("show blocked", Screen::Blocked),
        ("show transactions", Screen::Transactions),
        ("show alerts", Screen::Alerts),
        ("show listeners", Screen::Listeners),
        ("show benchmark", Screen::Benchmark(None)),
        ("show benchmark last 5m", Screen::Benchmark(None)),
        (
            "show benchmark 'peak hours' last 5m",
            Screen::Benchmark(Some("peak hours".to_owned())),
        ),
        (
            "show benchmark 'last'",
            Screen::Benchmark(Some("last".to_owned())),
        ),
        (
            "show statement '8C1d2e0b44a97f03'",
            Screen::Statement(0x8c1d_2e0b_44a9_7f03),
        ),
        (
            "show statement 8c1d2e0b44a97f03;",
            Screen::Statement(0x8c1d_2e0b_44a9_7f03),
        ),
    ] {
        assert_eq!(screen(text).0, expected, "{text}");
    }
}

#[test]
fn options_come_in_any_order() {
    let expected = Options {
        last: Some(Last::Fifteen),
        database: Some("dairy db".to_owned()),
        user: Some("odoo".to_owned()),
        app: Some("odoo-*".to_owned()),
        min_calls: 10,
        order: Some(Order {
            column: "mean_ms".to_owned(),
            is_descending: true,
        }),
        limit: Some(5),
    };
    for text in [
        "show statements last 15m for 'dairy db' user odoo app odoo-* min calls 10 \
         order by mean_ms desc limit 5;",
        "SHOW STATEMENTS LIMIT 5 ORDER BY \"mean_ms\" DESC MIN CALLS 10 APP 'odoo-*' USER \"odoo\" \
         FOR \"dairy db\" LAST '15m'",
    ] {
        assert_eq!(screen(text).1, expected, "{text}");
    }
    let order = screen("show slow order by rows asc").1.order.unwrap();
    assert!(!order.is_descending);
    let order = screen("show slow order by rows limit all").1;
    assert!(!order.order.as_ref().unwrap().is_descending);
    assert_eq!(order.limit(), usize::MAX);
    assert_eq!(screen("show slow").1.limit(), 20);
}

#[test]
fn what_does_not_belong_is_named_with_the_usage() {
    for (text, at) in [
        ("show statements last 2m", "'2m'"),
        ("show statements last", "end of command"),
        ("show statements please", "'please'"),
        ("show slow for", "end of command"),
        ("show activity min 5", "'5'"),
        ("show activity min calls many", "'many'"),
        ("show activity limit -1", "'-1'"),
        ("show blocked order calls", "'calls'"),
        ("show alerts order by", "end of command"),
        ("show alerts; show slow", "'show'"),
        ("show benchmark a b", "'b'"),
    ] {
        let (sqlstate, message) = error(text);
        assert_eq!(sqlstate, "42601", "{text}");
        let expected = format!("syntax error at {at}, usage: SHOW ");
        assert!(message.starts_with(&expected), "{text}: {message}");
        assert!(message.contains("LAST 1m|5m|15m|1h"), "{message}");
    }
}

#[test]
fn fingerprints_have_sixteen_digits() {
    for text in [
        "show statement 'x'",
        "show statement 8c1d",
        "show statement '8c1d2e0b44a97f0g'",
        "show statement '+c1d2e0b44a97f03'",
        "reset statements '8c1d2e0b44a97f030'",
        "show statement ''",
    ] {
        let (sqlstate, message) = error(text);
        assert_eq!(sqlstate, "22P02", "{text}");
        assert!(message.contains("is no fingerprint"), "{message}");
    }
    assert_eq!(error("show statement").0, "42601");
}

#[test]
fn verbs_and_whom_they_are_for() {
    for (text, expected) in [
        ("reset statements;", Act::ResetStatements(None)),
        (
            "RESET STATEMENTS '00000000000000ff'",
            Act::ResetStatements(Some(255)),
        ),
        ("cancel 17", Act::Cancel(Whom::Client(17))),
        ("CANCEL PID 4711;", Act::Cancel(Whom::Pid(4711))),
        ("kill_client pid 4711", Act::KillPid(4711)),
    ] {
        assert_eq!(grammar::parse(text), Ok(Command::Act(expected)), "{text}");
    }
    for text in [
        "cancel",
        "cancel x",
        "cancel 1 2",
        "cancel pid",
        "cancel pid 0",
        "cancel pid -1",
        "kill_client pid x",
        "reset statements '00000000000000ff' now",
    ] {
        assert_eq!(error(text).0, "42601", "{text}");
    }
}

#[test]
fn kill_idle_takes_a_time_and_a_dry_run() {
    let parse = |text: &str| match grammar::parse(text) {
        Ok(Command::Act(Act::KillIdle(kill))) => kill,
        other => panic!("{text}: {other:?}"),
    };
    let seconds = |text: &str| {
        let text = format!("kill idle in transaction over {text}");
        parse(&text).over_us / 1_000_000
    };
    assert_eq!(
        ["90", "90s", "5m", "1H", "0"].map(seconds),
        [90, 90, 300, 3600, 0]
    );
    let kill = parse("KILL IDLE IN TRANSACTION OVER 1h FOR dairy USER odoo APP 'x' DRY RUN;");
    assert!(kill.is_dry);
    assert_eq!(kill.options.database.as_deref(), Some("dairy"));
    assert!(!parse("kill idle in transaction over 5").is_dry);
    for text in [
        "kill idle in transaction",
        "kill idle in transaction over",
        "kill idle in transaction over an hour",
        "kill idle in transaction over 5d",
        "kill idle in transaction over -5",
        "kill idle in transaction over 18446744073709551615h",
        "kill idle in transaction over 5 dry",
        "kill idle in transaction over 5 dry run limit 3",
        "kill idle in transactions over 5",
    ] {
        let (sqlstate, message) = error(text);
        assert_eq!(sqlstate, "42601", "{text}");
        assert!(message.contains("usage: KILL IDLE IN TRANSACTION OVER n"));
    }
}

#[test]
fn applications_match_by_name_or_by_their_beginning() {
    let options = screen("show slow app odoo-*").1;
    assert!(options.wants_app("odoo-1234") && options.wants_app("odoo-*"));
    assert!(!options.wants_app("psql"));
    let options = screen("show slow app psql").1;
    assert!(options.wants_app("psql") && !options.wants_app("psql2"));
}
