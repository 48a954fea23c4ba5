//! PostgreSQL clusters: one template per test process, copied for each cluster.
//!
//! Every cluster has database `app` and the roles of `ROLES`. Who may log in how is decided by the
//! role's name, so one cluster serves tests of every kind of login.

use super::process::{Proc, Workdir, free_port};
use super::raw::{Login, RawClient};
use super::{PATIENCE, soon, tls};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Where the programs are.
#[derive(Debug)]
pub struct Tools {
    /// postgres and initdb
    pub server: PathBuf,
    /// psql, pgbench
    pub client: PathBuf,
    /// pg_dump and pg_restore that know the server's version
    pub dump: Option<PathBuf>,
}

/// Asks `tests/tools/postgres.sh`; panics with its explanation when something is missing.
pub fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/postgres.sh");
        let out = Command::new("bash").arg(script).output().expect("bash");
        let text = String::from_utf8_lossy(&out.stdout);
        let dir = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(PathBuf::from)
        };
        match (out.status.success(), dir("server"), dir("client")) {
            (true, Some(server), Some(client)) => Tools {
                server,
                client,
                dump: dir("dump").filter(|path| !path.as_os_str().is_empty()),
            },
            _ => panic!("{}", String::from_utf8_lossy(&out.stderr)),
        }
    })
}

/// The programs of exactly this version, for tests that describe it; panics when it is missing.
pub fn exactly(version: u8) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/postgres.sh");
    let mut command = Command::new("bash");
    command.args([script, "--exactly", &version.to_string()]);
    let out = command.output().expect("bash");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    match text.trim().strip_prefix("server=") {
        Some(dir) if out.status.success() => PathBuf::from(dir),
        _ => panic!("{}", String::from_utf8_lossy(&out.stderr)),
    }
}

/// Roles of every cluster: name, secret, method PostgreSQL asks of them over TCP.
pub const ROLES: [(&str, &str, &str); 7] = [
    ("app", "app-secret", "trust"),
    ("other", "other-secret", "trust"),
    ("third", "third-secret", "trust"),
    ("scram_user", "scram-secret", "scram-sha-256"),
    ("md5_user", "md5-secret", "md5"),
    ("clear_user", "clear-secret", "password"),
    ("nologin_user", "nologin-secret", "reject"),
];

/// A data folder of these programs after initdb, with roles and the database `app`.
fn template(server: &Path) -> PathBuf {
    static TEMPLATES: Mutex<Vec<(PathBuf, Workdir)>> = Mutex::new(Vec::new());
    let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, dir)) = templates.iter().find(|(known, _)| known == server) {
        return dir.path().to_owned();
    }
    let dir = make_template(server);
    let path = dir.path().to_owned();
    templates.push((server.to_owned(), dir));
    path
}

fn make_template(server: &Path) -> Workdir {
    let dir = Workdir::new("initdb");
    let data = dir.join("data");
    let mut initdb = Command::new(server.join("initdb"));
    initdb
        .args([
            "--no-sync",
            "--no-locale",
            "-E",
            "UTF8",
            "-U",
            "postgres",
            "-A",
            "trust",
        ])
        .args(["--no-instructions", "-D"])
        .arg(&data);
    run(initdb, &dir, "initdb");
    write_settings(&dir, &data);
    let mut sql = String::from("create database app;\n");
    for (name, secret, method) in ROLES {
        let hash = if method == "md5" {
            "md5"
        } else {
            "scram-sha-256"
        };
        sql += &format!("set password_encryption = '{hash}';\n");
        sql += &format!("create role {name} login password '{secret}';\n");
    }
    sql += "alter database app owner to app;\n";
    sql += "grant all on schema public to public;\n";
    let script = dir.write("roles.sql", &sql);
    let mut single = Command::new("sh");
    single.args(["-c", "\"$0\" --single -D \"$1\" postgres < \"$2\""]);
    single.arg(server.join("postgres")).arg(&data).arg(&script);
    run(single, &dir, "roles");
    dir
}

