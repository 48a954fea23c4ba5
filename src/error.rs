//! Every error a client can see: severity, SQLSTATE and text, in one place.
//!
//! COMPAT: PgBouncer sends nearly everything as `FATAL` `08P01` with exactly the fields S, C and M
//! (no V, no detail), and drivers retry by code class; texts and codes here are PgBouncer's unless
//! the message is ours. Owns the texts; touches nothing.

use std::borrow::Cow;

/// Protocol violation: PgBouncer's code for almost everything it says itself.
pub const PROTOCOL_VIOLATION: &str = "08P01";

/// How bad it is; `Fatal` is followed by a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed, the connection stays.
    Error,
    /// The connection is closed after the message.
    Fatal,
}

impl Severity {
    /// The word in field `S`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        }
    }
}

/// One error as a client sees it. `reason` is the short stable key used as a metric label
/// (`pgweir_client_errors_total{reason}`), a closed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// Field S.
    pub severity: Severity,
    /// Field C: five characters.
    pub sqlstate: Cow<'static, str>,
    /// Field M.
    pub text: Cow<'static, str>,
    /// Metric label.
    pub reason: &'static str,
    /// The code PostgreSQL has for this, sent instead with `precise_sqlstates`; empty = none.
    precise: &'static str,
}

impl ClientError {
    fn fatal(reason: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            severity: Severity::Fatal,
            sqlstate: Cow::Borrowed(PROTOCOL_VIOLATION),
            text: text.into(),
            reason,
            precise: "",
        }
    }

    fn precisely(mut self, code: &'static str) -> Self {
        self.precise = code;
        self
    }

    /// The frame with the code that `precise_sqlstates` asks for.
    pub fn to_frame_as(&self, precise: bool) -> Vec<u8> {
        if !precise || self.precise.is_empty() {
            return self.to_frame();
        }
        let sqlstate = Cow::Borrowed(self.precise);
        Self {
            sqlstate,
            ..self.clone()
        }
        .to_frame()
    }

    /// The whole ErrorResponse frame: tag `E`, length, fields S, C, M.
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.text.len());
        out.push(b'E');
        out.extend_from_slice(&[0; 4]);
        for (field, value) in [
            (b'S', self.severity.as_str()),
            (b'C', self.sqlstate.as_ref()),
            (b'M', self.text.as_ref()),
        ] {
            out.push(field);
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
        out.push(0);
        let length = u32::try_from(out.len() - 1).unwrap_or(u32::MAX);
        out[1..5].copy_from_slice(&length.to_be_bytes());
        out
    }

    /// An error PostgreSQL gave at the server's login, passed on with its own SQLSTATE (surface 4.2).
    pub fn from_server(sqlstate: &str, text: &str) -> Self {
        Self {
            severity: Severity::Fatal,
            sqlstate: Cow::Owned(sqlstate.to_owned()),
            text: Cow::Owned(text.to_owned()),
            reason: "server_error",
            precise: "",
        }
    }
}

/// Constructors without arguments: name, metric reason, text, and the precise code if there is one.
macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident, $reason:literal, $text:literal $(, $code:literal)?;)*) => {
        impl ClientError {
            $($(#[$doc])* pub fn $name() -> Self {
                Self::fatal($reason, $text)$(.precisely($code))?
            })*
        }
    };
}

