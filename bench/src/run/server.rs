//! A server under test: started, found by the address it announces, watched, ended.
//!
//! Invariant: it ends with its value, whatever happens to the benchmark.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::BenchError;
use super::process::{self, Reading};

/// How long a server may take to announce its address, to become ready and to end.
const ANNOUNCE_MAX: Duration = Duration::from_secs(60);
const READY_MAX: Duration = Duration::from_secs(600);
const END_MAX: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(2);
/// A server is at rest when for so long it took no CPU time and the device of its data wrote next to nothing.
const REST: Duration = Duration::from_millis(300);
const REST_BYTES_MAX: u64 = 1 << 20;
/// How long to wait for that.
const REST_MAX: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    /// On the disk that holds its data.
    folder: PathBuf,
    /// From its start to its first answer that it is ready.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts a program that announces its address on one of its outputs, and waits until it is ready. Its outputs
    /// are kept in `log`, which lies on the disk that holds its data.
    pub(crate) fn start(words: &[String], log: &Path) -> Result<Self, BenchError> {
        let began = Instant::now();
        let (program, arguments) =
            words.split_first().ok_or_else(|| BenchError("no server command".to_owned()))?;
        let failed = |error: io::Error| BenchError(format!("starting {program}: {error}"));
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (addresses_in, addresses) = mpsc::channel();
        let file = File::options().create(true).append(true).open(log).map_err(failed)?;
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            follow(out, file.try_clone().map_err(failed)?, addresses_in.clone());
            follow(err, file, addresses_in);
        }
        let any_address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let folder = log.parent().unwrap_or(Path::new(".")).to_path_buf();
        let mut server = Server { child, address: any_address, folder, ready_after: Duration::ZERO };
        server.address = addresses.recv_timeout(ANNOUNCE_MAX).map_err(|_| {
            BenchError(format!("{program} announced no address; its output is in {}", log.display()))
        })?;
        server.wait_until_ready(began)?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address behind [`Server::url`].
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has taken and holds.
    pub(crate) fn reading(&self) -> Result<Reading, BenchError> {
        process::read(self.child.id(), &self.folder)
            .map_err(|error| BenchError(format!("reading the server's counters: {error}")))
    }

    /// Waits until it takes no CPU time any more and what it wrote is on the disk, so that what is still done for one run
    /// does not burden the next. Gives up after a while: a server may have chores.
    pub(crate) fn rest(&self) -> Result<(), BenchError> {
        let deadline = Instant::now() + REST_MAX;
        let mut before = self.reading()?;
        while Instant::now() < deadline {
            std::thread::sleep(REST);
            let now = self.reading()?;
            if now.cpu == before.cpu && now.written_bytes - before.written_bytes <= REST_BYTES_MAX {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Ends it as an operator would, and waits for that.
    pub(crate) fn stop(mut self) -> Result<(), BenchError> {
        let process_id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process_id, rustix::process::Signal::TERM)
            .map_err(|error| BenchError(format!("stopping the server: {error}")))?;
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => std::thread::sleep(POLL_EVERY),
                Err(error) => return Err(BenchError(format!("waiting for the server: {error}"))),
            }
        }
        Err(BenchError("the server did not end when it was told to".to_owned()))
    }

    /// Ends it as a power switch would.
    pub(crate) fn kill(mut self) -> Result<(), BenchError> {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.map(drop).map_err(|error| BenchError(format!("killing the server: {error}")))
    }

    fn wait_until_ready(&mut self, began: Instant) -> Result<(), BenchError> {
        while began.elapsed() < READY_MAX {
            if is_ready(self.address).unwrap_or(false) {
                self.ready_after = began.elapsed();
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(BenchError(format!("the server ended before it was ready: {status}")));
            }
            std::thread::sleep(POLL_EVERY);
        }
        Err(BenchError("the server did not become ready".to_owned()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies what a server prints to its log, and passes the first address on.
fn follow(output: impl Read + Send + 'static, mut log: File, addresses: mpsc::Sender<SocketAddr>) {
    std::thread::spawn(move || {
        let mut addresses = Some(addresses);
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            // A log that cannot be written is no reason to leave the server without a reader.
            let _ = writeln!(log, "{line}");
            if let Some(address) = announced_address(&line)
                && let Some(addresses) = addresses.take()
            {
                // Its other output may have been first.
                let _ = addresses.send(address);
            }
        }
    });
}

/// The loopback address that a line names, in whatever form the line has.
fn announced_address(line: &str) -> Option<SocketAddr> {
    let host = "127.0.0.1:";
    line.match_indices(host).find_map(|(at, _)| {
        let rest = &line[at + host.len()..];
        let end = rest.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(rest.len());
        let port: u16 = rest[..end].parse().ok()?;
        (port != 0).then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    })
}

fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(
        format!("GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut status_line = [0; 12];
    stream.read_exact(&mut status_line)?;
    Ok(&status_line == b"HTTP/1.1 200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_any_announcement() {
        for line in [
            "listening on http://127.0.0.1:4711",
            "2026-01-01T00:00:00Z  INFO listening address=127.0.0.1:4711",
            r#"{"message":"listening","http.address":"127.0.0.1:4711"}"#,
            "asked for 127.0.0.1:0, got 127.0.0.1:4711.",
        ] {
            assert_eq!(
                announced_address(line),
                Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 4711))),
                "{line}"
            );
        }
        for line in ["starting", "listening on 127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:"] {
            assert_eq!(announced_address(line), None, "{line}");
        }
    }

    #[test]
    fn a_program_that_announces_nothing_or_is_not_there_is_an_error() {
        let log = std::env::temp_dir().join(format!("maitred-bench-{}-silent", std::process::id()));
        let start = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            Server::start(&words, &log).unwrap_err().to_string()
        };
        let silent = start(&["echo", "good morning"]);
        let absent = start(&["/nowhere/at-all"]);
        let kept = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        assert!(silent.contains("announced no address"), "{silent}");
        assert!(absent.contains("starting /nowhere/at-all"), "{absent}");
        assert_eq!(kept, "good morning\n");
    }
}