fn write_settings(dir: &Workdir, data: &Path) {
    let mut hba = String::from("local all all trust\n");
    for (name, _, method) in ROLES {
        hba += &format!("host all {name} all {method}\n");
    }
    hba += "host all all all trust\n";
    fs::write(data.join("pg_hba.conf"), hba).expect("pg_hba.conf");
    let settings = "\
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
shared_buffers = 32MB
max_connections = 400
listen_addresses = 'localhost'
log_connections = on
log_line_prefix = '%m [%p] %q%u@%d %a '
log_timezone = UTC
timezone = UTC
jit = off
";
    let file = data.join("postgresql.conf");
    let mut conf = fs::read_to_string(&file).expect("postgresql.conf");
    conf += settings;
    fs::write(&file, conf).expect("postgresql.conf");
    let _ = dir;
}

fn run(mut command: Command, dir: &Workdir, what: &str) {
    let log = dir.join("setup.log");
    let file = fs::File::options()
        .create(true)
        .append(true)
        .open(&log)
        .expect("a log");
    command
        .stdout(file.try_clone().expect("a log"))
        .stderr(file)
        .env("LC_ALL", "C");
    let mut child = Proc::spawn(command, libc::SIGKILL).expect("start it");
    let status = child.wait(PATIENCE * 2);
    let text = fs::read_to_string(&log).unwrap_or_default();
    assert!(status.is_some_and(|s| s.success()), "{what} failed: {text}");
}

/// One running cluster; ends on drop.
pub struct Pg {
    dir: Workdir,
    pub port: u16,
    programs: PathBuf,
    server: Mutex<Option<Proc>>,
}

