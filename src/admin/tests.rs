#![allow(clippy::unwrap_used)]
//! The console over sockets: pgwire behind a login of three lines.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::auth::scram::KeyCache;
use crate::config::{Userlist, parse};
use crate::error::ClientError;
use crate::net::tls::ServerTls;
use crate::net::{Endpoint, SocketOptions};
use crate::pool::{Live, NewShared, ProcessState, Shared};
use crate::stats::slots::{Identity, NewServer};
use crate::stats::{Count, ServerState};
use crate::wire::frame;

/// A pooler that nobody has connected to yet.
pub fn directory() -> Arc<Directory> {
    let ini =
        b"[databases]\nb = host=h1,h2 user=u pool_size=7\na = host=10.0.0.1 port=5433 dbname=x\n\
        [users]\nodoo = pool_mode=session pool_size=3\n\
        [pgbouncer]\npool_mode = transaction\n";
    let live = Live {
        config: parse(std::path::Path::new("t.ini"), ini).unwrap(),
        userlist: Userlist::default(),
        client_tls: None,
        server_tls: Arc::new(ServerTls::disabled()),
        socket_options: SocketOptions::default(),
    };
    Directory::open(Shared::assemble(NewShared {
        lanes: Vec::new(),
        live,
        key_cache: Arc::new(KeyCache::open().unwrap()),
        resolver: Arc::default(),
    }))
}

#[derive(Default)]
struct Told {
    has_broken_file: AtomicBool,
    orders: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Hooks for Told {
    async fn reload(&self) -> Result<(), ReloadFailed> {
        match self.has_broken_file.load(Relaxed) {
            true => Err(ReloadFailed),
            false => Ok(()),
        }
    }

    fn set(&self, key: &str, value: &str) -> Result<SetDone, SetError> {
        crate::config::Settings::default().set(key, value)?;
        let is_tls = key.contains("_tls_");
        Ok(if is_tls {
            SetDone::TlsUnchanged
        } else {
            SetDone::Applied
        })
    }

    async fn cancel(&self, client: &Arc<ClientSlot>) {
        self.orders
            .lock()
            .unwrap()
            .push(format!("cancel {}", client.id));
    }

    fn shutdown(&self, mode: Shutdown) {
        self.orders.lock().unwrap().push(format!("{mode:?}"));
    }
}

/// A console and one session at it.
struct Desk {
    directory: Arc<Directory>,
    hooks: Arc<Told>,
    slot: Arc<ClientSlot>,
    stream: TcpStream,
    /// Closed when the session has ended.
    ended: tokio::sync::oneshot::Receiver<()>,
}

struct Seat(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.0.take().map(|tell| tell.send(()));
    }
}

async fn sit(is_admin: bool) -> Desk {
    sit_at(directory(), is_admin, b"").await
}

async fn sit_at(directory: Arc<Directory>, is_admin: bool, early: &[u8]) -> Desk {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let hooks = Arc::new(Told::default());
    let console = Console::open(Arc::clone(&directory), hooks.clone(), Handle::current());
    let registry = &directory.shared.registry;
    let slot = registry.add_client(Endpoint::UNIX, Endpoint::UNIX, 0);
    let (tell, ended) = tokio::sync::oneshot::channel();
    let name: Arc<str> = "boss".into();
    slot.identify(Identity {
        database: "pgbouncer".into(),
        user: Arc::clone(&name),
        tls: None,
    });
    console.receive(Visitor {
        stream: accepted.into(),
        user: ConsoleUser { name, is_admin },
        slot: Arc::clone(&slot),
        early: early.to_vec(),
        seat: Box::new(Seat(Some(tell))),
    });
    Desk {
        directory,
        hooks,
        slot,
        stream,
        ended,
    }
}

impl Desk {
    async fn send(&mut self, tag: u8, body: &[u8]) {
        let mut bytes = Vec::new();
        frame::put(&mut bytes, tag, body);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next frame; `None` when the connection has been closed.
    async fn next(&mut self) -> Option<(char, Vec<u8>)> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header).await.ok()?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body).await.unwrap();
        Some((header[0].into(), body))
    }

    /// Everything up to ReadyForQuery or the end, NULs as `|`.
    async fn reply(&mut self) -> String {
        let mut out = Vec::new();
        while let Some((tag, body)) = self.next().await {
            let body = String::from_utf8_lossy(&body).replace('\0', "|");
            out.push(format!("{tag} {body}"));
            if tag == 'Z' {
                break;
            }
        }
        out.join("\n")
    }

    async fn ask(&mut self, query: &str) -> String {
        self.send(b'Q', format!("{query}\0").as_bytes()).await;
        self.reply().await
    }

    /// A server of database `a` that is linked.
    fn occupy_a_server(&self) -> Arc<crate::stats::ServerSlot> {
        let database = self.directory.find("a").unwrap();
        let user: Arc<str> = "odoo".into();
        self.directory.pool(&database, &user);
        let slot = self.directory.shared.registry.add_server(NewServer {
            database: Arc::clone(&database.name),
            user,
            remote: Endpoint::UNIX,
            local: Endpoint::UNIX,
            backend_pid: 4711,
            cancel_key: Box::default(),
            tls: None,
        });
        slot.set_state(ServerState::Active);
        slot
    }
}

