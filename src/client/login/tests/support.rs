//! A gate with a few users and databases, and a client that speaks bytes.

use super::super::*;
use crate::auth::md5;
use crate::auth::scram::{CapturedKeys, ClientExchange, KeyCache, derive_keys};
use crate::config::{self, Config, Secret, Userlist};
use crate::net::tls::{ClientTls, TlsSettings};
use crate::wire::frame;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
pub const GSS_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";
/// How a SCRAM entry of the userlist begins.
pub const USERLIST_SCRAM: &str = "SCRAM-SHA-256$";

const TRACKED: [&str; 6] = [
    "DateStyle",
    "client_encoding",
    "TimeZone",
    "standard_conforming_strings",
    "application_name",
    "IntervalStyle",
];

pub struct TestLive {
    config: Config,
    userlist: Userlist,
    tls: Option<ClientTls>,
}

impl Live for TestLive {
    fn config(&self) -> &Config {
        &self.config
    }
    fn secret(&self, user: &str) -> Option<&Secret> {
        self.userlist.get(user)
    }
    fn client_tls(&self) -> Option<&ClientTls> {
        self.tls.as_ref()
    }
}

pub struct TestReported;

impl Reported for TestReported {
    fn untracked(&self) -> impl Iterator<Item = (&str, &str)> {
        [
            ("is_superuser", "off"),
            ("server_version", "16.4"),
            ("default_transaction_read_only", "on"),
        ]
        .into_iter()
    }
    fn tracked(&self, index: usize) -> Option<&str> {
        let values = ["ISO, MDY", "UTF8", "UTC", "on", "", "postgres"];
        values.get(index).copied()
    }
}

/// What all gates of a test share.
pub struct Book {
    live: Arc<TestLive>,
    cache: Arc<KeyCache>,
    pub keys: Mutex<HashSet<u64>>,
    pub captured: Mutex<Option<CapturedKeys>>,
    pub order: Notify,
    is_full: AtomicBool,
    is_capped: AtomicBool,
}

impl Book {
    pub fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Relaxed);
    }
    pub fn set_capped(&self, is_capped: bool) {
        self.is_capped.store(is_capped, Relaxed);
    }
}

pub struct TestGate {
    pub book: Arc<Book>,
    pub is_claimed: bool,
}

impl Gate for TestGate {
    type Live = TestLive;
    type Database = &'static str;
    type Reported = TestReported;

    fn live(&self) -> Arc<TestLive> {
        Arc::clone(&self.book.live)
    }
    fn key_cache(&self) -> Arc<KeyCache> {
        Arc::clone(&self.book.cache)
    }
    fn keep_keys(&self, _user: &Arc<str>, keys: CapturedKeys) {
        *self.book.captured.lock().unwrap() = Some(keys);
    }
    fn tracked_names(&self) -> impl Iterator<Item = &str> + Send {
        TRACKED.into_iter()
    }
    fn log_prefix(&self) -> String {
        "C-0x1: ".to_owned()
    }
    fn admit(&mut self, is_console: bool) -> Result<(), ClientError> {
        if self.book.is_full.load(Relaxed) && !is_console {
            return Err(ClientError::max_client_conn());
        }
        Ok(())
    }
    fn find_database(&self, name: &str) -> Option<&'static str> {
        let known = ["shop", "forced", "disabled", "broken", "down"];
        known.into_iter().find(|known| *known == name)
    }
    fn forced_user(&self, database: &&'static str) -> Option<Arc<str>> {
        (*database == "forced").then(|| Arc::from("owner"))
    }
    fn keeps_settings(&self, database: &&'static str, _: &Arc<str>) -> bool {
        *database == "shop"
    }
    fn claim(&mut self, _: &Who, _: &Target<&'static str>) -> Result<(), ClientError> {
        if self.book.is_capped.load(Relaxed) {
            return Err(ClientError::max_db_client_connections());
        }
        self.is_claimed = true;
        Ok(())
    }
    fn identify(&mut self, _: &Who) {}
    fn check_enabled(&self, database: &&'static str) -> Result<(), ClientError> {
        match *database {
            "disabled" => Err(ClientError::database_disabled("disabled")),
            _ => Ok(()),
        }
    }
    async fn welcome(
        &self,
        database: &&'static str,
        _: &Arc<str>,
    ) -> Result<Arc<TestReported>, ClientError> {
        match *database {
            "broken" => Err(ClientError::from_server(
                "3D000",
                "database \"x\" does not exist",
            )),
            "down" => std::future::pending().await,
            _ => Ok(Arc::new(TestReported)),
        }
    }
    fn register_cancel_key(&mut self, key: u64) -> bool {
        self.book.keys.lock().unwrap().insert(key)
    }
}

