//! Serving HTTP/1.1 on a socket: bounds on heads and connections, and a graceful end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use maitred_web::ClientAddress;
use maitred_web::limits::{HEADER_BYTES_MAX, HEADER_READ_TIMEOUT, HEADERS_MAX};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::Service;

/// The most connections at once; further ones wait to be accepted. The default of `limits.connections`.
pub const CONNECTIONS_MAX: usize = 16_384;
/// How long open requests may take to finish once the server is stopping. The default of `limits.drain_seconds`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long accepting pauses when the system has no more file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What answers requests: a router, or one behind layers.
pub trait Http:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Http for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// The bounds of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most connections at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// The largest head of a request, in bytes: at least 8,192. Over it 431.
    pub header_bytes_max: usize,
    /// How long open requests may take to finish once the server is stopping.
    pub drain_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connections_max: CONNECTIONS_MAX,
            header_bytes_max: HEADER_BYTES_MAX,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// Serves on `listener` until `stop` is done, then finishes the requests under way.
pub async fn serve(listener: TcpListener, service: impl Http, stop: impl Future<Output = ()>) {
    serve_within(Bounds::default(), listener, service, stop).await;
}

/// The same with other bounds than the default ones.
pub async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    service: impl Http,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(bounds.header_bytes_max.max(8 * 1024)) // hyper takes no less
        .max_headers(HEADERS_MAX)
        .half_close(false);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = async {
            let place = place.await.expect("the semaphore is never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true); // slower without, not wrong
        let service = service.clone();
        let address = ClientAddress(Some(peer.ip()));
        // The services here are always ready, as those of axum are.
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(address);
            service.clone().call(request.map(Body::new))
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _ = connection.await; // a client that goes away is no news
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(bounds.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open when the server stopped");
    }
}
