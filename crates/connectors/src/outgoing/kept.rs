//! Connections that are kept for the next request to the same server.
//!
//! Invariants:
//! - A connection serves one request at a time, and is kept only when its last answer was read to the end.
//! - What is kept is few ([`KEPT_MAX`], [`KEPT_PER_SERVER_MAX`]) and young: [`IDLE_MAX`] without a request, and [`AGE_MAX`]
//!   since it was opened, so that a name which moved is asked for again.
//! - Which address a connection goes to was judged when it was opened, and is known as long as it is there.
//!
//! Next: [`super::client`], which judges the address again before each request.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::target::Target;

/// The most connections that are kept.
pub const KEPT_MAX: usize = 512;
/// The most of these to one server.
pub const KEPT_PER_SERVER_MAX: usize = 16;
/// How long a connection without a request is kept.
pub const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long after it was opened a connection is used.
pub const AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// Whom connections are to. What is said on one of them goes to this host, by this port, with or without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Server {
    host: String,
    port: u16,
    is_https: bool,
}

impl Server {
    pub(super) fn of(target: &Target) -> Self {
        Server { host: target.host(), port: target.port(), is_https: target.is_https() }
    }
}

/// An open connection. Dropping it ends it.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    pub(super) peer: IpAddr,
    opened: Instant,
    task: AbortHandle,
}

impl Connection {
    /// `task` moves what is sent and received.
    pub(super) fn new(sender: SendRequest<Full<Bytes>>, peer: IpAddr, task: AbortHandle) -> Self {
        Connection { sender, peer, opened: Instant::now(), task }
    }

    fn is_young(&self, now: Instant) -> bool {
        now < self.opened + AGE_MAX && !self.sender.is_closed()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection to {}", self.peer)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The kept connections. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// By server, with the time since which each is kept; the one that was used last stands last.
    servers: HashMap<Server, Vec<(Instant, Connection)>>,
    count: usize,
    /// Whether a task looks for what has waited too long.
    swept: bool,
}

impl Kept {
    /// A connection to a server that may still be open.
    pub(super) fn take(&self, server: &Server, now: Instant) -> Option<Connection> {
        let mut waiting = lock(&self.0);
        loop {
            let kept = waiting.servers.get_mut(server)?;
            let taken = kept.pop();
            if kept.is_empty() {
                waiting.servers.remove(server);
            }
            let (since, connection) = taken?;
            waiting.count -= 1;
            if now < since + IDLE_MAX && connection.is_young(now) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last answer was read to the end, if there is room.
    pub(super) fn put(&self, server: Server, connection: Connection, now: Instant) {
        // Who sweeps needs a runtime; without one nobody would end it.
        let Ok(runtime) = Handle::try_current() else { return };
        let mut waiting = lock(&self.0);
        if waiting.count >= KEPT_MAX || !connection.is_young(now) {
            return;
        }
        let kept = waiting.servers.entry(server).or_default();
        if kept.len() >= KEPT_PER_SERVER_MAX {
            return;
        }
        kept.push((now, connection));
        waiting.count += 1;
        let is_swept = std::mem::replace(&mut waiting.swept, true);
        drop(waiting); // a runtime that ends drops what it is given at once, and that takes the lock
        if !is_swept {
            runtime.spawn(sweep(Sweeper(Arc::downgrade(&self.0))));
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // Nothing panics under this lock, and what it holds can be done without.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that nobody sweeps any more, however its task ends.
struct Sweeper(Weak<Mutex<Waiting>>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.upgrade() {
            lock(&waiting).swept = false;
        }
    }
}

/// Ends connections that have waited too long, until there are none.
async fn sweep(sweeper: Sweeper) {
    loop {
        tokio::time::sleep(IDLE_MAX / 2).await;
        let Some(waiting) = sweeper.0.upgrade() else { return };
        let mut waiting = lock(&waiting);
        waiting.sweep(Instant::now());
        if waiting.count == 0 {
            waiting.swept = false; // before the lock is let go: whoever comes then starts another one
            return;
        }
    }
}

impl Waiting {
    fn sweep(&mut self, now: Instant) {
        self.servers.retain(|_, kept| {
            kept.retain(|(since, connection)| now < *since + IDLE_MAX && connection.is_young(now));
            !kept.is_empty()
        });
        self.count = self.servers.values().map(Vec::len).sum();
    }
}

/// A connection that is lent to an answer that is being read.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) kept: Kept,
    pub(super) server: Server,
    pub(super) connection: Connection,
}

impl Lent {
    /// The answer was read to its end.
    pub(super) fn give_back(self) {
        self.kept.put(self.server, self.connection, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::io::DuplexStream;

    use super::*;

    /// A connection, and its other end.
    async fn connection() -> (Connection, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1_024);
        let (sender, task) = http1::handshake(TokioIo::new(ours)).await.expect("nothing is said yet");
        let task = tokio::spawn(async move { drop(task.await) }).abort_handle();
        (Connection::new(sender, IpAddr::from([127, 0, 0, 1]), task), theirs)
    }

    fn server(port: u16) -> Server {
        Server { host: "hooks.example".into(), port, is_https: false }
    }

    #[tokio::test]
    async fn what_has_waited_too_long_or_is_too_old_is_ended() {
        let (kept, begun) = (Kept::default(), Instant::now());
        for (kept_at, taken_at, there) in [
            (Duration::ZERO, IDLE_MAX - Duration::from_secs(1), true),
            (Duration::ZERO, IDLE_MAX, false),
            (AGE_MAX - Duration::from_secs(2), AGE_MAX - Duration::from_secs(1), true),
            (AGE_MAX - Duration::from_secs(2), AGE_MAX + Duration::from_secs(1), false),
            (AGE_MAX + Duration::from_secs(1), AGE_MAX + Duration::from_secs(1), false),
        ] {
            let (connection, _theirs) = connection().await;
            kept.put(server(1), connection, begun + kept_at);
            assert_eq!(kept.take(&server(1), begun + taken_at).is_some(), there, "{kept_at:?} {taken_at:?}");
            assert_eq!(lock(&kept.0).count, 0);
        }
        let (connection, _theirs) = connection().await;
        kept.put(server(1), connection, begun);
        assert!(lock(&kept.0).swept, "somebody looks for it");
        lock(&kept.0).sweep(begun + IDLE_MAX);
        assert_eq!(lock(&kept.0).count, 0);
        assert!(lock(&kept.0).servers.is_empty());
    }

    #[tokio::test]
    async fn connections_are_kept_by_server_and_so_many_of_each() {
        let (kept, now) = (Kept::default(), Instant::now());
        let mut others = Vec::new();
        for _ in 0..KEPT_PER_SERVER_MAX + 1 {
            let (connection, theirs) = connection().await;
            kept.put(server(1), connection, now);
            others.push(theirs);
        }
        assert_eq!(lock(&kept.0).count, KEPT_PER_SERVER_MAX);
        let tls = Server { is_https: true, ..server(1) };
        let elsewhere = Server { host: "other.example".into(), ..server(1) };
        for other in [server(2), tls, elsewhere] {
            assert!(kept.take(&other, now).is_none(), "{other:?}");
        }
        let taken = std::iter::from_fn(|| kept.take(&server(1), now)).count();
        assert_eq!((taken, lock(&kept.0).count), (KEPT_PER_SERVER_MAX, 0));
        let (connection, theirs) = connection().await;
        drop(theirs);
        while !connection.sender.is_closed() {
            tokio::task::yield_now().await;
        }
        kept.put(server(1), connection, now);
        assert!(kept.take(&server(1), now).is_none(), "the other side has closed it");
    }
}
