//! From lanes' tables to what readers get, with a clock of the tests'.

use std::sync::Arc;
use std::time::Duration;

use super::figures::{Figures, Slowest};
use super::lane::{GroupKey, LANE_GROUPS, NewText};
use super::read::StatementRow;
use super::{Filter, Insight, labels};
use crate::sql::Class;

const SECOND: u64 = 1_000_000;

/// Pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn insight(groups: usize) -> Insight {
    let insight = Insight::with_writers(2, groups);
    insight.names.pool_id(&Arc::from("db"), &Arc::from("user"));
    insight.names.pool_id(&Arc::from("db"), &Arc::from("other"));
    insight
}

fn key(fingerprint: u64, pool: u32) -> GroupKey {
    GroupKey { fingerprint, pool }
}

/// One statement of `us`, as a lane books it.
fn call(insight: &Insight, lane: usize, key: GroupKey, us: u64) {
    let mut records = insight.recorder(lane).lock();
    let figures = records.group(key, Class::Select);
    figures.calls += 1;
    figures.rows += 2;
    figures.parts.server += us;
    figures.histogram.add(us, 1);
    figures.min_us = figures.min_us.min(us);
    if us >= figures.slowest.server_us {
        figures.slowest = Slowest {
            server_us: us,
            at_us: 1,
            client: 7,
        };
    }
    for (over, limit) in figures.over.iter_mut().zip(super::figures::OVER_US) {
        *over += u64::from(us > limit);
    }
    figures.last_seen_us += 1;
    let pool = records.pool(key.pool);
    pool.classes[Class::Select as usize] += 1;
    pool.rows += 2;
    pool.parts.server += us;
    pool.statements.add(us);
}

fn collect(insight: &Insight, now: u64) {
    insight.collect_at(&mut insight.global(), now);
}

fn rows(insight: &Insight) -> Vec<StatementRow> {
    insight.read().statements(&Filter::default())
}

fn sum(rows: &[StatementRow], of: impl Fn(&Figures) -> u64) -> u64 {
    rows.iter().map(|row| of(&row.figures)).sum()
}

/// insight.md, T13.
#[test]
fn a_million_one_off_statements_cost_neither_room_nor_exactness() {
    const LIMIT: usize = 10_000;
    const STABLE: u64 = 2_000;
    let insight = insight(LIMIT);
    let mut random = Random(88_172_645_463_325_252);
    let mut calls = vec![0u64; STABLE as usize];
    let mut total_us = 0;
    for n in 0..2_000_000u64 {
        let us = 50 + random.next() % 100;
        total_us += us;
        let fingerprint = match n % 2 {
            0 => random.next() | 1 << 63,
            // Zipf with exponent 1, near enough.
            _ => {
                let rank = (STABLE as f64).powf(random.fraction()) as u64;
                calls[rank as usize - 1] += 1;
                rank
            }
        };
        call(&insight, (n % 2) as usize, key(fingerprint, 0), us);
        if n % 3_000 == 0 {
            collect(&insight, n / 3_000 * SECOND);
            assert!(insight.global().totals().groups <= LIMIT as u64);
        }
    }
    let rows = rows(&insight);
    assert!(rows.len() <= LIMIT);
    assert_eq!(sum(&rows, |f| f.calls), 2_000_000);
    assert_eq!(sum(&rows, |f| f.rows), 4_000_000);
    assert_eq!(sum(&rows, |f| f.parts.server), total_us);
    assert_eq!(sum(&rows, |f| f.histogram.count()), 2_000_000);
    let evictions = insight.read().totals().evictions;
    assert!(evictions > 900_000, "{evictions}");
    for rank in 1..=200u64 {
        let row = rows.iter().find(|row| row.key.fingerprint == rank);
        let kept = row.map_or(0, |row| row.figures.calls);
        assert!(
            kept * 100 >= calls[rank as usize - 1] * 99,
            "{rank}: {kept}"
        );
    }
}

