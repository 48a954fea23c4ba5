#![allow(clippy::unwrap_used)]

use super::arrange::Arrangement;
use super::texts::one_line;
use super::*;
use crate::admin::asks::Order;
use crate::admin::rows::Kind;

const COLUMNS: &[Column] = &[("n", Kind::I), ("name", Kind::T), ("ms", Kind::F)];

fn ordered(column: &str, is_descending: bool, limit: Option<usize>) -> Options {
    Options {
        order: Some(Order {
            column: column.to_owned(),
            is_descending,
        }),
        limit,
        ..Options::default()
    }
}

fn rows() -> Rows {
    let row = |n: u64, name: &str, ms: Option<f64>| {
        let ms = ms.map_or(Cell::Null, |ms| Cell::Real(ms, 1));
        vec![n.into(), name.into(), ms]
    };
    vec![
        row(10, "b", Some(0.5)),
        row(9, "c", None),
        row(100, "a", Some(12.0)),
    ]
}

fn numbers(options: &Options) -> (Vec<u64>, usize) {
    let mut rows = rows();
    let hidden = Arrangement::of(options, COLUMNS).unwrap().apply(&mut rows);
    let number = |row: &Vec<Cell>| match row[0] {
        Cell::Number(n) => n,
        _ => 0,
    };
    (rows.iter().map(number).collect(), hidden)
}

#[test]
fn rows_are_ordered_by_value_and_the_unknown_come_last() {
    assert_eq!(numbers(&ordered("n", false, None)).0, [9, 10, 100]);
    assert_eq!(numbers(&ordered("N", true, None)).0, [100, 10, 9]);
    assert_eq!(numbers(&ordered("name", false, None)).0, [100, 10, 9]);
    assert_eq!(numbers(&ordered("ms", false, None)).0, [10, 100, 9]);
    assert_eq!(numbers(&ordered("ms", true, None)).0, [100, 10, 9]);
    assert_eq!(numbers(&Options::default()).0, [10, 9, 100]);
}

#[test]
fn a_limit_cuts_behind_the_order_and_counts() {
    assert_eq!(numbers(&ordered("n", true, Some(1))), (vec![100], 2));
    assert_eq!(numbers(&ordered("n", true, Some(0))), (vec![], 3));
    assert_eq!(
        with_hidden("x".to_owned(), 2),
        "x; 2 more rows with LIMIT ALL"
    );
}

#[test]
fn an_unknown_column_names_those_there_are() {
    let error = Arrangement::of(&ordered("calls", false, None), COLUMNS)
        .err()
        .unwrap();
    assert_eq!(error.sqlstate, "42703");
    assert_eq!(
        error.text,
        "column 'calls' does not exist, columns are: n, name, ms"
    );
}

#[test]
fn texts_become_one_line_of_a_hundred_characters() {
    assert_eq!(one_line(" select\n\t1  ,\u{1b} 2 "), "select 1 , 2");
    assert_eq!(one_line(""), "");
    let exact = "é".repeat(100);
    assert_eq!(one_line(&exact), exact);
    let long = one_line(&"é".repeat(101));
    assert_eq!(long.chars().count(), 100);
    assert!(long.ends_with("é..."));
    assert_eq!(one_line(&format!("a{}b", " ".repeat(5000))), "a b");
}
