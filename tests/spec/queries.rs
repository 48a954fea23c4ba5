//! The query pack that ships: every file runs on real PostgreSQL and finds what is there.

use crate::assert_soon;
use crate::support::frames::query;
use crate::support::{Login, Pg, RawClient, Reply};
use std::collections::BTreeMap;
use std::path::Path;

/// What a fresh cluster without replicas has no rows for.
const MAY_BE_EMPTY: [&str; 1] = ["replication"];
/// Ends sessions: asked last.
const TERMINATES: &str = "terminate_idle_in_transaction";

/// Name without `.sql`, and text.
fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/queries");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn superuser(pg: &Pg) -> RawClient {
    Login::new(pg.port)
        .user("postgres")
        .database("app")
        .connect()
}

fn odoo(pg: &Pg, name: &str) -> RawClient {
    let mut client = Login::new(pg.port).user("app").database("app").connect();
    client.ok(&format!("set application_name = '{name}'"));
    client
}

/// Tables with indexes used and unused, dead rows, statements worth a row in pg_stat_statements.
fn fill(pg: &Pg) {
    superuser(pg).ok("create extension pg_stat_statements");
    let mut app = odoo(pg, "odoo-1");
    app.ok("create schema \"Farm\"");
    app.ok("create table \"Farm\".\"Cow\" (id int primary key, name text, litres int)");
    app.ok("create index cow_unused on \"Farm\".\"Cow\" (litres)");
    app.ok("create table no_index as select n from generate_series(1, 2000) n");
    app.ok("insert into \"Farm\".\"Cow\" select n, 'cow', n from generate_series(1, 30000) n");
    app.ok("update \"Farm\".\"Cow\" set name = 'bull' where id <= 15000");
    for _ in 0..12 {
        app.ok("select count(*) from no_index");
    }
    app.close();
    // What was cached is forgotten, so that the next read of an index comes from the disk.
    pg.stop(libc::SIGINT);
    pg.launch();
    let mut app = odoo(pg, "odoo-1");
    app.ok("set enable_seqscan = off");
    for id in 1..=12 {
        app.ok(&format!(
            "select name from \"Farm\".\"Cow\" where id = {id}"
        ));
    }
    app.close();
}

/// A root that idles in its transaction, one who waits for it, and one who waits for that one.
struct Pile {
    root: i32,
    _sessions: [RawClient; 3],
}

impl Pile {
    fn of(pg: &Pg) -> Self {
        let update = |id| format!("update \"Farm\".\"Cow\" set litres = 0 where id = {id}");
        let mut sessions = ["odoo-11", "odoo-12", "odoo-13"].map(|name| odoo(pg, name));
        let [root, second, third] = &mut sessions;
        root.ok("begin");
        root.ok(&update(1));
        let pid = root.backend();
        second.ok("begin");
        second.ok(&update(2));
        second.put(&query(&update(1)));
        third.put(&query(&update(2)));
        assert_soon!(
            pg.ask("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == "2",
            "two wait"
        );
        Self {
            root: pid,
            _sessions: sessions,
        }
    }
}

/// Is this query for a server of that version?
fn is_for(name: &str, version: u32) -> bool {
    match name {
        "checkpoints" => version < 17,
        "checkpoints_17" => version >= 17,
        _ => true,
    }
}

/// Asks until there are rows; ages are taken as reached, because no test waits an hour.
fn ask(pg: &Pg, name: &str, text: &str) -> Reply {
    let text = ["1 hour", "5 minutes"]
        .iter()
        .fold(text.to_owned(), |text, age| text.replace(age, "0"));
    let mut reply = None;
    assert_soon!(
        {
            let found = superuser(pg).ok(&text);
            let is_done = !found.rows.is_empty() || MAY_BE_EMPTY.contains(&name);
            reply = Some(found);
            is_done
        },
        "{name} finds rows"
    );
    reply.unwrap()
}

fn every_query_works(pg: &Pg, version: u32) {
    fill(pg);
    let pile = Pile::of(pg);
    let root = pile.root.to_string();
    for (name, text) in files() {
        if name == TERMINATES || !is_for(&name, version) {
            continue;
        }
        let reply = ask(pg, &name, &text);
        let column = |column: &str| -> Vec<String> {
            reply
                .table()
                .map(|row| row.get(column).to_owned())
                .collect()
        };
        match name.as_str() {
            "lock_tree" => {
                assert_eq!(column("root_pid"), [&*root, &*root], "one root for both");
                assert_eq!(column("root_state"), ["idle in transaction"; 2]);
            }
            "blocked_queries" => assert_eq!(column("blocked"), ["2"]),
            "idle_in_transaction" => assert!(column("pid").contains(&root)),
            "long_queries" => assert_eq!(column("pid").len(), 2),
            "unused_indexes" => assert_eq!(column("indexrelname"), ["cow_unused"]),
            "dead_rows" | "vacuum_status" => assert_eq!(column("relname"), ["Cow"]),
            "seq_scans" => assert!(column("relname").contains(&"no_index".to_owned())),
            "connection_usage" => {
                let share: f64 = column("used_pct")[0].parse().unwrap();
                assert!(share > 0.5 && share < 50.0, "not whole, not zero: {share}");
            }
            "top_statements_by_mean_time" => {
                let texts = column("query_preview").join("\n");
                assert!(texts.contains("no_index"), "{texts}");
            }
            _ => {}
        }
    }
    let text = &files()[TERMINATES];
    assert!(
        superuser(pg).ok(text).rows.is_empty(),
        "nobody idles for an hour here"
    );
    let ended = ask(pg, TERMINATES, text);
    assert!(ended.table().any(|row| row.get("pid") == root));
}

#[test]
fn each_query_of_the_pack_finds_rows() {
    every_query_works(&Pg::version(16, SETTINGS), 16);
}

#[test]
fn each_query_of_the_pack_finds_rows_on_18() {
    every_query_works(&Pg::version(18, SETTINGS), 18);
}

const SETTINGS: &str = "shared_preload_libraries = 'pg_stat_statements'\nautovacuum = off\n";

#[test]
fn each_file_says_which_document_it_corrects() {
    let files = files();
    assert!(files.len() > 20, "the pack is there: {files:?}");
    for (name, text) in files {
        let head: String = text
            .lines()
            .take_while(|line| line.starts_with("--"))
            .collect();
        assert!(head.contains("document, line "), "{name}: {head}");
        let statements = text.lines().filter(|line| line.ends_with(';')).count();
        assert_eq!(statements, 1, "{name} is one statement");
    }
}
