//! The console: PgBouncer's admin commands over psql, on pgwire, behind our own login.
