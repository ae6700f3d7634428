//! An HTTP/1.1 client that sends what it is told to, byte by byte, and undoes nothing but chunks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer may take longer: nothing hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection, kept alive.
pub(crate) struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// In the order of their arrival, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    /// The value of a header that is there once or not at all.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| &**value);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Client { address, stream: BufReader::new(stream) }
    }

    /// Sends `line` (method and target, as they stand), `headers` and `body`, and reads the answer. `Host` and
    /// `Content-Length` are added.
    pub(crate) fn send(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
        let mut head = format!("{line} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || line.starts_with("POST ") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.send_raw(&[head.as_bytes(), b"\r\n", body].concat());
        self.read(line.starts_with("HEAD "))
    }

    /// Sends a JSON body.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answered {
        let json = [("Content-Type", "application/json")];
        self.send(&format!("POST {path}"), &json, body.to_string().as_bytes())
    }

    pub(crate) fn get(&mut self, target: &str) -> Answered {
        self.send(&format!("GET {target}"), &[], b"")
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Reads an answer; one to `HEAD`, or of status 204 or 304, has no body.
    pub(crate) fn read(&mut self, to_head: bool) -> Answered {
        let status_line = self.line();
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answered = Answered { status, headers, body: Vec::new() };
        if !to_head && ![204, 304].contains(&status) {
            answered.body = match answered.header("content-length") {
                Some(length) => self.bytes(length.parse().expect("a number")),
                None => {
                    assert_eq!(answered.header("transfer-encoding"), Some("chunked"), "{answered:?}");
                    self.chunks()
                }
            };
        }
        answered
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer in time");
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("the answer ends early: {line:?}")).to_owned()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the whole answer");
        bytes
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line(), 16).expect("a chunk's length");
            body.extend(self.bytes(length));
            assert_eq!(self.line(), "", "a chunk ends with its line");
            if length == 0 {
                return body;
            }
        }
    }
}
