//! Running out of file descriptors: refuse, recover, never spin.

use crate::support::{Bouncer, Pg, RawClient};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

#[test]
fn more_clients_than_descriptors_are_survived() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(2)
        .set("max_client_conn", 500)
        .open_files(64)
        .start();
    let mut first = bouncer.client();
    first.one("select 1");
    let mut inside: Vec<RawClient> = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..100 {
        if let Ok(line) = std::net::TcpStream::connect(("127.0.0.1", bouncer.port)) {
            lines.push(line);
        }
    }
    assert_eq!(first.one("select 'still served'"), "still served");
    assert!(bouncer.ended().is_none());
    drop(lines);
    assert_soon!(
        bouncer.login().try_connect().is_ok(),
        "new clients come in again"
    );
    inside.push(bouncer.client());
    assert_eq!(inside[0].one("select 2"), "2");
}

#[test]
fn a_full_table_of_descriptors_costs_no_cpu() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .set("max_client_conn", 500)
        .open_files(64)
        .start();
    bouncer.client().one("select 1");
    let lines: Vec<_> = (0..100)
        .filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", bouncer.port)).ok())
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let before = cpu_ticks(bouncer.pid());
    std::thread::sleep(Duration::from_secs(2));
    let used = cpu_ticks(bouncer.pid()) - before;
    // 200 ticks are two seconds of one core; a spinning listener would take them all.
    assert!(used < 100, "{used} ticks in two seconds");
    drop(lines);
}

fn cpu_ticks(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let after = text.rsplit_once(')').expect("a name").1;
    after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().expect("a number"))
        .sum()
}

#[test]
fn a_limit_too_low_for_the_settings_is_said_at_start() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .set("max_client_conn", 5000)
        .open_files(256)
        .start();
    assert_soon!(
        bouncer.logged("kernel file descriptor limit: 256") == 1,
        "the limit is logged"
    );
    assert_soon!(
        bouncer
            .log()
            .lines()
            .any(|line| line.contains("WARNING") && line.contains("descriptor")),
        "and said to be too low"
    );
}
