//! Child processes and temporary folders that cannot outlive the test process.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The unprivileged account servers run as when the tests run as root: PostgreSQL and the pooler
/// both refuse root.
#[derive(Clone, Debug)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// `None` when we are not root and need no other account.
pub fn account() -> Option<&'static Account> {
    static ACCOUNT: OnceLock<Option<Account>> = OnceLock::new();
    ACCOUNT
        .get_or_init(|| {
            if !nix::unistd::geteuid().is_root() {
                return None;
            }
            let wanted = std::env::var("PGWEIR_TEST_USER").ok();
            [wanted.as_deref(), Some("postgres"), Some("nobody")]
                .into_iter()
                .flatten()
                .find_map(|name| nix::unistd::User::from_name(name).ok().flatten())
                .map(|user| Account {
                    name: user.name,
                    uid: user.uid.as_raw(),
                    gid: user.gid.as_raw(),
                })
        })
        .as_ref()
}

/// What is still there: ended and removed when the test process exits, because Rust drops no
/// statics. Folders of a test process that was killed are swept by the next one.
#[derive(Default)]
struct Leftovers {
    folders: Vec<PathBuf>,
    children: Vec<(i32, i32)>,
}

fn leftovers() -> MutexGuard<'static, Leftovers> {
    static LEFTOVERS: OnceLock<Mutex<Leftovers>> = OnceLock::new();
    let all = LEFTOVERS.get_or_init(|| {
        sweep();
        // SAFETY: a plain function pointer without arguments.
        unsafe { libc::atexit(clean_up) };
        Mutex::default()
    });
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn clean_up() {
    let rest = std::mem::take(&mut *leftovers());
    for (pid, farewell) in rest.children {
        // SAFETY: plain integers; the child was not reaped, so the pid is ours.
        unsafe { libc::kill(pid, farewell) };
        let deadline = Instant::now() + Duration::from_secs(5);
        // SAFETY: as above; no status is asked for.
        while unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) } == 0 {
            if Instant::now() > deadline {
                // SAFETY: as above.
                unsafe { libc::kill(-pid, libc::SIGKILL) };
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    for folder in rest.folders {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Removes folders whose test process no longer lives.
fn sweep() {
    for entry in fs::read_dir("/tmp").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("pgweir-")
            .and_then(|rest| rest.split('-').next());
        let Some(Ok(pid)) = owner.map(str::parse::<u32>) else {
            continue;
        };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder in the system's temporary folder, owned by the server account, removed on drop.
pub struct Workdir(tempfile::TempDir);

impl Workdir {
    pub fn new(what: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix(&format!("pgweir-{}-{what}-", std::process::id()))
            .tempdir_in("/tmp")
            .expect("a temporary folder");
        leftovers().folders.push(dir.path().to_owned());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        give(dir.path());
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file the server account can read (and nobody else, as PostgreSQL wants for keys).
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).expect("write a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        give(&path);
        path
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        leftovers().folders.retain(|path| path != self.0.path());
    }
}

fn give(path: &Path) {
    if let Some(account) = account() {
        chown(path, Some(account.uid), Some(account.gid)).expect("chown");
    }
}

type Job = (Command, mpsc::Sender<io::Result<Child>>);

/// All children come from one thread that lives as long as the process: the kernel's "signal me
/// when my parent dies" means the parent *thread*, and test threads end with their test.
fn spawner() -> &'static mpsc::Sender<Job> {
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for (mut command, reply) in inbox {
                    let _ = reply.send(command.spawn());
                }
            })
            .expect("a thread");
        jobs
    })
}

/// A running child in a session of its own, as a service is: kernels share the CPU among sessions
/// first (autogroup), which decides how often a busy pooler is interrupted.
pub struct Proc {
    child: Child,
    farewell: i32,
}

impl Proc {
    /// Starts `command` as the server account; `farewell` is the signal for drop and for the death
    /// of the test process (PostgreSQL wants SIGQUIT so that it takes its children along).
    pub fn spawn(mut command: Command, farewell: i32) -> io::Result<Self> {
        if let Some(account) = account() {
            command.uid(account.uid).gid(account.gid);
        }
        command.stdin(Stdio::null());
        // SAFETY: setsid and prctl are async-signal-safe and touch nothing of the parent.
        unsafe {
            command.pre_exec(move || {
                if libc::setsid() >= 0 && libc::prctl(libc::PR_SET_PDEATHSIG, farewell) == 0 {
                    Ok(())
                } else {
                    Err(io::Error::last_os_error())
                }
            });
        }
        let (reply, answer) = mpsc::channel();
        spawner().send((command, reply)).expect("the spawner lives");
        let child = answer.recv().expect("the spawner answers")?;
        let spawned = Self { child, farewell };
        leftovers().children.push((spawned.pid(), farewell));
        Ok(spawned)
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: kill takes plain integers; the child is not reaped yet, so the pid is ours.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("waitpid")
    }

    /// Waits for the end; `None` when it does not come within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let pid = self.pid();
        leftovers().children.retain(|(child, _)| *child != pid);
        let ended = self.ended();
        if ended.is_none() {
            self.signal(self.farewell);
            if self.wait(Duration::from_secs(5)).is_none() {
                self.signal(libc::SIGKILL);
                let _ = self.child.wait();
            }
        }
        // One that has ended well may have left a daemon that is about to leave the group.
        if ended.is_none_or(|status| !status.success()) {
            // SAFETY: as above; the group may hold grandchildren of a killed child.
            unsafe { libc::kill(-self.pid(), libc::SIGKILL) };
        }
    }
}

/// A port nobody listens on, below the range the kernel takes for outgoing connections: a port
/// from that range could be taken again before the server binds it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // 7919 is prime to COUNT: processes started one after another do not walk the same ports.
        let offset = (u32::from(start) * 7919 + u32::from(step)) % u32::from(COUNT);
        let port = FIRST + offset as u16;
        let both = ["127.0.0.1", "0.0.0.0"];
        if both
            .iter()
            .all(|ip| std::net::TcpListener::bind((*ip, port)).is_ok())
        {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Runs a program to its end: exit status, standard output, standard error. One that does not end
/// within three minutes is killed with everything it started.
pub fn output_of(command: &mut Command) -> (ExitStatus, String, String) {
    let piped = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match piped.process_group(0).spawn() {
        Ok(child) => child,
        Err(error) => {
            return (
                ExitStatus::from_raw(127 << 8),
                String::new(),
                format!("{command:?}: {error}"),
            );
        }
    };
    let (out, err) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let deadline = Instant::now() + Duration::from_secs(180);
    let status = loop {
        if let Some(status) = child.try_wait().expect("waitpid") {
            break status;
        }
        if Instant::now() > deadline {
            let group = i32::try_from(child.id()).expect("a pid");
            // SAFETY: plain integers; the child is not reaped, so its group is ours.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |reader: JoinHandle<String>| reader.join().unwrap_or_default();
    (status, text(out), text(err))
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
