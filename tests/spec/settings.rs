//! Settings with one visible effect each, seen from outside.

use crate::assert_soon;
use crate::only_pgweir;

use crate::support::{Bouncer, Login, Pg, output_of};
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::time::Duration;

#[test]
fn login_notify_message_is_a_notice_at_login() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("login_notify_message", "down tonight")
        .start();
    let client = bouncer.client();
    assert_eq!(client.welcome.notices[0].text(), "down tonight");
    assert!(
        client.welcome.kinds.ends_with("KNZ"),
        "{:?}",
        client.welcome
    );
}

#[test]
fn application_name_add_host_names_the_client() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("application_name_add_host", 1)
        .start();
    let mut client = bouncer
        .login()
        .parameter("application_name", "till")
        .connect();
    let expected = format!("till - 127.0.0.1:{}", client.local_port());
    assert_eq!(
        client.parameter("application_name"),
        Some(expected.as_str())
    );
    assert_eq!(client.one("show application_name"), expected);
}

#[test]
fn disable_pqexec_refuses_simple_queries() {
    let bouncer = Bouncer::new(Pg::shared()).set("disable_pqexec", 1).start();
    assert_eq!(
        bouncer.client().fails("select 1").text(),
        "PQexec disallowed"
    );
}

#[test]
fn conffile_names_the_file_of_the_next_reload() {
    let bouncer = Bouncer::new(Pg::shared()).set("query_timeout", 7).start();
    let (first, second) = ("pgbouncer.ini", "second.ini");
    let text = std::fs::read_to_string(bouncer.dir().join(first)).unwrap();
    let path = bouncer.dir().join(second);
    std::fs::write(
        &path,
        text.replace("query_timeout = 7", "query_timeout = 9"),
    )
    .unwrap();
    bouncer.show(&format!("set conffile = '{}'", path.display()));
    bouncer.show("reload");
    let config = bouncer.show("show config");
    let value = |key: &str| config.cell("value", |row| row.get("key") == key);
    assert_eq!(value("query_timeout").as_deref(), Some("9"));
    assert_eq!(value("conffile"), Some(path.display().to_string()));
}

#[test]
fn precise_sqlstates_are_postgresqls() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .own("precise_sqlstates", 1)
        .set("auth_type", "md5")
        .pool_size(1)
        .set("query_wait_timeout", 1)
        .start();
    assert_eq!(
        bouncer.login().password("wrong").refused().sqlstate(),
        "28P01"
    );
    let mut holder = bouncer.client();
    holder.ok("begin");
    assert_eq!(bouncer.client().fails("select 1").sqlstate(), "57014");
}

#[test]
fn client_timeouts_change_for_clients_that_are_connected() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let mut idle = bouncer.client();
    let mut holder = bouncer.client();
    holder.ok("begin");
    let waiting = bouncer.client().spawn("select 1");
    assert_soon!(
        bouncer.pool("app", "app", "cl_waiting") == 1,
        "it is queued"
    );
    bouncer.reload(|ini| {
        ini.set("client_idle_timeout", 1)
            .set("query_wait_timeout", 1)
    });
    let (_, reply) = waiting.join().unwrap();
    assert_eq!(reply.error().text(), "query_wait_timeout");
    assert_eq!(idle.end().error().text(), "client_idle_timeout");
    bouncer.reload(|ini| ini.set("client_idle_timeout", 0));
    let mut patient = bouncer.client();
    assert!(patient.silent_for(Duration::from_millis(1_800)));
}

#[test]
fn an_auto_database_goes_when_it_has_been_unused() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("autodb_idle_timeout", 1)
        .set("server_idle_timeout", 1)
        .start();
    bouncer.client_of("postgres").ok("select 1");
    assert_soon!(
        bouncer.logged("dropping database 'postgres'") == 1,
        "unused for a second"
    );
    bouncer.client_of("postgres").ok("select 1");
}

