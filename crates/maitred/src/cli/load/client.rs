//! One keep-alive connection that sends a request and reads its answer, for as little CPU as can be.
//!
//! A request is one write, its answer as a rule one read into a buffer that all connections of a thread share, so
//! that an idle connection costs little memory. Invariant: an exchange ends by its time limit, whatever the server
//! does. The limit costs no timer per request: one alarm per connection is moved on only when it rings.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::answer::{Answer, AnswerReader, Malformed};

/// Bytes read at once.
const INPUT_BYTES: usize = 64 * 1024;

/// A connection that was idle for no longer is taken to be open.
const IDLE_TRUSTED_MAX: Duration = Duration::from_secs(1);

thread_local! {
    /// Lent to a connection while it is polled, never across an await.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; INPUT_BYTES]);
}

/// Why an exchange got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The connection could not be opened.
    #[error("connect: {0}")]
    Connect(io::Error),
    /// The connection was open, and broke.
    #[error("connection lost: {0}")]
    Lost(io::Error),
    /// No complete answer within the time limit.
    #[error("no answer within the time limit")]
    Timeout,
    /// Something came that is no answer.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    reader: AnswerReader,
    timeout: Duration,
    expires: Instant,
    alarm: Pin<Box<Sleep>>,
    /// When it was opened or last sent a request.
    used: Instant,
    /// When the first bytes of an answer came that did not come whole.
    began: Option<Instant>,
    /// The server has stopped reading: what it still answers is its last answer.
    deaf: bool,
}

impl Connection {
    /// Opens a connection whose exchanges take at most `timeout` each, and which keeps the first `kept_bytes_max`
    /// bytes of each body.
    pub(super) async fn open(
        address: SocketAddr,
        timeout: Duration,
        kept_bytes_max: usize,
    ) -> Result<Self, ExchangeError> {
        let stream = tokio::time::timeout(timeout, TcpStream::connect(address))
            .await
            .map_err(|_elapsed| ExchangeError::Connect(io::ErrorKind::TimedOut.into()))?
            .map_err(ExchangeError::Connect)?;
        stream.set_nodelay(true).map_err(ExchangeError::Connect)?;
        let used = Instant::now();
        let expires = used + timeout;
        Ok(Connection {
            stream,
            reader: AnswerReader::new(kept_bytes_max),
            timeout,
            expires,
            alarm: Box::pin(tokio::time::sleep_until(expires)),
            used,
            began: None,
            deaf: false,
        })
    }

    /// Sends `request` and reads the whole answer, which [`Connection::answer`] then gives. `sent` is now.
    ///
    /// # Errors
    /// After one the connection is of no further use.
    pub(super) async fn exchange(&mut self, request: &[u8], sent: Instant) -> Result<(), ExchangeError> {
        (self.used, self.began) = (sent, None);
        self.expires = sent + self.timeout;
        self.reader.reset();
        let mut unsent = request;
        std::future::poll_fn(|context| {
            let progress = match self.poll_send(context, &mut unsent) {
                Poll::Ready(Ok(())) => self.poll_receive(context),
                other => other,
            };
            if progress.is_pending() && self.poll_overdue(context).is_ready() {
                return Poll::Ready(Err(ExchangeError::Timeout));
            }
            progress
        })
        .await
    }

    /// Whether the server has closed the connection while nobody asked for anything, as servers may. Only looked at
    /// where it was idle for long: it costs a system call.
    pub(super) fn has_expired(&self) -> bool {
        self.used.elapsed() > IDLE_TRUSTED_MAX
            && !matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The answer of the exchange that has just succeeded.
    pub(super) fn answer(&self) -> Answer<'_> {
        self.reader.answer()
    }

