//! Tags that applications write into a comment: sqlcommenter and marginalia.
//!
//! Owns: the two notations and the list of keys that are let through. Values may hold anything, so
//! only keys known to hold no personal data are read.
//! Source: google.github.io/sqlcommenter/spec, the README of marginalia.

/// Keys that are read.
const ALLOWED: [&str; 12] = [
    "action",
    "application",
    "controller",
    "db_driver",
    "framework",
    "job",
    "method",
    "model",
    "route",
    "service",
    "traceparent",
    "tid",
];

/// Longer values are cut.
const VALUE_BYTES: usize = 128;

/// The tags of a comment, its `/*` and `*/` included: `key='url%20encoded'`, `key=value`,
/// `key:value`, with commas between them. Unknown keys are left out.
pub fn tags(comment: &[u8]) -> Vec<(String, String)> {
    let inside = comment.strip_prefix(b"/*").unwrap_or(comment);
    let inside = inside.strip_suffix(b"*/").unwrap_or(inside);
    pieces(inside).into_iter().filter_map(tag).collect()
}

/// Splits at commas outside quotes.
fn pieces(text: &[u8]) -> Vec<&[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(|b| {
        is_quoted ^= *b == b'\'' && !is_escaped;
        is_escaped = *b == b'\\' && !is_escaped;
        *b == b',' && !is_quoted
    })
    .collect()
}

fn tag(piece: &[u8]) -> Option<(String, String)> {
    let piece = piece.trim_ascii();
    let sign = piece.iter().position(|b| matches!(b, b'=' | b':'))?;
    let (key, value) = piece.split_at(sign);
    let key = std::str::from_utf8(key.trim_ascii()).ok()?;
    let key = ALLOWED.into_iter().find(|allowed| *allowed == key)?;
    let value = value.get(1..)?.trim_ascii();
    let quoted = value
        .strip_prefix(b"'")
        .and_then(|value| value.strip_suffix(b"'"));
    let mut value = decoded(quoted.unwrap_or(value));
    value.truncate(VALUE_BYTES);
    let value = String::from_utf8_lossy(&value).into_owned();
    Some((key.to_owned(), value))
}

/// Without `%41` and `\'`.
fn decoded(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match (first, more) {
            (b'%', [high, low, behind @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = behind;
                }
                _ => bytes.push(b'%'),
            },
            (b'\\', [b'\'', behind @ ..]) => {
                bytes.push(b'\'');
                rest = behind;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_and_only_known_keys() {
        let cases: [(&str, &[(&str, &str)]); 8] = [
            (
                "/*action='%2Fparam*d',controller='index',db_password='x',framework='spring',\
                 traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/",
                &[
                    ("action", "/param*d"),
                    ("controller", "index"),
                    ("framework", "spring"),
                    (
                        "traceparent",
                        "00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01",
                    ),
                ],
            ),
            (
                "/*application:Shop,controller:orders,line:/app/x.rb*/",
                &[("application", "Shop"), ("controller", "orders")],
            ),
            (
                "/* route = /a/b , job=nightly */",
                &[("route", "/a/b"), ("job", "nightly")],
            ),
            (
                "/* route='it\\'s, here',tid=5 */",
                &[("route", "it's, here"), ("tid", "5")],
            ),
            ("/* route='100%' */", &[("route", "100%")]),
            ("/* only words */", &[]),
            ("/**/", &[]),
            ("/*/", &[]),
        ];
        for (comment, expected) in cases {
            let expected: Vec<(String, String)> = expected
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            assert_eq!(tags(comment.as_bytes()), expected, "{comment}");
        }
    }

    #[test]
    fn long_values_are_cut() {
        let comment = format!("/*route='{}'*/", "é".repeat(500));
        let found = tags(comment.as_bytes());
        assert!(
            found
                .iter()
                .all(|(_, value)| value.len() <= VALUE_BYTES + 3)
        );
    }
}
