//! Statements shaped like Odoo's: a schema, and texts against it that differ as a day's work does.
//!
//! Knows nothing of pgweir, so benchmarks use it too. The same seed gives the same texts.

#![allow(clippy::unwrap_used, dead_code)]

use std::fmt::Write;

/// Small, and good enough to choose literals with (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `below`, exclusive.
    pub fn below(&mut self, below: usize) -> usize {
        (self.next() % below.max(1) as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Real,
    Word,
    Flag,
    Day,
    Moment,
    Json,
}

const TABLES: [&str; 12] = [
    "res_partner",
    "res_users",
    "product_template",
    "product_product",
    "sale_order",
    "sale_order_line",
    "stock_quant",
    "stock_move",
    "account_move",
    "account_move_line",
    "mail_message",
    "ir_attachment",
];

/// Columns of every table: name, SQL type, kind.
const COLUMNS: [(&str, &str, Kind); 22] = [
    ("company_id", "int4", Kind::Int),
    ("parent_id", "int4", Kind::Int),
    ("create_uid", "int4", Kind::Int),
    ("write_uid", "int4", Kind::Int),
    ("sequence", "int4", Kind::Int),
    ("name", "varchar", Kind::Word),
    ("display_name", "varchar", Kind::Word),
    ("reference", "varchar", Kind::Word),
    ("state", "varchar", Kind::Word),
    ("note", "text", Kind::Word),
    ("active", "bool", Kind::Flag),
    ("is_company", "bool", Kind::Flag),
    ("amount_total", "numeric", Kind::Real),
    ("amount_residual", "numeric", Kind::Real),
    ("product_qty", "numeric", Kind::Real),
    ("date_order", "date", Kind::Day),
    ("date_deadline", "date", Kind::Day),
    ("create_date", "timestamp", Kind::Moment),
    ("write_date", "timestamp", Kind::Moment),
    ("properties", "jsonb", Kind::Json),
    ("translated", "jsonb", Kind::Json),
    ("res_model", "varchar", Kind::Word),
];

/// What must exist before the statements can run.
pub fn schema() -> Vec<String> {
    let mut all = Vec::new();
    for table in TABLES {
        let mut columns = String::from("id serial primary key");
        for (name, kind, _) in COLUMNS {
            write!(columns, ", \"{name}\" {kind}").unwrap();
        }
        all.push(format!("CREATE TABLE \"{table}\" ({columns})"));
    }
    all.push("CREATE TABLE \"sale_order_tag_rel\" (order_id int4, tag_id int4, UNIQUE (order_id, tag_id))".into());
    all.push("CREATE TABLE \"ir_config_parameter\" (id serial, key varchar, value text)".into());
    all.push("CREATE SEQUENCE ir_sequence_007".into());
    all.push("CREATE SEQUENCE ir_sequence_042".into());
    all
}

fn word(dice: &mut Dice) -> String {
    const WORDS: [&str; 10] = [
        "draft",
        "done",
        "it''s",
        "Größe",
        "%lot%",
        "back\\slash",
        "--x",
        "",
        "/*",
        "O Reilly",
    ];
    match dice.below(3) {
        0 => format!("'{}'", dice.pick(&WORDS)),
        1 => format!("'S{:05}'", dice.below(99_999)),
        _ => format!("'{} {}'", dice.pick(&WORDS), dice.below(1000)),
    }
}

fn literal(dice: &mut Dice, kind: Kind) -> String {
    match kind {
        Kind::Int => format!("{}", dice.below(100_000)),
        Kind::Real => format!("{}.{}", dice.below(10_000), dice.below(100)),
        Kind::Word => word(dice),
        Kind::Flag => dice.pick(&["true", "false"]).to_string(),
        Kind::Day => format!("'2026-{:02}-{:02}'", 1 + dice.below(12), 1 + dice.below(28)),
        Kind::Moment => format!(
            "'2026-{:02}-03T04:05:{:02}'",
            1 + dice.below(12),
            dice.below(60)
        ),
        Kind::Json => format!("'{{\"en_US\": \"x{}\"}}'", dice.below(1000)),
    }
}

fn ids(dice: &mut Dice) -> String {
    let length = match dice.below(20) {
        0..8 => 1,
        8..15 => 2 + dice.below(20),
        15..19 => 20 + dice.below(200),
        _ => 200 + dice.below(800),
    };
    let list: Vec<String> = (0..length)
        .map(|_| dice.below(90_000).to_string())
        .collect();
    format!("({})", list.join(", "))
}

/// A stable choice of columns: `which` of the variants that a view or an action asks for.
fn columns(which: usize, most: usize) -> Vec<(&'static str, Kind)> {
    let mut dice = Dice::new(which as u64 * 7919 + 17);
    let wanted = 1 + dice.below(most);
    let mut from: Vec<_> = COLUMNS
        .iter()
        .map(|(name, _, kind)| (*name, *kind))
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < wanted && !from.is_empty() {
        let at = dice.below(from.len());
        chosen.push(from.remove(at));
    }
    chosen
}

fn condition(dice: &mut Dice, table: &str, variant: usize) -> String {
    let mut shape = Dice::new(variant as u64 + 101);
    let mut parts = Vec::new();
    for _ in 0..1 + shape.below(4) {
        let (name, _, kind) = *shape.pick(&COLUMNS);
        let column = format!("\"{table}\".\"{name}\"");
        let part = match (kind, shape.below(4)) {
            (Kind::Int, 0) => format!("{column} IN {}", ids(dice)),
            (Kind::Int, 1) => format!("({column} IS NULL OR {column} = {})", literal(dice, kind)),
            (Kind::Word, 0) => format!("{column} ILIKE {}", word(dice)),
            (Kind::Word, 1) => format!("{column} IN ('a', {}, {})", word(dice), word(dice)),
            (Kind::Json, _) => format!("{column}->>'fr_FR' ILIKE {}", word(dice)),
            (Kind::Flag, 0) => format!("{column} IS NOT TRUE"),
            (_, 2) => format!("{column} IS NOT NULL"),
            (Kind::Real, _) => format!("{column} > -{}", literal(dice, kind)),
            (_, 3) => format!("{column} <> {}", literal(dice, kind)),
            _ => format!("{column} = {}", literal(dice, kind)),
        };
        parts.push(part);
    }
    parts.join(if shape.chance(70) { " AND " } else { " OR " })
}

/// One statement; about a fifth control the transaction, savepoints or settings.
pub fn statement(dice: &mut Dice) -> String {
    if dice.chance(18) {
        return control(dice);
    }
    let table = *dice.pick(&TABLES);
    let variant = dice.below(12).min(dice.below(12));
    match dice.below(16) {
        0..5 => read(dice, table, variant),
        5..8 => search(dice, table, variant),
        8 | 9 => insert(dice, table, variant),
        10 | 11 => update(dice, table, variant),
        12 => update_from(dice, table, variant),
        13 => group(dice, table, variant),
        14 => relations(dice),
        _ => other(dice, table),
    }
}

/// A statement that PostgreSQL counts as a utility; it runs outside or inside a transaction.
pub fn control(dice: &mut Dice) -> String {
    let uuid = format!(
        "{:08x}-e4d2-11f1-b{:x}",
        dice.next() as u32,
        dice.below(4095)
    );
    match dice.below(13) {
        0 => "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE".into(),
        1 => "COMMIT".into(),
        2 => "ROLLBACK".into(),
        3 | 4 => format!("SAVEPOINT \"{uuid}\""),
        5 => format!(
            "SET LOCAL statement_timeout = {}",
            1000 + dice.below(60_000)
        ),
        6 => format!("SET SESSION lock_timeout = '{}s'", 1 + dice.below(60)),
        7 => "SET TRANSACTION READ WRITE".into(),
        8 => "LISTEN imbus".into(),
        9 => "RESET statement_timeout".into(),
        10 => format!(
            "SET search_path TO {}",
            dice.pick(&["public", "\"$user\", public"])
        ),
        11 => "SET lock_timeout TO DEFAULT".into(),
        _ => "END".into(),
    }
}

fn read(dice: &mut Dice, table: &str, variant: usize) -> String {
    let mut list = format!("\"{table}\".\"id\"");
    for (name, _) in columns(variant, COLUMNS.len()) {
        write!(list, ", \"{table}\".\"{name}\"").unwrap();
    }
    format!(
        "SELECT {list} FROM \"{table}\" WHERE (\"{table}\".\"id\" IN {})",
        ids(dice)
    )
}

fn search(dice: &mut Dice, table: &str, variant: usize) -> String {
    let what = if variant.is_multiple_of(3) {
        "COUNT(*)".to_owned()
    } else {
        format!("\"{table}\".\"id\"")
    };
    let mut sql = format!("SELECT {what} FROM \"{table}\"");
    if variant % 4 == 1 {
        write!(
            sql,
            " LEFT JOIN \"res_partner\" AS \"{table}__parent_id\" ON (\"{table}\".\"parent_id\" = \
             \"{table}__parent_id\".\"id\")"
        )
        .unwrap();
    }
    write!(sql, " WHERE ({})", condition(dice, table, variant)).unwrap();
    if !variant.is_multiple_of(3) {
        write!(
            sql,
            " ORDER BY \"{table}\".\"create_date\" DESC, \"{table}\".\"id\" LIMIT {}",
            1 + dice.below(80)
        )
        .unwrap();
        if variant % 5 == 2 {
            write!(sql, " OFFSET {}", dice.below(800)).unwrap();
        }
    }
    sql
}

fn insert(dice: &mut Dice, table: &str, variant: usize) -> String {
    let columns = columns(variant + 40, 14);
    let names: Vec<String> = columns
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let rows = if dice.chance(70) {
        1
    } else {
        2 + dice.below(30)
    };
    let rows: Vec<String> = (0..rows)
        .map(|_| {
            let values: Vec<String> = columns
                .iter()
                .map(|(_, kind)| match dice.chance(10) {
                    true => "NULL".to_owned(),
                    false => literal(dice, *kind),
                })
                .collect();
            format!("({})", values.join(", "))
        })
        .collect();
    format!(
        "INSERT INTO \"{table}\" ({}) VALUES {} RETURNING \"id\"",
        names.join(", "),
        rows.join(", ")
    )
}

fn update(dice: &mut Dice, table: &str, variant: usize) -> String {
    let sets: Vec<String> = columns(variant + 80, 6)
        .iter()
        .map(|(name, kind)| format!("\"{name}\" = {}", literal(dice, *kind)))
        .collect();
    format!(
        "UPDATE \"{table}\" SET {} WHERE \"id\" IN {}",
        sets.join(", "),
        ids(dice)
    )
}

fn update_from(dice: &mut Dice, table: &str, variant: usize) -> String {
    let columns = columns(variant + 120, 5);
    let names: Vec<String> = columns
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let sets: Vec<String> = columns
        .iter()
        .map(|(name, kind)| {
            let (_, sql_type, _) = COLUMNS
                .iter()
                .find(|c| c.0 == *name && c.2 == *kind)
                .unwrap();
            format!("\"{name}\" = \"__tmp\".\"{name}\"::{sql_type}")
        })
        .collect();
    let rows: Vec<String> = (0..1 + dice.below(6) * dice.below(3))
        .map(|_| {
            let values: Vec<String> = columns
                .iter()
                .map(|(_, kind)| literal(dice, *kind))
                .collect();
            format!("({}, {})", dice.below(9000), values.join(", "))
        })
        .collect();
    format!(
        "UPDATE \"{table}\" SET {} FROM (VALUES {}) AS \"__tmp\"(\"id\", {}) WHERE \"{table}\".\"id\" = \
         \"__tmp\".\"id\"",
        sets.join(", "),
        rows.join(", "),
        names.join(", ")
    )
}

fn group(dice: &mut Dice, table: &str, variant: usize) -> String {
    format!(
        "SELECT date_trunc('month', timezone('Europe/Brussels', timezone('UTC', \"{table}\".\"create_date\"))), \
         SUM(\"{table}\".\"amount_total\"), COUNT(*) FROM \"{table}\" WHERE ({}) GROUP BY 1 ORDER BY {} \
         LIMIT {}",
        condition(dice, table, variant),
        1 + variant % 3,
        dice.below(80)
    )
}

fn relations(dice: &mut Dice) -> String {
    let pair = |dice: &mut Dice| format!("({}, {})", dice.below(9000), dice.below(90));
    let pairs: Vec<String> = (0..1 + dice.below(6)).map(|_| pair(dice)).collect();
    match dice.below(4) {
        0 => format!(
            "INSERT INTO \"sale_order_tag_rel\" (\"order_id\", \"tag_id\") VALUES {} ON CONFLICT DO NOTHING",
            pairs.join(", ")
        ),
        1 => format!(
            "DELETE FROM \"sale_order_tag_rel\" WHERE (\"order_id\", \"tag_id\") IN ({})",
            pairs.join(", ")
        ),
        2 => format!(
            "DELETE FROM \"sale_order_tag_rel\" WHERE (\"order_id\" IN {} AND \"tag_id\" = {})",
            ids(dice),
            dice.below(90)
        ),
        _ => format!(
            "SELECT \"sale_order_tag_rel\".\"order_id\", \"sale_order_tag_rel\".\"tag_id\" FROM \
             \"sale_order_tag_rel\" WHERE \"sale_order_tag_rel\".\"order_id\" = ANY(ARRAY[{}, {}])",
            dice.below(90),
            dice.below(90)
        ),
    }
}

fn other(dice: &mut Dice, table: &str) -> String {
    match dice.below(8) {
        0 => format!(
            "SELECT nextval('ir_sequence_{}')",
            dice.pick(&["007", "042"])
        ),
        1 => "SELECT (now() AT TIME ZONE 'UTC')".into(),
        2 => format!(
            "select value from ir_config_parameter where key={}",
            word(dice)
        ),
        3 => format!(
            "SELECT \"id\" FROM \"{table}\" WHERE \"id\" IN {} FOR NO KEY UPDATE SKIP LOCKED",
            ids(dice)
        ),
        4 => format!(
            "\n    SELECT c.relname\n      FROM pg_class c -- tables\n     WHERE c.relname IN ('a', {}) AND \
             c.relkind IN ('r', 'v', 'm')\n",
            word(dice)
        ),
        5 => format!(
            "WITH RECURSIVE up AS (SELECT id, parent_id FROM \"{table}\" WHERE id = {} UNION ALL SELECT p.id, \
             p.parent_id FROM \"{table}\" p JOIN up ON p.id = up.parent_id) SELECT id FROM up WHERE id <> {}",
            dice.below(900),
            dice.below(900)
        ),
        6 => format!("DELETE FROM \"{table}\" WHERE id IN {}", ids(dice)),
        _ => format!(
            "SELECT \"pg_notify\"('imbus', {}), COALESCE(\"t\".\"translated\"->>'fr_FR', \
             \"t\".\"translated\"->>'en_US') FROM \"{table}\" AS \"t\" WHERE \"t\".\"active\" = TRUE LIMIT {}",
            word(dice),
            dice.below(9)
        ),
    }
}
