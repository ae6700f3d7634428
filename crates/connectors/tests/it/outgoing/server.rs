//! A server that answers bytes as they are given to it, and a resolver that answers as it is told.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maitred_connectors::outgoing::{
    Addresses, Bounds, Client, Failure, HeaderMap, Method, Request, Resolve, Response, Settings, Target,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bounds under which a test that waits for one of them is over soon.
pub(super) const SHORT: Bounds = Bounds {
    connect: Duration::from_secs(5),
    answer: Duration::from_millis(200),
    silence: Duration::from_millis(200),
    total: Duration::from_secs(10),
    body_bytes_max: 1_000,
};

/// What a server does once it has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Closes,
    Hangs,
    /// Waits for the next request on the same connection, and answers it.
    Keeps,
    /// Waits for the next request, and closes the connection without an answer.
    Leaves,
}

/// A server on a loopback address.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) at: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
    /// The heads of the requests.
    pub(super) heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers every request with the same bytes.
    pub(super) async fn start(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Server {
            at: listener.local_addr().expect("an address"),
            connections: Arc::default(),
            heads: Arc::default(),
        };
        let (answer, connections, heads) =
            (answer.into(), Arc::clone(&server.connections), Arc::clone(&server.heads));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, answer.clone(), then, Arc::clone(&heads)));
            }
        });
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, answer: Vec<u8>, then: Then, heads: Arc<Mutex<Vec<String>>>) {
    while let Some(asked) = head(&mut stream).await {
        heads.lock().expect("no panic").push(asked);
        let _ = stream.write_all(&answer).await;
        match then {
            // Everything is sent before the connection ends.
            Then::Closes => return drop(stream.shutdown().await),
            Then::Hangs => std::future::pending().await,
            Then::Keeps => {}
            Then::Leaves => {
                let left = head(&mut stream).await;
                heads.lock().expect("no panic").extend(left);
                return;
            }
        }
    }
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).expect("ASCII"))
}

/// Answers the names it was given, each time with the next of the answers, and with the last one for ever.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    answers: Vec<Vec<IpAddr>>,
    pub(super) asked: Arc<AtomicUsize>,
}

impl Names {
    pub(super) fn new(answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().expect("an address")).collect();
        Names { answers: answers.iter().map(parse).collect(), asked: Arc::default() }
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str) -> Addresses<'a> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(asked).or(self.answers.last()).cloned();
        Box::pin(async move {
            match answer {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        })
    }
}

/// A client that may ask these hosts wherever they are.
pub(super) fn client(allowed: &[&str], names: Names) -> Client {
    let allowed = allowed.iter().map(|text| text.parse().expect("a host")).collect();
    Client::with_resolver(Settings { allowed, roots: Vec::new() }, Box::new(names)).expect("a client")
}

/// A client that may ask this machine.
pub(super) fn local() -> Client {
    client(&["127.0.0.1"], Names::default())
}

pub(super) async fn get(client: &Client, url: &str, bounds: Bounds) -> Result<Response, Failure> {
    let target = Target::parse(url, client.rules())?;
    let (headers, body) = (HeaderMap::new(), Default::default());
    client.send(Request { method: Method::GET, target: &target, headers, body }, bounds).await
}
