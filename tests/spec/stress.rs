//! Many clients that do everything at random on few servers and four lanes; every reply carries the
//! marker of the one who asked. `PGWEIR_STRESS` is the time in seconds (default 4).

use crate::support::frames::{
    bind, close, copy_data, copy_done, copy_fail, describe, execute, parse, query, run_prepared,
    sync,
};
use crate::support::{Bouncer, Pg, RawClient, Reply};
use std::time::{Duration, Instant};

/// A generator of its own: the run can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct Player {
    client: RawClient,
    dice: Dice,
    id: u64,
    turn: u64,
    /// Names held, by number.
    held: Vec<u64>,
}

impl Player {
    fn marker(&mut self) -> String {
        self.turn += 1;
        format!("p{}t{}", self.id, self.turn)
    }

    /// Sends in one to four pieces.
    fn put(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        for _ in 0..self.dice.roll(4) {
            let at = self.dice.roll(rest.len() as u64 + 1) as usize;
            self.client.put(&rest[..at]);
            rest = &rest[at..];
            if self.dice.roll(4) == 0 {
                std::thread::yield_now();
            }
        }
        self.client.put(rest);
    }

    fn simple(&mut self) {
        let m = self.marker();
        let width = self.dice.roll(3) * 20_000;
        self.put(&query(&format!("select '{m}', repeat('x', {width})")));
        assert_eq!(self.client.until_ready().one(), m);
    }

    fn failing(&mut self) {
        let m = self.marker();
        self.put(&query(&format!(
            "do $$ begin raise exception '{m}'; end $$"
        )));
        assert_eq!(self.client.until_ready().error().text(), m);
    }

    /// A name that is sure to be prepared here with a text shared by some of the others.
    fn named(&mut self, n: u64) -> Vec<u8> {
        if self.held.contains(&n) {
            return Vec::new();
        }
        self.held.push(n);
        let text = format!("select 'n{n}' || $1::text, 12 / $2::int");
        parse(&format!("s{n}"), &text)
    }

    /// Several batches at once, some with an error in the middle, names parsed and closed on the way.
    fn pipeline(&mut self) {
        let mut bytes = Vec::new();
        let mut expected: Vec<(Vec<String>, bool)> = Vec::new();
        for _ in 0..=self.dice.roll(5) {
            let mut rows = Vec::new();
            let before = self.held.clone();
            let fails_at = self.dice.roll(6);
            let mut failed = false;
            for step in 0..=self.dice.roll(4) {
                let (m, n) = (self.marker(), self.dice.roll(9));
                let is_bad = step == fails_at;
                if self.dice.roll(3) == 0 {
                    let cast = if is_bad { "int" } else { "text" };
                    bytes.extend(parse("", &format!("select $1::text::{cast}")));
                    bytes.extend(bind("", "", &[&m]));
                } else {
                    bytes.extend(self.named(n));
                    bytes.extend(bind(
                        "",
                        &format!("s{n}"),
                        &[&m, if is_bad { "0" } else { "3" }],
                    ));
                }
                bytes.extend(describe(b'P', ""));
                bytes.extend(execute("", 0));
                if !failed && !is_bad {
                    rows.push(m);
                }
                failed |= is_bad;
                if self.dice.roll(3) == 0 && self.held.contains(&n) {
                    self.held.retain(|held| *held != n);
                    bytes.extend(close(b'S', &format!("s{n}")));
                }
            }
            bytes.extend(sync());
            expected.push((rows, failed));
            if failed {
                // Which names are held now depends on where the error came: give all up.
                let _ = before;
                break;
            }
        }
        self.put(&bytes);
        let mut last_failed = false;
        for (rows, failed) in expected {
            let reply = self.client.until_ready();
            self.check_rows(&reply, &rows, failed);
            last_failed = failed;
        }
        if last_failed {
            self.forget_names();
        }
    }

    fn check_rows(&self, reply: &Reply, rows: &[String], failed: bool) {
        let got: Vec<_> = reply
            .rows
            .iter()
            .map(|row| row[0].clone().unwrap())
            .collect();
        let is_mine = |(got, want): (&String, &String)| got.ends_with(want.as_str());
        assert!(
            got.len() == rows.len() && got.iter().zip(rows).all(is_mine),
            "player {}: {rows:?} but got {reply:?}",
            self.id
        );
        assert_eq!(!reply.errors.is_empty(), failed, "{reply:?}");
    }

    fn forget_names(&mut self) {
        let all: Vec<u8> = (0..9).flat_map(|n| close(b'S', &format!("s{n}"))).collect();
        let reply = self.client.exchange(&[all, sync()].concat());
        assert_eq!(reply.kinds, "333333333Z");
        self.held.clear();
    }

    fn transaction(&mut self) {
        let m = self.marker();
        self.client.ok("begin");
        self.client
            .ok(&format!("set local application_name to '{m}'"));
        assert_eq!(self.client.one("show application_name"), m);
        self.client.ok("rollback");
        let own = format!("player{}", self.id);
        assert_eq!(self.client.one("show application_name"), own);
    }