    /// When its first bytes came; `None` where it came whole.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Bytes of that answer.
    pub(super) fn answer_bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// Whether the connection ends behind that answer.
    pub(super) fn closes(&self) -> bool {
        self.deaf || self.reader.closes()
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        unsent: &mut &[u8],
    ) -> Poll<Result<(), ExchangeError>> {
        while !unsent.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, unsent)) {
                Ok(0) => return Poll::Ready(Err(ExchangeError::Lost(io::ErrorKind::WriteZero.into()))),
                Ok(written) => *unsent = &unsent[written..],
                // A server may refuse a request by its head and not take the rest: its answer says why.
                Err(_) => {
                    self.deaf = true;
                    *unsent = &[];
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        INPUT.with_borrow_mut(|input| {
            loop {
                let mut buffer = ReadBuf::new(input);
                if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                    return Poll::Ready(Err(ExchangeError::Lost(error)));
                }
                if buffer.filled().is_empty() {
                    return Poll::Ready(Err(ExchangeError::Lost(io::ErrorKind::UnexpectedEof.into())));
                }
                match self.reader.feed(buffer.filled()) {
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => {
                        self.began.get_or_insert_with(Instant::now);
                    }
                    Err(malformed) => return Poll::Ready(Err(malformed.into())),
                }
            }
        })
    }

    /// Ready once the exchange's time is up.
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            if Instant::now() >= self.expires {
                return Poll::Ready(());
            }
            // It rang for an exchange that has long been answered.
            self.alarm.as_mut().reset(self.expires);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    /// A connection to a server that answers the n-th request with the n-th of `answers` and then falls silent, or
    /// hangs up if `hang_up`.
    async fn connected(answers: Vec<&'static [u8]>, hang_up: bool) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; REQUEST.len()];
            for answer in answers {
                stream.read_exact(&mut request).await.unwrap();
                stream.write_all(answer).await.unwrap();
            }
            if !hang_up {
                std::future::pending::<()>().await;
            }
        });
        Connection::open(address, Duration::from_millis(200), 1024).await.unwrap()
    }

    fn now() -> Instant {
        Instant::now()
    }

    #[tokio::test]
    async fn a_connection_serves_one_exchange_after_another() {
        let answers: Vec<&[u8]> = vec![
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none",
            b"HTTP/1.1 409 Conflict\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntwo",
        ];
        let mut connection = connected(answers, false).await;
        connection.exchange(REQUEST, now()).await.unwrap();
        assert_eq!((connection.answer().status, connection.answer().body), (200, b"one".as_slice()));
        assert!(!connection.closes());
        connection.exchange(REQUEST, now()).await.unwrap();
        assert_eq!((connection.answer().status, connection.answer().body), (409, b"two".as_slice()));
        assert!(connection.closes());
    }

    #[tokio::test]
    async fn a_silent_server_ends_the_exchange_by_its_time_limit() {
        let mut connection =
            connected(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"], false).await;
        let began = now();
        let error = connection.exchange(REQUEST, began).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Timeout), "{error}");
        assert!(began.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn the_time_limit_is_counted_from_each_request_not_from_the_opening() {
        let mut connection = connected(vec![b""], false).await;
        let sent = now() + Duration::from_millis(150);
        let error = connection.exchange(REQUEST, sent).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Timeout), "{error}");
        assert!(now() >= sent + Duration::from_millis(200), "cut short by the alarm of the opening");
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_told_from_one_that_is_silent() {
        let mut connection = connected(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"], true).await;
        let error = connection.exchange(REQUEST, now()).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Lost(_)), "{error}");
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_while_it_was_idle_has_expired() {
        let long_ago = now() - 2 * IDLE_TRUSTED_MAX;
        let mut closed = connected(vec![], true).await;
        // The end has arrived once the socket can be read.
        closed.stream.readable().await.unwrap();
        assert!(!closed.has_expired(), "it was not idle for long");
        closed.used = long_ago;
        assert!(closed.has_expired());
        let mut open = connected(vec![], false).await;
        open.used = long_ago;
        assert!(!open.has_expired());
    }

    #[tokio::test]
    async fn an_answer_to_a_request_that_was_not_taken_whole_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 10]).await.unwrap();
            stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await.unwrap();
        });
        let mut connection = Connection::open(address, Duration::from_secs(10), 1024).await.unwrap();
        connection.exchange(&vec![b'x'; 64 << 20], now()).await.unwrap();
        assert_eq!((connection.answer().status, connection.answer().body), (413, b"big".as_slice()));
        assert!(connection.closes());
    }

    #[tokio::test]
    async fn a_closed_port_is_a_connection_error() {
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let error = Connection::open(address, Duration::from_secs(1), 1024).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Connect(_)), "{error}");
    }
}
