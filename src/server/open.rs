//! STUB
use crate::error::ClientError;
use crate::net::tls::ServerTls;
use crate::net::{Endpoint, SocketOptions, Stream};
use std::borrow::Cow;
use std::sync::Arc;
#[derive(Debug)]
pub enum Host {
    Tcp { name: String, port: u16 },
    Unix { path: String },
}
#[derive(Debug)]
pub struct Target {
    pub host: Host,
    pub database: String,
    pub user: String,
    pub startup: Vec<(String, String)>,
}
#[derive(Debug)]
pub struct Fresh {
    pub stream: Stream,
    pub remote: Endpoint,
    pub local: Endpoint,
    pub tls: Option<String>,
    pub backend_pid: i32,
    pub cancel_key: Vec<u8>,
    pub parameters: Vec<(String, String)>,
}
#[derive(Debug)]
pub enum OpenError {
    Timeout,
    Refused { sqlstate: String, message: String },
    Io(std::io::Error),
}
impl OpenError {
    pub fn reason(&self) -> String {
        format!("{self:?}")
    }
    pub fn log_line(&self) -> String {
        format!("{self:?}")
    }
    pub fn for_clients(&self) -> Option<ClientError> {
        None
    }
}
pub async fn open(t: &Target) -> Result<Fresh, OpenError> {
    let mut stream = match &t.host {
        Host::Tcp { name, port } => {
            let s = tokio::net::TcpStream::connect((name.as_str(), *port))
                .await
                .map_err(OpenError::Io)?;
            let _ = s.set_nodelay(true);
            Stream::from(s)
        }
        Host::Unix { path } => Stream::from(
            tokio::net::UnixStream::connect(path)
                .await
                .map_err(OpenError::Io)?,
        ),
    };
    let mut b = vec![0, 0, 0, 0, 0, 3, 0, 0];
    for (k, v) in [("user", t.user.as_str()), ("database", t.database.as_str())] {
        b.extend_from_slice(k.as_bytes());
        b.push(0);
        b.extend_from_slice(v.as_bytes());
        b.push(0);
    }
    b.push(0);
    let l = (b.len() as u32).to_be_bytes();
    b[..4].copy_from_slice(&l);
    stream.write_all(&b).await.map_err(OpenError::Io)?;
    let mut buf = Vec::new();
    let mut chunk = [0u8; 4096];
    let mut params = vec![];
    let mut pid = 0;
    let mut key = vec![];
    loop {
        let n = stream.read_some(&mut chunk).await.map_err(OpenError::Io)?;
        if n == 0 {
            return Err(OpenError::Timeout);
        }
        buf.extend_from_slice(&chunk[..n]);
        loop {
            if buf.len() < 5 {
                break;
            }
            let len = u32::from_be_bytes([buf[1], buf[2], buf[3], buf[4]]) as usize + 1;
            if buf.len() < len {
                break;
            }
            let f: Vec<u8> = buf.drain(..len).collect();
            match f[0] {
                b'S' => {
                    if let Some((a, b)) = crate::wire::backend::parameter_status(&f) {
                        params.push((
                            String::from_utf8_lossy(a).into_owned(),
                            String::from_utf8_lossy(b).into_owned(),
                        ))
                    }
                }
                b'K' => {
                    pid = i32::from_be_bytes([f[5], f[6], f[7], f[8]]);
                    key = f[5..].to_vec();
                }
                b'E' => {
                    return Err(OpenError::Refused {
                        sqlstate: "".into(),
                        message: String::from_utf8_lossy(&f).into_owned(),
                    });
                }
                b'Z' => {
                    let remote = stream.peer().map_err(OpenError::Io)?;
                    let local = stream.local().map_err(OpenError::Io)?;
                    return Ok(Fresh {
                        stream,
                        remote,
                        local,
                        tls: None,
                        backend_pid: pid,
                        cancel_key: key,
                        parameters: params,
                    });
                }
                _ => {}
            }
        }
    }
}
pub async fn send_cancel(t: &Target, key: &[u8], wanted: impl Fn() -> bool) -> std::io::Result<()> {
    let mut s = match &t.host {
        Host::Tcp { name, port } => {
            Stream::from(tokio::net::TcpStream::connect((name.as_str(), *port)).await?)
        }
        Host::Unix { path } => Stream::from(tokio::net::UnixStream::connect(path).await?),
    };
    if !wanted() {
        return Ok(());
    }
    let mut b = Vec::new();
    b.extend_from_slice(&((8 + key.len()) as u32).to_be_bytes());
    b.extend_from_slice(&80877102u32.to_be_bytes());
    b.extend_from_slice(key);
    s.write_all(&b).await?;
    let mut c = [0u8; 1];
    s.read_some(&mut c).await?;
    Ok(())
}
