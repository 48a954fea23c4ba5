//! STUB front door
use super::{CancelKeys, Client, ClientTimeouts};
use crate::link::ClientSide;
use crate::net::Stream;
use crate::net::buf::Buf;
use crate::pool::{ClientPermit, Directory};
use crate::stats::slots::Identity;
use std::sync::Arc;
pub async fn front(
    mut stream: Stream,
    directory: Arc<Directory>,
    keys: Arc<CancelKeys>,
    permit: ClientPermit,
    lane: usize,
) {
    stream.attach().unwrap();
    let mut buf = Vec::new();
    let mut chunk = [0u8; 4096];
    let (user, db);
    loop {
        let n = stream.read_some(&mut chunk).await.unwrap();
        if n == 0 {
            return;
        }
        buf.extend_from_slice(&chunk[..n]);
        if buf.len() < 8 {
            continue;
        }
        let len = u32::from_be_bytes([buf[0], buf[1], buf[2], buf[3]]) as usize;
        if buf.len() < len {
            continue;
        }
        let code = u32::from_be_bytes([buf[4], buf[5], buf[6], buf[7]]);
        if code == 80877103 || code == 80877104 {
            stream.write_all(b"N").await.unwrap();
            buf.drain(..len);
            continue;
        }
        if code == 80877102 {
            let k = u64::from_be_bytes(buf[8..16].try_into().unwrap());
            keys.cancel(k, &directory);
            return;
        }
        let parts: Vec<String> = buf[8..len]
            .split(|b| *b == 0)
            .map(|s| String::from_utf8_lossy(s).into_owned())
            .collect();
        let get = |k: &str| parts.chunks(2).find(|c| c[0] == k).map(|c| c[1].clone());
        user = get("user").unwrap();
        db = get("database").unwrap_or(user.clone());
        break;
    }
    let login: Arc<str> = user.into();
    let database = directory.find(&db).unwrap();
    let pool = directory.pool(&database, &login);
    let shared = Arc::clone(&directory.shared);
    let slot = shared
        .registry
        .add_client(stream.peer().unwrap(), stream.local().unwrap(), lane);
    let welcome = pool.welcome().await.unwrap();
    let mut out = Vec::new();
    crate::wire::frame::put(&mut out, b'R', &[0, 0, 0, 0]);
    for (k, v) in &welcome.untracked {
        crate::wire::frame::put(&mut out, b'S', format!("{k}\0{v}\0").as_bytes());
    }
    for (i, n) in shared.tracked.names().enumerate() {
        if let Some(v) = welcome.tracked.get(i) {
            crate::wire::frame::put(&mut out, b'S', format!("{n}\0{v}\0").as_bytes());
        }
    }
    let key: u64 = slot.id;
    keys.register(key, &slot);
    crate::wire::frame::put(&mut out, b'K', &key.to_be_bytes());
    crate::wire::frame::put(&mut out, b'Z', b"I");
    stream.write_all(&out).await.unwrap();
    slot.identify(Identity {
        database: database.name.clone(),
        user: login.clone(),
        tls: None,
    });
    pool.client_arrived();
    shared.lanes[lane].client_arrived();
    let timeouts = ClientTimeouts::resolve(
        &shared.live().config,
        &database.entry(),
        &login,
        pool.timeouts.load().query,
    );
    stream.detach().unwrap();
    super::serve::start(Client {
        side: ClientSide {
            stream,
            inbound: Buf::default(),
            outbound: Buf::default(),
            params: welcome.tracked.clone(),
            statements: None,
            slot,
            pool,
            lane,
            max_packet: i32::MAX as u32,
            no_simple_query: false,
            is_torn: false,
        },
        directory,
        cancel_keys: keys,
        cancel_key: key,
        timeouts,
        skip: 0,
        _permit: permit,
    });
}
