//! What pgweir calls itself where PgBouncer would be named: `-V`, SHOW VERSION, server_version.
//!
//! Owns the texts, touches nothing. COMPAT: monitoring compares the first line of `-V` with SHOW
//! VERSION and looks for `PgBouncer \d+\.\d+\.\d+`; ours therefore begins exactly so.

/// Release of PgBouncer whose behaviour is followed.
pub const PGBOUNCER: &str = "1.25.2";

/// Release of pgweir.
pub const PGWEIR: &str = env!("CARGO_PKG_VERSION");

/// First line of `-V` and the one row of SHOW VERSION.
pub const VERSION_TEXT: &str = concat!("PgBouncer 1.25.2 (pgweir ", env!("CARGO_PKG_VERSION"), ")");

/// `server_version` of the console. It begins with the number because libpq reads it from there.
pub const SERVER_VERSION: &str = concat!("1.25.2/bouncer (pgweir ", env!("CARGO_PKG_VERSION"), ")");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_begin_with_the_release_that_is_followed() {
        assert!(VERSION_TEXT.starts_with(&format!("PgBouncer {PGBOUNCER} (pgweir {PGWEIR}")));
        assert!(SERVER_VERSION.starts_with(&format!("{PGBOUNCER}/bouncer")));
    }
}
