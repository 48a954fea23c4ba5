//! Names of channels: as PostgreSQL keeps them, and in SQL. Pure.

/// Longest name in bytes; PostgreSQL cuts longer ones (NAMEDATALEN - 1).
const LONGEST: usize = 63;

/// A name as PostgreSQL keeps it.
pub(super) fn cut(name: &str) -> &str {
    let mut end = name.len().min(LONGEST);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Appends `verb "name";`.
pub(super) fn push_command(sql: &mut String, verb: &str, name: &str) {
    sql.push_str(verb);
    sql.push_str(" \"");
    sql.push_str(&name.replace('"', "\"\""));
    sql.push_str("\";");
}
