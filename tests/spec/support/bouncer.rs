//! The binary under test, started on a real ini file.

use super::pg::{Pg, ROLES};
use super::process::{Proc, Workdir, account, free_port};
use super::raw::{Login, RawClient};
use super::reply::Reply;
use super::{PATIENCE, soon};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// The binary under test, somewhere the server account can run it.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<(PathBuf, Option<Workdir>)> = OnceLock::new();
    let (path, _) = BINARY.get_or_init(|| {
        let path = std::env::var_os("PGWEIR_BIN").map_or_else(
            || PathBuf::from(env!("CARGO_BIN_EXE_pgweir")),
            PathBuf::from,
        );
        if account().is_none() || reachable(&path) {
            return (path, None);
        }
        let dir = Workdir::new("bin");
        let copy = dir.join("pgweir");
        fs::copy(&path, &copy).expect("copy the binary");
        (copy, Some(dir))
    });
    path
}

/// Whether others may pass through every folder above `path`.
fn reachable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors().skip(1).all(|dir| {
        fs::metadata(if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        })
        .is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    })
}

/// First line of `-V`.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let (_, out, _) = super::output_of(Command::new(binary()).arg("-V"));
        out.lines().next().unwrap_or_default().to_owned()
    })
}

/// False when a PgBouncer stands in for the binary under test.
pub fn is_pgweir() -> bool {
    std::env::var_os("PGWEIR_BIN").is_none() || version().contains("pgweir")
}

/// A configuration in the making. Defaults: `* = host=127.0.0.1` of the cluster, trust, transaction
/// mode, users of the cluster plus `admin` and `stats` in the userlist.
pub struct Bouncer {
    dir: Workdir,
    port: u16,
    http_port: u16,
    databases: Vec<String>,
    users: Vec<String>,
    settings: Vec<(String, String)>,
    own: Vec<(String, String)>,
    userlist: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    only_file: Option<String>,
    whole_ini: Option<String>,
    open_files: Option<u64>,
    binary: Option<(PathBuf, bool)>,
}

impl Bouncer {
    pub fn new(pg: &Pg) -> Self {
        Self::at(pg.port)
    }

    /// For a server on `port` of this machine that need not be a PostgreSQL.
    pub fn at(pg_port: u16) -> Self {
        let (dir, port) = (Workdir::new("pool"), free_port());
        let mut userlist = String::from("\"postgres\" \"\"\n\"admin\" \"admin-secret\"\n");
        userlist += "\"stats\" \"stats-secret\"\n";
        for (name, secret, _) in ROLES {
            userlist += &format!("\"{name}\" \"{secret}\"\n");
        }
        let folder = dir.path().display().to_string();
        let settings = [
            ("listen_addr", "127.0.0.1"),
            ("listen_port", &port.to_string()),
            ("unix_socket_dir", &folder),
            ("auth_type", "trust"),
            ("auth_file", &format!("{folder}/userlist.txt")),
            ("pidfile", &format!("{folder}/bouncer.pid")),
            ("pool_mode", "transaction"),
            ("admin_users", "admin"),
            ("stats_users", "stats"),
        ];
        Self {
            settings: settings.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
            databases: vec![format!("* = host=127.0.0.1 port={pg_port}")],
            users: Vec::new(),
            own: Vec::new(),
            http_port: free_port(),
            userlist,
            arguments: Vec::new(),
            environment: Vec::new(),
            only_file: None,
            whole_ini: None,
            open_files: None,
            binary: None,
            dir,
            port,
        }
    }