#[test]
fn what_the_lane_had_no_room_for_is_in_the_sums() {
    let insight = insight(100);
    let many = 2 * LANE_GROUPS as u64;
    for fingerprint in 1..=many {
        call(&insight, 0, key(fingerprint, 1), 10);
    }
    let rows = rows(&insight);
    assert!(rows.len() <= 100);
    assert_eq!(sum(&rows, |f| f.calls), many);
    let evicted = key(labels::evicted(Class::Select), 1);
    let evicted = rows.iter().find(|row| row.key == evicted);
    assert!(evicted.is_some_and(|row| &*row.text == "(evicted select)"));
    assert!(insight.read().totals().overflowed >= LANE_GROUPS as u64);
}

#[test]
fn a_rare_slow_statement_outlives_quick_ones() {
    let insight = insight(100);
    call(&insight, 0, key(5, 0), 30 * SECOND);
    for fingerprint in 1_000..3_000 {
        call(&insight, 0, key(fingerprint, 0), 100);
        if fingerprint % 50 == 0 {
            collect(&insight, fingerprint * SECOND);
        }
    }
    assert!(rows(&insight).iter().any(|row| row.key == key(5, 0)));
}

/// insight.md, T8.
#[test]
fn quantiles_are_within_an_eighth_and_limits_exact() {
    let mut random = Random(362_436_069);
    let shapes: [fn(&mut Random) -> u64; 3] = [
        |_| 7_300,
        |random| [900, 240_000][usize::from(random.next() % 10 == 0)],
        |random| (-(1.0 - random.fraction()).ln() * 400_000.0) as u64 + 1,
    ];
    for (at, shape) in shapes.into_iter().enumerate() {
        let insight = insight(100);
        let mut values: Vec<u64> = (0..20_000).map(|_| shape(&mut random)).collect();
        for (n, us) in values.iter().enumerate() {
            call(&insight, n % 2, key(9, 0), *us);
            if n % 1000 == 0 {
                collect(&insight, n as u64 * SECOND);
            }
        }
        let figures = rows(&insight)[0].figures.clone();
        values.sort_unstable();
        for q in [0.5, 0.95, 0.99] {
            let exact = values[(q * values.len() as f64) as usize] as f64;
            let found = figures.quantile_us(q).unwrap_or_default();
            assert!(
                (found - exact).abs() <= exact / 8.0,
                "{at} {q}: {found} {exact}"
            );
        }
        for (over, limit) in figures.over.iter().zip(super::figures::OVER_US) {
            assert_eq!(
                *over,
                values.iter().filter(|us| **us > limit).count() as u64
            );
        }
    }
}

#[test]
fn windows_hold_what_happened_in_them() {
    let insight = insight(100);
    let start = insight.read().now_us();
    let last = |minutes: u64| Filter {
        window: Some(Duration::from_secs(60 * minutes)),
        ..Filter::default()
    };
    // One call a second of its minute's fingerprint, for twenty minutes.
    for second in 0..20 * 60 {
        call(&insight, 0, key(1 + second / 60, 0), 100);
        collect(&insight, start + second * SECOND);
    }
    let mut view = insight.read();
    view.now_us = start + 20 * 60 * SECOND;
    for (minutes, slack) in [(1, 6), (5, 66), (15, 66)] {
        let rows = view.statements(&last(minutes));
        let calls = sum(&rows, |f| f.calls);
        let span = view.span_us(last(minutes).window) / SECOND;
        assert!(calls.abs_diff(60 * minutes) <= slack, "{minutes}: {calls}");
        assert!(calls.abs_diff(span) <= 2, "{calls} in {span} s");
        assert!(!rows.iter().any(|row| row.key.fingerprint == 2));
        let pools = view.pools(last(minutes).window);
        assert_eq!(pools.len(), 1);
        assert_eq!(pools[0].figures.statements.count(), calls);
        assert_eq!(pools[0].figures.rows, 2 * calls);
    }
    assert_eq!(sum(&view.statements(&last(60)), |f| f.calls), 1200);
    assert_eq!(sum(&view.statements(&Filter::default()), |f| f.calls), 1200);
}