fn error(text: &str) -> String {
    format!("E SERROR|C08P01|M{text}||\nZ I")
}

#[tokio::test]
async fn a_show_is_head_rows_and_a_bare_tag() {
    let mut desk = sit(false).await;
    let reply = desk.ask("SHOW VERSION;").await;
    let version = crate::wire::version::VERSION_TEXT;
    assert!(reply.contains(version), "{reply}");
    assert!(reply.ends_with("\nC SHOW|\nZ I"), "{reply}");
    assert!(
        desk.ask("show help")
            .await
            .starts_with("N SNOTICE|C00000|MConsole usage|D\n\tSHOW")
    );
    assert!(desk.ask("select datestyle").await.contains("ISO"));
    let counted = desk.directory.shared.console_counters.totals();
    assert_eq!(counted.get(Count::Queries), 3);
}

#[tokio::test]
async fn mistakes_leave_the_session_as_it_was() {
    let mut desk = sit(true).await;
    for text in ["", "select 1", "frobnicate"] {
        let expected = error(&format!("invalid command '{text}', use SHOW HELP;"));
        assert_eq!(desk.ask(text).await, expected);
    }
    for (text, expected) in [
        ("set nothing = 1", "SET failed"),
        ("disable", "a database is required"),
        ("resume", "pooler is not paused/suspended"),
        ("resume a", "database a is not paused"),
        ("resume c", "no such database: c"),
        ("pause pgbouncer", "cannot pause admin db: pgbouncer"),
        ("kill_client x", "invalid client pointer supplied"),
        ("kill_client 999", "client not found"),
    ] {
        assert_eq!(desk.ask(text).await, error(expected), "{text}");
    }
    let tables = desk.ask("select * from pg_catalog.pg_class").await;
    assert!(
        tables.starts_with("E SERROR|C0A000|Madmin console: no tables here"),
        "{tables}"
    );
    desk.hooks.has_broken_file.store(true, Relaxed);
    assert!(
        desk.ask("reload")
            .await
            .starts_with("E SERROR|CF0000|MRELOAD failed")
    );
}

#[tokio::test]
async fn who_may_only_look_cannot_act() {
    let mut desk = sit(false).await;
    for text in [
        "reload",
        "pause",
        "kill a",
        "set verbose = 1",
        "shutdown",
        "suspend",
        "show fds",
    ] {
        assert_eq!(desk.ask(text).await, error("admin access needed"), "{text}");
    }
    assert_eq!(
        desk.ask("set datestyle = 'x'").await,
        "N SNOTICE|C00000|MSET ignored||\nC SET|\nZ I"
    );
}

#[tokio::test]
async fn commands_answer_with_their_tags() {
    let mut desk = sit(true).await;
    for (text, tag) in [
        ("set query_timeout = '1.5'", "SET query_timeout=1.5"),
        ("reload", "RELOAD"),
        ("pause", "PAUSE"),
        ("resume", "RESUME"),
        ("pause a", "PAUSE"),
        ("pause a", "PAUSE"),
        ("resume a", "RESUME"),
        ("reconnect", "RECONNECT"),
        ("disable b", "DISABLE"),
        ("enable b", "ENABLE"),
        ("wait_close", "WAIT_CLOSE"),
        ("kill a", "KILL"),
        ("shutdown wait_for_clients", "SHUTDOWN"),
    ] {
        assert_eq!(desk.ask(text).await, format!("C {tag}|\nZ I"), "{text}");
    }
    let tls = desk.ask("set client_tls_ciphers = 'fast'").await;
    assert!(
        tls.starts_with("N SNOTICE|C00000|MTLS settings could not be applied"),
        "{tls}"
    );
    assert_eq!(*desk.hooks.orders.lock().unwrap(), ["WaitForClients"]);
}

#[tokio::test]
async fn pause_answers_when_the_last_server_is_free() {
    let mut desk = sit(true).await;
    let server = desk.occupy_a_server();
    desk.send(b'Q', b"PAUSE\0").await;
    let early = tokio::time::timeout(Duration::from_millis(300), desk.next()).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(desk.directory.state(), ProcessState::Paused);
    server.set_state(ServerState::Idle);
    assert_eq!(desk.reply().await, "C PAUSE|\nZ I");
    assert!(desk.ask("show state").await.contains("paused"));
}

