//! A client of one connection that waits for each answer.
//!
//! Invariant: an answer that is not whole is an error, and the connection is made anew behind it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take: many may wait before it.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longest body that is read.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// A connection, made when it is needed.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    /// Whose the requests are, where their paths do not say it.
    tenant: Option<&'static str>,
    stream: Option<BufReader<TcpStream>>,
    body: Vec<u8>,
}

impl Client {
    /// Of the server at an address.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Client { address, tenant: None, stream: None, body: Vec::new() }
    }

    /// Of the server at an address, as a client of a replaced service that serves this tenant.
    pub(crate) fn of_tenant(address: SocketAddr, tenant: &'static str) -> Self {
        Client { tenant: Some(tenant), ..Client::new(address) }
    }

    /// Sends a request with a body of JSON, or none where it is empty. Gives the status and the body of the answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<(u16, &[u8])> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                BufReader::new(stream)
            }
        };
        let tenant = self.tenant.map_or(String::new(), |tenant| format!("x-tenant: {tenant}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{tenant}content-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes())?;
        self.body.clear();
        let status = answer(&mut stream, &mut self.body)?;
        self.stream = Some(stream);
        Ok((status, &self.body))
    }
}

/// Reads an answer: its status, and its body into `body`.
fn answer(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<u16> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    let (mut length, mut chunked) = (0, false);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(malformed());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().map_err(|_| malformed())?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case("transfer-encoding") => {
                chunked = value.eq_ignore_ascii_case("chunked");
            }
            Some(_) => {}
            None => break,
        }
    }
    if !chunked {
        append(stream, length, body)?;
        return Ok(status);
    }
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim_end(), 16).map_err(|_| malformed())?;
        append(stream, length, body)?;
        line.clear();
        stream.read_line(&mut line)?; // the end of the chunk
        if length == 0 {
            return Ok(status);
        }
    }
}

fn append(stream: &mut BufReader<TcpStream>, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if body.len() as u64 + length > BODY_BYTES_MAX {
        return Err(malformed());
    }
    let read = stream.take(length).read_to_end(body)? as u64;
    if read == length { Ok(()) } else { Err(malformed()) }
}

fn malformed() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection's one request with the bytes given for it.
    fn answering(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn bodies_of_both_forms_are_read_and_torn_ones_are_errors() {
        let address = answering(&[
            "HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
        ]);
        let ask = || Client::new(address).ask("GET", "/", "").map(|(status, body)| (status, body.to_vec()));
        assert_eq!(ask().unwrap(), (201, b"hello".to_vec()));
        assert_eq!(ask().unwrap(), (200, b"hello".to_vec()));
        for _ in 0..2 {
            assert_eq!(ask().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
