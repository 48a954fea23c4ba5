//! STUB app
use crate::client::CancelKeys;
use crate::lane::Lanes;
use crate::pool::{Directory, Live, NewShared, Shared};
use std::sync::Arc;
pub fn run() {
    let path = std::env::args().last().unwrap();
    let config = crate::config::load(std::path::Path::new(&path))
        .map_err(|e| {
            eprintln!("{e}");
            std::process::exit(1)
        })
        .unwrap();
    let n = config.own.lanes.max(1) as usize;
    let lanes = Lanes::start(n).unwrap();
    let port = config.settings.listen_port;
    let shared = Shared::assemble(NewShared {
        lanes: lanes.all().to_vec(),
        live: Live {
            config,
            userlist: Default::default(),
            client_tls: None,
            server_tls: Arc::new(crate::net::tls::ServerTls::disabled()),
            socket_options: Default::default(),
        },
        key_cache: Arc::new(crate::auth::scram::KeyCache::open().unwrap()),
        resolver: Default::default(),
    });
    let directory = Directory::open(shared.clone());
    let keys = Arc::new(CancelKeys::default());
    let d2 = directory.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(std::time::Duration::from_millis(333));
            d2.maintain();
        }
    });
    let l = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut i = 0;
    for s in l.incoming() {
        let s = s.unwrap();
        s.set_nodelay(true).unwrap();
        s.set_nonblocking(true).unwrap();
        let stream = crate::net::Stream::from(crate::net::Socket::parked_tcp(s).unwrap());
        let lane = i % n;
        i += 1;
        shared.lanes[lane].spawn(crate::client::front::front(
            stream,
            directory.clone(),
            keys.clone(),
            shared.client_caps.arrive(),
            lane,
        ));
    }
}
