//! The listener and its three routes.
//!
//! Owns the sockets of scrapers. Bounded in every direction: connections, time to send a request,
//! size of a request (bodies are never read). Ends when the future is dropped.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Prometheus 3 refuses a scrape without a valid type.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN_TYPE: &str = "text/plain; charset=utf-8";
/// Between attempts to bind, and after descriptors ran out.
const RETRY: Duration = Duration::from_secs(5);
/// To send a request's head, and between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest life of a connection: a scraper that reads slowly for ever is not one.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);
/// Some scrapers and a few curious browsers.
const MAX_CONNECTIONS: usize = 32;

/// What the face shows. Called on the control thread; must not block.
pub trait Source: Send + Sync {
    /// The body of `/metrics`.
    fn metrics(&self) -> String;
    /// Whether new clients are taken. True while paused, whose purpose is to hold them; false from
    /// the beginning of a shutdown.
    fn is_ready(&self) -> bool;
}

/// Serves `addr` (`HOST:PORT`, `*:PORT`, `[V6]:PORT`) until dropped. An address that cannot be bound
/// is tried again every few seconds. Needs a runtime with I/O and time.
pub async fn serve(addr: &str, source: Arc<dyn Source>) {
    let listener = bind_patiently(addr, RETRY).await;
    accept(listener, source).await;
}

pub(super) async fn bind_patiently(addr: &str, retry: Duration) -> TcpListener {
    let mut last_problem = String::new();
    loop {
        match bind(addr).await {
            Ok(listener) => {
                log::info!("serving metrics on http://{addr}/metrics");
                return listener;
            }
            Err(error) => {
                let problem = error.to_string();
                // Once per problem, not once per attempt.
                if problem != last_problem {
                    log::warn!(
                        "cannot serve metrics on {addr}: {problem}; trying again every {retry:?}"
                    );
                    last_problem = problem;
                }
            }
        }
        sleep(retry).await;
    }
}

async fn bind(addr: &str) -> io::Result<TcpListener> {
    let host_and_port = match addr.rsplit_once(':') {
        Some(("" | "*", port)) => format!("0.0.0.0:{port}"),
        _ => addr.to_owned(),
    };
    let candidates: Vec<SocketAddr> = lookup_host(host_and_port).await?.collect();
    TcpListener::bind(&*candidates).await
}

async fn accept(listener: TcpListener, source: Arc<dyn Source>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this future, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(one_connection(stream, Arc::clone(&source), place));
            }
            Err(error) => {
                log::warn!("cannot accept a connection for metrics: {error}");
                sleep(RETRY).await;
            }
        }
    }
}

async fn one_connection(stream: TcpStream, source: Arc<dyn Source>, _place: OwnedSemaphorePermit) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &*source);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(CONNECTION_LIFETIME, connection).await {
        log::debug!("http connection ended: {error}");
    }
}

fn answer(method: &Method, path: &str, source: &dyn Source) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response
            .headers_mut()
            .insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => text(StatusCode::OK, METRICS_TYPE, source.metrics()),
        "/healthz" => plain(StatusCode::OK, "ok\n"),
        "/readyz" if source.is_ready() => plain(StatusCode::OK, "ready\n"),
        "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        _ => plain(StatusCode::NOT_FOUND, "try /metrics, /healthz, /readyz\n"),
    }
}

fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    text(status, PLAIN_TYPE, body)
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    use hyper::header::HeaderValue;
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
