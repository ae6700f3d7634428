//! A client of one request per connection, that shows every byte of an answer.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use maitred::docs::ERROR_PAGES;
use serde_json::Value;

/// A server that is silent for longer has failed the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(address: SocketAddr, method: &'static str, path: impl Into<String>) -> Self {
        let host = ("Host".to_owned(), address.to_string());
        Request { address, method, path: path.into(), headers: vec![host], body: None }
    }

    /// Sends this header too; one that is there already once more.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends this header instead of the one that is there.
    pub(crate) fn instead(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(there, _)| there != name);
        self.header(name, value)
    }

    pub(crate) fn key(self, secret: &str) -> Self {
        self.header("Authorization", format!("Bearer {secret}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").bytes(body.to_string())
    }

    pub(crate) fn bytes(self, body: impl Into<Vec<u8>>) -> Self {
        Request { body: Some(body.into()), ..self }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("a string takes everything");
        }
        let declared = self.headers.iter().any(|(name, _)| name == "Content-Length");
        if let Some(body) = &self.body
            && !declared
        {
            write!(head, "Content-Length: {}\r\n", body.len()).expect("a string takes everything");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        stream.write_all(&bytes).expect("the server reads");
        BufReader::new(stream)
    }

    /// Sends it and reads the whole answer.
    pub(crate) fn send(self) -> Answer {
        let request = self.header("Connection", "close");
        let mut stream = request.connect();
        let (status, headers) = read_head(&mut stream);
        let mut body = Vec::new();
        if is_chunked(&headers) {
            while let Some(chunk) = read_chunk(&mut stream) {
                body.extend_from_slice(&chunk);
            }
        } else {
            stream.read_to_end(&mut body).expect("a whole body");
        }
        let head_only = request.method == "HEAD";
        Answer { status, headers, body, head_only }
    }

    /// Sends it and reads the head of an answer that goes on.
    pub(crate) fn listen(self) -> Events {
        let mut stream = self.header("Accept", "text/event-stream").connect();
        let (status, headers) = read_head(&mut stream);
        assert_eq!((status, header(&headers, "content-type")), (200, Some("text/event-stream")));
        assert!(is_chunked(&headers), "{headers:?}");
        Events { stream, text: String::new() }
    }
}

fn read_line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a line of text");
    line.trim_end_matches("\r\n").to_owned()
}

fn read_head(stream: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let status = read_line(stream);
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream);
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    (status.expect("a status"), headers)
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
}

fn is_chunked(headers: &[(String, String)]) -> bool {
    header(headers, "transfer-encoding") == Some("chunked")
}

/// The next chunk of a body; `None` behind the last.
fn read_chunk(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let size = usize::from_str_radix(&read_line(stream), 16).expect("the size of a chunk");
    let mut chunk = vec![0; size + 2];
    stream.read_exact(&mut chunk).expect("a whole chunk");
    chunk.truncate(size);
    (size > 0).then_some(chunk)
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    head_only: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The body of an answer that says yes with this status.
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let media_type = self.header("content-type").and_then(|given| given.split(';').next());
        assert_eq!(media_type, Some("application/json"));
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The status and the code of an answer that says no, which has all that a problem has, a page included.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let problem = self.problem();
        (self.status, problem["code"].as_str().expect("a code").to_owned())
    }

    pub(crate) fn problem(&self) -> Value {
        assert!(!self.head_only, "an answer to HEAD has no body to look at");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem: Value = serde_json::from_slice(&self.body).expect("JSON");
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["instance"].as_str(), self.header("x-request-id"));
        let code = problem["code"].as_str().expect("a code");
        assert_eq!(problem["type"], format!("/docs/errors/{code}"));
        assert!(ERROR_PAGES.iter().any(|(page, _)| *page == code), "{code} has no page");
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem
    }

    pub(crate) fn position(&self) -> String {
        self.header("maitred-position").expect("a position").to_owned()
    }

    pub(crate) fn etag(&self) -> String {
        self.header("etag").expect("an entity tag").to_owned()
    }

    pub(crate) fn replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    text: String,
}

impl Events {
    /// The id and the data of the next event; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        self.next_event().map(|(id, data)| (id.expect("an event has an id"), data))
    }

    /// The data of the next events, of which there must be so many; they may have no ids.
    pub(crate) fn data(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.next_event().expect("the stream goes on").1).collect()
    }

    fn next_event(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                if let Some(data) = field("data: ") {
                    let id = field("id: ").map(str::to_owned);
                    return Some((id, serde_json::from_str(data).expect("JSON")));
                }
                continue;
            }
            let chunk = read_chunk(&mut self.stream)?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("events are cut between characters"));
        }
    }

    /// The next events, of which there must be so many.
    pub(crate) fn take(&mut self, count: usize) -> Vec<(String, Value)> {
        (0..count).map(|_| self.next().expect("the stream goes on")).collect()
    }
}