pub struct Setup {
    pub book: Arc<Book>,
}

impl Setup {
    /// The settings, and users of every kind with the password "secret".
    pub fn with(settings: &str) -> Self {
        let text = format!("[databases]\n* =\n[pgbouncer]\n{settings}\n");
        let config = config::parse(Path::new("test.ini"), text.as_bytes()).unwrap();
        let hashed = String::from_utf8(md5::hash(b"hashed", b"secret").to_vec()).unwrap();
        let users = format!(
            "\"plain\" \"secret\"\n\"hashed\" \"md5{hashed}\"\n\"scram\" \"{}\"\n\"empty\" \"\"\n",
            scram_secret()
        );
        let (userlist, errors) = Userlist::parse(Path::new("userlist.txt"), users.as_bytes());
        assert!(errors.is_empty());
        let tls = ClientTls::build(&TlsSettings {
            mode: config.settings.client_tls_sslmode,
            ..TlsSettings::default()
        });
        let live = TestLive {
            config,
            userlist,
            tls: tls.ok(),
        };
        Self {
            book: Arc::new(Book {
                live: Arc::new(live),
                cache: Arc::new(KeyCache::open().unwrap()),
                keys: Mutex::default(),
                captured: Mutex::default(),
                order: Notify::new(),
                is_full: AtomicBool::new(false),
                is_capped: AtomicBool::new(false),
            }),
        }
    }

    fn login(&self, stream: Stream) -> JoinHandle<Outcome<TestGate>> {
        let book = Arc::clone(&self.book);
        let limit = book.live.config.settings.client_login_timeout;
        let gate = TestGate {
            book: Arc::clone(&book),
            is_claimed: false,
        };
        tokio::spawn(async move {
            let order = async {
                book.order.notified().await;
                ClientError::database_removed()
            };
            Login::open(stream, gate).run(limit, order).await
        })
    }
}

fn scram_secret() -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let keys = derive_keys(b"secret", b"0123456789abcdef", 64);
    let stored = sha2::Sha256::digest(keys.client_key);
    format!(
        "{USERLIST_SCRAM}64:{}${}:{}",
        encode(b"0123456789abcdef"),
        encode(&stored),
        encode(&keys.server_key)
    )
}

pub fn startup_packet(code: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        body.extend(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut packet = u32::try_from(body.len() + 4)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    packet.extend(body);
    packet
}

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Taken by a TLS session.
    Gone,
}

/// A client and the login that it talks to.
pub struct Peer {
    wire: Wire,
    login: Option<JoinHandle<Outcome<TestGate>>>,
    seen: Vec<Vec<u8>>,
}

impl Peer {
    pub async fn connect(setup: &Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        Self {
            wire: Wire::Tcp(client.unwrap()),
            login: Some(setup.login(Stream::from(accepted.unwrap().0))),
            seen: Vec::new(),
        }
    }

    pub async fn connect_unix(setup: &Setup) -> Self {
        let (client, server) = UnixStream::pair().unwrap();
        Self {
            wire: Wire::Unix(client),
            login: Some(setup.login(Stream::from(server))),
            seen: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Tcp(socket) => socket.write_all(bytes).await.unwrap(),
            Wire::Unix(socket) => socket.write_all(bytes).await.unwrap(),
            Wire::Gone => panic!("the socket is gone"),
        }
    }

    pub async fn startup(&mut self, pairs: &[(&str, &str)]) {
        self.send(&startup_packet(3 << 16, pairs)).await;
    }

