//! A pool with one server, whose other end says what PostgreSQL says at a login and then nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use pgweir::auth::scram::KeyCache;
use pgweir::config::{Userlist, parse};
use pgweir::lane::Lanes;
use pgweir::net::tls::ServerTls;
use pgweir::net::{Endpoint, SocketOptions};
use pgweir::pool::{self, Checkout, Directory, Live, NewShared, Pool, Shared};
use pgweir::session::sequences::Memory;
use pgweir::stats::ClientSlot;
use pgweir::wire::frame;

pub struct Bench {
    pool: Arc<Pool>,
    client: Arc<ClientSlot>,
    // Keeps the lane's thread.
    _lanes: Lanes,
}

impl Bench {
    pub fn open() -> Self {
        let port = a_server();
        let lanes = Lanes::start(1).unwrap();
        let ini = format!("[databases]\na = host=127.0.0.1 port={port}\n[pgbouncer]\n");
        let live = Live {
            config: parse(std::path::Path::new("bench.ini"), ini.as_bytes()).unwrap(),
            userlist: Userlist::default(),
            client_tls: None,
            server_tls: Arc::new(ServerTls::disabled()),
            socket_options: SocketOptions::default(),
        };
        let shared = Shared::assemble(NewShared {
            lanes: lanes.all().to_vec(),
            live,
            key_cache: Arc::new(KeyCache::open().unwrap()),
            resolver: Arc::default(),
        });
        let client = shared
            .registry
            .add_client(Endpoint::UNIX, Endpoint::UNIX, 0);
        let directory = Directory::open(shared);
        let database = directory.find("a").unwrap();
        let pool = directory.pool(&database, &"u".into());
        let bench = Self {
            pool,
            client,
            _lanes: lanes,
        };
        while bench.pool.figures().idle == 0 {
            let _ = bench.pool.checkout(0, &bench.client, 1, Memory::default());
            std::thread::sleep(Duration::from_millis(5));
        }
        bench
    }

    /// What happens at both ends of a transaction.
    pub fn turn(&self) {
        match self.pool.checkout(0, &self.client, 1, Memory::default()) {
            Checkout::Server(server) => pool::release_at(server, 0, 2),
            other => panic!("the pool has a server: {other:?}"),
        }
    }
}

fn a_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut startup = [0; 1024];
            let _ = socket.read(&mut startup).unwrap();
            let mut hello = Vec::new();
            frame::put(&mut hello, b'R', &[0; 4]);
            frame::put(&mut hello, b'K', &[0, 0, 0, 1, 0, 0, 0, 2]);
            frame::put(&mut hello, b'Z', b"I");
            socket.write_all(&hello).unwrap();
            held.push(socket);
        }
    });
    port
}