    fn copies(&mut self) {
        let m = self.marker();
        self.client.ok("begin");
        self.client
            .ok("create temp table c (n int, m text) on commit drop");
        let lines = format!("1\t{m}\n").repeat(500);
        let kind = self.dice.roll(4);
        let mut bytes = match kind {
            0 | 1 => query("copy c from stdin"),
            _ => [
                parse("", "copy c from stdin"),
                bind("", "", &[]),
                execute("", 0),
            ]
            .concat(),
        };
        if kind == 3 {
            bytes.extend(sync());
            self.put(&bytes);
            self.client.until(b'G');
            bytes.clear();
        }
        bytes.extend(copy_data(lines.as_bytes()));
        let fails = self.dice.roll(3);
        if fails == 1 {
            bytes.extend(copy_data(b"bad\n"));
            bytes.extend(copy_data(lines.as_bytes()));
        }
        bytes.extend(if fails == 2 {
            copy_fail(&m)
        } else {
            copy_done()
        });
        if kind >= 2 {
            bytes.extend(sync());
        }
        self.put(&bytes);
        let reply = self.client.until_ready();
        assert_eq!(reply.errors.is_empty(), fails == 0, "{reply:?}");
        if fails == 2 {
            assert!(reply.error().text().contains(&m), "{reply:?}");
        }
        if fails == 0 {
            let back = self.client.ok("copy c to stdout");
            assert_eq!(back.copied, lines.as_bytes());
        }
        self.client.ok("rollback");
    }

    fn cancelled(&mut self) {
        let m = self.marker();
        let stop = self.client.canceller();
        self.put(&query(&format!("select '{m}' from pg_sleep(0.02)")));
        stop();
        let reply = self.client.until_ready();
        match reply.errors.first() {
            Some(error) => assert_eq!(error.sqlstate(), "57014"),
            None => assert_eq!(reply.one(), m),
        }
    }

    fn play(&mut self) {
        match self.dice.roll(12) {
            0 | 1 => self.simple(),
            2 => self.failing(),
            3..=7 => self.pipeline(),
            8 => self.transaction(),
            9 => self.copies(),
            10 => self.cancelled(),
            _ => {
                let (n, m) = (self.dice.roll(9), self.marker());
                let mut bytes = self.named(n);
                bytes.extend(run_prepared(&format!("s{n}"), &[&m, "4"]));
                let reply = self.client.exchange(&bytes);
                assert_eq!(reply.one(), format!("n{n}{m}"));
            }
        }
    }

    /// Leaves without a word in the middle of something.
    fn hang_up(mut self) {
        let bytes = match self.dice.roll(4) {
            0 => query("begin; select pg_sleep(0.01)"),
            1 => [query("copy nowhere from stdin"), copy_data(b"half\n")].concat(),
            2 => [parse("s77", "select 'gone'"), bind("", "s77", &[])].concat(),
            _ => query("select repeat('gone', 100000)"),
        };
        let at = self.dice.roll(bytes.len() as u64) as usize + 1;
        self.client.put(&bytes[..at]);
        self.client.vanish();
    }
}

#[test]
fn everything_at_once_on_four_lanes_stays_apart() {
    let pg = Pg::shared();
    let database = pg.database();
    let seconds = std::env::var("PGWEIR_STRESS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(4);
    let bouncer = Bouncer::new(pg)
        .pool_size(4)
        .set("max_prepared_statements", 6)
        .set("max_client_conn", 500)
        .set("server_lifetime", 2)
        .own("lanes", 4)
        .start();
    let until = Instant::now() + Duration::from_secs(seconds);
    let players: Vec<_> = (0..24_u64)
        .map(|id| {
            let login = bouncer
                .login()
                .database(&database)
                .parameter("application_name", &format!("player{id}"));
            std::thread::spawn(move || {
                let mut seed = 0x9e37_79b9_7f4a_7c15 ^ (id + 1).wrapping_mul(0x0123_4567_89ab_cdef);
                while Instant::now() < until {
                    let client = login.connect();
                    let (dice, held) = (Dice(seed), Vec::new());
                    let mut player = Player {
                        client,
                        dice,
                        id,
                        turn: 0,
                        held,
                    };
                    for _ in 0..=player.dice.roll(300) {
                        player.play();
                        if Instant::now() >= until {
                            break;
                        }
                    }
                    seed = player.dice.0;
                    player.hang_up();
                }
            })
        })
        .collect();
    let failed = players.into_iter().filter_map(|p| p.join().err()).count();
    assert_eq!(failed, 0, "every reply reached the one who asked");
    crate::support::soon("no server is left behind", || {
        bouncer.pool(&database, "app", "sv_active") == 0
            && bouncer.pool(&database, "app", "cl_waiting") == 0
    });
    assert!(pg.backends(&database) <= 4);
    assert_eq!(bouncer.client_of(&database).one("select 'after'"), "after");
}
