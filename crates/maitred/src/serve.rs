//! Serving HTTP/1.1 on a socket: bounds on heads and connections, and a graceful end.
//!
//! A stop is three steps. For up to [`Bounds::refusing`], while any connection is open, the listener and the kept
//! connections go on: whoever asks hears from the gate that the server is going ([`crate::gate`]), and not a closed
//! door. Then connections without a request are closed, the others have what is left of [`Bounds::drain_timeout`], and
//! new ones are still answered. The listener is closed last. With no connection open all of it takes no time.
//!
//! Next: [`crate::connection`] for what a client may leave undone, and for how long.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use maitred_web::ClientAddress;
use maitred_web::limits::{
    ANSWER_UNREAD_MAX, CONNECTION_IDLE_MAX, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT, HEADERS_MAX,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tower::Service;

use crate::connection::{self, Answering, Ending, Patience, Progress, Watched};
use crate::leftover;

/// The most connections at once; further ones wait to be accepted. The default of `limits.connections`.
pub const CONNECTIONS_MAX: usize = 16_384;
/// How long open requests may take to finish once the server is stopping. The default of `limits.drain_seconds`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a stopping server answers new requests on kept connections, while there are any.
pub const REFUSING_TIME: Duration = Duration::from_secs(1);
/// How long a stopping server waits for the rest of a head, or for a client to take any of its answer.
pub const STOPPING_PATIENCE: Duration = Duration::from_secs(2);
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
    /// What a connection waits for its client.
    pub patience: Patience,
    /// How long a stopping server answers on kept connections, while there are any.
    pub refusing: Duration,
    /// How long open requests may take to finish once the server is stopping, the time before included.
    pub drain_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connections_max: CONNECTIONS_MAX,
            header_bytes_max: HEADER_BYTES_MAX,
            patience: Patience {
                head: HEADER_READ_TIMEOUT,
                idle: CONNECTION_IDLE_MAX,
                unread: ANSWER_UNREAD_MAX,
                stopping: STOPPING_PATIENCE,
            },
            refusing: REFUSING_TIME,
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
    http.header_read_timeout(None) // crate::connection has its own
        .max_buf_size(bounds.header_bytes_max.max(8 * 1024)) // hyper takes no less
        .max_headers(HEADERS_MAX)
        .half_close(false);
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let server = Server { http, patience: bounds.patience, places, listener, service };
    // Each connection holds a receiver, so that a channel is closed when all of its connections are.
    let open = watch::Sender::new(false);
    server.accept(&open, stop).await;
    let end = Instant::now() + bounds.drain_timeout;
    let refusing = timeout(bounds.refusing.min(bounds.drain_timeout), open.closed());
    server.accept(&open, async { drop(refusing.await) }).await;
    open.send_replace(true);
    let late = watch::Sender::new(false);
    let mut in_time = true;
    server.accept(&late, async { in_time = timeout_at(end, open.closed()).await.is_ok() }).await;
    drop(server);
    late.send_replace(true);
    // They were refused, or have not asked: there is nothing to wait for but the last bytes of that.
    let _ = timeout(bounds.patience.stopping.min(bounds.drain_timeout), late.closed()).await;
    // Who refuses nobody at its end has a successor, which they come to.
    if !in_time && !bounds.refusing.is_zero() {
        tracing::warn!("requests were still open when the server stopped");
    }
}

/// What connections are accepted by.
struct Server<S> {
    http: http1::Builder,
    patience: Patience,
    places: Arc<Semaphore>,
    listener: TcpListener,
    service: S,
}

impl<S: Http> Server<S> {
    /// Accepts connections until `stop` is done; they end when the channel `stopping` says true.
    async fn accept(&self, stopping: &watch::Sender<bool>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let place = Arc::clone(&self.places).acquire_owned();
            let accepted = async {
                let place = place.await.expect("the semaphore is never closed");
                (self.listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut stop => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let address = ClientAddress(Some(peer.ip()));
                    self.begin(stream, address, stopping.subscribe(), place);
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn begin(
        &self,
        socket: TcpStream,
        address: ClientAddress,
        stopping: watch::Receiver<bool>,
        place: OwnedSemaphorePermit,
    ) {
        let _ = socket.set_nodelay(true); // slower without, not wrong
        let (service, patience) = (self.service.clone(), self.patience);
        let progress = Arc::new(Progress::default());
        let watched = Watched { socket, progress: Arc::clone(&progress) };
        let marks = Arc::clone(&progress);
        // The services here are always ready, as those of axum are.
        let service = service_fn(move |mut request: Request<Incoming>| {
            let under_way = marks.begin();
            request.extensions_mut().insert(address);
            let (request, leftover) = leftover::watch(request);
            let answer = service.clone().call(request);
            async move {
                let mut answer = answer.await?;
                if let Some(leftover) = leftover {
                    leftover.take(answer.headers_mut()).await;
                }
                Ok::<_, Infallible>(answer.map(|body| Answering { body, _request: under_way }))
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(watched), service);
        tokio::spawn(async move {
            connection::run(connection, &progress, patience, stopping).await;
            drop(place);
        });
    }
}

impl<S> Ending for http1::Connection<TokioIo<Watched<TcpStream>>, S>
where
    S: HttpService<Incoming, ResBody = Answering>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
