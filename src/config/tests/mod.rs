//! Tests of the room: files as operators write them, nasty cases by name, and noise.

mod cases;
mod changes;
mod noise;
mod userlist;

use super::*;
use std::path::Path;
use std::time::Duration;

/// Reads text as the file `test.ini`.
fn read(text: &str) -> Result<Config, ConfigErrors> {
    parse(Path::new("test.ini"), text.as_bytes())
}

/// Reads text that must be accepted.
fn good(text: &str) -> Config {
    read(text).unwrap()
}

/// Reads the body of a [pgbouncer] section that must be accepted.
fn settings(body: &str) -> Config {
    good(&format!("[pgbouncer]\n{body}\n"))
}

/// Every error of a text that must not be accepted, one per line.
fn errors(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn shipped(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

#[test]
fn dairy_reads_as_documented() {
    let config = load(&shipped("dairy/pgbouncer.ini")).unwrap();
    let set = &config.settings;
    assert_eq!(
        (set.listen_port, &set.listen_addr[0]),
        (6432, &"0.0.0.0".to_owned())
    );
    assert_eq!(set.auth_type, AuthType::Md5);
    assert_eq!(
        set.auth_file.as_deref(),
        Some("/etc/pgbouncer/userlist.txt")
    );
    assert_eq!(set.pool_mode, PoolMode::Transaction);
    assert_eq!(
        (
            set.max_client_conn,
            set.default_pool_size,
            set.min_pool_size
        ),
        (2000, 100, 20)
    );
    assert_eq!(
        (set.reserve_pool_size, set.reserve_pool_timeout),
        (25, seconds(3))
    );
    assert_eq!(
        (set.max_db_connections, set.max_user_connections),
        (400, 400)
    );
    assert_eq!(
        (set.server_idle_timeout, set.server_lifetime),
        (seconds(600), seconds(3600))
    );
    assert_eq!(
        (set.server_connect_timeout, set.query_timeout),
        (seconds(15), seconds(0))
    );
    assert_eq!(
        (set.query_wait_timeout, set.client_idle_timeout),
        (seconds(120), seconds(0))
    );
    assert_eq!(
        (set.client_login_timeout, set.stats_period),
        (seconds(60), seconds(60))
    );
    assert!(set.log_connections && set.log_disconnections && set.log_pooler_errors);
    assert!(set.admin_users.has("pgbouncer_admin") && set.stats_users.has("pgbouncer_stats"));
    let database = &config.databases["smart_dairy_prod"];
    assert_eq!(database.dbname.as_deref(), Some("smart_dairy_prod"));
    assert!(
        database
            .host
            .as_deref()
            .unwrap()
            .ends_with(".ap-south-1.rds.amazonaws.com")
    );
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn dairy_would_not_start_in_pgbouncer_and_the_line_is_named() {
    let path = shipped("dairy/pgbouncer.ini");
    let config = load(&path).unwrap();
    let text = report(&config, &[], &Default::default());
    let last = text.lines().last().unwrap();
    let named = format!(
        "PgBouncer would accept this file: no, {} line 12: ",
        path.display()
    );
    assert!(last.starts_with(&named), "{last}");
}

#[test]
fn hotel_reads_as_documented() {
    let config = load(&shipped("hotel/pgbouncer.ini")).unwrap();
    let set = &config.settings;
    assert_eq!((set.listen_port, set.listen_addr.as_text()), (6432, "*"));
    assert_eq!((set.max_client_conn, set.default_pool_size), (1000, 20));
    assert_eq!(
        (set.reserve_pool_size, set.reserve_pool_timeout),
        (10, seconds(5))
    );
    assert_eq!((set.max_db_connections, set.max_user_connections), (50, 50));
    let auto = config.auto_database.as_ref().unwrap();
    assert_eq!((auto.host.as_deref(), auto.port), (Some("localhost"), 5432));
    assert_eq!(auto.server_database("odoo_17"), "odoo_17");
    assert!(config.databases.is_empty() && config.warnings.is_empty());
    let text = report(&config, &[], &Default::default());
    assert!(
        text.ends_with("PgBouncer would accept this file: yes\n"),
        "{text}"
    );
}

#[test]
fn second_files_keep_what_they_include() {
    // The working directory of unit tests is the root of the repository, as the files expect.
    let dairy = load(Path::new("config/dairy/pgweir.ini")).unwrap();
    assert_eq!(dairy.settings.client_tls_sslmode, SslMode::Require);
    assert_eq!(dairy.settings.default_pool_size, 100);
    assert_eq!(dairy.settings.pool_mode, PoolMode::Transaction);
    assert_eq!(dairy.own.http_addr, "127.0.0.1:9127");
    let hotel = load(Path::new("config/hotel/pgweir.ini")).unwrap();
    assert_eq!((hotel.own.lanes, hotel.settings.max_client_conn), (1, 1000));
    let text = report(&hotel, &[], &Default::default());
    assert!(
        text.contains("PgBouncer would accept config/hotel/pgbouncer.ini: yes\n"),
        "{text}"
    );
    assert!(
        text.contains("accept this file: no, config/hotel/pgweir.ini line 11: it refuses"),
        "{text}"
    );
}

#[test]
fn sample_userlist_reads_without_errors() {
    let (list, errors) = Userlist::load(&shipped("userlist.txt"));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(
        list.get("odoo_app"),
        Some(&Secret::Plain("change-me".to_owned()))
    );
    assert!(matches!(list.get("pgbouncer_stats"), Some(Secret::Md5(_))));
}

#[test]
fn registry_has_every_setting_in_the_order_of_show_config() {
    assert_eq!(
        (
            SETTINGS.len(),
            DATABASE_KEYS.len() + ALIASES.len(),
            USER_KEYS.len(),
            PEER_KEYS.len()
        ),
        (100, 23, 10, 3)
    );
    let mut keys: Vec<&str> = SETTINGS.iter().map(|entry| entry.key).collect();
    let mode = keys.iter().position(|key| *key == "pool_mode").unwrap();
    assert_eq!(keys[mode + 1], "pool_idle_timeout");
    keys.swap(mode, mode + 1);
    assert!(keys.is_sorted());
}

#[test]
fn every_default_is_a_value_of_its_setting() {
    fn check<T: Default>(table: &'static [Entry<T>]) {
        for entry in table {
            let Some(default) = entry.default else {
                continue;
            };
            let mut owner = T::default();
            let outcome = (entry.apply)(&mut owner, default, &mut Vec::new());
            assert_eq!(outcome, Ok(()), "{}", entry.key);
            assert!(!entry.is_changed(&owner), "{}", entry.key);
        }
    }
    check(SETTINGS);
    check(OWN_SETTINGS);
    check(DATABASE_KEYS);
    check(USER_KEYS);
    check(PEER_KEYS);
}

#[test]
fn show_config_prints_as_pgbouncer_does() {
    let body = "server_lifetime = 1000000\nreserve_pool_timeout = 1.50\nadmin_users = a, b\n\
                pool_mode = TRANSACTION\ndefault_pool_size = 0x10";
    let config = settings(body);
    let rows: Vec<ConfigRow> = config.settings.show_config().collect();
    let value = |key: &str| {
        rows.iter()
            .find(|row| row.key == key)
            .unwrap()
            .value
            .clone()
    };
    let text = |key: &str| value(key).unwrap();
    assert_eq!(text("server_lifetime"), "1e+06");
    assert_eq!(text("reserve_pool_timeout"), "1.5");
    assert_eq!(text("admin_users"), "a, b");
    assert_eq!(text("pool_mode"), "transaction");
    assert_eq!(text("default_pool_size"), "16");
    assert_eq!(text("unix_socket_mode"), "511");
    assert_eq!(
        (text("verbose"), text("log_stats")),
        ("0".to_owned(), "1".to_owned())
    );
    assert_eq!((value("auth_file"), value("user")), (None, None));
    assert_eq!(text("conffile"), "test.ini");
    let row = rows.iter().find(|row| row.key == "listen_port").unwrap();
    assert_eq!((row.default, row.changeable), (Some("6432"), false));
}

#[test]
fn set_changes_one_value_or_nothing() {
    let config = settings("");
    let set = |key: &str, value: &str| config.settings.set(key, value);
    assert_eq!(set("default_pool_size", "7").unwrap().default_pool_size, 7);
    assert_eq!(
        set("listen_port", "1").unwrap(),
        config.settings,
        "boot only: ignored"
    );
    assert!(set("no_such", "1").is_err());
    assert!(set("default_pool_size", "7 ; x").is_err());
    assert!(set("Pool_Mode", "session").is_err());
    assert!(
        set("auth_type", "hba").is_err(),
        "protects, and does not work yet"
    );
    assert!(set("auth_dbname", "pgbouncer").is_err());
    let error = set("pool_mode", "fast").unwrap_err().to_string();
    assert_eq!(
        error,
        "pool_mode: \"fast\": unknown word; accepted: session, transaction, statement"
    );
}