    pub async fn password(&mut self, password: &[u8]) {
        let mut out = Vec::new();
        frame::put(&mut out, b'p', &[password, b"\0"].concat());
        self.send(&out).await;
    }

    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        match &mut self.wire {
            Wire::Tcp(socket) => socket.read_exact(&mut bytes).await.unwrap(),
            Wire::Unix(socket) => socket.read_exact(&mut bytes).await.unwrap(),
            Wire::Gone => panic!("the socket is gone"),
        };
        bytes
    }

    pub async fn frame(&mut self) -> Vec<u8> {
        let mut whole = self.bytes(5).await;
        let length = u32::from_be_bytes(whole[1..5].try_into().unwrap());
        whole.extend(self.bytes(length as usize - 4).await);
        self.seen.push(whole.clone());
        whole
    }

    pub async fn tags(&mut self, count: usize) -> String {
        let mut tags = String::new();
        for _ in 0..count {
            tags.push(char::from(self.frame().await[0]));
        }
        tags
    }

    /// ParameterStatus frames so far, as name=value.
    pub fn seen_parameters(&self) -> Vec<String> {
        let status = self.seen.iter().filter(|frame| frame[0] == b'S');
        status
            .map(|frame| {
                let text = String::from_utf8_lossy(&frame[5..frame.len() - 1]);
                text.replacen('\0', "=", 1)
            })
            .collect()
    }

    pub fn seen_key(&self) -> [u8; 8] {
        let key = self.seen.iter().find(|frame| frame[0] == b'K').unwrap();
        key[5..].try_into().unwrap()
    }

    /// A SCRAM exchange from AuthenticationSASL on; an error when the server does not accept.
    pub async fn scram(&mut self, password: &str) -> Result<(), Vec<u8>> {
        assert_eq!(&self.frame().await[9..], b"SCRAM-SHA-256\0\0");
        let (exchange, first) = ClientExchange::start().unwrap();
        let length = u32::try_from(first.len()).unwrap().to_be_bytes();
        let mut out = Vec::new();
        let body = [b"SCRAM-SHA-256\0", &length[..], &first].concat();
        frame::put(&mut out, b'p', &body);
        self.send(&out).await;
        let challenge = exchange.challenge(&self.frame().await[9..]).unwrap();
        let keys = derive_keys(
            password.as_bytes(),
            challenge.salt(),
            challenge.iterations(),
        );
        let (verifier, last) = challenge.respond(&keys);
        out.clear();
        frame::put(&mut out, b'p', &last);
        self.send(&out).await;
        let answer = self.frame().await;
        if answer[0] != b'R' {
            return Err(answer);
        }
        verifier.verify(&answer[9..]).unwrap();
        Ok(())
    }

    pub async fn outcome(&mut self) -> Outcome<TestGate> {
        self.login.take().unwrap().await.unwrap()
    }

    pub async fn logged_in(&mut self) -> LoggedIn<TestGate> {
        match self.outcome().await {
            Outcome::LoggedIn(logged_in) => *logged_in,
            Outcome::Ended { error, .. } => panic!("refused: {error:?}"),
            Outcome::Cancel { .. } => panic!("a cancel request"),
        }
    }

    /// The ErrorResponse that is next, or was the last frame seen.
    pub async fn error_frame(&mut self) -> Vec<u8> {
        match self.seen.last().filter(|frame| frame[0] == b'E') {
            Some(frame) => frame.clone(),
            None => loop {
                let frame = self.frame().await;
                if frame[0] == b'E' {
                    break frame;
                }
            },
        }
    }

    /// The text the client was refused with, the same on the wire and in the outcome.
    pub async fn refused_with(&mut self) -> String {
        let frame = self.error_frame().await;
        let error = self.ended().await.unwrap();
        assert_eq!(frame, error.to_frame());
        error.text.into_owned()
    }

    pub async fn refused(&mut self, want: &str) {
        assert_eq!(self.refused_with().await, want);
    }

    pub async fn ended(&mut self) -> Option<ClientError> {
        match self.outcome().await {
            Outcome::Ended { error, .. } => error,
            _ => panic!("the login did not fail"),
        }
    }

    pub async fn hang_up(&mut self) {
        self.wire = Wire::Gone;
        tokio::task::yield_now().await;
    }

    /// Starts TLS; gives the session and what is left of the peer.
    pub async fn tls(mut self, is_direct: bool) -> (TlsClient, Self) {
        if !is_direct {
            self.send(SSL_REQUEST).await;
            assert_eq!(self.bytes(1).await, b"S");
        }
        let Wire::Tcp(socket) = std::mem::replace(&mut self.wire, Wire::Gone) else {
            panic!("TLS is for TCP");
        };
        (tls_client(socket).await, self)
    }
}

pub type TlsClient = tokio_rustls::client::TlsStream<TcpStream>;

pub async fn exchange_over_tls(mut session: TlsClient, packet: &[u8]) -> Vec<u8> {
    session.write_all(packet).await.unwrap();
    let mut answer = vec![0; 4096];
    let count = session.read(&mut answer).await.unwrap();
    answer.truncate(count);
    answer
}

async fn tls_client(socket: TcpStream) -> TlsClient {
    use tokio_rustls::rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::ServerName};
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAll(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(name, socket).await.unwrap()
}

/// Checks nothing: the certificate was made by the login under test.
#[derive(Debug)]
struct AcceptAll(Arc<tokio_rustls::rustls::crypto::CryptoProvider>);

mod accept_all {
    use super::AcceptAll;
    use tokio_rustls::rustls::client::danger::{
        HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
    };
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

    type Checked<T> = Result<T, Error>;

    impl ServerCertVerifier for AcceptAll {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Checked<ServerCertVerified> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Checked<HandshakeSignatureValid> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Checked<HandshakeSignatureValid> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let algorithms = self.0.signature_verification_algorithms;
            algorithms.supported_schemes()
        }
    }
}
