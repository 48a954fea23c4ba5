//! A cancel request on a connection of its own.
//!
//! Owns: the packet and the wait for its end. Never: decides whom to cancel.
//! COMPAT: plain, without SSLRequest, whatever `server_tls_sslmode` says (surface 6.5); PostgreSQL
//! takes cancel requests before it looks at its rules.

use std::io;

use super::connect::Address;
use crate::net::{SocketOptions, dial};

/// Code of a CancelRequest.
const CANCEL_REQUEST: u32 = 80_877_102;
/// Reads after which a server that talks instead of closing is left alone.
const MAX_READS: usize = 4;

/// Sends the request and waits until the server closes: only then has it acted, so that the
/// cancelled connection may be used again. `key` is [`super::Fresh::cancel_key`]. Nothing is sent
/// if, once connected, `is_wanted` says no: the query has ended. Time limits are the caller's;
/// dropping the future closes the connection.
pub async fn send_cancel(
    address: &Address,
    key: &[u8],
    options: &SocketOptions,
    is_wanted: impl Fn() -> bool,
) -> io::Result<()> {
    let mut stream = match address {
        Address::Tcp(address) => dial::tcp(*address, options).await?,
        Address::Unix(path) => dial::unix(path).await?,
    };
    if !is_wanted() {
        return Ok(());
    }
    let mut packet = Vec::with_capacity(8 + key.len());
    let length = u32::try_from(8 + key.len()).unwrap_or(u32::MAX);
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&CANCEL_REQUEST.to_be_bytes());
    packet.extend_from_slice(key);
    stream.write_all(&packet).await?;
    for _ in 0..MAX_READS {
        if stream.read_some(&mut [0; 64]).await? == 0 {
            break;
        }
    }
    Ok(())
}
