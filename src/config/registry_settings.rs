//! The settings of `[pgbouncer]`: all 100, in the order in which SHOW CONFIG lists them.
//!
//! Owns `Settings` and its table. To add one: a row here, its effect in the room it belongs to,
//! and a new `config/reference.ini` (see `reference.rs`).
//! Mirrors: PgBouncer 1.25.2, Linux build.

use super::kinds::{AuthType, PoolMode, Protocols, SecretText, SslMode};
use super::registry::Status::{Effective as EFFECTIVE, NoEffectYet as NO_EFFECT_YET, Protects};
use super::registry::{Entry, Reload, default_of, registry};
use super::value::{
    Bytes, Count, Flag, Kind, Millis, Mode, OptCount, OptPath, OptText, Path, PeerId, Period, Port,
    Seconds, Sql, Text, WholeSeconds, Words,
};

/// The query PgBouncer runs for names that are not in auth_file.
const AUTH_QUERY: &str = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin";

registry! {
    /// The global settings: one field per key of `[pgbouncer]`.
    Settings, SETTINGS {
    admin_users: Words = Some(""), Live, EFFECTIVE,
        "Names with full rights on the console, looked up at console login only.";
    application_name_add_host: Flag = Some("0"), Live, EFFECTIVE,
        "Adds \" - address:port\" of the client to the application_name it starts with.";
    auth_dbname: OptText = None, Live, NO_EFFECT_YET,
        "Name of the database in which auth_query runs; never the console's.";
    auth_file: OptPath = None, Live, EFFECTIVE,
        "File of names and secrets; read again on reload when it has changed.";
    auth_hba_file: Path = Some(""), Live, Protects(&[]),
        "Rules in pg_hba.conf form, used with auth_type = hba.";
    auth_ident_file: OptPath = None, Live, Protects(&[]),
        "Maps of outside names to users, for cert and peer rules of auth_hba_file.";
    auth_ldap_options: SecretText = None, Live, Protects(&[]),
        "Parameters of the LDAP server for auth_type = ldap.";
    auth_query: Sql = Some(AUTH_QUERY), Live, NO_EFFECT_YET,
        "Query with one text parameter that returns name and secret, run as auth_user.";
    auth_type: AuthType = Some("md5"), Live, Protects(&["any", "trust", "plain", "md5", "scram-sha-256"]),
        "How clients prove who they are; md5 switches to SCRAM for a SCRAM secret.";
    auth_user: OptText = None, Live, Protects(&[]),
        "User whose connections run auth_query for names that are not in auth_file.";
    autodb_idle_timeout: Seconds = Some("3600"), Live, EFFECTIVE,
        "Drops a database made from the * line, with its statistics, after this long unused; 0 = never.";
    cancel_wait_timeout: Seconds = Some("10"), Live, EFFECTIVE,
        "Drops a cancel request that has waited this long for a connection; 0 = never.";
    client_idle_timeout: Seconds = Some("0"), Live, EFFECTIVE,
        "Closes a logged-in client that has sent nothing and held no server this long; 0 = off.";
    client_login_timeout: Seconds = Some("60"), Live, EFFECTIVE,
        "Longest time for a login, and for the wait for the first server of a pool; 0 = off.";
    client_tls13_ciphers: OptText = None, Live, EFFECTIVE,
        "Cipher suites for TLS 1.3 with clients, by OpenSSL's names.";
    client_tls_ca_file: Path = Some(""), Live, EFFECTIVE,
        "Certificates of the authorities that client certificates must come from.";
    client_tls_cert_file: Path = Some(""), Live, EFFECTIVE,
        "Certificate shown to clients; with none a self-signed one is made in memory.";
    client_tls_ciphers: Text = Some("default"), Live, EFFECTIVE,
        "Cipher suites for TLS 1.2 with clients: default (all that are secure) or suites by OpenSSL's names.";
    client_tls_dheparams: Text = Some("auto"), Live, NO_EFFECT_YET,
        "none, auto or legacy: finite-field key exchange, which is never used here.";
    client_tls_ecdhcurve: Text = Some("auto"), Live, NO_EFFECT_YET,
        "none, auto or a curve for key exchange; the built-in choice is used.";
    client_tls_key_file: Path = Some(""), Live, EFFECTIVE,
        "Private key of client_tls_cert_file.";
    client_tls_protocols: Protocols = Some("secure"), Live, EFFECTIVE,
        "TLS versions spoken with clients; nothing older than 1.2 is.";
    client_tls_sslmode: SslMode = Some("disable"), Live, EFFECTIVE,
        "Whether clients may or must use TLS; verify-ca and verify-full ask for their certificate.";
    conffile: OptPath = None, Live, EFFECTIVE,
        "File that the next reload reads.";
    default_pool_size: Count = Some("20"), Live, EFFECTIVE,
        "Servers per pool, which is one database and one user; 0 = no limit.";
    disable_pqexec: Flag = Some("0"), Boot, EFFECTIVE,
        "Refuses the simple query protocol.";
    dns_max_ttl: Seconds = Some("15"), Live, EFFECTIVE,
        "How long an address found by name is used before asking again.";
    dns_nxdomain_ttl: Seconds = Some("15"), Live, EFFECTIVE,
        "How long a name that was not found is not asked for again.";
    dns_zone_check_period: Seconds = Some("0"), Live, NO_EFFECT_YET,
        "How often the serial number of a DNS zone is looked at; 0 = never.";
    idle_transaction_timeout: Seconds = Some("0"), Live, EFFECTIVE,
        "Closes client and server when a transaction has been idle this long; 0 = off.";
    ignore_startup_parameters: Words = Some(""), Live, EFFECTIVE,
        "Startup parameters that are dropped; the word options makes unknown settings inside it droppable.";
    job_name: Text = Some("pgbouncer"), Boot, NO_EFFECT_YET,
        "Name of the service on Windows.";
    listen_addr: Words = Some(""), Boot, EFFECTIVE,
        "Names and addresses to listen on, * for all; empty = no TCP.";
    listen_backlog: Count = Some("128"), Boot, EFFECTIVE,
        "Connections the system holds before they are accepted.";
    listen_port: Port = Some("6432"), Boot, EFFECTIVE,
        "Port for TCP, and the number in the name of the Unix socket.";
    log_connections: Flag = Some("1"), Live, EFFECTIVE,
        "Logs logins and new connections to servers.";
    log_disconnections: Flag = Some("1"), Live, EFFECTIVE,
        "Logs why a connection was closed.";
    log_pooler_errors: Flag = Some("1"), Live, EFFECTIVE,
        "Logs every error that is sent to a client.";
    log_stats: Flag = Some("1"), Live, EFFECTIVE,
        "Logs a line of statistics every stats_period.";
    logfile: Path = Some(""), Live, EFFECTIVE,
        "File to which the log is appended, beside standard error; opened again on reload.";
    login_notify_message: Text = Some(""), Live, EFFECTIVE,
        "Notice sent to each client at the end of its login.";
    max_client_conn: Count = Some("100"), Live, EFFECTIVE,
        "Client connections in all, the console's excepted.";
    max_db_client_connections: Count = Some("0"), Live, EFFECTIVE,
        "Client connections per database; 0 = no limit.";
    max_db_connections: Count = Some("0"), Live, EFFECTIVE,
        "Server connections per database over all its pools; 0 = no limit.";
    max_packet_size: Bytes = Some("2147483647"), Live, EFFECTIVE,
        "A client or server that announces a larger packet is cut off.";
    max_prepared_statements: Count = Some("200"), Live, EFFECTIVE,
        "Named prepared statements kept per server outside session mode; 0 = passed through untouched.";
    max_user_client_connections: Count = Some("0"), Live, EFFECTIVE,
        "Client connections per login user over all databases; 0 = no limit.";
    max_user_connections: Count = Some("0"), Live, EFFECTIVE,
        "Server connections per pool user over all databases; 0 = no limit.";
    min_pool_size: Count = Some("0"), Live, EFFECTIVE,
        "Servers kept open in a pool that has clients or a forced user.";
    peer_id: PeerId = Some("0"), Live, NO_EFFECT_YET,
        "Own number in a group of peers that pass cancel requests on; 0 = none.";
    pidfile: Path = Some(""), Boot, EFFECTIVE,
        "File with the process id; needed with -d.";
    pkt_buf: Bytes = Some("4096"), Boot, NO_EFFECT_YET,
        "Size of a connection's buffer.";
    pool_mode: PoolMode = Some("session"), Live, EFFECTIVE,
        "When a server goes back to its pool.";
    pool_idle_timeout: Seconds = Some("0"), Live, NO_EFFECT_YET,
        "Drops a pool that has had no client and no server this long; 0 = off.";
    query_timeout: Seconds = Some("0"), Live, EFFECTIVE,
        "Closes client and server when a query runs, or waits, longer; 0 = off.";
    query_wait_notify: WholeSeconds = Some("5"), Live, EFFECTIVE,
        "A client queued this long gets a notice; 0 = off.";
    query_wait_timeout: Seconds = Some("120"), Live, EFFECTIVE,
        "Closes a client that has been queued this long; 0 = it waits for ever.";
    reserve_pool_size: Count = Some("0"), Live, EFFECTIVE,
        "Servers a pool may open beyond its size when a client has waited reserve_pool_timeout.";
    reserve_pool_timeout: Seconds = Some("5"), Live, EFFECTIVE,
        "How long the first client in the queue waits before the reserve is used; 0 = no reserve.";
    resolv_conf: Path = Some(""), Boot, NO_EFFECT_YET,
        "Resolver configuration to use instead of the system's.";
    sbuf_loopcnt: Count = Some("5"), Live, NO_EFFECT_YET,
        "Buffers handled for one connection before the next has its turn; 0 = no limit.";
    scram_iterations: Count = Some("4096"), Live, EFFECTIVE,
        "Iterations for SCRAM secrets that are made from clear-text entries of auth_file.";
    server_check_delay: Seconds = Some("30"), Live, EFFECTIVE,
        "A server idle for longer is checked with server_check_query before it is used; 0 = always.";
    server_check_query: Sql = Some("<empty>"), Live, EFFECTIVE,
        "Check query; `<empty>` = an empty query, nothing = never check.";
    server_connect_timeout: Seconds = Some("15"), Live, EFFECTIVE,
        "Longest time to connect and log in to a server.";
    server_fast_close: Flag = Some("0"), Live, NO_EFFECT_YET,
        "Session mode: closes servers that are to be replaced, and their clients, when the transaction ends.";
    server_idle_timeout: Seconds = Some("600"), Live, EFFECTIVE,
        "Closes a server that has been idle this long, down to min_pool_size; 0 = off.";
    server_lifetime: Seconds = Some("3600"), Live, EFFECTIVE,
        "Closes an unlinked server of this age, spread over time; 0 = used once only.";
    server_login_retry: Seconds = Some("15"), Live, EFFECTIVE,
        "Pause after a failed connect or login, per pool.";
    server_reset_query: Sql = Some("DISCARD ALL"), Live, EFFECTIVE,
        "Sent to a server when a client leaves it in session mode; nothing = not sent.";
    server_reset_query_always: Flag = Some("0"), Live, EFFECTIVE,
        "Sends server_reset_query in transaction and statement mode as well.";
    server_round_robin: Flag = Some("0"), Live, EFFECTIVE,
        "Takes the server that has been idle longest instead of the one used last.";
    server_tls13_ciphers: OptText = None, Live, EFFECTIVE,
        "Cipher suites for TLS 1.3 with servers, by OpenSSL's names.";
    server_tls_ca_file: Path = Some(""), Live, EFFECTIVE,
        "Certificates of the authorities that a server's certificate must come from.";
    server_tls_cert_file: Path = Some(""), Live, EFFECTIVE,
        "Certificate shown to servers.";
    server_tls_ciphers: Text = Some("default"), Live, EFFECTIVE,
        "Cipher suites for TLS 1.2 with servers: default (all that are secure) or suites by OpenSSL's names.";
    server_tls_key_file: Path = Some(""), Live, EFFECTIVE,
        "Private key of server_tls_cert_file.";
    server_tls_protocols: Protocols = Some("secure"), Live, EFFECTIVE,
        "TLS versions spoken with servers; nothing older than 1.2 is.";
    server_tls_sslmode: SslMode = Some("prefer"), Live, EFFECTIVE,
        "Whether servers may or must use TLS and whether their certificate is checked.";
    so_reuseport: Flag = Some("0"), Boot, EFFECTIVE,
        "Lets several processes listen on the same TCP port.";
    stats_period: Period = Some("60"), Live, EFFECTIVE,
        "Length of the averages and the time between two lines of statistics.";
    stats_users: Words = Some(""), Live, EFFECTIVE,
        "Names with read-only rights on the console.";
    suspend_timeout: Seconds = Some("10"), Live, NO_EFFECT_YET,
        "Longest time for SUSPEND and for a restart with -R.";
    syslog: Flag = Some("0"), Live, EFFECTIVE,
        "Logs to syslog as well.";
    syslog_facility: Text = Some("daemon"), Live, EFFECTIVE,
        "auth, authpriv, daemon, user or local0 to local7; anything else is daemon.";
    syslog_ident: Text = Some("pgbouncer"), Live, EFFECTIVE,
        "Name under which syslog shows the lines.";
    tcp_defer_accept: Flag = Some("1"), Live, NO_EFFECT_YET,
        "Lets the system hold a connection until its first bytes are there.";
    tcp_keepalive: Flag = Some("1"), Live, EFFECTIVE,
        "Turns TCP keepalive on for new connections on both sides.";
    tcp_keepcnt: Count = Some("0"), Live, EFFECTIVE,
        "Unanswered keepalive probes before a connection is dead; 0 = the system's default.";
    tcp_keepidle: WholeSeconds = Some("0"), Live, EFFECTIVE,
        "Silence before the first keepalive probe; 0 = the system's default.";
    tcp_keepintvl: WholeSeconds = Some("0"), Live, EFFECTIVE,
        "Time between two keepalive probes; 0 = the system's default.";
    tcp_socket_buffer: Bytes = Some("0"), Live, EFFECTIVE,
        "Size of the system's send and receive buffers; 0 = the system's default.";
    tcp_user_timeout: Millis = Some("0"), Live, EFFECTIVE,
        "How long sent data may stay unacknowledged; 0 = the system's default.";
    track_extra_parameters: Words = Some("IntervalStyle"), Boot, EFFECTIVE,
        "Settings reported by PostgreSQL that are kept per client beside the usual five.";
    transaction_timeout: Seconds = Some("0"), Live, EFFECTIVE,
        "Closes client and server when a transaction lasts longer; 0 = off.";
    unix_socket_dir: Path = Some("/tmp"), Boot, EFFECTIVE,
        "Directory of the Unix socket, @ in front = abstract, empty = none; also where servers without host are looked for.";
    unix_socket_group: Text = Some(""), Boot, EFFECTIVE,
        "Group of the Unix socket, name or number.";
    unix_socket_mode: Mode = Some("0777"), Boot, EFFECTIVE,
        "Mode of the Unix socket.";
    user: OptText = None, Boot, EFFECTIVE,
        "Account to switch to at start; root is refused otherwise.";
    verbose: OptCount = None, Live, EFFECTIVE,
        "Log detail: 0 = normal, 1 = DEBUG, 2 = NOISE; replaces -v once set.";
}}
