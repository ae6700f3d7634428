//! The client: from a target to the head of an answer.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::body::Body;
use super::conditional::retry_after;
use super::kept::{Connection, Kept, Lent, Server};
use super::resolve::{Resolve, SystemResolver};
use super::target::{AllowedHost, Rules, Target};
use super::tls::Tls;
use super::{Bounds, Failure};

/// The most bytes of an answer's head.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most headers of an answer.
pub const HEADERS_MAX: usize = 128;
/// So many addresses of a name are tried, and no more.
const ADDRESSES_MAX: usize = 4;

/// What the operator says about outgoing requests.
#[derive(Debug, Default)]
pub struct Settings {
    /// The hosts that may have private addresses.
    pub allowed: Vec<AllowedHost>,
    /// Certificates in PEM that are trusted beside the bundled ones.
    pub roots: Vec<u8>,
}

/// Makes outgoing requests. A clone is the same client.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    rules: Rules,
    tls: Tls,
    resolver: Box<dyn Resolve>,
    kept: Kept,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.rules, self.resolver)
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Where to.
    pub target: &'a Target,
    /// Headers; `Host`, `Content-Length` and `User-Agent` are put in.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

/// The head of an answer, and a body that is still to be read. Dropping it before its end ends the connection.
#[derive(Debug)]
pub struct Response {
    /// The status; 3xx too.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The rest.
    pub body: Body,
}

impl Response {
    /// What `Retry-After` asks for: how long from now, at most [`super::RETRY_AFTER_MAX`].
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers, std::time::SystemTime::now())
    }
}

impl Client {
    /// A client that asks the system's resolver.
    ///
    /// # Errors
    /// Why the certificates cannot be taken.
    pub fn new(settings: Settings) -> Result<Self, String> {
        Client::with_resolver(settings, Box::new(SystemResolver::default()))
    }

    /// A client that asks another resolver.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_resolver(settings: Settings, resolver: Box<dyn Resolve>) -> Result<Self, String> {
        let tls = Tls::new(&settings.roots)?;
        let rules = Rules::new(settings.allowed);
        Ok(Client(Arc::new(Inner { rules, tls, resolver, kept: Kept::default() })))
    }

    /// What a target may be.
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Sends a request, and reads the head of the answer: over a connection that was kept, or a new one. Where a kept one
    /// turns out to be closed, or closes before there is an answer, the request is sent once more.
    ///
    /// # Errors
    /// Why there is none. Whether the other side has acted upon the request is unknown then.
    pub async fn send(&self, request: Request<'_>, bounds: Bounds) -> Result<Response, Failure> {
        let ends = Instant::now() + bounds.total;
        let target = request.target;
        let server = Server::of(target);
        let request = written(request)?;
        let answer_by = || ends.min(Instant::now() + bounds.answer);
        if let Some(mut connection) = self.0.kept.take(&server, Instant::now()) {
            self.rules().judge(target, connection.peer)?;
            match exchange(&mut connection, request.clone(), answer_by()).await? {
                Ok(answer) => return self.response(answer, (server, connection), bounds, ends),
                Err(error) if error.is_parse() => return Err(broken(&error)),
                // The other side did not want it any longer; that is no failure.
                Err(_) => {}
            }
        }
        let by = ends.min(Instant::now() + bounds.connect);
        let (stream, peer) = within(by, "connecting", self.connect(target)).await?;
        let mut connection = if target.is_https() {
            let stream = within(by, "agreeing on TLS", self.0.tls.connect(target, stream)).await?;
            begun(stream, peer).await?
        } else {
            begun(stream, peer).await?
        };
        let answer = exchange(&mut connection, request, answer_by()).await?;
        let answer = answer.map_err(|error| broken(&error))?;
        self.response(answer, (server, connection), bounds, ends)
    }

    fn response(
        &self,
        answer: hyper::Response<Incoming>,
        (server, connection): (Server, Connection),
        bounds: Bounds,
        ends: Instant,
    ) -> Result<Response, Failure> {
        let (head, body) = answer.into_parts();
        // hyper looks at the size of a head only where it has not come whole.
        if head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
            > HEAD_BYTES_MAX
        {
            return Err(too_large_head());
        }
        let lent = Lent { kept: self.0.kept.clone(), server, connection };
        let body = Body::new(body, lent, bounds, ends);
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    /// A connection to an address of the target that the rules let through.
    async fn connect(&self, target: &Target) -> Result<(TcpStream, IpAddr), Failure> {
        let addresses = self.addresses(target).await?;
        let mut why = String::new();
        for address in addresses.iter().take(ADDRESSES_MAX) {
            match TcpStream::connect(SocketAddr::new(*address, target.port())).await {
                Ok(stream) => {
                    let peer = stream.peer_addr().map_err(|error| Failure::Unreachable(error.to_string()))?;
                    self.rules().judge(target, peer.ip())?;
                    // A request is written at once: there is nothing to gather.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, peer.ip()));
                }
                Err(error) => why = error.to_string(),
            }
        }
        Err(Failure::Unreachable(why))
    }

    /// The addresses of the target, all of which the rules let through: an answer that mixes them with others is
    /// refused as a whole.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, Failure> {
        let found = match target.address() {
            Some(address) => vec![address],
            None => {
                let found = self.0.resolver.resolve(&target.host()).await;
                found.map_err(|error| Failure::Unresolved(error.to_string()))?
            }
        };
        if found.is_empty() {
            return Err(Failure::Unresolved("the answer is empty".into()));
        }
        for address in &found {
            self.rules().judge(target, *address)?;
        }
        Ok(found)
    }
}

/// HTTP on a stream to an address.
async fn begun<S>(stream: S, peer: IpAddr) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let handshake = builder.handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|error| broken(&error))?;
    // What goes wrong with the connection is said to who waits for the answer or reads its body.
    let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
    Ok(Connection::new(sender, peer, task))
}

/// One request and the head of its answer, or what is wrong with the connection.
async fn exchange(
    connection: &mut Connection,
    request: hyper::Request<Full<Bytes>>,
    by: Instant,
) -> Result<hyper::Result<hyper::Response<Incoming>>, Failure> {
    within(by, "waiting for an answer", async {
        if let Err(error) = connection.sender.ready().await {
            return Ok(Err(error));
        }
        Ok(connection.sender.send_request(request).await)
    })
    .await
}

fn written(request: Request<'_>) -> Result<hyper::Request<Full<Bytes>>, Failure> {
    let Request { method, target, headers, body } = request;
    let unwritable = |error: hyper::http::Error| Failure::Unwritten(error.to_string());
    let mut written = hyper::Request::builder()
        .method(method)
        .uri(target.path_and_query())
        .body(Full::new(body))
        .map_err(unwritable)?;
    let host = header::HeaderValue::try_from(target.authority());
    *written.headers_mut() = headers;
    let headers = written.headers_mut();
    headers.insert(header::HOST, host.map_err(|error| unwritable(error.into()))?);
    let agent = concat!("maitred/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, header::HeaderValue::from_static(agent));
    Ok(written)
}

/// What hyper says, as far as it is about sizes.
pub(super) fn broken(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        return too_large_head();
    }
    let mut why = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        why = format!("{why}: {source}");
    }
    Failure::Broken(why)
}

fn too_large_head() -> Failure {
    Failure::TooLarge("the head of the answer", HEAD_BYTES_MAX as u64)
}

/// What `work` gives, unless the time is over.
pub(super) async fn within<T>(
    by: Instant,
    what: &'static str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout_at(by, work).await.unwrap_or(Err(Failure::TimedOut(what)))
}
