//! Never mixed up: many clients of different settings on few servers, and nobody ever sees
//! another's rows, settings, errors, notices or prepared statements.

use crate::support::frames::{parse, run_prepared, sync};
use crate::support::{Authority, Bouncer, Login, Pg, RawClient, Running, client_config};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const ZONES: [&str; 5] = [
    "UTC",
    "Asia/Tokyo",
    "Europe/Brussels",
    "America/Lima",
    "Australia/Perth",
];
const STYLES: [&str; 3] = ["ISO, MDY", "German, DMY", "SQL, DMY"];

/// One client's own values, different from its neighbours' in every way.
struct Person {
    client: RawClient,
    name: String,
    zone: &'static str,
    style: &'static str,
    round: u32,
}

impl Person {
    fn new(login: &Login, n: usize) -> Self {
        let (zone, style) = (ZONES[n % ZONES.len()], STYLES[n % STYLES.len()]);
        let name = format!("person-{n}");
        let mut client = login
            .clone()
            .parameter("application_name", &name)
            .parameter("TimeZone", zone)
            .parameter("DateStyle", style)
            .connect();
        let sql = format!("select 'prepared by {name} ' || $1::text");
        let reply = client.exchange(&[parse("mine", &sql), sync()].concat());
        assert!(reply.errors.is_empty(), "{reply:?}");
        Self {
            client,
            name,
            zone,
            style,
            round: 0,
        }
    }

    fn marker(&mut self) -> String {
        self.round += 1;
        format!("{}-{}", self.name, self.round)
    }

    fn check_settings(&mut self) {
        let marker = self.marker();
        let sql = format!(
            "select '{marker}', current_setting('application_name'), current_setting('TimeZone'), \
             current_setting('DateStyle')"
        );
        let reply = self.client.ok(&sql);
        let cells: Vec<&str> = reply.rows[0].iter().flatten().map(String::as_str).collect();
        assert_eq!(cells, [&marker, &self.name, self.zone, self.style]);
    }

    fn check_transaction(&mut self) {
        let (marker, client) = (self.marker(), &mut self.client);
        client.ok("begin");
        let backend = client.backend();
        client.ok(&format!("set local application_name to '{marker}'"));
        assert_eq!(client.one("show application_name"), marker);
        assert_eq!(client.backend(), backend);
        client.ok("rollback");
    }

    fn check_error_and_notice(&mut self) {
        let marker = self.marker();
        let sql =
            format!("do $$ begin raise notice 'n {marker}'; raise exception 'e {marker}'; end $$");
        let reply = self.client.query(&sql);
        assert_eq!(reply.notices[0].text(), format!("n {marker}"));
        assert_eq!(reply.error().text(), format!("e {marker}"));
    }

    fn check_prepared(&mut self) {
        let marker = self.marker();
        let reply = self.client.exchange(&run_prepared("mine", &[&marker]));
        assert_eq!(reply.one(), format!("prepared by {} {marker}", self.name));
    }

    fn check_pipeline(&mut self) {
        let markers: Vec<String> = (0..5).map(|_| self.marker()).collect();
        let all: Vec<u8> = markers
            .iter()
            .flat_map(|marker| run_prepared("mine", &[marker]))
            .collect();
        self.client.put(&all);
        for marker in markers {
            let reply = self.client.until_ready();
            assert_eq!(reply.one(), format!("prepared by {} {marker}", self.name));
        }
    }

    fn check_big(&mut self) {
        let marker = self.marker();
        let text = self
            .client
            .one(&format!("select repeat('{marker} ', 3000)"));
        assert_eq!(text, format!("{marker} ").repeat(3000));
    }

    fn live(&mut self, step: usize) {
        match step % 6 {
            0 => self.check_settings(),
            1 => self.check_transaction(),
            2 => self.check_error_and_notice(),
            3 => self.check_prepared(),
            4 => self.check_pipeline(),
            _ => self.check_big(),
        }
    }
}

fn crowd(bouncer: &Running, people: usize, seconds: u64) {
    crowd_by(&bouncer.login(), people, || {
        std::thread::sleep(Duration::from_secs(seconds))
    });
}

