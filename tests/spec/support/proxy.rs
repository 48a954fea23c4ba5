//! Things between the pooler and PostgreSQL that misbehave: a proxy that can be cut or frozen, and
//! a listener that is no PostgreSQL at all.

use super::frames;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A TCP proxy in front of a cluster.
pub struct Proxy {
    pub port: u16,
    state: Arc<ProxyState>,
}

#[derive(Default)]
struct ProxyState {
    frozen: AtomicBool,
    refusing: AtomicBool,
    stopped: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
}

impl Proxy {
    pub fn new(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(ProxyState::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                if shared.refusing.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                shared.join(client, server);
            }
        });
        Self { port, state }
    }

    /// How many connections have come in.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Bytes stop in both directions, or flow again.
    pub fn freeze(&self, frozen: bool) {
        self.state.frozen.store(frozen, Ordering::SeqCst);
    }

    /// New connections are closed at once, or served again.
    pub fn refuse(&self, refusing: bool) {
        self.state.refusing.store(refusing, Ordering::SeqCst);
    }

    /// Cuts every open connection.
    pub fn cut(&self) {
        for stream in self
            .state
            .open
            .lock()
            .expect("no panic while held")
            .drain(..)
        {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl ProxyState {
    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut open = self.open.lock().expect("no panic while held");
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                return;
            };
            let state = self.clone();
            std::thread::spawn(move || state.pump(from, to));
        }
        open.push(client);
        open.push(server);
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut chunk = [0; 16 * 1024];
        while let Ok(n) = from.read(&mut chunk) {
            while self.frozen.load(Ordering::SeqCst) && !self.stopped.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            if n == 0 || to.write_all(&chunk[..n]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// What a fake server does with a connection.
#[derive(Clone)]
pub enum Behaviour {
    /// Accepts and never says a word.
    Silent,
    /// Reads the startup packet, sends these bytes, then closes.
    Says(Vec<u8>),
    /// Lets the client in (trust), then answers the first query with these bytes and closes.
    AnswersQuery(Vec<u8>),
}

/// A listener that is no PostgreSQL.
pub struct FakeServer {
    pub port: u16,
    stopped: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
}

impl FakeServer {
    pub fn new(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stopped = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let (stop, count) = (stopped.clone(), accepted.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let (behaviour, stop) = (behaviour.clone(), stop.clone());
                std::thread::spawn(move || behave(stream, &behaviour, &stop));
            }
        });
        Self {
            port,
            stopped,
            accepted,
        }
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// What PostgreSQL sends after a trust login.
pub fn welcome() -> Vec<u8> {
    let mut out = frames::frame(b'R', &0_u32.to_be_bytes());
    for (key, value) in [
        ("server_version", "16.0"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
        ("IntervalStyle", "postgres"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("application_name", ""),
    ] {
        out.extend(frames::frame(
            b'S',
            &[frames::cstr(key), frames::cstr(value)].concat(),
        ));
    }
    out.extend(frames::frame(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]));
    out.extend(frames::frame(b'Z', b"I"));
    out
}

fn behave(mut stream: TcpStream, behaviour: &Behaviour, stop: &AtomicBool) {
    let mut chunk = [0; 16 * 1024];
    match behaviour {
        Behaviour::Silent => {
            while !stop.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Behaviour::Says(bytes) => {
            if startup(&mut stream, &mut chunk) {
                let _ = stream.write_all(bytes);
            }
        }
        Behaviour::AnswersQuery(bytes) => {
            if startup(&mut stream, &mut chunk) && stream.write_all(&welcome()).is_ok() {
                let _ = stream
                    .read(&mut chunk)
                    .and_then(|_| stream.write_all(bytes));
            }
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    // Until the other side has had it all: a reset could overtake the bytes.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    while matches!(stream.read(&mut chunk), Ok(n) if n > 0) {}
}

/// Reads the startup packet; refuses TLS when asked for it.
fn startup(stream: &mut TcpStream, chunk: &mut [u8]) -> bool {
    loop {
        match stream.read(chunk) {
            Ok(8) if chunk[4..8] == frames::SSL_REQUEST.to_be_bytes() => {
                if stream.write_all(b"N").is_err() {
                    return false;
                }
            }
            Ok(n) if n > 8 => return true,
            _ => return false,
        }
    }
}
