//! A login storm: clients that log in with accounts that are not there, again and again, as fast as they are answered.
//!
//! A server that does not tell who has an account takes as long for these as for any login. Invariant: the storm ends
//! with its value, and every client ends within its time limit.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long an answer may take: many wait before it.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// What a client does that was refused, or whose connection broke.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest body that is read.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// A storm that blows.
#[derive(Debug)]
pub(crate) struct Storm {
    calm: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Logins>>,
    began: Instant,
}

/// What became of the logins.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Logins {
    /// Passwords that were looked at, and not right.
    pub(crate) tried: u64,
    /// Logins that were told to come back later.
    pub(crate) refused: u64,
    /// Any other answer, or none.
    pub(crate) other: u64,
    elapsed: Duration,
}

impl Logins {
    /// Passwords looked at in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.tried as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

impl Storm {
    /// Lets so many clients log in.
    pub(crate) fn start(address: SocketAddr, clients: usize) -> Self {
        let calm = Arc::new(AtomicBool::new(false));
        let client = |number| {
            let calm = Arc::clone(&calm);
            std::thread::spawn(move || log_in(address, number, &calm))
        };
        let clients = (0..clients).map(client).collect();
        Storm { calm, clients, began: Instant::now() }
    }

    /// Ends it.
    pub(crate) fn end(mut self) -> Logins {
        self.calm.store(true, Ordering::Relaxed);
        let mut all = Logins::default();
        for client in self.clients.drain(..) {
            let Ok(logins) = client.join() else { continue };
            all.tried += logins.tried;
            all.refused += logins.refused;
            all.other += logins.other;
        }
        // Behind the last answer: what waited when it ended was looked at too.
        all.elapsed = self.began.elapsed();
        all
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.calm.store(true, Ordering::Relaxed);
    }
}

fn log_in(address: SocketAddr, client: usize, calm: &AtomicBool) -> Logins {
    let mut logins = Logins::default();
    let mut connection = None;
    for number in 0_u64.. {
        if calm.load(Ordering::Relaxed) {
            break;
        }
        match ask(&mut connection, address, client, number) {
            Ok(401) => logins.tried += 1,
            Ok(503) => {
                logins.refused += 1;
                std::thread::sleep(PAUSE);
            }
            Ok(_) | Err(_) => {
                logins.other += 1;
                connection = None;
                std::thread::sleep(PAUSE);
            }
        }
    }
    logins
}

/// The status of a login, over the connection that is there or a new one.
fn ask(
    connection: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    client: usize,
    number: u64,
) -> io::Result<u16> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            connection.insert(BufReader::new(stream))
        }
    };
    let body = format!(r#"{{"email":"storm-{client}-{number}@example.com","password":"nobody's password"}}"#);
    let request = format!(
        "POST /v1/tenants/default/users/authenticate HTTP/1.1\r\nhost: {address}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.get_mut().write_all(request.as_bytes())?;
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(malformed());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().map_err(|_| malformed())?;
            }
            Some(_) => {}
            None => break,
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(malformed());
    }
    let read = io::copy(&mut stream.take(length), &mut io::sink())?;
    if read == length { Ok(status) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_storm_counts_what_it_is_told_and_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for status in ["401 Unauthorized", "401 Unauthorized", "503 Service Unavailable", "500 Oh"] {
                let mut line = String::new();
                // The body has no line's end: what is left of it begins the next request's first line.
                while line != "\r\n" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno").unwrap();
            }
        });
        let storm = Storm::start(address, 1);
        std::thread::sleep(Duration::from_millis(600));
        let logins = storm.end();
        assert_eq!((logins.tried, logins.refused), (2, 1), "{logins:?}");
        assert!(logins.other >= 1 && logins.per_second() > 0.0, "{logins:?}");
    }
}
