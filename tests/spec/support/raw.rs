//! A blocking client that shows every byte: logs in, sends anything, reads message by message.

use super::frames;
use super::reply::{Message, PgError, Reply};
use super::secrets::{self, Scram};
use super::{PATIENCE, tls};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

mod login;

pub use login::Login;

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Socket {
    fn io(&mut self) -> &mut dyn ReadWrite {
        match self {
            Socket::Tcp(s) => s,
            Socket::Unix(s) => s,
            Socket::Tls(s) => s.as_mut(),
        }
    }

    fn patience(&self, limit: Duration) {
        let limit = Some(limit);
        let done = match self {
            Socket::Tcp(s) => s
                .set_read_timeout(limit)
                .and_then(|()| s.set_write_timeout(limit)),
            Socket::Unix(s) => s
                .set_read_timeout(limit)
                .and_then(|()| s.set_write_timeout(limit)),
            Socket::Tls(s) => s.sock.set_read_timeout(limit),
        };
        done.expect("socket timeouts");
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// One connection.
pub struct RawClient {
    socket: Socket,
    login: Login,
    buffer: Vec<u8>,
    start: usize,
    /// Body of BackendKeyData: process id and secret.
    pub key: Vec<u8>,
    /// Last reported value of each parameter, in order of first appearance.
    pub parameters: Vec<(String, String)>,
    /// What came between the password exchange and the first ReadyForQuery.
    pub welcome: Reply,
}

impl RawClient {
    fn encrypt(&mut self) -> io::Result<()> {
        let Some(config) = self.login.tls.clone() else {
            return Ok(());
        };
        if !self.login.direct_tls {
            self.send(&frames::ssl_request())?;
            let mut answer = [0];
            self.socket.io().read_exact(&mut answer)?;
            if answer[0] != b'S' {
                let text = format!("no TLS: {}", answer[0] as char);
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
            }
        }
        let Socket::Tcp(tcp) = &self.socket else {
            return Err(io::Error::other("TLS over TCP only"));
        };
        self.socket = Socket::Tls(Box::new(tls::handshake(config, tcp.try_clone()?)?));
        Ok(())
    }

    fn authenticate(&mut self) -> Result<(), PgError> {
        let (user, secret) = (self.login.user.clone(), self.login.secret());
        let mut scram = Scram::new(&secret);
        let mut early = Reply::default();
        loop {
            let Some(message) = self.receive() else {
                let text = "connection closed during login".to_owned();
                let unexplained = PgError {
                    fields: vec![('M', text)],
                };
                return Err(early.errors.pop().unwrap_or(unexplained));
            };
            if message.tag != b'R' {
                early.take(message.clone());
            }
            match message.tag {
                b'R' => {
                    let kind = u32::from_be_bytes(message.body[..4].try_into().expect("4 bytes"));
                    let rest = message.body[4..].to_vec();
                    let answer = match kind {
                        0 => continue,
                        3 => frames::password(&secret),
                        5 => frames::password(&secrets::md5_answer(&user, &secret, &rest)),
                        10 => {
                            let first = scram.first();
                            let mut body = frames::cstr("SCRAM-SHA-256");
                            body.extend_from_slice(&(first.len() as u32).to_be_bytes());
                            body.extend_from_slice(first.as_bytes());
                            frames::frame(b'p', &body)
                        }
                        11 => {
                            let last = scram.last(&String::from_utf8_lossy(&rest));
                            frames::frame(b'p', last.expect("a sound challenge").as_bytes())
                        }
                        12 => {
                            assert!(scram.proves(&String::from_utf8_lossy(&rest)), "proof");
                            continue;
                        }
                        other => panic!("authentication request {other}"),
                    };
                    let _ = self.send(&answer);
                }
                b'K' => self.key = message.body,
                b'E' => {
                    // What follows a FATAL is the end of the connection.
                    self.end();
                    return Err(early.error().clone());
                }
                b'Z' => {
                    self.welcome = early;
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.io().write_all(bytes)?;
        self.socket.io().flush()
    }

    /// Sends bytes that must get through.
    pub fn put(&mut self, bytes: &[u8]) {
        self.send(bytes).expect("the connection takes bytes");
    }

    /// Raw bytes; 0 at the end of the connection.
    pub fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.io().read(into)
    }

    /// The next message; `None` at the end of the connection. Panics when patience runs out.
    pub fn receive(&mut self) -> Option<Message> {
        loop {
            let have = &self.buffer[self.start..];
            if have.len() >= 5 {
                let length = u32::from_be_bytes(have[1..5].try_into().expect("4 bytes")) as usize;
                if have.len() > length {
                    let message = Message {
                        tag: have[0],
                        body: have[5..=length].to_vec(),
                    };
                    self.start += length + 1;
                    self.note(&message);
                    return Some(message);
                }
            }
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            let mut chunk = vec![0; 64 * 1024];
            match self.socket.io().read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("nothing came within {PATIENCE:?}");
                }
                Err(_) => return None,
            }
        }
    }

    fn note(&mut self, message: &Message) {
        if message.tag != b'S' {
            return;
        }
        let mut parts = message.body.split(|byte| *byte == 0);
        let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let (key, value) = (text(), text());
        match self.parameters.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.parameters.push((key, value)),
        }
    }

    /// Last reported value of a parameter.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Everything up to ReadyForQuery, or to the end (then `status` is 0).
    pub fn until_ready(&mut self) -> Reply {
        let mut reply = Reply::default();
        while let Some(message) = self.receive() {
            let ready = message.tag == b'Z';
            reply.take(message);
            if ready {
                return reply;
            }
        }
        reply.status = 0;
        reply
    }

    /// Everything up to and with the first message of `tag`, or to the end.
    pub fn until(&mut self, tag: u8) -> Reply {
        let mut reply = Reply::default();
        while let Some(message) = self.receive() {
            let found = message.tag == tag;
            reply.take(message);
            if found {
                break;
            }
        }
        reply
    }

    /// Reads to the end of the connection; everything that came before it.
    pub fn end(&mut self) -> Reply {
        let mut reply = Reply::default();
        while let Some(message) = self.receive() {
            reply.take(message);
        }
        reply
    }

    /// Sends and reads to ReadyForQuery or the end.
    pub fn exchange(&mut self, bytes: &[u8]) -> Reply {
        let _ = self.send(bytes);
        self.until_ready()
    }

    /// A simple query, whatever comes of it.
    pub fn query(&mut self, sql: &str) -> Reply {
        self.exchange(&frames::query(sql))
    }

    /// A simple query that must succeed.
    pub fn ok(&mut self, sql: &str) -> Reply {
        let reply = self.query(sql);
        assert!(
            reply.errors.is_empty() && reply.status != 0,
            "{sql}: {reply:?}"
        );
        reply
    }

    /// A simple query that must succeed: first column of its first row.
    pub fn one(&mut self, sql: &str) -> String {
        self.ok(sql).one()
    }

    /// A simple query that must fail.
    pub fn fails(&mut self, sql: &str) -> PgError {
        self.query(sql).error().clone()
    }

    /// Runs a query on another thread; the client comes back with the reply.
    pub fn spawn(mut self, sql: &str) -> JoinHandle<(RawClient, Reply)> {
        let sql = sql.to_owned();
        std::thread::spawn(move || {
            let reply = self.query(&sql);
            (self, reply)
        })
    }

    /// How to send a CancelRequest for this client, from any thread, without TLS.
    pub fn canceller(&self) -> Box<dyn Fn() + Send> {
        self.cancel_by(false)
    }

    /// The same inside TLS, as libpq 17 does.
    pub fn tls_canceller(&self) -> Box<dyn Fn() + Send> {
        self.cancel_by(true)
    }

    fn cancel_by(&self, over_tls: bool) -> Box<dyn Fn() + Send> {
        let (login, key) = (self.login.clone(), self.key.clone());
        Box::new(move || {
            let mut line = login.open().expect("connect for the cancel");
            if over_tls {
                line.encrypt().expect("TLS for the cancel");
            }
            line.put(&frames::cancel(&key));
            let mut byte = [0];
            let got = line.read_some(&mut byte).unwrap_or(0);
            assert_eq!(got, 0, "a cancel request gets no answer");
        })
    }

    /// Sends from a thread of its own, so that answers can be read meanwhile. Not over TLS.
    pub fn put_behind(&self, bytes: Vec<u8>) {
        let cloned = match &self.socket {
            Socket::Tcp(s) => s.try_clone().map(Socket::Tcp),
            Socket::Unix(s) => s.try_clone().map(Socket::Unix),
            Socket::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        let mut socket = cloned.expect("a second handle");
        std::thread::spawn(move || socket.io().write_all(&bytes));
    }

    /// True when nothing arrives for `pause`, and the connection stays open.
    pub fn silent_for(&mut self, pause: Duration) -> bool {
        if self.buffer.len() > self.start {
            return false;
        }
        self.socket.patience(pause);
        let mut chunk = [0; 4096];
        let got = self.socket.io().read(&mut chunk);
        self.socket.patience(PATIENCE);
        match got {
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                false
            }
            Err(e) => matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
        }
    }

    /// Says goodbye as libpq does.
    pub fn close(mut self) {
        let _ = self.send(&frames::terminate());
    }

    /// Vanishes as a killed process does: no Terminate, the socket just ends.
    pub fn vanish(self) {
        let _ = match &self.socket {
            Socket::Tcp(s) => s.shutdown(Shutdown::Both),
            Socket::Unix(s) => s.shutdown(Shutdown::Both),
            Socket::Tls(s) => s.sock.shutdown(Shutdown::Both),
        };
    }

    /// The backend that answers now.
    pub fn backend(&mut self) -> i32 {
        self.one("select pg_backend_pid()").parse().expect("a pid")
    }

    /// The client's own port, as SHOW CLIENTS shows it.
    pub fn local_port(&self) -> u16 {
        match &self.socket {
            Socket::Tcp(s) => s.local_addr().map_or(0, |addr| addr.port()),
            Socket::Tls(s) => s.sock.local_addr().map_or(0, |addr| addr.port()),
            Socket::Unix(_) => 0,
        }
    }
}
