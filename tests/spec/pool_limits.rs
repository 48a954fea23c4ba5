//! Pool sizes and every cap on connections (surface 4).

use crate::support::frames::query;
use crate::support::{Bouncer, Pg, RawClient, Running};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

fn hold(client: &mut RawClient) {
    client.ok("begin");
    client.one("select 1");
}

fn queued(client: &mut RawClient, sql: &str) {
    client.put(&query(sql));
    assert!(
        client.silent_for(Duration::from_millis(400)),
        "{sql} must wait"
    );
}

/// `count` clients inside transactions of one database.
fn holders(bouncer: &Running, database: &str, count: usize) -> Vec<RawClient> {
    (0..count)
        .map(|_| {
            let mut client = bouncer.client_of(database);
            hold(&mut client);
            client
        })
        .collect()
}

#[test]
fn a_pool_opens_as_many_servers_as_its_size() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(3).start();
    let mut inside = holders(&bouncer, &database, 3);
    let mut fourth = bouncer.client_of(&database);
    queued(&mut fourth, "select 'fourth'");
    assert_eq!(pg.backends(&database), 3);
    inside[1].ok("commit");
    assert_eq!(fourth.until_ready().one(), "fourth");
    assert_eq!(pg.backends(&database), 3);
}

#[test]
fn a_burst_of_clients_never_exceeds_the_size() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(4)
        .set("max_client_conn", 200)
        .start();
    let clients: Vec<_> = (0..60)
        .map(|_| {
            bouncer
                .client_of(&database)
                .spawn("select pg_backend_pid() from pg_sleep(0.02)")
        })
        .collect();
    let mut pids = std::collections::HashSet::new();
    let mut alive = Vec::new();
    for client in clients {
        let (client, reply) = client.join().expect("the client lives");
        pids.insert(reply.one());
        alive.push(client);
    }
    assert!(pids.len() <= 4, "{} servers", pids.len());
    assert!(pg.backends(&database) <= 4);
}

#[test]
fn a_pool_size_per_database_and_per_user_counts_before_the_default() {
    let pg = Pg::shared();
    let (one, two) = (pg.database(), pg.database());
    let bouncer = Bouncer::new(pg)
        .pool_size(5)
        .database(format!(
            "{one} = host=127.0.0.1 port={} pool_size=1",
            pg.port
        ))
        .user("other = pool_size=2")
        .start();
    let _inside = holders(&bouncer, &one, 1);
    queued(&mut bouncer.client_of(&one), "select 1");
    let login = bouncer.login().user("other").database(&two);
    let mut inside: Vec<_> = (0..2).map(|_| login.connect()).collect();
    inside.iter_mut().for_each(hold);
    queued(&mut login.connect(), "select 1");
}

#[test]
fn waiting_clients_are_served_in_the_order_they_came() {
    // With one lane exactly; with more, a lane serves its own first up to 5 ms.
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .own("lanes", 1)
        .start();
    let mut holder = bouncer.client();
    holder.ok("create sequence served_turn");
    hold(&mut holder);
    let mut waiting: Vec<RawClient> = (0..10).map(|_| bouncer.client()).collect();
    for client in &mut waiting {
        client.put(&query("select nextval('served_turn')"));
        std::thread::sleep(Duration::from_millis(20));
    }
    holder.ok("commit");
    for (n, client) in waiting.iter_mut().enumerate() {
        assert_eq!(client.until_ready().one(), (n + 1).to_string());
    }
    holder.ok("drop sequence served_turn");
}

#[test]
fn the_server_used_last_is_used_first() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(3)
        .own("lanes", 1)
        .start();
    let mut inside = holders(&bouncer, "app", 3);
    let pids: Vec<i32> = inside.iter_mut().map(RawClient::backend).collect();
    for n in [1, 0, 2] {
        inside[n].ok("commit");
    }
    for _ in 0..5 {
        assert_eq!(inside[0].backend(), pids[2]);
    }
}

