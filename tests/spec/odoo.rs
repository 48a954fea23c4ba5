//! Odoo's way of using PostgreSQL, with psycopg2 and several processes (`tests/tools/odoo_load.py`).

use crate::support::{Bouncer, Pg, Running, is_pgweir, output_of};
use std::process::Command;
use std::sync::OnceLock;

pub fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/python.sh");
        let (status, out, error) = output_of(Command::new("bash").arg(script));
        assert!(status.success(), "{error}");
        out.trim().to_owned()
    })
}

fn load(bouncer: &Running, database: &str, more: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/odoo_load.py");
    let mut command = Command::new(python());
    command
        .arg(script)
        .args(["--port", &bouncer.port.to_string(), "--database", database])
        .args(more);
    // PgBouncer loses an application_name given at login at the first DISCARD ALL (surface 6.3).
    if is_pgweir() {
        command.arg("--strict");
    }
    let (status, out, error) = output_of(&mut command);
    eprintln!("{out}");
    assert!(status.success(), "{out}{error}\n{}", bouncer.log());
    assert!(out.contains("\"errors\": {}"), "errors: {out}");
    assert!(out.contains("\"broken\": []"), "{out}");
}

#[test]
fn an_odoo_load_keeps_its_invariants_on_a_pool_of_20() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .set("auth_type", "md5")
        .pool_size(20)
        .start();
    load(&bouncer, &database, &["--workers", "6", "--seconds", "6"]);
}

#[test]
fn an_odoo_load_keeps_its_invariants_on_a_pool_of_2() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .set("auth_type", "scram-sha-256")
        .pool_size(2)
        .start();
    load(&bouncer, &database, &["--workers", "6", "--seconds", "6"]);
}
