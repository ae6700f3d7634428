//! A connection together with its socket, so that both end.
//!
//! Invariant: whatever becomes of a connection, or of the attempt at one, its socket is shut down when nobody holds it any
//! more. The client's thread behind it, which waits for the socket for as long as a broker is silent, ends with that.

use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::{Channel, Connection, ConnectionProperties};

use super::{ANSWER_MAX, Address, Failure, within};

/// A connection that ends with this value.
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    socket: Arc<Socket>,
}

/// A second handle of a socket. Shuts it down with this value.
pub(super) struct Socket(std::net::TcpStream);

impl Link {
    /// Connects. The broker shows the connection under `name`.
    pub(super) async fn open(address: &Address, name: &str, patience: Duration) -> Result<Link, Failure> {
        within(patience, "connecting", connect(address, name)).await
    }

    pub(super) async fn channel(&self) -> Result<Channel, Failure> {
        within(ANSWER_MAX, "opening a channel", self.connection.create_channel()).await
    }

    /// The socket, for whoever may have to cut the connection.
    pub(super) fn socket(&self) -> Arc<Socket> {
        Arc::clone(&self.socket)
    }

    /// Says good-bye, for as long as the broker listens.
    pub(super) async fn close(self) {
        let closing = self.connection.close(200, "done".into());
        let _ = within(Duration::from_secs(1), "closing", closing).await; // it may be gone
    }
}

async fn connect(address: &Address, name: &str) -> lapin::Result<Link> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = lapin::runtime::default_runtime()?;
    let uri = address.uri();
    let host = uri.authority.host.clone();
    let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), uri.authority.port)).await?.collect();
    let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
    let AsyncTcpStream::Plain(plain) = &stream else {
        return Err(io::Error::other("the connection is encrypted before it was made").into());
    };
    let socket = Socket(plain.get_ref().as_fd().try_clone_to_owned()?.into());
    let stream = match address.is_encrypted() {
        false => stream,
        true => {
            let tls = OwnedTLSConfig { identity: None, cert_chain: address.roots().map(str::to_owned) };
            stream.into_tls(&host, tls.as_ref()).await?
        }
    };
    // There is one stream: the client that wants a second one is told that the connection is lost.
    let stream = Mutex::new(Some(stream));
    let give = async move |_, _| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    };
    let connection = Connection::connector(uri, runtime, give, properties).await?;
    Ok(Link { connection, socket: Arc::new(socket) })
}

impl Drop for Link {
    fn drop(&mut self) {
        self.socket.shut();
    }
}

impl Socket {
    /// Cuts the connection.
    pub(super) fn shut(&self) {
        let _ = self.0.shutdown(Shutdown::Both); // it may be shut
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shut();
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(300);
    /// `Connection.Start` of AMQP 0.9 on channel 0: no properties, `PLAIN`, `en_US`.
    const START: &[u8] = b"\x01\0\0\0\0\0\x1c\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US\xce";

    /// How many threads the client has in this process.
    fn threads() -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").expect("the threads");
        let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.trim() == "lapin-io-loop").count()
    }

    /// A broker that accepts, answers the first words with this much, and says nothing more.
    async fn check(scheme: &str, says: &'static [u8], thread_is_there: bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let broker = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let (mut heard, mut most, mut says) = ([0; 4_096], 0, Some(says));
            while socket.read(&mut heard).await.is_ok_and(|bytes| bytes > 0) {
                socket.write_all(says.take().unwrap_or_default()).await.expect("said");
                tokio::time::sleep(PATIENCE / 3).await; // by then the client has its thread
                most = most.max(threads());
            }
            most // the socket was shut down
        });
        let address = Address::parse(&url, None).expect("an address");
        let said = Link::open(&address, "test", PATIENCE).await.expect_err("it is silent");
        assert!(said.to_string().contains("no answer within"), "{said}");
        let most = tokio::time::timeout(Duration::from_secs(20), broker).await.expect("the socket is shut");
        assert_eq!(most.expect("no panic"), usize::from(thread_is_there), "{url}");
        let started = Instant::now();
        while threads() > 0 {
            assert!(started.elapsed() < Duration::from_secs(20), "{} threads are left", threads());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broker_that_says_nothing_is_left_with_socket_and_thread() {
        check("amqp", b"", true).await;
        check("amqp", START, true).await;
        check("amqps", b"", false).await;
    }
}
