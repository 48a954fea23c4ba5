//! `config/reference.ini`: every setting with its default, unit, reloadability and help.
//!
//! Owns the text, made from the registry alone; a test compares it with the file in the
//! repository (`PGWEIR_UPDATE=1 cargo test --lib config::reference` rewrites that).

use super::registry::{Entry, Reload, Status};
use super::{DATABASE_KEYS, OWN_SETTINGS, PEER_KEYS, SETTINGS, USER_KEYS};
use std::fmt::Write;

/// Comment lines are filled up to this width.
const WIDTH: usize = 96;

const INTRODUCTION: &str = "\
Every setting of pgweir, made from its registry; do not edit. Everything here is commented out, \
and the value shown is the default, so this file changes nothing. [pgbouncer], [databases], \
[users] and [peers] are PgBouncer's. [pgweir] is ours and belongs into a second file that \
includes the untouched pgbouncer.ini, because PgBouncer refuses a section it does not know.";

/// The whole text.
pub fn reference() -> String {
    let mut out = String::new();
    comment(&mut out, "; ", INTRODUCTION);
    section(&mut out, "pgbouncer", SETTINGS, "");
    section(&mut out, "pgweir", OWN_SETTINGS, "");
    section(
        &mut out,
        "databases",
        DATABASE_KEYS,
        "Lines of the form: name = key=value key='quoted value' ... The name * is any other database.",
    );
    section(
        &mut out,
        "users",
        USER_KEYS,
        "Lines of the form: name = key=value ...",
    );
    section(
        &mut out,
        "peers",
        PEER_KEYS,
        "Lines of the form: number = key=value ...",
    );
    out
}

fn section<T: 'static>(out: &mut String, name: &str, table: &[Entry<T>], form: &str) {
    let is_list = !form.is_empty();
    // A header inside a comment: this file must stay without effect when it is included.
    let _ = writeln!(out, "\n;; [{name}]");
    comment(out, ";; ", form);
    for entry in table {
        let _ = writeln!(out);
        describe(out, entry);
        let default = entry.default.unwrap_or_default();
        let setting = match (is_list, default) {
            (true, default) => format!("; {}={default}", entry.key),
            (false, "") => format!("; {} =", entry.key),
            (false, default) => format!("; {} = {default}", entry.key),
        };
        let _ = writeln!(out, "{setting}");
    }
}

fn describe<T>(out: &mut String, entry: &Entry<T>) {
    comment(out, ";; ", entry.help);
    let mut facts = vec![format!("Accepts: {}", entry.accepts)];
    if !entry.unit.is_empty() {
        facts.push(format!("unit: {}", entry.unit));
    }
    if entry.default.is_none() {
        facts.push("default: unset".to_owned());
    }
    facts.push(match entry.reload {
        Reload::Live => "taken up on reload".to_owned(),
        Reload::Boot => "taken up at start only".to_owned(),
    });
    match entry.status {
        Status::Effective => {}
        Status::NoEffectYet => facts.push("accepted without effect in this release".to_owned()),
        Status::Protects([]) => facts.push("refused in this release".to_owned()),
        Status::Protects(works) => {
            facts.push(format!("works in this release: {}", works.join(", ")));
        }
    }
    comment(out, ";; ", &format!("{}.", facts.join("; ")));
}

fn comment(out: &mut String, prefix: &str, text: &str) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && prefix.len() + line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{prefix}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(out, "{prefix}{line}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_file_in_the_repository_is_this_text() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reference.ini");
        if std::env::var_os("PGWEIR_UPDATE").is_some() {
            std::fs::write(&path, reference()).unwrap();
        }
        let file = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            file == reference(),
            "config/reference.ini is not what the registry says; PGWEIR_UPDATE=1 rewrites it"
        );
    }
}
