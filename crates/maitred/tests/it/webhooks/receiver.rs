//! A receiver of webhooks that does as it is told: it answers, hangs, redirects, closes or lies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What does not come in this time has failed the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// This status, and a body.
    Status(u16),
    /// This status with this header.
    With(u16, String),
    /// Nothing, ever.
    Hangs,
    /// The beginning of a head, then the end of the connection.
    ClosesInHead,
    /// 200, and less of a body than it says.
    Lies,
}

/// What was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) timestamp: i64,
    pub(crate) signatures: Vec<String>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Received {
    /// Whether one of the signatures is by this secret: computed from the standard's text, with SHA-256 alone.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let signature = sign(secret, &format!("{}.{}.{}", self.id, self.timestamp, self.text));
        self.signatures.contains(&signature)
    }

    /// The kind, the record and the version that it tells of.
    pub(crate) fn told(&self) -> (String, String, u64) {
        let text = |name: &str| self.body[name].as_str().expect("a text").to_owned();
        (text("kind"), text("record_id"), self.body["version"].as_u64().expect("a version"))
    }
}

/// HMAC (RFC 2104) by hand: nothing of the server's own.
pub(crate) fn sign(secret: &str, text: &str) -> String {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
    assert!(key.len() <= 64, "a longer key would be hashed first");
    let padded = |pad: u8| -> Vec<u8> {
        let mut block = [pad; 64];
        block.iter_mut().zip(&key).for_each(|(byte, key)| *byte ^= key);
        block.to_vec()
    };
    let inner = Sha256::digest([padded(0x36), text.as_bytes().to_vec()].concat());
    let outer = Sha256::digest([padded(0x5c), inner.to_vec()].concat());
    format!("v1,{}", base64.encode(outer))
}

type Rule = Box<dyn Fn(usize, &Received) -> Reply + Send>;

#[derive(Default)]
struct State {
    received: Vec<Received>,
    rule: Option<Rule>,
    open: Vec<TcpStream>,
}

/// A server on a loopback address.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) at: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Receiver {
    /// Answers by `rule`, which sees how often this delivery was received before, and the delivery.
    pub(crate) fn start(rule: impl Fn(usize, &Received) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("an address");
        let state = State { rule: Some(Box::new(rule)), ..State::default() };
        let receiver = Receiver { at, shared: Arc::new((Mutex::new(state), Condvar::new())) };
        let serving = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        receiver
    }

    /// Says yes to everything.
    pub(crate) fn kind() -> Self {
        Receiver::start(|_, _| Reply::Status(200))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?a=1", self.at)
    }

    /// Answers by another rule from now on.
    pub(crate) fn now(&self, rule: impl Fn(usize, &Received) -> Reply + Send + 'static) {
        self.lock().rule = Some(Box::new(rule));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("no panic")
    }

    /// What was received, once `enough` says so.
    pub(crate) fn wait(&self, what: &str, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let ends = Instant::now() + PATIENCE;
        let mut state = self.lock();
        while !enough(&state.received) {
            let left = ends.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: only {:#?}", state.received);
            state = self.shared.1.wait_timeout(state, left).expect("no panic").0;
        }
        state.received.clone()
    }

    /// The first so many.
    pub(crate) fn take(&self, count: usize) -> Vec<Received> {
        self.wait("too few", |received| received.len() >= count)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some(received) = read(&stream) else { return };
        let reply = {
            let mut state = self.lock();
            let before = state.received.iter().filter(|known| known.id == received.id).count();
            let reply = state.rule.as_ref().expect("a rule")(before, &received);
            state.received.push(received);
            if reply == Reply::Hangs {
                // It is kept open for as long as this receiver lives.
                state.open.extend(stream.try_clone());
            }
            reply
        };
        let answer = match reply {
            Reply::Status(status) => head(status, "") + "thanks",
            Reply::With(status, header) => head(status, &format!("{header}\r\n")) + "thanks",
            Reply::Hangs => String::new(),
            Reply::ClosesInHead => "HTTP/1.1 200 O".to_owned(),
            Reply::Lies => "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nthanks".to_owned(),
        };
        let _ = stream.write_all(answer.as_bytes());
        self.shared.1.notify_all();
    }
}

fn head(status: u16, header: &str) -> String {
    format!("HTTP/1.1 {status} Whatever\r\n{header}content-length: 6\r\n\r\n")
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    assert_eq!(lines.first().map(String::as_str), Some("POST /hook?a=1 HTTP/1.1"));
    let header = |name: &str| -> String {
        let found = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("{name} in {lines:?}")).to_owned()
    };
    assert_eq!(header("content-type"), "application/json");
    let mut body = vec![0; header("content-length").parse().expect("a length")];
    reader.read_exact(&mut body).ok()?;
    let text = String::from_utf8(body).expect("UTF-8");
    Some(Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().expect("seconds"),
        signatures: header("webhook-signature").split(' ').map(str::to_owned).collect(),
        body: serde_json::from_str(&text).expect("JSON"),
        text,
    })
}
