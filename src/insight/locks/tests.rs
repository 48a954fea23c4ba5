//! The tree and the join, on scenes that real servers show rarely.

use super::*;
use crate::stats::slots::NewServer;

fn session(pid: i32, blocked_by: &[i32], wait_s: f64) -> LockedSession {
    LockedSession {
        pid,
        blocked_by: blocked_by.to_vec(),
        wait_s: (!blocked_by.is_empty()).then_some(wait_s),
        ..LockedSession::default()
    }
}

/// `depth:pid(behind)` in the order of the lines.
fn drawn(sessions: &[LockedSession]) -> String {
    let line = |b: &Branch| {
        let pid = sessions[b.at].pid;
        format!("{}:{pid}({})", b.depth, b.behind.sessions)
    };
    tree(sessions)
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_waiter_stands_below_the_nearest_blocker_and_counts_once() {
    // 10 holds a row; 11 waits for it, 12 for 11's tuple lock; 13 is an ALTER TABLE behind all of
    // them, 14 and 15 queue behind that; 20 and 21 are another pile.
    let sessions = [
        session(21, &[20, 20], 9.0),
        session(15, &[13], 1.0),
        session(14, &[13], 2.0),
        session(13, &[10, 11, 12], 3.0),
        session(12, &[11], 4.0),
        session(11, &[10], 5.0),
        session(10, &[], 0.0),
        session(20, &[], 0.0),
    ];
    assert_eq!(
        drawn(&sessions),
        "0:10(5) 1:11(4) 2:12(3) 1:13(2) 2:14(0) 2:15(0) 0:20(1) 1:21(0)"
    );
    let roots = roots(&sessions);
    let (at, behind) = roots[0];
    assert_eq!((sessions[at].pid, behind.sessions), (10, 5));
    assert_eq!((behind.summed_s, behind.longest_s), (15.0, 5.0));
}

#[test]
fn a_ring_is_drawn_once_and_begins_with_the_longest_wait() {
    let ring = [
        session(1, &[2], 0.5),
        session(2, &[1], 0.9),
        session(3, &[1], 0.1),
    ];
    assert_eq!(drawn(&ring), "0:2(2) 1:1(2) 2:3(0)");
    assert!(roots(&ring).is_empty());
}

#[test]
fn a_blocker_that_is_not_there_leaves_its_waiter_as_a_start() {
    let sessions = [
        session(1, &[99], 2.0),
        session(0, &[], 0.0),
        session(5, &[0], 1.0),
    ];
    assert_eq!(drawn(&sessions), "0:0(1) 1:5(0) 0:1(0)");
    assert!(tree(&[]).is_empty());
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::Tcp(text.parse().unwrap())
}

fn server(registry: &Registry, remote: &str, local: &str, pid: i32) -> Arc<ServerSlot> {
    registry.add_server(NewServer {
        database: "app".into(),
        user: "app".into(),
        remote: endpoint(remote),
        local: endpoint(local),
        backend_pid: pid,
        cancel_key: Box::default(),
        tls: None,
    })
}

#[test]
fn the_same_pid_on_another_server_is_another_session() {
    let registry = Registry::default();
    let here = server(&registry, "127.0.0.1:5432", "127.0.0.1:40001", 77);
    server(&registry, "127.0.0.1:5433", "127.0.0.1:40002", 77);
    server(&registry, "127.0.0.1:5433", "127.0.0.1:40003", 78);
    let client = registry.add_client(endpoint("10.0.0.1:1"), endpoint("10.0.0.2:1"), 0);
    here.set_client_id(client.id);
    let mut picture = LockPicture {
        server: "localhost:5432".into(),
        remote: Some(endpoint("127.0.0.1:5432")),
        polled_us: 0,
        state: LockState::Known(vec![session(77, &[], 0.0), session(78, &[77], 1.0)]),
    };
    let found = picture.proxied(&registry);
    assert_eq!(found.len(), 1);
    assert_eq!(found[&77].server.id, here.id);
    assert_eq!(found[&77].client.as_ref().unwrap().id, client.id);

    // Another of the host's addresses was asked: what PostgreSQL sees of us decides.
    picture.remote = Some(endpoint("127.0.0.9:5432"));
    assert!(picture.proxied(&registry).is_empty());
    let seen = LockedSession {
        client_addr: Some("127.0.0.1".parse().unwrap()),
        client_port: Some(40001),
        ..session(77, &[], 0.0)
    };
    picture.state = LockState::Known(vec![seen]);
    assert_eq!(picture.proxied(&registry)[&77].server.id, here.id);
}

#[test]
fn pictures_are_kept_by_server() {
    let locks = Locks::default();
    let picture = |server: &str, text: &str| LockPicture {
        server: server.into(),
        remote: None,
        polled_us: 1,
        state: LockState::Unknown(text.to_owned()),
    };
    locks.publish(picture("b:1", "old"));
    locks.publish(picture("a:1", "x"));
    locks.publish(picture("b:1", "new"));
    let names: Vec<_> = locks.all().iter().map(|p| p.server.to_string()).collect();
    assert_eq!(names, ["a:1", "b:1"]);
    assert_eq!(locks.all()[1].state, LockState::Unknown("new".to_owned()));
    locks.retain(|server| server == "a:1");
    assert_eq!(locks.all().len(), 1);
}