fixed! {
    /// More sockets than `max_client_conn`.
    max_client_conn, "max_client_conn", "no more connections allowed (max_client_conn)", "53300";
    /// `max_db_client_connections` reached.
    max_db_client_connections, "max_db_client_connections", "client connections exceeded (max_db_client_connections)", "53300";
    /// `max_user_client_connections` reached.
    max_user_client_connections, "max_user_client_connections", "client connections exceeded (max_user_client_connections)", "53300";
    /// Wrong password or unknown user, plain and md5.
    password_failed, "auth_failed", "password authentication failed", "28P01";
    /// Wrong password or unknown user, SCRAM.
    sasl_failed, "auth_failed", "SASL authentication failed", "28P01";
    /// A SASL mechanism that was not offered.
    sasl_mechanism, "auth_failed", "client selected an invalid SASL authentication mechanism";
    /// Unknown user under `auth_type = trust`.
    trust_failed, "auth_failed", "\"trust\" authentication failed", "28000";
    /// More settings than a session may have.
    too_many_settings, "too_many_settings", "too many settings in one session (256 names or 64 kB)", "53400";
    /// The client needs a server for itself, and `max_pins` of its pool are kept already.
    too_many_pins, "too_many_pins", "the server would have to be kept for this session (advisory lock, temporary table, cursor WITH HOLD, sequence or LOAD), and max_pins of the pool are kept already", "53400";
    /// `pin_timeout`.
    pin_timeout, "pin_timeout", "pin_timeout: the session kept a server (advisory lock, temporary table, cursor WITH HOLD, sequence or LOAD) and was idle for too long", "57P05";
    /// The client sent an empty password.
    empty_password, "auth_failed", "empty password returned by client", "28P01";
    /// The client sent a password over the limit.
    password_too_long, "auth_failed", "password too long";
    /// Misconfigured authentication, such as `any` without a forced user.
    bouncer_config, "config", "bouncer config error";
    /// User name over 127 bytes.
    username_too_long, "startup", "username too long";
    /// No `user` in the startup packet.
    no_username, "startup", "no username supplied", "28000";
    /// `options` that is not a list of settings.
    options_syntax, "startup", "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed";
    /// Malformed startup packet.
    startup_layout, "startup", "invalid startup packet layout: expected terminator as last byte";
    /// Protocol version 2.
    old_protocol, "startup", "old V2 protocol not supported";
    /// `client_tls_sslmode` demands TLS and the client did not ask for it.
    ssl_required, "ssl_required", "SSL required", "28000";
    /// Plain bytes sent ahead of the TLS handshake (the CVE-2021-23214 class).
    early_data_ssl, "protocol", "received unencrypted data after SSL request";
    /// The same after GSSENCRequest.
    early_data_gss, "protocol", "received unencrypted data after GSSAPI encryption request";
    /// Unknown frontend message.
    unknown_packet, "protocol", "unknown pkt";
    /// A frame that cannot be parsed at a place where it must be.
    failed_to_parse, "protocol", "failed to parse packet";
    /// A frame out of order, such as a Query in the middle of the login.
    bad_packet, "protocol", "bad packet";
    /// Login took longer than `client_login_timeout`.
    login_timeout, "client_login_timeout", "client_login_timeout";
    /// The same, while waiting for the first server of the pool.
    login_timeout_server_down, "client_login_timeout", "client_login_timeout (server down)", "57P03";
    /// Queued longer than `query_wait_timeout`.
    query_wait_timeout, "query_wait_timeout", "query_wait_timeout", "57014";
    /// `query_timeout` ran out while queued.
    query_timeout_queued, "query_timeout", "query_timeout", "57014";
    /// `query_timeout` ran out while PostgreSQL worked.
    query_timeout, "query_timeout", "query timeout", "57014";
    /// `idle_transaction_timeout`.
    idle_transaction_timeout, "idle_transaction_timeout", "idle transaction timeout", "25P03";
    /// `transaction_timeout`.
    transaction_timeout, "transaction_timeout", "transaction timeout", "25P04";
    /// `client_idle_timeout`.
    client_idle_timeout, "client_idle_timeout", "client_idle_timeout", "57P05";
    /// The server connection broke while linked.
    server_crashed, "server_lost", "server conn crashed?", "08006";
    /// PostgreSQL refused one of the client's tracked parameters.
    invalid_server_parameter, "invalid_parameter", "invalid server parameter", "22023";
    /// BEGIN in statement mode.
    transaction_in_statement_mode, "statement_mode", "transaction blocks not allowed in statement pooling mode", "0A000";
    /// Parse of a name that the client already holds.
    statement_name_in_use, "prepared_statement", "prepared statement name is already in use", "42P05";
    /// Bind, Describe or Close of an unknown name.
    statement_unknown, "prepared_statement", "prepared statement did not exist", "26000";
    /// KILL, or a database that left the configuration.
    database_removed, "database_removed", "database removed", "57P01";
    /// KILL_CLIENT.
    admin_disconnect, "admin", "admin forced disconnect", "57P01";
    /// SHUTDOWN WAIT_FOR_SERVERS and no server.
    server_shutting_down, "shutdown", "server shutting down", "57P01";
    /// A new login during SHUTDOWN WAIT_FOR_CLIENTS.
    pooler_shutting_down, "shutdown", "pooler is shutting down", "57P03";
    /// Simple protocol refused by `disable_pqexec`.
    pqexec_disallowed, "disable_pqexec", "PQexec disallowed", "0A000";
    /// Console: the user is in neither `admin_users` nor `stats_users`.
    console_not_allowed, "auth_failed", "not allowed", "28000";
}

