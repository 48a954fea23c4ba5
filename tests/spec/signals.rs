//! The process from outside: signals, command line, pidfile, log lines, exit codes (surface 2).

use crate::support::frames::query;
use crate::support::{Bouncer, Pg, Running, is_pgweir};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

fn start() -> Running {
    Bouncer::new(Pg::shared()).start()
}

#[test]
fn sighup_reloads() {
    let bouncer = start();
    bouncer.edit(|ini| ini.set("query_wait_timeout", 44));
    bouncer.signal(libc::SIGHUP);
    assert_soon!(
        bouncer.logged("got SIGHUP, re-reading config") == 1,
        "it says so"
    );
    let value = || {
        bouncer
            .show("show config")
            .cell("value", |row| row.get("key") == "query_wait_timeout")
            .unwrap()
    };
    assert_soon!(value() == "44", "the new value counts");
}

#[test]
fn sigterm_waits_for_clients_and_a_second_one_does_not() {
    let bouncer = start();
    let mut client = bouncer.client();
    bouncer.signal(libc::SIGTERM);
    assert_soon!(
        bouncer.logged("got SIGTERM, shutting down, waiting for all clients disconnect") == 1,
        "it says so"
    );
    assert_eq!(client.one("select 1"), "1");
    assert!(bouncer.ended().is_none());
    bouncer.signal(libc::SIGTERM);
    assert!(bouncer.exit().success());
}

#[test]
fn sigterm_ends_when_the_last_client_has_left() {
    let bouncer = start();
    let client = bouncer.client();
    bouncer.signal(libc::SIGTERM);
    client.close();
    assert!(bouncer.exit().success());
    assert_eq!(bouncer.logged("client connections dropped, exiting"), 1);
}

#[test]
fn sigint_waits_for_transactions_only() {
    let bouncer = start();
    let (mut busy, mut idle) = (bouncer.client(), bouncer.client());
    idle.one("select 1");
    busy.ok("begin");
    bouncer.signal(libc::SIGINT);
    let line = "got SIGINT, shutting down, waiting for all servers connections to be released";
    assert_soon!(bouncer.logged(line) == 1, "it says so");
    assert!(bouncer.ended().is_none());
    busy.ok("commit");
    assert!(bouncer.exit().success());
    assert_eq!(bouncer.logged("server connections dropped, exiting"), 1);
    assert_eq!(idle.end().status, 0);
}

#[test]
fn sigquit_ends_at_once() {
    let bouncer = start();
    let mut client = bouncer.client();
    client.ok("begin");
    bouncer.signal(libc::SIGQUIT);
    assert!(bouncer.exit().success());
    assert_eq!(bouncer.logged("got SIGQUIT, fast exit"), 1);
    assert!(client.end().rows.is_empty());
}

#[test]
fn sigusr1_pauses_and_sigusr2_resumes() {
    let bouncer = start();
    let mut client = bouncer.client();
    client.one("select 1");
    bouncer.signal(libc::SIGUSR1);
    assert_soon!(
        bouncer.logged("got SIGUSR1, pausing all activity") == 1,
        "it says so"
    );
    let paused = || {
        bouncer
            .show("show state")
            .cell("value", |row| row.get("key") == "paused")
            .unwrap()
    };
    assert_soon!(paused() == "yes", "paused");
    client.put(&query("select 'resumed'"));
    assert!(client.silent_for(Duration::from_millis(300)));
    bouncer.signal(libc::SIGUSR2);
    assert_eq!(client.until_ready().one(), "resumed");
}

#[test]
fn the_pidfile_holds_the_pid_and_goes_at_the_end() {
    let bouncer = start();
    let file = bouncer.dir().join("bouncer.pid");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        format!("{}\n", bouncer.pid())
    );
    let socket = bouncer.dir().join(format!(".s.PGSQL.{}", bouncer.port));
    assert!(socket.exists());
    bouncer.signal(libc::SIGQUIT);
    bouncer.exit();
    assert!(!file.exists() && !socket.exists());
}

#[test]
fn a_living_pidfile_is_fatal_and_a_stale_one_is_not() {
    let first = start();
    let pidfile = first.dir().join("bouncer.pid").display().to_string();
    let exit = Bouncer::new(Pg::shared())
        .set("pidfile", &pidfile)
        .start_to_end();
    assert_eq!(exit.status.code(), Some(1));
    assert!(
        exit.text.contains("another instance running?"),
        "{}",
        exit.text
    );
    let stale = Bouncer::new(Pg::shared());
    let path = stale.file("stale.pid", "2147483646\n");
    let second = stale.set("pidfile", path).start();
    assert_eq!(second.client().one("select 1"), "1");
}