    /// A line of `[pgbouncer]`; the last one of a key counts.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.retain(|(name, _)| name != key);
        self.settings.push((key.to_owned(), value.to_string()));
        self
    }

    pub fn pool_mode(self, mode: &str) -> Self {
        self.set("pool_mode", mode)
    }

    pub fn pool_size(self, size: u32) -> Self {
        self.set("default_pool_size", size)
    }

    /// A line of `[databases]`, before `*`.
    pub fn database(mut self, line: impl Into<String>) -> Self {
        self.databases.insert(0, line.into());
        self
    }

    /// `[databases]` has only these lines.
    pub fn only_databases(mut self, lines: &[&str]) -> Self {
        self.databases = lines.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// A line of `[users]`.
    pub fn user(mut self, line: &str) -> Self {
        self.users.push(line.to_owned());
        self
    }

    /// A line of `[pgweir]`; ignored when PgBouncer stands in.
    pub fn own(mut self, key: &str, value: impl ToString) -> Self {
        self.own.push((key.to_owned(), value.to_string()));
        self
    }

    /// Our own settings, around the file that PgBouncer reads.
    fn own_ini(&self, main: &Path) -> String {
        let mut own = format!("%include {}\n[pgweir]\n", main.display());
        own += &format!("http_addr = 127.0.0.1:{}\n", self.http_port);
        for (key, value) in &self.own {
            own += &format!("{key} = {value}\n");
        }
        own
    }

    /// The whole userlist.txt.
    pub fn userlist(mut self, text: &str) -> Self {
        text.clone_into(&mut self.userlist);
        self
    }

    /// A file beside the ini; returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        self.dir.write(name, text).display().to_string()
    }

    /// A command line argument before the ini file.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts with exactly this file, nothing of ours around it.
    pub fn only_file(mut self, path: &str) -> Self {
        self.only_file = Some(path.to_owned());
        self
    }

    /// This text in place of the ini; it listens on `port`.
    pub fn whole_ini(mut self, text: &str, port: u16) -> Self {
        self.whole_ini = Some(text.to_owned());
        self.port = port;
        self
    }

    /// An environment variable of the process.
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Another binary than the one under test; `own` says whether it is a pgweir.
    pub fn binary(mut self, path: &Path, own: bool) -> Self {
        self.binary = Some((path.to_owned(), own));
        self
    }

    /// Soft and hard limit of open files for the process.
    pub fn open_files(mut self, limit: u64) -> Self {
        self.open_files = Some(limit);
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The ini as it stands.
    pub fn ini(&self) -> String {
        if let Some(text) = &self.whole_ini {
            return text.clone();
        }
        let mut text = format!("[databases]\n{}\n", self.databases.join("\n"));
        if !self.users.is_empty() {
            text += &format!("[users]\n{}\n", self.users.join("\n"));
        }
        text += "[pgbouncer]\n";
        for (key, value) in &self.settings {
            text += &format!("{key} = {value}\n");
        }
        text
    }

    fn command(&self) -> Command {
        let mut main = self.dir.write("pgbouncer.ini", &self.ini());
        self.dir.write("userlist.txt", &self.userlist);
        let (program, is_own) = match &self.binary {
            Some((path, own)) => (path.as_path(), *own),
            None => (binary(), is_pgweir()),
        };
        if is_own {
            main = self.dir.write("pgweir.ini", &self.own_ini(&main));
        }
        if let Some(path) = &self.only_file {
            main = path.into();
        }
        let mut command = Command::new(program);
        command.args(&self.arguments).arg(main);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    fn spawn(&self) -> Proc {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("stderr.log"))
            .expect("a log");
        let mut command = self.command();
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        if let Some(limit) = self.open_files {
            limit_files(&mut command, limit);
        }
        Proc::spawn(command, libc::SIGKILL).expect("start the pooler")
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Running {
        let running = Running {
            port: self.port,
            http_port: self.http_port,
            process: Mutex::new(self.spawn()),
            ini: Mutex::new(self),
        };
        running.await_listening();
        running
    }

    /// Starts it, expecting that it ends by itself soon.
    pub fn start_to_end(self) -> Exit {
        let mut process = self.spawn();
        let status = process.wait(PATIENCE).expect("it ends by itself");
        let text = fs::read_to_string(self.dir.join("stderr.log")).unwrap_or_default();
        Exit {
            status,
            text,
            dir: self.dir,
        }
    }
}

fn limit_files(command: &mut Command, limit: u64) {
    use std::os::unix::process::CommandExt;
    // SAFETY: setrlimit is async-signal-safe and gets a valid struct.
    unsafe {
        command.pre_exec(move || {
            let both = libc::rlimit {
                rlim_cur: limit,
                rlim_max: limit,
            };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &both) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
}

/// A pooler that ended by itself.
pub struct Exit {
    pub status: ExitStatus,
    /// Standard output and standard error.
    pub text: String,
    pub dir: Workdir,
}

/// A running pooler; killed on drop.
pub struct Running {
    pub port: u16,
    pub http_port: u16,
    process: Mutex<Proc>,
    ini: Mutex<Bouncer>,
}

impl Running {
    fn await_listening(&self) {
        let tcp = {
            let ini = self.ini.lock().expect("no panic while held");
            ini.settings
                .iter()
                .any(|(key, value)| key == "listen_addr" && !value.is_empty())
        };
        soon("the pooler listens", || {
            assert!(self.ended().is_none(), "the pooler ended: {}", self.log());
            if tcp {
                std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
                    || std::net::TcpStream::connect(("::1", self.port)).is_ok()
            } else {
                std::os::unix::net::UnixStream::connect(self.socket_path()).is_ok()
            }
        });
    }

    pub fn dir(&self) -> PathBuf {
        self.ini
            .lock()
            .expect("no panic while held")
            .dir
            .path()
            .to_owned()
    }

    fn socket_path(&self) -> PathBuf {
        self.dir().join(format!(".s.PGSQL.{}", self.port))
    }

    /// Standard error so far.
    pub fn log(&self) -> String {
        let path = self.dir().join("stderr.log");
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Lines of the log that contain `text`.
    pub fn logged(&self, text: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    pub fn pid(&self) -> i32 {
        self.process.lock().expect("no panic while held").pid()
    }

    pub fn signal(&self, signal: i32) {
        self.process
            .lock()
            .expect("no panic while held")
            .signal(signal);
    }

    pub fn ended(&self) -> Option<ExitStatus> {
        self.process.lock().expect("no panic while held").ended()
    }

    /// Waits for the end of the process.
    pub fn exit(&self) -> ExitStatus {
        let mut process = self.process.lock().expect("no panic while held");
        let status = process.wait(PATIENCE);
        drop(process);
        status.unwrap_or_else(|| panic!("the pooler does not end: {}", self.log()))
    }

    /// How to log in here.
    pub fn login(&self) -> Login {
        Login::new(self.port)
    }

    /// User `app` on database `app`.
    pub fn client(&self) -> RawClient {
        match self.login().try_connect() {
            Ok(client) => client,
            Err(error) => panic!("login failed: {error:?}; log: {}", self.log()),
        }
    }

    /// User `app` on another database.
    pub fn client_of(&self, database: &str) -> RawClient {
        self.login().database(database).connect()
    }

    /// The console as admin; over the Unix socket where there is one, which never wants TLS.
    pub fn console(&self) -> RawClient {
        let login = self.login().user("admin").database("pgbouncer");
        if self.socket_path().exists() {
            return login.unix(&self.dir()).connect();
        }
        login.connect()
    }

    /// One console command's reply.
    pub fn show(&self, command: &str) -> Reply {
        self.console().ok(command)
    }

    /// A number of SHOW POOLS for the pool of (`database`, `user`); 0 without such a pool.
    pub fn pool(&self, database: &str, user: &str, column: &str) -> i64 {
        let pools = self.show("show pools");
        pools
            .table()
            .find(|row| row.get("database") == database && row.get("user") == user)
            .map_or(0, |row| row.number(column))
    }

    /// Servers of all states in a pool.
    pub fn servers(&self, database: &str, user: &str) -> i64 {
        let states = ["sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login"];
        let pools = self.show("show pools");
        pools
            .table()
            .find(|row| row.get("database") == database && row.get("user") == user)
            .map_or(0, |row| states.iter().map(|state| row.number(state)).sum())
    }

    /// Rewrites the ini; takes effect at the next reload.
    pub fn edit(&self, change: impl FnOnce(Bouncer) -> Bouncer) {
        let mut slot = self.ini.lock().expect("no panic while held");
        let spare = Bouncer::at(0);
        let changed = change(std::mem::replace(&mut *slot, spare));
        changed.dir.write("pgbouncer.ini", &changed.ini());
        changed.dir.write("userlist.txt", &changed.userlist);
        let main = changed.dir.path().join("pgbouncer.ini");
        changed.dir.write("pgweir.ini", &changed.own_ini(&main));
        *slot = changed;
    }

    /// Rewrites the ini and reloads through the console.
    pub fn reload(&self, change: impl FnOnce(Bouncer) -> Bouncer) {
        self.edit(change);
        self.show("reload");
    }

    /// Resident memory in kB.
    pub fn rss_kb(&self) -> u64 {
        self.status_kb("VmRSS:")
    }

    /// The most that was ever resident, in kB.
    pub fn peak_rss_kb(&self) -> u64 {
        self.status_kb("VmHWM:")
    }

    fn status_kb(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.expect("a size").parse().expect("a number")
    }

    /// Body of a GET on the HTTP port, with the status line in front.
    pub fn http(&self, path: &str) -> String {
        use std::io::{Read, Write};
        let mut stream =
            std::net::TcpStream::connect(("127.0.0.1", self.http_port)).expect("the HTTP port");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("send");
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(25).collect();
            eprintln!("--- end of the pooler's log");
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}