#[test]
fn a_server_that_is_checked_before_its_use_is_one_server() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(5)
        .set("server_check_delay", 0)
        .start();
    let mut client = bouncer.client_of(&database);
    for _ in 0..8 {
        client.one("select 1");
        client.ok("begin");
        client.one("select 1");
        client.ok("commit");
    }
    let servers = bouncer.show("show servers");
    let ours = servers
        .table()
        .filter(|row| row.get("database") == database);
    assert_eq!(ours.count(), 1, "{servers:?}");
}

#[test]
fn round_robin_uses_the_server_that_rested_longest() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(3)
        .set("server_round_robin", 1)
        .own("lanes", 1)
        .start();
    let mut inside = holders(&bouncer, "app", 3);
    let pids: Vec<i32> = inside.iter_mut().map(RawClient::backend).collect();
    for n in [1, 0, 2] {
        inside[n].ok("commit");
    }
    let order: Vec<i32> = (0..6).map(|_| inside[0].backend()).collect();
    assert_eq!(
        order,
        [pids[1], pids[0], pids[2], pids[1], pids[0], pids[2]]
    );
}

#[test]
fn the_reserve_opens_when_the_first_waiter_has_waited_long_enough() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(1)
        .set("reserve_pool_size", 1)
        .set("reserve_pool_timeout", "1.0")
        .start();
    let _inside = holders(&bouncer, &database, 1);
    let mut second = bouncer.client_of(&database);
    second.ok("begin");
    queued(&mut second, "select 1");
    assert_eq!(second.until_ready().status, b'T');
    assert_soon!(
        bouncer.logged("taking connection from reserve_pool") == 1,
        "the log says so"
    );
    queued(&mut bouncer.client_of(&database), "select 1");
    assert_eq!(pg.backends(&database), 2, "pool and reserve, and no more");
}

#[test]
fn a_reserve_timeout_of_zero_disables_the_reserve() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("reserve_pool_size", 1)
        .set("reserve_pool_timeout", 0)
        .set("query_wait_timeout", 2)
        .start();
    let _inside = holders(&bouncer, "app", 1);
    assert_eq!(
        bouncer.client().fails("select 1").text(),
        "query_wait_timeout"
    );
}

#[test]
fn min_pool_size_is_kept_filled() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(5)
        .set("min_pool_size", 3)
        .start();
    assert_eq!(pg.backends(&database), 0, "nobody came yet");
    let mut client = bouncer.client_of(&database);
    client.one("select 1");
    assert_soon!(pg.backends(&database) == 3, "filled up");
    pg.ask(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}' limit 1"
    ));
    assert_soon!(pg.backends(&database) == 3, "filled up again");
}

#[test]
fn min_pool_size_of_a_forced_user_needs_no_client() {
    let pg = Pg::shared();
    let database = pg.database();
    let line = format!(
        "{database} = host=127.0.0.1 port={} user=app min_pool_size=2",
        pg.port
    );
    let _bouncer = Bouncer::new(pg).database(line).start();
    assert_soon!(pg.backends(&database) == 2, "filled before anybody came");
}

#[test]
fn max_db_connections_holds_over_all_users_of_a_database() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(5)
        .set("max_db_connections", 2)
        .start();
    let _inside = holders(&bouncer, &database, 2);
    let mut other = bouncer
        .login()
        .user("other")
        .database(&database)
        .open()
        .unwrap();
    other.put(&bouncer.login().user("other").database(&database).startup());
    other.put(&query("select 1"));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(pg.backends(&database), 2);
}

#[test]
fn an_idle_server_of_another_pool_gives_way_under_max_db_connections() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(5)
        .set("max_db_connections", 2)
        .start();
    let mut inside = holders(&bouncer, &database, 2);
    let first = inside[0].backend();
    inside[0].ok("commit");
    let mut other = bouncer.login().user("other").database(&database).connect();
    assert_eq!(other.one("select current_user"), "other");
    assert_eq!(pg.backends(&database), 2);
    assert_soon!(
        bouncer.logged("closing because: evicted") > 0,
        "the log says evicted"
    );
    let alive = format!("select count(*) from pg_stat_activity where pid = {first}");
    assert_soon!(pg.ask(&alive) == "0", "the idle one went");
}

