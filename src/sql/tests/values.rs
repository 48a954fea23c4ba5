//! Parameters among tokens.

use super::*;

fn with(text: &str, values: &[Option<&str>]) -> Option<String> {
    let found = with_values(text.as_bytes(), values, Rules::default())?;
    Some(String::from_utf8_lossy(&found).into_owned())
}

#[test]
fn literals_stand_in_place_of_parameters() {
    let values = [Some("it's"), None, Some("a\\b")];
    for (text, expected) in [
        ("select f($1,$2)", Some("select f( 'it''s' , NULL )")),
        ("select $3::text", Some("select  E'a\\\\b' ::text")),
        (
            "select '$1', \"$1\", $x$ $1 $x$, a$1 -- $1",
            Some("select '$1', \"$1\", $x$ $1 $x$, a$1 -- $1"),
        ),
        ("select $4", None),
        ("select $0", None),
        ("select '", None),
    ] {
        assert_eq!(with(text, &values).as_deref(), expected, "{text}");
    }
}

#[test]
fn what_is_set_by_values_is_read_as_if_they_were_literals() {
    let text = b"select set_config($1, $2, $3)";
    let values = [Some("My.Tenant"), Some("7"), Some("f")];
    let found = with_values(text, &values, Rules::default()).unwrap_or_default();
    let statement = single(&found, Rules::default());
    let effects = effects(&found, &statement, Rules::default());
    assert_eq!(
        effects,
        [Effect::Set {
            name: "my.tenant".into(),
            value: "'7'".into()
        }]
    );
}