#[tokio::test]
async fn a_canceled_pause_is_answered_and_undone() {
    let mut desk = sit(true).await;
    desk.occupy_a_server();
    for (text, is_paused) in [("pause", true), ("pause a", false)] {
        desk.send(b'Q', format!("{text}\0").as_bytes()).await;
        while desk.directory.state() != ProcessState::Paused && is_paused {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        desk.slot.ask_cancel();
        let reply = desk.reply().await;
        assert!(reply.starts_with("E SERROR|C57014|M"), "{reply}");
        assert_eq!(desk.directory.state(), ProcessState::Active);
    }
    assert!(!desk.directory.known("a").unwrap().paused.load(Relaxed));
}

#[tokio::test]
async fn a_hang_up_ends_the_wait_and_the_pause_stays() {
    let mut desk = sit(true).await;
    desk.occupy_a_server();
    desk.send(b'Q', b"PAUSE\0").await;
    while desk.directory.state() != ProcessState::Paused {
        tokio::task::yield_now().await;
    }
    drop(desk.stream);
    desk.ended.await.unwrap();
    assert_eq!(desk.directory.state(), ProcessState::Paused);
}

#[tokio::test]
async fn what_was_sent_during_a_wait_is_answered_afterwards() {
    let mut desk = sit(true).await;
    let server = desk.occupy_a_server();
    desk.send(b'Q', b"WAIT_CLOSE\0").await;
    assert_eq!(desk.reply().await, "C WAIT_CLOSE|\nZ I");
    server.set_close_needed();
    desk.send(b'Q', b"WAIT_CLOSE\0").await;
    desk.send(b'Q', b"RELOAD\0").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    desk.directory.shared.registry.forget_server(server.id);
    assert_eq!(desk.reply().await, "C WAIT_CLOSE|\nZ I");
    assert_eq!(desk.reply().await, "C RELOAD|\nZ I");
}

#[tokio::test]
async fn a_session_ends_with_its_reason() {
    let fatal = |text: &str| format!("E SFATAL|C08P01|M{text}||");
    let mut desk = sit(true).await;
    desk.send(b'Q', b"show pools").await;
    assert_eq!(desk.reply().await, fatal("bad packet"));
    let mut desk = sit(true).await;
    desk.stream.write_all(b"Q\x7f\xff\xff\xff").await.unwrap();
    assert_eq!(desk.reply().await, fatal("bad packet"));
    let mut desk = sit(true).await;
    let id = desk.slot.id;
    desk.slot.order_close(ClientError::admin_disconnect());
    assert_eq!(desk.reply().await, fatal("admin forced disconnect"));
    assert!(id > 0);
    let mut desk = sit(true).await;
    desk.send(b'X', b"").await;
    assert_eq!(desk.reply().await, "");
    desk.ended.await.unwrap();
}

#[tokio::test]
async fn a_command_that_came_with_the_login_is_answered() {
    let mut early = Vec::new();
    frame::put(&mut early, b'Q', b"reload\0");
    let mut desk = sit_at(directory(), true, &early).await;
    assert_eq!(desk.reply().await, "C RELOAD|\nZ I");
}

/// Plays the login for a driver, then passes its bytes to and fro.
async fn driver(desk: Desk) -> tokio_postgres::Client {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let length = far.read_u32().await.unwrap();
        let mut startup = vec![0; length as usize - 4];
        far.read_exact(&mut startup).await.unwrap();
        let mut welcome = Vec::new();
        frame::put(&mut welcome, b'R', &[0; 4]);
        frame::put(&mut welcome, b'K', &[0; 8]);
        frame::put(&mut welcome, b'Z', b"I");
        far.write_all(&welcome).await.unwrap();
        let mut stream = desk.stream;
        let _ = tokio::io::copy_bidirectional(&mut far, &mut stream).await;
    });
    let mut config = tokio_postgres::Config::new();
    config.user("boss");
    let (client, connection) = config
        .connect_raw(near, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn drivers_use_the_extended_protocol_with_binary_values() {
    let client = driver(sit(true).await).await;
    let statement = client.prepare("show pools").await.unwrap();
    assert_eq!(statement.columns()[2].name(), "cl_active");
    let rows = client.query(&statement, &[]).await.unwrap();
    let console = rows.iter().find(|row| row.get::<_, &str>(0) == "pgbouncer");
    assert_eq!(console.unwrap().get::<_, i32>("cl_active"), 1);
    let rows = client.query("show databases", &[]).await.unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["a", "b", "pgbouncer"]);
    let error = client.query("show nothing", &[]).await.unwrap_err();
    assert!(
        error
            .as_db_error()
            .unwrap()
            .message()
            .contains("show nothing")
    );
    client.execute("reload", &[]).await.unwrap();
    client.batch_execute("show stats").await.unwrap();
}

#[tokio::test]
async fn a_portal_gives_as_many_rows_as_are_asked_for() {
    let mut desk = sit(true).await;
    desk.send(b'P', b"\0show databases\0\0\0").await;
    desk.send(b'B', b"\0\0\0\0\0\0\0\0").await;
    desk.send(b'E', b"\0\0\0\0\x02").await;
    desk.send(b'E', b"\0\xff\xff\xff\xff").await;
    desk.send(b'S', b"").await;
    let reply = desk.reply().await;
    let tags: String = reply
        .lines()
        .filter_map(|line| line.chars().next())
        .collect();
    assert_eq!(tags, "12DDsDCZ", "{reply}");
}
