//! Corners of the pool: servers counted too often or not at all, and queues nobody would serve.

use crate::support::frames::{password, query};
use crate::support::{Bouncer, Pg, secrets};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

#[test]
fn a_connect_query_that_hangs_does_not_stop_the_pool() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let line = format!(
        "slow = host=127.0.0.1 port={} dbname={database} connect_query='select pg_sleep(case when \
         to_regclass(''public.open'') is null then 600 else 0 end)'",
        pg.port
    );
    let bouncer = Bouncer::new(pg)
        .database(line)
        .set("server_connect_timeout", 1)
        .set("server_login_retry", 1)
        .start();
    let login = bouncer.login().database("slow");
    let entering = std::thread::spawn(move || login.try_connect().map(|mut c| c.one("select 1")));
    assert_soon!(pg.backends(&database) > 0, "the first server is connecting");
    bouncer.client_of(&database).ok("create table open (n int)");
    assert_soon!(entering.is_finished(), "a later server lets the client in");
}

#[test]
fn a_reset_without_connect_timeout_keeps_the_server() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_mode("session")
        .pool_size(1)
        .set("server_connect_timeout", 0)
        .start();
    let mut first = bouncer.client_of(&database);
    let backend = first.backend();
    first.close();
    assert_eq!(bouncer.client_of(&database).backend(), backend);
}

#[test]
fn filling_to_the_minimum_takes_no_server_from_another_pool() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .set("min_pool_size", 1)
        .set("max_db_connections", 1)
        .start();
    let mut app = bouncer.client_of(&database);
    app.one("select 1");
    let mut other = bouncer.login().user("other").database(&database).connect();
    other.one("select 1");
    let before = bouncer.logged("new connection to server");
    std::thread::sleep(Duration::from_secs(3));
    let opened = bouncer.logged("new connection to server") - before;
    assert!(opened <= 1, "{opened} connections for nobody");
}

#[test]
fn reconnect_with_every_server_busy_does_not_exceed_the_size() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut holder = bouncer.client_of(&database);
    let mut waiting = bouncer.client_of(&database);
    holder.ok("begin");
    bouncer.show(&format!("reconnect {database}"));
    waiting.put(&query("select 'served'"));
    assert!(waiting.silent_for(Duration::from_secs(1)));
    assert_eq!(pg.backends(&database), 1);
    holder.ok("commit");
    assert_eq!(waiting.until_ready().one(), "served");
}

#[test]
fn a_database_removed_during_a_login_lets_nobody_in() {
    let pg = Pg::shared();
    let database = pg.database();
    let line = format!("{database} = host=127.0.0.1 port={}", pg.port);
    let keep = format!("kept = host=127.0.0.1 port={} dbname=app", pg.port);
    let bouncer = Bouncer::new(pg)
        .only_databases(&[&line, &keep])
        .set("auth_type", "md5")
        .userlist("\"app\" \"app-secret\"\n\"admin\" \"admin-secret\"\n")
        .start();
    let login = bouncer
        .login()
        .user("app")
        .database(&database)
        .password("app-secret");
    let mut client = login.open().expect("connect");
    client.put(&login.startup());
    let asked = client.receive().expect("a challenge");
    let answer = secrets::md5_answer("app", "app-secret", &asked.body[4..]);
    bouncer.reload(|ini| ini.only_databases(&[&keep]));
    client.put(&password(&answer));
    let reply = client.until_ready();
    assert_eq!(reply.status, 0, "{reply:?}");
    assert_eq!(reply.errors.len(), 1, "{reply:?}");
    assert_eq!(bouncer.pool(&database, "app", "sv_idle"), 0);
}

#[test]
fn pauses_and_resumes_in_a_row_never_strand_a_waiter() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).own("lanes", 2).start();
    let until = std::time::Instant::now() + Duration::from_secs(4);
    let clients: Vec<_> = (0..6)
        .map(|n| {
            let mut client = bouncer.client_of(&database);
            std::thread::spawn(move || {
                while std::time::Instant::now() < until {
                    assert_eq!(client.one(&format!("select {n}")), n.to_string());
                }
            })
        })
        .collect();
    let mut console = bouncer.console();
    while std::time::Instant::now() < until {
        console.ok("pause");
        console.ok("resume");
        std::thread::sleep(Duration::from_millis(15));
    }
    clients
        .into_iter()
        .for_each(|client| client.join().expect("everybody was served"));
}

#[test]
fn discard_all_in_session_mode_says_what_is_true() {
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg).pool_mode("session").start();
    let mut client = bouncer
        .login()
        .parameter("TimeZone", "Asia/Tokyo")
        .connect();
    assert_eq!(client.one("show timezone"), "Asia/Tokyo");
    client.ok("discard all");
    let shown = client.one("show timezone");
    assert_eq!(client.parameter("TimeZone"), Some(shown.as_str()));
}

#[test]
fn servers_for_one_use_wait_for_it() {
    // PgBouncer closes what min_pool_size has just opened, three times a second.
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .set("min_pool_size", 2)
        .set("server_lifetime", 0)
        .start();
    let mut client = bouncer.client_of(&database);
    assert_soon!(pg.backends(&database) == 2, "the pool is filled");
    let before = bouncer.logged("new connection to server");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(bouncer.logged("new connection to server"), before);
    let first = client.backend();
    assert_ne!(client.backend(), first, "each serves once");
}

#[test]
fn a_server_that_ends_makes_room_for_its_own_pool_first() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(1)
        .set("max_db_connections", 2)
        .start();
    let mut other = bouncer.login().user("other").database(&database).connect();
    let idle = other.backend();
    let (mut holder, mut waiting) = (bouncer.client_of(&database), bouncer.client_of(&database));
    holder.ok("begin");
    waiting.put(&query("select 'served'"));
    assert!(waiting.silent_for(Duration::from_millis(400)));
    pg.ask(&format!(
        "select pg_terminate_backend({})",
        holder.backend()
    ));
    assert_eq!(waiting.until_ready().one(), "served");
    assert_eq!(
        other.backend(),
        idle,
        "no other pool's server was closed for it"
    );
}