#[test]
fn max_user_connections_holds_over_all_databases_of_a_user() {
    let pg = Pg::shared();
    let (one, two) = (pg.database(), pg.database());
    let bouncer = Bouncer::new(pg)
        .pool_size(5)
        .user("app = max_user_connections=2")
        .start();
    let mut inside = holders(&bouncer, &one, 2);
    let mut line = bouncer.login().database(&two).open().unwrap();
    line.put(&bouncer.login().database(&two).startup());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(pg.backends(&one) + pg.backends(&two), 2);
    inside[0].ok("commit");
    assert!(
        line.until(b'Z').kinds.ends_with('Z'),
        "the idle server of the other pool gave way"
    );
    assert_eq!(pg.backends(&one) + pg.backends(&two), 2);
}

#[test]
fn the_hotels_limits_hold_under_load_from_many_databases() {
    let pg = Pg::shared();
    let databases: Vec<String> = (0..4).map(|_| pg.database()).collect();
    let bouncer = Bouncer::new(pg)
        .pool_size(5)
        .set("max_user_connections", 6)
        .set("max_db_connections", 4)
        .set("max_client_conn", 300)
        .start();
    let clients: Vec<_> = (0..48)
        .map(|n| {
            let mut client = bouncer.client_of(&databases[n % 4]);
            std::thread::spawn(move || {
                for _ in 0..15 {
                    client.one("select 1 from pg_sleep(0.002)");
                }
            })
        })
        .collect();
    while clients.iter().any(|client| !client.is_finished()) {
        let each: Vec<usize> = databases.iter().map(|name| pg.backends(name)).collect();
        // A server that was told to go may still be seen by PostgreSQL for a moment.
        assert!(each.iter().sum::<usize>() <= 6 + 4, "{each:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    clients
        .into_iter()
        .for_each(|client| client.join().expect("every query was answered"));
}

#[test]
fn a_client_waits_no_longer_than_query_wait_timeout() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("query_wait_timeout", 1)
        .start();
    let mut inside = holders(&bouncer, "app", 1);
    let mut waiting = bouncer.client();
    let error = waiting.fails("select 1");
    assert_eq!((error.severity(), error.sqlstate()), ("FATAL", "08P01"));
    assert_eq!(error.text(), "query_wait_timeout");
    assert!(
        waiting.end().kinds.is_empty(),
        "and the connection is closed"
    );
    inside[0].ok("commit");
    assert_eq!(bouncer.client().one("select 1"), "1");
}

#[test]
fn lowering_the_size_closes_surplus_idle_servers() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(4).start();
    for mut client in holders(&bouncer, &database, 4) {
        client.ok("commit");
    }
    assert_eq!(pg.backends(&database), 4);
    bouncer.reload(|ini| ini.pool_size(1));
    let _keep = bouncer.client_of(&database);
    assert_soon!(pg.backends(&database) <= 1, "the surplus is closed");
}

#[test]
fn pools_of_different_users_never_share_a_server() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(2).start();
    for _ in 0..10 {
        for user in ["app", "other", "third"] {
            let mut client = bouncer.login().user(user).connect();
            assert_eq!(
                client.one("select current_user || session_user"),
                format!("{user}{user}")
            );
        }
    }
}

#[test]
fn clients_that_leave_the_queue_do_not_block_it() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let mut inside = holders(&bouncer, "app", 1);
    for _ in 0..5 {
        let mut leaving = bouncer.client();
        leaving.put(&query("select 'leaving'"));
        leaving.vanish();
    }
    let mut staying = bouncer.client();
    queued(&mut staying, "select 'staying'");
    inside[0].ok("commit");
    assert_eq!(staying.until_ready().one(), "staying");
}

#[test]
fn lanes_share_one_exact_limit() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .own("lanes", 4)
        .pool_size(2)
        .set("max_client_conn", 300)
        .start();
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let mut client = bouncer.client_of(&database);
            std::thread::spawn(move || {
                for _ in 0..25 {
                    client.one("select 1 from pg_sleep(0.001)");
                }
            })
        })
        .collect();
    while clients.iter().any(|client| !client.is_finished()) {
        let count = pg.backends(&database);
        assert!(count <= 2, "{count} servers");
        std::thread::sleep(Duration::from_millis(20));
    }
    clients
        .into_iter()
        .for_each(|client| client.join().expect("every query was answered"));
}
