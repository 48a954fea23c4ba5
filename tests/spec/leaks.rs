//! Whatever a client set, locked, listened to, prepared or created: while it idles, and after it went
//! in any way, the next client on the only server sees nothing of it.

use crate::only_pgweir;
use crate::support::frames::{frame, parse, query, sync};
use crate::support::witness::{TRACKED, TRACKED_UNTOUCHED, UNTOUCHED, WITNESS};
use crate::support::{Bouncer, Pg, RawClient, Running, output_of, programs};
use crate::twin::Features;
use std::process::Command;

/// What a client does to its session: statements, and one that shows another client that it leaks
/// (the error or first cell that a stranger must get).
struct Kind {
    name: &'static str,
    feature: u32,
    deeds: &'static [&'static str],
    probe: &'static str,
    stranger: &'static str,
}

const KINDS: [Kind; 18] = [
    Kind {
        name: "reported settings",
        feature: 0,
        deeds: &[
            "set timezone to 'Asia/Tokyo'; set datestyle to 'German'",
            "set application_name to 'gone'",
        ],
        probe: "select '2026-02-01'::date",
        stranger: "2026-02-01",
    },
    Kind {
        name: "settings",
        feature: Features::SETTINGS,
        deeds: &[
            "set lock_timeout to '15s'; set work_mem to '33MB'",
            "set search_path to ''",
            "set statement_timeout = 90000",
        ],
        probe: "show search_path",
        stranger: "\"$user\", public",
    },
    Kind {
        name: "set_config",
        feature: Features::SETTINGS,
        deeds: &[
            "select set_config('my.var', 'gone', false), set_config('bytea_output', 'escape', false)",
        ],
        probe: "select coalesce(current_setting('my.var', true), '')",
        stranger: "",
    },
    Kind {
        name: "session characteristics",
        feature: Features::SETTINGS,
        deeds: &[
            "set session characteristics as transaction isolation level serializable, read only",
        ],
        probe: "show transaction_read_only",
        stranger: "off",
    },
    Kind {
        name: "role",
        feature: Features::ROLES,
        deeds: &["set role other"],
        probe: "select current_user",
        stranger: "app",
    },
    Kind {
        name: "what a DO block sets",
        feature: Features::CODE,
        deeds: &[
            "do $$ begin perform set_config('work_mem', '55MB', false); set statement_timeout to '66s'; end $$",
        ],
        probe: "show work_mem",
        stranger: "4MB",
    },
    Kind {
        name: "the role a DO block takes",
        feature: Features::CODE,
        deeds: &["do $$ begin execute 'set role other'; end $$"],
        probe: "select current_user",
        stranger: "app",
    },
    Kind {
        name: "what a function sets",
        feature: Features::CODE,
        deeds: &[
            "select set_it('lock_timeout', '5s')",
            "select set_it('my.var', 'gone') from generate_series(1, 2)",
        ],
        probe: "show lock_timeout",
        stranger: "0",
    },
    Kind {
        name: "what a function in a view sets",
        feature: Features::HIDDEN_CODE,
        deeds: &["select * from setting_view"],
        probe: "show lock_timeout",
        stranger: "0",
    },
    Kind {
        name: "what a trigger sets",
        feature: Features::HIDDEN_CODE,
        deeds: &["insert into setting_table values (1)"],
        probe: "show lock_timeout",
        stranger: "0",
    },
    Kind {
        name: "what an operator's function sets",
        feature: Features::HIDDEN_CODE,
        deeds: &["select 1 === 2"],
        probe: "show lock_timeout",
        stranger: "0",
    },
    Kind {
        name: "temporary table",
        feature: Features::TEMP,
        deeds: &[
            "create temp table t1 (n int)",
            "insert into t1 values (1)",
            "create temp view v1 as select 1",
        ],
        probe: "select * from t1",
        stranger: "42P01",
    },
    Kind {
        name: "temporary table of a DO block",
        feature: Features::TEMP,
        deeds: &["do $$ begin create temp table t1 as select 1 as n; end $$"],
        probe: "select * from t1",
        stranger: "42P01",
    },
    Kind {
        name: "advisory locks",
        feature: Features::LOCKS,
        deeds: &[
            "select pg_advisory_lock(7)",
            "select pg_try_advisory_lock_shared(8)",
        ],
        probe: "select pg_advisory_unlock(7)",
        stranger: "f",
    },
    Kind {
        name: "channels",
        feature: Features::LISTEN,
        deeds: &["listen c1", "begin; listen c2; commit"],
        probe: "select count(*) from pg_listening_channels()",
        stranger: "0",
    },
    Kind {
        name: "prepared by SQL",
        feature: Features::SQL_PREPARED,
        deeds: &[
            "prepare q1 as select 'gone'",
            "prepare p1(int) as select $1",
            "execute q1",
        ],
        probe: "execute q1",
        stranger: "26000",
    },
    Kind {
        name: "cursors",
        feature: Features::CURSORS,
        deeds: &[
            "declare k1 cursor with hold for select 1",
            "begin; declare k2 cursor with hold for select 2; commit",
        ],
        probe: "fetch k1",
        stranger: "34000",
    },
    Kind {
        name: "sequences",
        feature: Features::SEQUENCES,
        deeds: &["select nextval('seq1')"],
        probe: "select currval('seq1')",
        stranger: "55000",
    },
];

