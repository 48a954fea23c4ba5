//! Fingerprints are stable for ever: stored ones must mean the same after every upgrade, on every
//! machine. A line that fails here is a promise broken, not a list to bring up to date.

use super::*;

#[test]
fn labels() {
    let cases = [
        ("(empty)", "79f73b032f2375f2"),
        ("(evicted)", "8bb0d1bf1997c8b9"),
        ("(error:42601)", "8df4b714bc40866d"),
        ("(other)", "bd9150162ddfc3c1"),
        ("", "ff9733eae7d936f1"),
    ];
    for (label, expected) in cases {
        assert_eq!(format!("{:016x}", of_label(label)), expected, "{label}");
    }
    assert_eq!(EMPTY, of_label("(empty)"));
}

#[test]
fn statements() {
    let cases = [
        ("SELECT 1", "15efe2accb417d64"),
        (
            "SELECT \"res_partner\".\"id\", \"res_partner\".\"name\" FROM \"res_partner\" WHERE (\"res_partner\".\"id\" IN (1, 2, 3)) ORDER BY \"res_partner\".\"display_name\" LIMIT 80",
            "ab555ad51d1a2099",
        ),
        (
            "INSERT INTO \"stock_quant\" (\"product_id\", \"quantity\") VALUES (1, 2.5), (2, NULL) RETURNING \"id\"",
            "c130a796f7aee73f",
        ),
        (
            "UPDATE t SET a = 'x', b = b - 1 WHERE c <> -5 AND d IS NOT NULL",
            "4db99ecba2866d74",
        ),
        (
            "DELETE FROM r WHERE (a, b) IN ((1, 2), (3, 4))",
            "789865c749f39abe",
        ),
        (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE",
            "9dd11ade38da57f4",
        ),
        ("COMMIT", "67495a6951fe3a02"),
        ("ROLLBACK", "c4afd9462d6d58a1"),
        (
            "SAVEPOINT \"843f69f0-e4d2-11f1-b000-0242ac110002\"",
            "fdce7b0adb8541d4",
        ),
        ("RELEASE SAVEPOINT x", "3304dfb051cbdc0c"),
        ("ROLLBACK TO SAVEPOINT x", "19efe4f1b64209d7"),
        ("SET LOCAL lock_timeout = '15s'", "4a325043ab30e72f"),
        ("DISCARD ALL", "364390cade7e92ac"),
        ("DECLARE c CURSOR FOR SELECT 1", "2ffd36356af4052c"),
        ("FETCH FORWARD 10 FROM c", "c69877c879745941"),
        ("PREPARE p AS SELECT $1", "b6766f8b799f16f2"),
        ("EXECUTE p (1)", "d42d6cc67c32b4de"),
        (
            "SELECT a_name_of_more_than_sixteen_bytes, \"Quoted \"\"name\"\"\", abcdefgh FROM größe",
            "61d7d0cb6f794bd4",
        ),
        (
            "SELECT j ?| ARRAY['a', 'b'], x::numeric(10, 2), $12 FROM t GROUP BY 1, 2",
            "f3446b5a711f618c",
        ),
        ("DO $$ BEGIN x; END $$", "c53adfbf5284f17a"),
        ("SELECT \u{1} \\ 1 ]", "53d91843df3a51a5"),
        ("COPY t (a) FROM STDIN", "b9fe119205b98a1f"),
    ];
    for (sql, expected) in cases {
        assert_eq!(format!("{:016x}", fingerprint(sql)), expected, "{sql}");
    }
}

#[test]
fn strict_long_and_opaque() {
    let told = |sql: &[u8], rules| format!("{:016x}", single(sql, rules).fingerprint);
    let list = b"SELECT a FROM t WHERE b IN (1, 2, 3)";
    assert_eq!(told(list, strict(16)), "3776fb83f2b194b0");
    assert_eq!(
        told(b"INSERT INTO t VALUES (1), (2)", strict(18)),
        "86172fc3149be403"
    );
    let long = format!(
        "INSERT INTO t (a, b) VALUES {}",
        vec!["(1, 'abc')"; 9000].join(", ")
    );
    assert_eq!(told(long.as_bytes(), default()), "18dfcf4da5466a40");
    let opaque = Rules {
        opaque_encoding: true,
        ..default()
    };
    assert_eq!(told(b"SELECT '\x83\x5c'", opaque), "304d36da3595cacf");
}