#[test]
fn a_burst_beyond_max_client_conn_loses_exactly_the_surplus() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .own("lanes", 4)
        .set("max_client_conn", 20)
        .start();
    bouncer.client().ok("select 1");
    assert_soon!(bouncer.pool("app", "app", "cl_active") == 0, "it has left");
    let start = Arc::new(Barrier::new(50));
    let attempts: Vec<_> = (0..50)
        .map(|_| {
            let (login, start) = (Login::new(bouncer.port), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                login.try_connect()
            })
        })
        .collect();
    let outcomes: Vec<_> = attempts.into_iter().map(|a| a.join().unwrap()).collect();
    let refused: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
    assert_eq!(outcomes.len() - refused.len(), 20);
    for error in refused {
        assert_eq!(
            error.text(),
            "no more connections allowed (max_client_conn)"
        );
    }
}

#[test]
fn a_client_that_waits_for_the_pools_first_server_is_waiting() {
    let pg = Pg::start();
    let bouncer = Bouncer::new(&pg).start();
    pg.freeze(true);
    let login = bouncer.login();
    let attempt = std::thread::spawn(move || login.try_connect().is_ok());
    assert_soon!(
        bouncer.pool("app", "app", "cl_waiting") == 1,
        "it waits in its pool"
    );
    pg.freeze(false);
    assert!(attempt.join().unwrap());
}

#[test]
fn check_asks_the_server_and_finds_bad_tls_files() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(13);
    let binary = std::env::var("PGWEIR_BIN").unwrap_or(env!("CARGO_BIN_EXE_pgweir").to_owned());
    let run = |path: &str| output_of(Command::new(&binary).args(["--check", path]));
    let with_entries = |text: String| {
        let list = bouncer.file("userlist.txt", "\"app\" \"app\"\n");
        text.lines()
            .map(|line| match line.starts_with("auth_file") {
                true => format!("auth_file = {list}\n"),
                false => format!("{line}\n"),
            })
            .collect::<String>()
    };
    let path = bouncer.file("asked.ini", &with_entries(bouncer.ini()));
    let (status, out, error) = run(&path);
    assert!(status.success(), "{out}{error}");
    assert!(
        out.contains("of max_connections =") || out.contains("below max_connections ="),
        "{out}"
    );
    let text = with_entries(bouncer.ini())
        + "server_tls_ca_file = /nowhere/ca.pem\nserver_tls_sslmode = verify-ca\n";
    let (status, out, error) = run(&bouncer.file("tls.ini", &text));
    assert_eq!(status.code(), Some(1), "{out}{error}");
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
}

#[test]
fn the_unix_socket_has_its_mode_and_group() {
    use std::os::unix::fs::MetadataExt;
    let bouncer = Bouncer::new(Pg::shared())
        .set("unix_socket_mode", "0750")
        .start();
    let path = bouncer.dir().join(format!(".s.PGSQL.{}", bouncer.port));
    assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o750);
}

#[test]
fn a_changed_stats_period_holds_at_once() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).set("stats_period", 600).start();
    bouncer.show("set stats_period = 1");
    assert_soon!(bouncer.logged("stats: ") > 1, "a line a second");
}

#[test]
fn the_service_manager_hears_of_start_reload_and_end() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared());
    let path = bouncer.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let heard = || {
        let mut text = [0; 4096];
        let length = manager.recv(&mut text).expect("a word in time");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let bouncer = bouncer
        .set("stats_period", 1)
        .environment("NOTIFY_SOCKET", &path.display().to_string())
        .start();
    assert_eq!(heard(), "READY=1\n");
    assert!(heard().starts_with("STATUS=stats: "));
    let until = |wanted: &str| (0..20).any(|_| heard().starts_with(wanted));
    bouncer.show("reload");
    assert!(until("RELOADING=1\nMONOTONIC_USEC="));
    assert!(until("READY=1\n"));
    bouncer.signal(libc::SIGTERM);
    assert!(until("STOPPING=1\n"));
}
