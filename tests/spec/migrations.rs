//! pg_dump, pg_restore, psql scripts and a migration run in transaction mode while neighbours work on
//! the same servers: what arrives is what left, and no search_path or timeout stays with anybody.

use crate::only_pgweir;
use crate::support::witness::{TRACKED, TRACKED_UNTOUCHED, UNTOUCHED, WITNESS};
use crate::support::{Bouncer, Pg, Running, output_of, tools};
use crate::twin::Features;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Neighbours who look at themselves on every server as long as it lives.
struct Crowd {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    people: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn new(bouncer: &Running, database: &str) -> Self {
        let (stop, looks) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let people = (0..4)
            .map(|n| {
                let mut client = bouncer.client_of(database);
                let (stop, looks) = (stop.clone(), looks.clone());
                std::thread::spawn(move || {
                    let mut turn = n;
                    while !stop.load(Ordering::Relaxed) {
                        turn += 1;
                        let all = Features::on().has(Features::SETTINGS) && turn % 2 == 0;
                        let (sql, expected) = if all {
                            (WITNESS, UNTOUCHED)
                        } else {
                            (TRACKED, TRACKED_UNTOUCHED)
                        };
                        let reply = client.ok(sql);
                        let cells: Vec<&str> = reply.rows[0]
                            .iter()
                            .map(|c| c.as_deref().unwrap_or(""))
                            .collect();
                        assert_eq!(cells.join("|"), expected);
                        looks.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(std::time::Duration::from_millis(2));
                    }
                })
            })
            .collect();
        Self {
            stop,
            looks,
            people,
        }
    }

    /// Everybody saw only what is theirs.
    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for person in self.people {
            person.join().expect("nobody saw another's settings");
        }
        assert!(self.looks.load(Ordering::Relaxed) > 4);
    }
}

fn tool(name: &str, bouncer: &Running) -> Command {
    let folder = match name {
        "pg_dump" | "pg_restore" => tools().dump.as_ref().unwrap_or(&tools().client),
        _ => &tools().client,
    };
    let port = bouncer.port.to_string();
    let mut command = Command::new(folder.join(name));
    command.args(["-h", "127.0.0.1", "-p", &port, "-U", "app"]);
    command
}

/// Runs it; lines of error, but for the one about a setting that only newer servers know.
fn errors(command: &mut Command) -> String {
    let (_, _, said) = output_of(command);
    let lines = said
        .lines()
        .filter(|line| line.contains("rror:") || line.contains("ERROR"));
    let lines: Vec<&str> = lines
        .filter(|line| !line.contains("transaction_timeout"))
        .collect();
    lines.join("\n")
}

fn empty_file(bouncer: &Running, name: &str) -> String {
    let path = bouncer.dir().join(name);
    std::fs::write(&path, "").expect("a file");
    path.display().to_string()
}

const COWS: &str = "create table cow (id serial primary key, name text, born date, weight float8);
    insert into cow (name, born, weight) select 'cow ''' || n, '2020-01-01'::date + n, n / 7.0::float8
        from generate_series(1, 3000) n;
    create schema barn; create table barn.stall (id int primary key, cow int references public.cow);
    insert into barn.stall select n, n from generate_series(1, 500) n;
    create view old_cow as select * from cow where born < '2021-01-01';
    create function moo(n int) returns text language plpgsql as $$ begin return repeat('moo', n); end $$;";
const SUM: &str = "select (select md5(string_agg(c::text, ',' order by id)) from public.cow c) || \
    (select sum(cow) from barn.stall) || (select count(*) from public.old_cow) || public.moo(2)";

fn stage(pool_size: u32) -> (Running, String, String) {
    let pg = Pg::shared();
    let (source, target) = (pg.database(), pg.database());
    let bouncer = Bouncer::new(pg).pool_size(pool_size).start();
    bouncer.client_of(&source).ok(COWS);
    (bouncer, source, target)
}

