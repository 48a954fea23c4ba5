//! Moments at which a client, its server or our own questions come between one another: a goodbye
//! while a question of ours is open, a half-sent pipeline, a role that is gone.

use crate::only_pgweir;
use crate::support::frames::{bind, copy_data, copy_done, execute, parse, query, sync, terminate};

use crate::support::{Bouncer, Pg, Proxy, Running};
use std::time::Duration;

fn one_server() -> Running {
    Bouncer::new(Pg::shared()).pool_size(1).start()
}

fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

const PAUSE: Duration = Duration::from_millis(300);

#[test]
fn a_goodbye_while_the_server_is_asked_what_it_holds_frees_it() {
    only_pgweir!();
    let bouncer = one_server();
    let mut client = bouncer.client();
    client.put(&joined(&[
        query("select pg_advisory_lock(8101)"),
        terminate(),
    ]));
    let _ = client.end();
    let mut other = bouncer.client();
    assert_eq!(other.one("select 'served'"), "served");
    assert_eq!(other.one("select pg_try_advisory_lock(8101)"), "t");
}

#[test]
fn a_goodbye_behind_a_held_begin_leaves_no_open_transaction() {
    only_pgweir!();
    let bouncer = one_server();
    let mut client = bouncer.client();
    client.ok("set work_mem to '7MB'");
    bouncer.client().ok("set work_mem to '9MB'");
    client.ok("begin");
    client.close();
    assert_eq!(bouncer.client().one("select 'served'"), "served");
}

#[test]
fn a_pipeline_in_two_halves_keeps_its_portal_when_the_server_is_asked_what_it_holds() {
    only_pgweir!();
    let bouncer = one_server();
    let mut client = bouncer.client();
    client.put(&joined(&[
        query("select pg_advisory_lock(8102)"),
        parse("", "select 7"),
        bind("", "", &[]),
    ]));
    let first = client.until_ready();
    assert!(first.errors.is_empty());
    std::thread::sleep(PAUSE);
    client.put(&joined(&[execute("", 0), sync()]));
    let second = client.until_ready();
    assert!(second.errors.is_empty(), "the portal is still there");
}

#[test]
fn a_copy_in_two_halves_is_not_cut_when_the_server_is_asked_what_it_holds() {
    only_pgweir!();
    let bouncer = one_server();
    let mut client = bouncer.client();
    client.ok("create temp table kept (n int)");
    client.put(&joined(&[
        query("select pg_advisory_lock(8103)"),
        query("copy kept from stdin"),
        copy_data(b"1\n"),
    ]));
    client.until_ready();
    std::thread::sleep(PAUSE);
    client.put(&joined(&[copy_data(b"2\n"), copy_done()]));
    let copied = client.until_ready();
    assert!(copied.errors.is_empty());
    assert_eq!(client.one("select count(*) from kept"), "2");
}

#[test]
fn nothing_runs_with_other_rights_when_the_role_is_gone() {
    only_pgweir!();
    let pg = Pg::start();
    let bouncer = Bouncer::new(&pg).pool_size(1).start();
    let mut admin = pg.admin();
    admin.query("create role fleeting");
    admin.query("drop table if exists rights; create table rights (name text)");
    admin.query("grant all on rights to public");
    let mut client = bouncer.client();
    let login = client.one("select session_user");
    admin.ok(&format!("grant fleeting to {login}"));
    client.ok("set role fleeting");
    bouncer.client().ok("select 1");
    admin.ok("drop role fleeting");
    client.put(&query("insert into rights values (current_user)"));
    assert!(!client.end().errors.is_empty());
    assert_eq!(bouncer.client().one("select count(*) from rights"), "0");
}

#[test]
fn settings_that_were_refused_leave_none_of_a_neighbour() {
    only_pgweir!();
    let pg = Pg::start();
    let bouncer = Bouncer::new(&pg).pool_size(1).start();
    let mut admin = pg.admin();
    admin.query("create role fleeting");
    let mut client = bouncer.client();
    let login = client.one("select session_user");
    admin.ok(&format!("grant fleeting to {login}"));
    client.ok("set role fleeting");
    bouncer.client().ok("set work_mem to '64MB'");
    admin.ok("drop role fleeting");
    client.ok("begin");
    assert!(!client.end().errors.is_empty());
    assert_eq!(bouncer.client().one("show work_mem"), "4MB");
}

#[test]
fn a_block_that_may_have_committed_is_not_run_again() {
    only_pgweir!();
    let pg = Pg::start();
    let proxy = Proxy::new(pg.port);
    let bouncer = Bouncer::at(proxy.port).pool_size(1).start();
    let mut admin = pg.admin();
    admin.query("create table once (n int)");
    admin.query("grant all on once to public");
    let mut client = bouncer.client();
    client.ok("select 1");
    client.ok("begin");
    client.put(&query(
        "insert into once values (1); commit; select pg_sleep(5)",
    ));
    std::thread::sleep(PAUSE);
    proxy.cut();
    assert!(!client.end().errors.is_empty());
    assert_eq!(admin.one("select count(*) from once"), "1");
}
