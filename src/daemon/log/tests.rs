#![allow(clippy::unwrap_used)]

use super::*;
use log::Log;
use std::path::Path;

fn to_file(path: &Path, verbosity: u8) -> LogConfig {
    LogConfig {
        logfile: Some(path.to_owned()),
        verbosity,
        ..LogConfig::default()
    }
}

fn open(config: &LogConfig) -> &'static Logger {
    Box::leak(Box::new(Logger::open(config).unwrap()))
}

fn say(logger: &Logger, level: log::Level, target: &str, text: &str) {
    logger.log(
        &Record::builder()
            .level(level)
            .target(target)
            .args(format_args!("{text}"))
            .build(),
    );
}

fn messages(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|l| l.split_once("] ").unwrap().1.to_owned())
        .collect()
}

#[test]
fn lines_before_and_after_the_writer_starts_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let logger = open(&to_file(&path, 0));
    say(logger, log::Level::Info, "pgweir::app", "before");
    assert_eq!(messages(&path), ["LOG before"], "written in place");
    logger.start_writer().unwrap();
    for n in 0..1000 {
        say(
            logger,
            log::Level::Warn,
            "pgweir::app",
            &format!("line {n}"),
        );
    }
    logger.flush();
    let all = messages(&path);
    assert_eq!(all.len(), 1001);
    assert_eq!(all[1000], "WARNING line 999");
}

#[test]
fn verbosity_is_ours_and_other_crates_are_heard_from_warning_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    for (verbosity, expected) in [
        (0, vec!["LOG i", "WARNING w2"]),
        (1, vec!["LOG i", "DEBUG d", "WARNING w2"]),
        (2, vec!["LOG i", "DEBUG d", "NOISE t", "WARNING w2"]),
    ] {
        let _ = std::fs::remove_file(&path);
        let logger = open(&to_file(&path, verbosity));
        say(logger, log::Level::Info, "pgweir::pool", "i");
        say(logger, log::Level::Debug, "pgweir::pool", "d");
        say(logger, log::Level::Trace, "pgweir::pool", "t");
        say(logger, log::Level::Info, "rustls::conn", "i2");
        say(logger, log::Level::Warn, "rustls::conn", "w2");
        assert_eq!(messages(&path), expected);
    }
}

#[test]
fn fatal_is_on_disk_when_the_call_returns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let logger = open(&to_file(&path, 0));
    logger.start_writer().unwrap();
    say(
        logger,
        log::Level::Error,
        FATAL_TARGET,
        "nowhere to listen on",
    );
    assert_eq!(messages(&path), ["FATAL nowhere to listen on"]);
}

#[test]
fn a_rotated_file_is_left_alone_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("a.log"), dir.path().join("a.log.1"));
    let logger = open(&to_file(&path, 0));
    logger.start_writer().unwrap();
    say(logger, log::Level::Info, "pgweir", "one");
    logger.flush();
    std::fs::rename(&path, &old).unwrap();
    say(logger, log::Level::Info, "pgweir", "two");
    logger
        .replace(Sinks::open(&to_file(&path, 0)).unwrap())
        .unwrap();
    say(logger, log::Level::Info, "pgweir", "three");
    logger.flush();
    assert_eq!(messages(&old), ["LOG one", "LOG two"]);
    assert_eq!(messages(&path), ["LOG three"]);
}

#[test]
fn a_full_queue_counts_what_it_loses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let logger = open(&to_file(&path, 0));
    let sinks = logger.direct.lock().unwrap().take().unwrap();
    let (sender, receiver) = mpsc::sync_channel(2);
    logger.queue.set(sender).unwrap();
    for n in 0..5 {
        say(logger, log::Level::Info, "pgweir", &format!("line {n}"));
    }
    thread::spawn(move || write_lines(sinks, &receiver, &logger.dropped));
    logger.flush();
    assert_eq!(
        messages(&path),
        [
            "LOG line 0",
            "LOG line 1",
            "WARNING 3 log lines lost: the log could not be written fast enough"
        ]
    );
}