#[test]
fn a_custom_dump_is_restored_among_neighbours() {
    only_pgweir!();
    let (bouncer, source, target) = stage(3);
    let file = empty_file(&bouncer, "dump.fc");
    let (here, there) = (Crowd::new(&bouncer, &source), Crowd::new(&bouncer, &target));
    assert_eq!(
        errors(tool("pg_dump", &bouncer).args(["-Fc", "-f", &file, &source])),
        ""
    );
    assert_eq!(
        errors(tool("pg_restore", &bouncer).args(["--no-owner", "-d", &target, &file])),
        ""
    );
    assert_eq!(
        errors(tool("pg_restore", &bouncer).args([
            "--no-owner",
            "--clean",
            "--if-exists",
            "-1",
            "-d",
            &target,
            &file
        ])),
        ""
    );
    here.end();
    there.end();
    assert_eq!(
        bouncer.client_of(&target).one(SUM),
        bouncer.client_of(&source).one(SUM)
    );
}

#[test]
fn a_plain_dump_is_read_by_psql_among_neighbours() {
    only_pgweir!();
    if !Features::on().has(Features::SETTINGS) {
        return;
    }
    let (bouncer, source, target) = stage(2);
    let file = empty_file(&bouncer, "dump.sql");
    let (here, there) = (Crowd::new(&bouncer, &source), Crowd::new(&bouncer, &target));
    assert_eq!(
        errors(tool("pg_dump", &bouncer).args(["--no-owner", "-f", &file, &source])),
        ""
    );
    assert_eq!(
        errors(tool("psql", &bouncer).args(["-X", "-q", "-d", &target, "-f", &file])),
        ""
    );
    here.end();
    there.end();
    assert_eq!(
        bouncer.client_of(&target).one(SUM),
        bouncer.client_of(&source).one(SUM)
    );
}

/// What a tool for migrations does: timeouts, a search_path of its own, a lock, DDL, a DO block, and a
/// version table it looks at again and again.
const MIGRATION: &str = "\\set ON_ERROR_STOP on
set lock_timeout to '5s'; set statement_timeout to '50s';
set search_path to barn, public;
set role app;
create table if not exists schema_version (n int primary key);
begin;
lock table stall in exclusive mode;
alter table stall add column straw int;
set local synchronous_commit to off;
update stall set straw = 3;
insert into schema_version values (1);
commit;
do $$ begin execute 'create index stall_straw on stall (straw)'; end $$;
begin;
savepoint a;
insert into schema_version values (2);
rollback to a;
insert into schema_version values (3);
commit;
select 'versions ' || string_agg(n::text, ',' order by n) from schema_version;
select 'path ' || current_setting('search_path') || ' ' || current_setting('lock_timeout');
copy stall (id, straw) from stdin;
901\t9
902\t9
\\.
select 'straw ' || sum(straw) from stall;
reset all;
select 'reset ' || current_setting('search_path') || ' ' || current_setting('lock_timeout');
";

#[test]
fn a_migration_keeps_its_settings_to_itself() {
    only_pgweir!();
    if !Features::on().has(Features::SETTINGS) {
        return;
    }
    for pool_size in [1, 2, 20] {
        let (bouncer, source, _) = stage(pool_size);
        let file = empty_file(&bouncer, "migration.sql");
        std::fs::write(&file, MIGRATION).expect("the script");
        let crowd = Crowd::new(&bouncer, &source);
        let mut psql = tool("psql", &bouncer);
        psql.args(["-X", "-q", "-A", "-t", "-d", &source, "-f", &file]);
        let (status, out, said) = output_of(&mut psql);
        crowd.end();
        assert!(status.success(), "{said}");
        let lines: Vec<&str> = out.lines().filter(|line| !line.is_empty()).collect();
        let expected = [
            "versions 1,3",
            "path barn, public 5s",
            "straw 1518",
            "reset \"$user\", public 0",
        ];
        assert_eq!(lines, expected, "{said}");
    }
}