impl Pg {
    /// The cluster most tests share. They keep apart by database or application_name, and never
    /// stop it or count all its connections.
    pub fn shared() -> &'static Pg {
        static SHARED: OnceLock<Pg> = OnceLock::new();
        SHARED.get_or_init(Pg::start)
    }

    /// A cluster of one's own, for tests that hurt it.
    pub fn start() -> Pg {
        Pg::with("")
    }

    /// A cluster with more lines in postgresql.conf.
    pub fn with(settings: &str) -> Pg {
        Pg::of(&tools().server, settings)
    }

    /// A cluster of exactly this version (16 or 18).
    pub fn version(version: u8, settings: &str) -> Pg {
        Pg::of(&exactly(version), settings)
    }

    fn of(programs: &Path, settings: &str) -> Pg {
        let dir = Workdir::new("pg");
        let mut copy = Command::new("cp");
        copy.args(["-r", "--reflink=auto"])
            .arg(template(programs).join("data"))
            .arg(dir.path());
        run(copy, &dir, "cp");
        let pg = Pg {
            dir,
            port: free_port(),
            programs: programs.to_owned(),
            server: Mutex::new(None),
        };
        pg.append("postgresql.conf", settings);
        pg.launch();
        pg
    }

    /// A cluster that speaks TLS with a certificate for 127.0.0.1 signed by `authority`.
    pub fn with_tls(authority: &tls::Authority) -> Pg {
        let (cert, key) = authority.sign("127.0.0.1");
        let dir = Workdir::new("pgtls");
        let cert = dir.write("server.crt", &cert);
        let key = dir.write("server.key", &key);
        let mut pg = Pg::with(&format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            cert.display(),
            key.display()
        ));
        // The files must live as long as the cluster: a restart reads them again.
        pg.keep(dir);
        pg
    }

    fn keep(&mut self, dir: Workdir) {
        for entry in fs::read_dir(dir.path()).expect("a folder").flatten() {
            let to = self.dir.path().join(entry.file_name());
            let text = fs::read_to_string(entry.path()).expect("a file");
            let name = to
                .file_name()
                .and_then(|n| n.to_str())
                .expect("a name")
                .to_owned();
            self.dir.write(&name, &text);
        }
        let conf = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&conf).expect("postgresql.conf");
        let moved = text.replace(
            &dir.path().display().to_string(),
            &self.dir.path().display().to_string(),
        );
        fs::write(conf, moved).expect("postgresql.conf");
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Adds lines to a file of the data folder (they count after a reload or restart).
    pub fn append(&self, file: &str, text: &str) {
        let path = self.data().join(file);
        let old = fs::read_to_string(&path).expect("a file of the data folder");
        fs::write(&path, format!("{old}\n{text}\n")).expect("write it");
    }

    /// Starts (again) on the same port and waits until it answers.
    pub fn launch(&self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("postgres.log"))
            .expect("a log");
        let mut command = Command::new(self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .arg("-c")
            .arg(format!(
                "unix_socket_directories={}",
                self.dir.path().display()
            ))
            .env("LC_ALL", "C")
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        let child = Proc::spawn(command, libc::SIGQUIT).expect("start postgres");
        *self.server.lock().expect("no panic while held") = Some(child);
        soon(&format!("PostgreSQL starts: {}", self.log()), || {
            let mut guard = self.server.lock().expect("no panic while held");
            let ended = guard.as_mut().and_then(Proc::ended);
            assert!(ended.is_none(), "PostgreSQL ended: {}", self.log());
            drop(guard);
            Login::new(self.port)
                .user("postgres")
                .database("postgres")
                .try_connect()
                .is_ok()
        });
    }

    /// Ends the cluster: SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one.
    pub fn stop(&self, signal: i32) {
        let Some(mut server) = self.server.lock().expect("no panic while held").take() else {
            return;
        };
        server.signal(signal);
        assert!(server.wait(PATIENCE).is_some(), "PostgreSQL stops");
    }

    /// Stops or continues every process of the cluster, as a hung machine would.
    pub fn freeze(&self, frozen: bool) {
        let guard = self.server.lock().expect("no panic while held");
        let Some(server) = guard.as_ref() else { return };
        let signal = if frozen { libc::SIGSTOP } else { libc::SIGCONT };
        for pid in descendants(server.pid()) {
            // SAFETY: plain integers; the pids were read from /proc a moment ago.
            unsafe { libc::kill(pid, signal) };
        }
    }

    /// Pid of the postmaster.
    pub fn pid(&self) -> i32 {
        self.server
            .lock()
            .expect("no panic while held")
            .as_ref()
            .expect("it runs")
            .pid()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("postgres.log")).unwrap_or_default()
    }

    /// A superuser, not through the pooler.
    pub fn admin(&self) -> RawClient {
        Login::new(self.port)
            .user("postgres")
            .database("app")
            .connect()
    }

    /// A superuser's answer: first column of the first row.
    pub fn ask(&self, sql: &str) -> String {
        self.admin().one(sql)
    }

    /// How many backends serve `database` (none of ours among them).
    pub fn backends(&self, database: &str) -> usize {
        let sql = format!(
            "select count(*) from pg_stat_activity where datname = '{database}' \
             and backend_type = 'client backend' and pid <> pg_backend_pid() and usename <> 'postgres'"
        );
        self.ask(&sql).parse().expect("a number")
    }

    /// A fresh database of a name nobody else uses.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("db{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.admin().ok(&format!(
            "create database {name} owner app template template0"
        ));
        let mut inside = Login::new(self.port)
            .user("postgres")
            .database(&name)
            .connect();
        inside.ok("grant all on schema public to public");
        name
    }
}

/// A process and everything below it.
pub fn descendants(root: i32) -> Vec<i32> {
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let path = format!("/proc/{0}/task/{0}/children", found[next]);
        if let Ok(text) = fs::read_to_string(path) {
            found.extend(
                text.split_whitespace()
                    .filter_map(|pid| pid.parse::<i32>().ok()),
            );
        }
        next += 1;
    }
    found
}
