//! One connection of the server: how long its client may be idle, slow to ask, or slow to take an answer.
//!
//! Invariants:
//! - Nothing is timed per request. Each connection has one coarse tick ([`TICK`]); a request leaves marks in
//!   [`Progress`] (plain stores of a few words), and the tick counts how many of it have passed since the last mark.
//!   hyper's own timer of heads, which is made and dropped with every request, is off.
//! - A bound is kept to within a tick: what may last ten seconds is cut off after ten to eleven.
//! - An answer that is taken, however slowly, is never cut off; one of which nothing is taken is, whatever it is.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often a connection is looked at.
const TICK: Duration = Duration::from_secs(1);

/// What a connection waits for its client, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the whole head of a request, from its first byte on, or from the beginning of the connection.
    pub head: Duration,
    /// For the first byte of the next request.
    pub idle: Duration,
    /// For any byte of an answer to be taken, while the system takes no more of it.
    pub unread: Duration,
    /// For any of these once the server is stopping.
    pub stopping: Duration,
}

/// The same in ticks.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    head: u32,
    idle: u32,
    unread: u32,
}

impl Patience {
    fn tick(&self) -> Duration {
        let least = self.head.min(self.idle).min(self.unread).min(self.stopping);
        TICK.min(least).max(Duration::from_millis(1))
    }

    fn ticks(&self, stopping: bool) -> Ticks {
        let bound = if stopping { self.stopping } else { Duration::MAX };
        let ticks = |limit: Duration| {
            let ticks = limit.min(bound).as_nanos().div_ceil(self.tick().as_nanos());
            u32::try_from(ticks).unwrap_or(u32::MAX)
        };
        Ticks { head: ticks(self.head), idle: ticks(self.idle), unread: ticks(self.unread) }
    }
}

/// What a connection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A head is on its way, or the first is awaited.
    Head = 0,
    /// A request is under way, until the last of its answer was handed over.
    Request = 1,
    /// The next request is awaited.
    Idle = 2,
}

/// The marks that a connection's traffic leaves. One task reads and writes them: what is atomic is only shared.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    phase: AtomicU32,
    /// Ticks in this phase.
    ticks: AtomicU32,
    /// Whether bytes wait that the system does not take.
    waiting: AtomicBool,
    /// Ticks since it took any.
    untaken: AtomicU32,
}

impl Progress {
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u32, Relaxed);
        self.ticks.store(0, Relaxed);
    }

    fn is_in(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u32
    }

    /// A request has its head and is under way, until what is returned goes with its answer.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        self.enter(Phase::Request);
        UnderWay(Arc::clone(self))
    }

    fn took(&self, bytes: usize) {
        if bytes > 0 {
            self.waiting.store(false, Relaxed);
            self.untaken.store(0, Relaxed);
        }
    }

    /// Counts a tick; tells whether a bound is passed.
    fn tick(&self, bounds: Ticks) -> bool {
        let count = |ticks: &AtomicU32| {
            let passed = ticks.load(Relaxed).saturating_add(1);
            ticks.store(passed, Relaxed);
            passed
        };
        if self.waiting.load(Relaxed) {
            self.ticks.store(0, Relaxed); // a client that is still taking the last answer is not idle
            return count(&self.untaken) > bounds.unread;
        }
        let passed = count(&self.ticks);
        (self.is_in(Phase::Head) && passed > bounds.head) || (self.is_in(Phase::Idle) && passed > bounds.idle)
    }
}

/// A request under way. Dropped with the end of its answer's body.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Progress>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

/// The body of an answer, whose end is the end of its request.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(crate) body: Body,
    pub(crate) _request: UnderWay,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket whose traffic leaves marks.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    pub(crate) socket: S,
    pub(crate) progress: Arc<Progress>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before && self.progress.is_in(Phase::Idle) {
            self.progress.enter(Phase::Head);
        }
        read
    }
}

impl<S> Watched<S> {
    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.progress.took(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.progress.waiting.store(true, Relaxed),
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// What serves a connection and can be asked to end it after the request under way.
pub(crate) trait Ending: Future {
    /// Ends it once no request is under way.
    fn end(self: Pin<&mut Self>);
}

/// Serves `connection` until it ends, its client's time is up, or, once `stopping` is true, no request is under way.
pub(crate) async fn run<C: Ending>(
    connection: C,
    progress: &Progress,
    patience: Patience,
    mut stopping: watch::Receiver<bool>,
) {
    let _open = stopping.clone(); // the sender counts it until this connection has ended
    let mut connection = pin!(connection);
    let mut stopping = pin!(async move {
        // A server that is gone without a word means the same.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    });
    let mut stopped = false;
    let mut tick = interval_at(Instant::now() + patience.tick(), patience.tick());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    poll_fn(|cx| {
        if !stopped && stopping.as_mut().poll(cx).is_ready() {
            stopped = true;
            connection.as_mut().end();
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(()); // a client that goes away is no news
        }
        while tick.poll_tick(cx).is_ready() {
            if progress.tick(patience.ticks(stopped)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        unread: Duration::from_secs(30),
        stopping: Duration::from_secs(2),
    };

    /// How many ticks pass until the connection is cut off, of at most a thousand.
    fn ticks(progress: &Progress, stopping: bool) -> Option<u32> {
        (1..=1_000).find(|_| progress.tick(PATIENCE.ticks(stopping)))
    }

    #[test]
    fn each_phase_has_its_bound_and_a_request_under_way_has_none() {
        let progress = Arc::new(Progress::default());
        assert_eq!(ticks(&progress, false), Some(11), "the first head");
        let request = progress.begin();
        assert_eq!(ticks(&progress, false), None, "a request");
        drop(request);
        assert_eq!(ticks(&progress, false), Some(76), "idle");
        progress.enter(Phase::Head);
        assert_eq!(ticks(&progress, true), Some(3), "a head while the server stops");
    }

    #[test]
    fn an_answer_that_is_taken_slowly_is_not_cut_off_and_one_that_is_not_taken_is() {
        let progress = Arc::new(Progress::default());
        drop(progress.begin()); // all of the answer was handed over
        for _ in 0..50 {
            progress.waiting.store(true, Relaxed);
            assert!((0..30).all(|_| !progress.tick(PATIENCE.ticks(false))), "it goes on");
            progress.took(1);
        }
        progress.waiting.store(true, Relaxed);
        assert_eq!(ticks(&progress, false), Some(31));
        progress.took(1);
        progress.waiting.store(true, Relaxed);
        assert_eq!(ticks(&progress, true), Some(3));
    }
}