#[test]
fn a_slice_sums_up_what_it_has_no_room_for() {
    let insight = insight(100_000);
    let start = insight.read().now_us();
    for fingerprint in 1..=3_000 {
        call(&insight, 0, key(fingerprint, 0), fingerprint);
    }
    collect(&insight, start + 6 * SECOND);
    let mut view = insight.read();
    view.now_us = start + 7 * SECOND;
    let rows = view.statements(&Filter {
        window: Some(Duration::from_secs(60)),
        ..Filter::default()
    });
    assert_eq!(rows.len(), 513);
    assert_eq!(sum(&rows, |f| f.calls), 3_000);
    assert_eq!(sum(&rows, |f| f.histogram.count()), 3_000);
    assert!(rows.iter().any(|row| row.key == key(3_000, 0)));
    assert!(rows.iter().any(|row| &*row.text == "(other)"));
}

#[test]
fn reset_forgets_everything_but_the_counters() {
    let insight = insight(100);
    call(&insight, 0, key(1, 0), 100);
    insight.collect();
    call(&insight, 1, key(2, 0), 100);
    let before = insight.read().stats_since_us();
    insight.reset_statements();
    let view = insight.read();
    assert!(view.stats_since_us() > before);
    assert!(view.statements(&Filter::default()).is_empty());
    assert_eq!(view.pools(None)[0].figures.rows, 0);
    assert_eq!(
        view.global
            .pools
            .iter()
            .map(|(_, p)| p.since_start.rows)
            .sum::<u64>(),
        4
    );
    let top: u64 = view.global.top.named().map(|(_, n)| n.amounts[0]).sum();
    assert_eq!(top, 2);
    drop(view);

    for (fingerprint, pool) in [(3, 0), (3, 1), (4, 0)] {
        call(&insight, 0, key(fingerprint, pool), 100);
    }
    assert!(insight.reset_statement(3));
    assert!(!insight.reset_statement(3));
    let rows = rows(&insight);
    assert_eq!((rows.len(), rows[0].key), (1, key(4, 0)));
}

#[test]
fn filters_take_what_they_name() {
    let insight = insight(100);
    let (psql, odoo) = (insight.names.app_id("psql"), insight.names.app_id("odoo"));
    for (fingerprint, pool, app) in [(1, 0, psql), (2, 1, odoo), (2, 1, odoo)] {
        call(&insight, 0, key(fingerprint, pool), 100);
        let mut records = insight.recorder(0).lock();
        let figures = records.group(key(fingerprint, pool), Class::Select);
        figures.apps.add(app, 1, super::figures::APPS);
    }
    let view = insight.read();
    let found = |filter: Filter| -> Vec<u64> {
        let rows = view.statements(&filter);
        rows.iter().map(|row| row.key.fingerprint).collect()
    };
    let all = Filter::default;
    assert_eq!(found(all()).len(), 2);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        found(Filter {
            user: some("other"),
            ..all()
        }),
        [2]
    );
    assert_eq!(
        found(Filter {
            app: some("psql"),
            ..all()
        }),
        [1]
    );
    assert_eq!(
        found(Filter {
            min_calls: 2,
            ..all()
        }),
        [2]
    );
    assert!(
        found(Filter {
            database: some("x"),
            ..all()
        })
        .is_empty()
    );
}

#[test]
fn texts_live_as_long_as_their_groups() {
    let insight = insight(100);
    let text = |fingerprint: u64, text: NewText| {
        insight.known.insert(fingerprint);
        insight.recorder(0).lock().push_text(fingerprint, text);
    };
    text(9, NewText::Members(Box::new([1, 77])));
    text(1, NewText::Raw(Box::from(&b"select 'secret'"[..])));
    call(&insight, 0, key(1, 0), 10);
    call(&insight, 0, key(9, 0), 10 * SECOND);
    collect(&insight, 1);
    let view = insight.read();
    let one = view.text(1).unwrap_or_default();
    assert!(
        one.starts_with("select") && !one.contains("secret"),
        "{one}"
    );
    let composed = view.text(9).unwrap_or_default();
    assert!(composed.starts_with("(pipeline) select"), "{composed}");
    assert!(composed.ends_with("; 000000000000004d"), "{composed}");
    drop(view);
    for fingerprint in 100..300 {
        call(&insight, 0, key(fingerprint, 0), 100_000);
        collect(&insight, fingerprint * SECOND);
    }
    assert!(insight.read().text(1).is_none() && !insight.known.has(1));
    assert!(insight.read().text(9).is_some() && insight.known.has(9));
}