#[test]
fn a_daemon_detaches_and_writes_its_log_and_pidfile() {
    let bouncer = Bouncer::new(Pg::shared()).argument("-d");
    let log = bouncer.path().join("daemon.log");
    let pidfile = bouncer.path().join("bouncer.pid");
    let port = port_of(&bouncer.ini());
    let exit = bouncer.set("logfile", log.display()).start_to_end();
    assert!(exit.status.success(), "the parent ends well: {}", exit.text);
    assert_soon!(pidfile.exists(), "the daemon writes its pidfile");
    let pid: i32 = std::fs::read_to_string(&pidfile)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let login = crate::support::Login::new(port);
    assert_soon!(login.try_connect().is_ok(), "it serves");
    // SAFETY: plain integers; the pid is the daemon's we started a moment ago.
    unsafe { libc::kill(pid, libc::SIGQUIT) };
    assert_soon!(!pidfile.exists(), "it ends");
    assert!(
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("process up: ")
    );
}

fn port_of(ini: &str) -> u16 {
    let line = ini
        .lines()
        .find_map(|line| line.strip_prefix("listen_port = "))
        .expect("a port");
    line.parse().expect("a number")
}

#[test]
fn a_daemon_needs_a_pidfile() {
    let exit = Bouncer::new(Pg::shared())
        .set("pidfile", "")
        .argument("-d")
        .start_to_end();
    assert_eq!(exit.status.code(), Some(1));
    assert!(
        exit.text.contains("daemon needs pidfile configured"),
        "{}",
        exit.text
    );
}

#[test]
fn quiet_writes_nothing_to_standard_error() {
    let bouncer = Bouncer::new(Pg::shared()).argument("-q");
    let log = bouncer.path().join("quiet.log");
    let bouncer = bouncer.set("logfile", log.display()).start();
    bouncer.client().one("select 1");
    assert_soon!(
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("login attempt")),
        "the log file has it"
    );
    assert_eq!(bouncer.log(), "");
}

#[test]
fn a_log_moved_away_is_opened_again_on_reload() {
    let bouncer = Bouncer::new(Pg::shared());
    let log = bouncer.path().join("rotated.log");
    let old = bouncer.path().join("rotated.log.1");
    let bouncer = bouncer.set("logfile", log.display()).start();
    std::fs::rename(&log, &old).unwrap();
    bouncer.signal(libc::SIGHUP);
    // PgBouncer opens it with the next line it has to write.
    assert_soon!(
        bouncer.client().one("select 1") == "1"
            && std::fs::read_to_string(&log).is_ok_and(|text| text.contains("login attempt")),
        "a new file is written to"
    );
}

#[test]
fn the_log_has_the_lines_operators_look_for() {
    let bouncer = start();
    let mut client = bouncer.client();
    client.one("select 1");
    client.close();
    let mut lost = bouncer.client();
    lost.ok("begin; select 1");
    lost.vanish();
    let _ = bouncer.login().user("nobody_knows").refused();
    for text in [
        "LOG listening on 127.0.0.1:",
        "LOG listening on unix:",
        "LOG process up: PgBouncer 1.",
        "kernel file descriptor limit: ",
        ": app/app@127.0.0.1:",
        " login attempt: db=app user=app tls=no",
        " registered new auto-database: app",
        " new connection to server (from 127.0.0.1:",
        " closing because: client close request (age=",
        " closing because: client unexpected eof (age=",
        " closing because: client disconnect while server was not ready (age=",
        "WARNING C-0x",
        "pooler error: \"trust\" authentication failed",
    ] {
        assert_soon!(
            bouncer.logged(text) > 0,
            "the log has: {text}\n{}",
            bouncer.log()
        );
    }
    let line = bouncer.log().lines().next().unwrap().to_owned();
    let words: Vec<&str> = line.split(' ').collect();
    // 2026-11-20 12:34:56.789 UTC [123] LOG message
    assert_eq!((words[0].len(), words[1].len()), (10, 12), "{line}");
    assert_eq!(words[3], format!("[{}]", bouncer.pid()), "{line}");
    assert_eq!(words[4], "LOG", "{line}");
}

#[test]
fn log_lines_can_be_switched_off() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("log_connections", 0)
        .set("log_disconnections", 0)
        .set("log_pooler_errors", 0)
        .start();
    bouncer.client().one("select 1");
    let _ = bouncer.login().user("nobody_knows").refused();
    bouncer.show("reload");
    assert_soon!(
        bouncer.logged("RELOAD command issued") == 1,
        "a later line is there"
    );
    for text in ["login attempt", "closing because", "pooler error"] {
        assert_eq!(bouncer.logged(text), 0, "{text}\n{}", bouncer.log());
    }
}