impl ClientError {
    /// Unknown database; reported only after a successful login, so that names cannot be probed.
    pub fn no_such_database(name: &str) -> Self {
        Self::fatal("no_such_database", format!("no such database: {name}")).precisely("3D000")
    }
    /// `DISABLE db` is in force.
    pub fn database_disabled(name: &str) -> Self {
        Self::fatal(
            "database_disabled",
            format!("database \"{name}\" is disabled"),
        )
        .precisely("57P03")
    }
    /// A startup parameter that is neither tracked nor in `ignore_startup_parameters`.
    pub fn startup_parameter(name: &str) -> Self {
        Self::fatal("startup", format!("unsupported startup parameter: {name}"))
    }
    /// The same inside `options`.
    pub fn startup_option(name: &str) -> Self {
        Self::fatal(
            "startup",
            format!("unsupported startup parameter in options: {name}"),
        )
    }
    /// A frame header that cannot be: unknown length or over `max_packet_size`.
    pub fn bad_header(header: &[u8]) -> Self {
        use std::fmt::Write as _;
        let mut hex = String::with_capacity(2 * header.len());
        for byte in header {
            let _ = write!(hex, "{byte:02x}");
        }
        Self::fatal("protocol", format!("bad packet header: '{hex}'"))
    }
    /// A Parse, Bind, Describe or Close that cannot be read.
    pub fn broken_packet(kind: &'static str) -> Self {
        Self::fatal("protocol", format!("broken {kind} packet"))
    }
    /// PostgreSQL asks for a method that the stored secret cannot answer; `hint` says what to do.
    pub fn server_password_type(hint: &str) -> Self {
        Self::fatal(
            "server_login",
            format!("server login failed: wrong password type: {hint}"),
        )
    }
    /// Fail fast: the pool has no server and its last login failed.
    pub fn login_failing(reason: &str) -> Self {
        Self::fatal(
            "server_login_retry",
            format!("server login has been failing, cached error: {reason} (server_login_retry)"),
        )
        .precisely("57P03")
    }
    /// The client did not take its notifications (`listen_buffer`).
    pub fn listen_buffer_full(limit: usize) -> Self {
        Self::fatal(
            "listen_buffer",
            format!(
                "more than {limit} bytes of notifications wait for this client, which does not take \
                 them (listen_buffer)"
            ),
        )
        .precisely("53400")
    }
    /// The values are on another server, or mixed with those of other clients. Our own message, so
    /// with the precise code; no quotes, since it is sent as SQL too.
    pub fn sequence_elsewhere() -> Self {
        Self {
            sqlstate: Cow::Borrowed("55000"),
            ..Self::fatal(
                "sequence_elsewhere",
                "currval and lastval are not available here: the sequence was advanced in an \
                 earlier transaction, on a server connection that this client did not keep; \
                 from now on clients of this application keep theirs, so try again from nextval \
                 on, or use INSERT ... RETURNING",
            )
        }
    }
    /// Body of PostgreSQL's own error (`RevalidateCachedQuery` in `plancache.c`) about a prepared
    /// statement whose columns are not those that the client was told. Drivers know it by its code and
    /// routine, and prepare the statement again. 0A000.
    pub fn changed_columns() -> Vec<u8> {
        b"SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0\
          Fplancache.c\0RRevalidateCachedQuery\0\0"
            .to_vec()
    }
    /// LISTEN was carried out, but no notification can be delivered.
    pub fn listen_failed(reason: &str) -> Self {
        Self::fatal(
            "listen_failed",
            format!("LISTEN failed: the pooler cannot receive notifications: {reason}"),
        )
        .precisely("57P03")
    }
    /// The client's own process keeps it from a server. Our own message, so with the precise code.
    pub fn nested_transaction() -> Self {
        Self {
            sqlstate: Cow::Borrowed("53300"),
            ..Self::fatal(
                "nested_transaction",
                "nested transactions: this process holds a connection of the pool idle in \
                 transaction and asks for another one, and no other is left \
                 (raise pool_size or reserve_pool_size, see nested_transactions)",
            )
        }
    }
    /// `replication=` in the startup packet. Our own message, so with the precise code.
    pub fn replication_unsupported() -> Self {
        Self {
            sqlstate: Cow::Borrowed("0A000"),
            ..Self::fatal("startup", "replication connections are not supported")
        }
    }
    /// An error of the console: the session goes on.
    pub fn console(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            severity: Severity::Error,
            ..Self::fatal("console", text)
        }
    }
    /// Console: not a command; the whole text is repeated, as PgBouncer does.
    pub fn console_invalid_command(text: &str) -> Self {
        Self::console(format!("invalid command '{text}', use SHOW HELP;"))
    }
    /// Console: a verb that acts on databases was given the console's own.
    pub fn console_own_database(verb: &str, name: &str) -> Self {
        Self::console(format!("cannot {verb} admin db: {name}"))
    }
    /// Console: RELOAD found errors; the old configuration stays. COMPAT: the one F0000.
    pub fn console_reload_failed() -> Self {
        Self {
            sqlstate: Cow::Borrowed("F0000"),
            ..Self::console("RELOAD failed, see logs for additional details")
        }
    }
    /// Console: a waiting PAUSE or WAIT_CLOSE was cancelled. Ours: PgBouncer never answers it.
    pub fn console_canceled() -> Self {
        Self {
            sqlstate: Cow::Borrowed("57014"),
            ..Self::console("canceling statement due to user request")
        }
    }
    /// Console: somebody resumed while this PAUSE was waiting. Ours.
    pub fn console_resumed_meanwhile() -> Self {
        Self {
            sqlstate: Cow::Borrowed("57014"),
            ..Self::console("resumed before everything was paused")
        }
    }
    /// Console: SQL about tables, such as psql's `\d`. Ours, in place of echoing it all.
    pub fn console_no_tables() -> Self {
        Self {
            sqlstate: Cow::Borrowed("0A000"),
            ..Self::console("admin console: no tables here, try SHOW HELP")
        }
    }
    /// Console: a word of one of our own commands that does not belong there.
    pub fn console_syntax(at: &str, usage: &str) -> Self {
        let at: String = at.chars().take(40).collect();
        let at = match at.is_empty() {
            true => "end of command".to_owned(),
            false => format!("'{at}'"),
        };
        Self::console_precise("42601", format!("syntax error at {at}, usage: {usage}"))
    }
    /// Console: ORDER BY of something that is no column.
    pub fn console_unknown_column(name: &str, columns: &[&str]) -> Self {
        let columns = columns.join(", ");
        Self::console_precise(
            "42703",
            format!("column '{name}' does not exist, columns are: {columns}"),
        )
    }
    /// Console: not a fingerprint.
    pub fn console_bad_fingerprint(text: &str) -> Self {
        let text: String = text.chars().take(40).collect();
        Self::console_precise(
            "22P02",
            format!("'{text}' is no fingerprint: 16 hexadecimal digits as in SHOW STATEMENTS"),
        )
    }
    /// Console: a fingerprint that nothing is kept of.
    pub fn console_unknown_fingerprint(fingerprint: u64) -> Self {
        Self::console_precise(
            "42704",
            format!("no statement {fingerprint:016x}: never seen, evicted or reset"),
        )
    }
    /// Console: CANCEL of a client that nothing runs for.
    pub fn console_nothing_to_cancel(id: u64) -> Self {
        Self::console_precise("55000", format!("client {id} has no query running"))
    }
    /// Console: a backend's process id that no client is linked to.
    pub fn console_pid_not_found(pid: i32) -> Self {
        Self::console_precise("42704", format!("no client is linked to backend {pid}"))
    }
    /// Console: statements are not counted.
    pub fn console_insight_off() -> Self {
        Self::console_precise("55000", "insight = 0: statements are not counted")
    }
    fn console_precise(sqlstate: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            sqlstate: Cow::Borrowed(sqlstate),
            ..Self::console(text)
        }
    }
    /// Console: part of PgBouncer's surface that does not work yet.
    pub fn console_unsupported(what: &str) -> Self {
        Self {
            sqlstate: Cow::Borrowed("0A000"),
            ..Self::console(format!("{what} is not supported yet"))
        }
    }
}

/// Errors of the console without arguments: name, text.
macro_rules! fixed_console {
    ($($(#[$doc:meta])* $name:ident, $text:literal;)*) => {
        impl ClientError {
            $($(#[$doc])* pub fn $name() -> Self { Self::console($text) })*
        }
    };
}

fixed_console! {
    /// A word of the command is too long.
    console_bad_arguments, "bad arguments";
    /// The user is in stats_users only.
    console_admin_needed, "admin access needed";
    /// SET of an unknown key or with a bad value.
    console_set_failed, "SET failed";
    /// ENABLE or DISABLE without a name.
    console_database_required, "a database is required";
    /// KILL_CLIENT with something that is not a number.
    console_invalid_client, "invalid client pointer supplied";
    /// KILL_CLIENT of nobody.
    console_client_not_found, "client not found";
    /// PAUSE, KILL or SUSPEND while everything is paused.
    console_already_paused, "already suspended/paused";
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ClientError {}