/// A crowd that lives while `meanwhile` runs.
fn crowd_by(login: &Login, people: usize, meanwhile: impl FnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    let steps = Arc::new(AtomicU64::new(0));
    let all: Vec<_> = (0..people)
        .map(|n| {
            let mut person = Person::new(login, n);
            let (stop, steps) = (stop.clone(), steps.clone());
            std::thread::spawn(move || {
                let mut step = n;
                while !stop.load(Ordering::Relaxed) {
                    person.live(step);
                    step += 1;
                    steps.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    meanwhile();
    stop.store(true, Ordering::Relaxed);
    all.into_iter()
        .for_each(|person| person.join().expect("nobody saw another's things"));
    assert!(
        steps.load(Ordering::Relaxed) > people as u64,
        "everybody did something"
    );
}

#[test]
fn a_crowd_on_two_servers_never_mixes() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(2)
        .own("lanes", 3)
        .start();
    crowd(&bouncer, 24, 5);
}

#[test]
fn a_crowd_never_mixes_while_others_come_go_and_cancel() {
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg)
        .pool_size(4)
        .own("lanes", 2)
        .set("max_client_conn", 500)
        .start();
    let stop = Arc::new(AtomicBool::new(false));
    let rude = rude_neighbour(&bouncer, stop.clone());
    crowd(&bouncer, 16, 5);
    stop.store(true, Ordering::Relaxed);
    rude.join().expect("the rude one ends");
}

/// Vanishes inside transactions and queries, and cancels its own.
fn rude_neighbour(bouncer: &Running, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let login = bouncer.login().parameter("application_name", "rude");
    std::thread::spawn(move || {
        let mut step = 0;
        while !stop.load(Ordering::Relaxed) {
            let mut client = login.connect();
            step += 1;
            match step % 3 {
                0 => {
                    client.ok("begin");
                    client.vanish();
                }
                1 => {
                    client.put(&crate::support::frames::query(
                        "select repeat('rude', 100000)",
                    ));
                    client.vanish();
                }
                _ => {
                    let cancel = client.canceller();
                    let sleeping = client.spawn("select pg_sleep(20)");
                    std::thread::sleep(Duration::from_millis(50));
                    cancel();
                    // A cancel that comes before its query has a server is dropped, rightly.
                    while !sleeping.is_finished() {
                        std::thread::sleep(Duration::from_millis(50));
                        cancel();
                    }
                    assert_eq!(
                        sleeping.join().expect("it lives").1.error().sqlstate(),
                        "57014"
                    );
                }
            }
        }
    })
}

#[test]
fn transfers_between_accounts_add_up() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(3).own("lanes", 2).start();
    let mut setup = bouncer.client_of(&database);
    setup.ok("create table account (id int primary key, balance bigint not null)");
    setup.ok("insert into account select n, 1000 from generate_series(1, 20) n");
    let movers: Vec<_> = (0..12_usize)
        .map(|n| {
            let mut client = bouncer.client_of(&database);
            std::thread::spawn(move || {
                for round in 0..60 {
                    let (from, to) = ((n * 7 + round) % 20 + 1, (n * 3 + round * 11 + 1) % 20 + 1);
                    let (low, high) = (from.min(to), from.max(to));
                    client.ok("begin");
                    client.ok(&format!(
                        "select 1 from account where id in ({low}, {high}) order by id for update"
                    ));
                    client.ok(&format!(
                        "update account set balance = balance - 5 where id = {from}"
                    ));
                    client.ok(&format!(
                        "update account set balance = balance + 5 where id = {to}"
                    ));
                    client.ok(if round % 4 == 0 { "rollback" } else { "commit" });
                }
            })
        })
        .collect();
    movers
        .into_iter()
        .for_each(|mover| mover.join().expect("every transfer was answered"));
    assert_eq!(setup.one("select sum(balance) from account"), "20000");
}

#[test]
fn a_crowd_never_mixes_over_tls_on_both_sides() {
    let authority = Authority::new("both");
    let pg = Pg::with_tls(&authority);
    let new = Bouncer::new(&pg)
        .pool_size(2)
        .own("lanes", 3)
        .set("server_tls_sslmode", "require");
    let (cert, key) = authority.sign("localhost");
    let (cert, key) = (new.file("server.crt", &cert), new.file("server.key", &key));
    let bouncer = new
        .set("client_tls_sslmode", "require")
        .set("client_tls_cert_file", cert)
        .set("client_tls_key_file", key)
        .start();
    let login = bouncer
        .login()
        .tls(client_config(Some(&authority.pem), None));
    crowd_by(&login, 12, || std::thread::sleep(Duration::from_secs(4)));
}

#[test]
fn a_crowd_notices_nothing_while_servers_are_replaced_and_settings_reloaded() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(3)
        .own("lanes", 2)
        .set("server_lifetime", 1)
        .start();
    crowd_by(&bouncer.login(), 12, || {
        for round in 0..12 {
            match round % 4 {
                0 => drop(bouncer.show("reconnect")),
                1 => bouncer.reload(|ini| ini.pool_size(2 + round % 3)),
                2 => bouncer.reload(|ini| ini.set("server_round_robin", round % 2)),
                _ => {
                    bouncer.show("pause");
                    std::thread::sleep(Duration::from_millis(100));
                    bouncer.show("resume");
                }
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    });
}

#[test]
fn a_crowd_of_sessions_never_mixes() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_mode("session")
        .pool_size(12)
        .own("lanes", 3)
        .start();
    crowd(&bouncer, 12, 3);
}