#[test]
fn a_stats_line_comes_every_stats_period() {
    let bouncer = Bouncer::new(Pg::shared()).set("stats_period", 1).start();
    bouncer.client().one("select 1");
    assert_soon!(bouncer.logged("LOG stats: ") >= 2, "two periods");
    let log = bouncer.log();
    let line = log
        .lines()
        .find(|line| line.contains("LOG stats: "))
        .unwrap();
    for word in [
        "xacts/s",
        "queries/s",
        "in ",
        " B/s",
        "out ",
        "xact ",
        "query ",
        "wait ",
    ] {
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn root_is_refused() {
    use std::os::unix::process::ExitStatusExt;
    if crate::support::account().is_none() {
        eprintln!("skipped: the tests do not run as root");
        return;
    }
    let binary = std::env::var("PGWEIR_BIN").unwrap_or(env!("CARGO_BIN_EXE_pgweir").to_owned());
    let bouncer = Bouncer::new(Pg::shared());
    let ini = bouncer.file("root.ini", &bouncer.ini());
    let mut command = std::process::Command::new("timeout");
    let (status, out, error) = crate::support::output_of(command.args(["10", &binary, &ini]));
    assert_eq!(
        (status.code(), status.signal()),
        (Some(1), None),
        "{out}{error}"
    );
    assert!(
        format!("{out}{error}").contains("should not run as root"),
        "{out}{error}"
    );
}

#[test]
fn the_command_line_explains_itself() {
    let binary = std::env::var("PGWEIR_BIN").unwrap_or(env!("CARGO_BIN_EXE_pgweir").to_owned());
    let run = |arguments: &[&str]| {
        crate::support::output_of(std::process::Command::new(&binary).args(arguments))
    };
    let (status, out, _) = run(&["-h"]);
    assert!(
        status.success() && out.contains("--daemon") && out.contains("--verbose"),
        "{out}"
    );
    let (status, out, _) = run(&["--version"]);
    assert!(status.success() && out.starts_with("PgBouncer 1."), "{out}");
    let (status, _, error) = run(&[]);
    assert_eq!(status.code(), Some(1));
    assert!(error.contains("no configuration file specified"), "{error}");
    let (status, ..) = run(&["--no-such-option"]);
    assert_eq!(status.code(), Some(1));
    if is_pgweir() {
        let (_, out, _) = run(&["-V"]);
        assert!(out.lines().next().unwrap().contains("(pgweir "), "{out}");
    }
}

#[test]
fn a_port_in_use_is_named_and_fatal() {
    let first = start();
    let exit = Bouncer::new(Pg::shared())
        .set("listen_port", first.port)
        .set("unix_socket_dir", "")
        .start_to_end();
    assert_eq!(exit.status.code(), Some(1));
    assert!(
        exit.text.contains("cannot listen on 127.0.0.1:"),
        "{}",
        exit.text
    );
    assert!(
        exit.text.contains("Address already in use"),
        "{}",
        exit.text
    );
}

#[test]
fn a_unix_socket_in_use_is_fatal() {
    let first = start();
    let exit = Bouncer::new(Pg::shared())
        .set("listen_addr", "")
        .set("listen_port", first.port)
        .set("unix_socket_dir", first.dir().display())
        .start_to_end();
    assert_eq!(exit.status.code(), Some(1));
    assert!(exit.text.contains("unix socket is in use"), "{}", exit.text);
    assert_eq!(first.client().one("select 1"), "1");
}

#[test]
fn systemd_is_told_when_it_is_ready_and_when_it_stops() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared());
    let path = bouncer.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("a notify socket");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    socket
        .set_read_timeout(Some(crate::support::PATIENCE))
        .unwrap();
    let bouncer = bouncer
        .environment("NOTIFY_SOCKET", &path.display().to_string())
        .start();
    let mut heard = String::new();
    let mut hear = |word: &str| {
        while !heard.contains(word) {
            let mut chunk = [0; 4096];
            let n = socket
                .recv(&mut chunk)
                .unwrap_or_else(|_| panic!("{word} after {heard}"));
            heard += &String::from_utf8_lossy(&chunk[..n]);
            heard.push('\n');
        }
    };
    hear("READY=1");
    bouncer.signal(libc::SIGHUP);
    hear("RELOADING=1");
    bouncer.signal(libc::SIGINT);
    hear("STOPPING=1");
    assert!(bouncer.exit().success());
}