/// How a client leaves.
const WAYS: [&str; 8] = [
    "idles",
    "terminate",
    "vanish",
    "vanish inside a transaction",
    "vanish inside a failed transaction",
    "vanish inside a query",
    "break the protocol",
    "be killed",
];

const LOCKS_HELD: &str = "select count(*) from pg_locks where locktype = 'advisory' \
    and database = (select oid from pg_database where datname = current_database())";

const SCHEMA: &str = "
    create sequence seq1; grant all on sequence seq1 to public;
    create function set_it(n text, v text) returns text language sql as 'select set_config($1, $2, false)';
    create function set_lock() returns int language plpgsql as
        'begin perform set_config(''lock_timeout'', ''5s'', false); return 1; end';
    create view setting_view as select set_lock() as one;
    create table setting_table (n int);
    create function on_insert() returns trigger language plpgsql as
        'begin perform set_lock(); return new; end';
    create trigger t before insert on setting_table for each row execute function on_insert();
    create function odd(int, int) returns bool language sql as 'select set_lock() = 1';
    create operator === (leftarg = int, rightarg = int, function = odd);
    grant all on all tables in schema public to public;";

struct Stage {
    bouncer: Running,
    database: String,
}

impl Stage {
    fn new(pg: &Pg) -> Self {
        let database = pg.database();
        let bouncer = Bouncer::new(pg).pool_size(1).start();
        let mut admin = crate::support::Login::new(pg.port)
            .user("postgres")
            .database(&database)
            .connect();
        admin.ok(SCHEMA);
        Self { bouncer, database }
    }

    fn client(&self) -> RawClient {
        self.bouncer.client_of(&self.database)
    }

    fn leave(&self, mut client: RawClient, way: &str) -> Option<RawClient> {
        match way {
            "idles" => return Some(client),
            "terminate" => client.close(),
            "vanish" => client.vanish(),
            "vanish inside a transaction" => {
                client.ok("begin; select 1");
                client.vanish();
            }
            "vanish inside a failed transaction" => {
                client.ok("begin");
                client.fails("select 1/0");
                client.vanish();
            }
            "vanish inside a query" => {
                client.put(&query("select pg_sleep(0.05), repeat('gone', 1000)"));
                client.vanish();
            }
            "break the protocol" => {
                client.put(&frame(b'?', b"nonsense"));
                client.end();
            }
            _ => {
                let port = client.local_port().to_string();
                let clients = self.bouncer.show("show clients");
                let id = clients.table().find(|row| row.get("port") == port);
                let id = id.expect("it is listed").get("id").to_owned();
                self.bouncer.show(&format!("kill_client {id}"));
                client.end();
            }
        }
        None
    }

