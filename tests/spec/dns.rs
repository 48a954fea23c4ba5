//! Host names whose addresses change (surface 6.10), with an /etc/hosts of the pooler's own.

use crate::support::{Bouncer, Pg, RawClient, Running, binary};
use crate::{assert_soon, only_pgweir};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Starts the program in a mount namespace where the file beside it is /etc/hosts, as an ordinary
/// user again.
const WRAPPER: &str = r#"#!/bin/sh
exec unshare -rm sh -c 'mount --bind "$0" /etc/hosts && exec unshare -U --map-user=7 --map-group=7 "$@"' \
    "$(dirname "$0")/hosts" "$PROGRAM" "$@"
"#;

/// A pooler whose `db.test` is an address of ours; `None` where the system forbids namespaces.
fn start(pg: &Pg, max_ttl: u32) -> Option<(Running, PathBuf)> {
    let allowed = Command::new("unshare")
        .args(["-rm", "mount", "--bind", "/etc/hosts", "/etc/hosts"])
        .output();
    if !allowed.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: no mount namespaces here");
        return None;
    }
    let bouncer = Bouncer::new(pg);
    let hosts = PathBuf::from(bouncer.file("hosts", "127.0.0.1 localhost db.test\n"));
    let wrapper = PathBuf::from(bouncer.file("wrapper.sh", WRAPPER));
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let running = bouncer
        .binary(&wrapper, true)
        .environment("PROGRAM", &binary().to_string_lossy())
        .database(format!("named = host=db.test port={} dbname=app", pg.port))
        .set("dns_max_ttl", max_ttl)
        .start();
    Some((running, hosts))
}

fn address(client: &mut RawClient) -> String {
    client.one("select host(inet_server_addr())")
}

#[test]
fn a_name_is_looked_up_again_and_servers_on_a_lost_address_go() {
    only_pgweir!();
    let pg = Pg::with("listen_addresses = '127.0.0.1, 127.0.0.2'\n");
    let Some((bouncer, hosts)) = start(&pg, 1) else {
        return;
    };
    let (mut first, mut second) = (bouncer.client_of("named"), bouncer.client_of("named"));
    first.ok("begin");
    assert_eq!(address(&mut first), "127.0.0.1");
    std::fs::write(&hosts, "127.0.0.1 localhost\n127.0.0.2 db.test\n").unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(address(&mut second), "127.0.0.2");
    assert_soon!(
        bouncer
            .show("show servers")
            .table()
            .any(|row| row.number("close_needed") == 1),
        "the server on the old address is tagged"
    );
    assert_eq!(address(&mut first), "127.0.0.1", "no transaction is broken");
    first.ok("commit");
    for _ in 0..3 {
        assert_eq!(address(&mut first), "127.0.0.2");
    }
}

#[test]
fn a_name_is_believed_for_dns_max_ttl() {
    only_pgweir!();
    let pg = Pg::with("listen_addresses = '127.0.0.1, 127.0.0.2'\n");
    let Some((bouncer, hosts)) = start(&pg, 600) else {
        return;
    };
    let (mut first, mut second) = (bouncer.client_of("named"), bouncer.client_of("named"));
    first.ok("begin");
    assert_eq!(address(&mut first), "127.0.0.1");
    std::fs::write(&hosts, "127.0.0.1 localhost\n127.0.0.2 db.test\n").unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(address(&mut second), "127.0.0.1");
}