    /// What the next client sees of it, if anything.
    fn stranger(&self, kind: &Kind, idle: bool) -> Vec<String> {
        let mut client = self.client();
        let mut seen = Vec::new();
        let reply = client.query(kind.probe);
        let got = match reply.errors.first() {
            Some(error) => error.sqlstate().to_owned(),
            None => reply.one(),
        };
        if got != kind.stranger {
            seen.push(format!(
                "{}: {got} instead of {}",
                kind.probe, kind.stranger
            ));
        }
        let mut look = |sql: &str, expected: &str| {
            let reply = client.ok(sql);
            let cells: Vec<&str> = reply.rows[0]
                .iter()
                .map(|c| c.as_deref().unwrap_or(""))
                .collect();
            let row = cells.join("|");
            if row != expected {
                seen.push(format!("{row} instead of {expected}"));
            }
        };
        look(TRACKED, TRACKED_UNTOUCHED);
        if Features::on().has(Features::SETTINGS) {
            look(WITNESS, UNTOUCHED);
        }
        // An advisory lock of one that idles is somebody's, rightly.
        if kind.feature == Features::LOCKS && !idle {
            crate::assert_soon!(
                client.one(LOCKS_HELD) == "0",
                "{}: every lock is free",
                kind.name
            );
        }
        seen
    }
}

#[test]
fn the_next_client_sees_nothing_of_the_one_before() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok("grant other, third to app");
    let mut found = Vec::new();
    for kind in &KINDS {
        if kind.feature != 0 && !Features::on().has(kind.feature) {
            continue;
        }
        let pins = matches!(
            kind.feature,
            Features::TEMP | Features::LOCKS | Features::CURSORS
        );
        let stage = Stage::new(&pg);
        for way in WAYS {
            // A pin keeps the only server, rightly.
            if way == "idles" && (pins || kind.feature == Features::SEQUENCES) {
                continue;
            }
            let mut client = stage.client();
            for deed in kind.deeds {
                let failed = client.query(deed).errors;
                found.extend(
                    failed
                        .iter()
                        .map(|e| format!("{}, {deed}: {e:?}", kind.name)),
                );
            }
            let stays = stage.leave(client, way);
            let seen = stage.stranger(kind, stays.is_some());
            found.extend(
                seen.into_iter()
                    .map(|text| format!("{}, {way}: {text}", kind.name)),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_name_prepared_by_one_is_unknown_to_the_next() {
    only_pgweir!();
    let stage = Stage::new(Pg::shared());
    for way in WAYS {
        let mut client = stage.client();
        let reply = client.exchange(
            &[
                parse("p1", "select 'gone'"),
                parse("", "select 'gone'"),
                sync(),
            ]
            .concat(),
        );
        assert!(reply.errors.is_empty(), "{reply:?}");
        let _stays = stage.leave(client, way);
        let mut next = stage.client();
        let reply = next.exchange(&crate::support::frames::run_prepared("p1", &[]));
        assert!(
            reply.rows.is_empty() && !reply.errors.is_empty(),
            "{way}: {reply:?}"
        );
    }
}

#[test]
fn what_a_rude_client_held_is_free_at_once() {
    only_pgweir!();
    let stage = Stage::new(Pg::shared());
    for begin in [
        "begin",
        "begin; lock table setting_table",
        "start transaction read only",
    ] {
        for _ in 0..5 {
            let mut client = stage.client();
            client.ok(begin);
            client.vanish();
            assert_eq!(stage.client().one("select 'next'"), "next", "{begin}");
        }
    }
    let (pools, database) = (&stage.bouncer, &stage.database);
    crate::assert_soon!(
        pools.pool(database, "app", "sv_active") == 0,
        "nobody has the server"
    );
}

/// Odoo's sequence, by psycopg2 (`tests/tools/odoo_session.py`).
#[test]
fn odoo_keeps_its_name_and_leaves_no_timeout_to_others() {
    only_pgweir!();
    let pg = Pg::shared();
    let stage = Stage::new(pg);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/odoo_session.py");
    let mut command = Command::new(programs::find("python"));
    command.arg(script).args([
        "--port",
        &stage.bouncer.port.to_string(),
        "--database",
        &stage.database,
    ]);
    if Features::on().has(Features::SETTINGS) {
        command.arg("--settings");
    }
    if Features::on().has(Features::LISTEN) {
        command.arg("--listen");
    }
    let (status, out, error) = output_of(&mut command);
    assert!(status.success(), "{out}{error}");
}
